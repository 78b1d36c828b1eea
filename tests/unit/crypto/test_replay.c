#include "crypto/replay.h"

#include <base/rng.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void accepts_each_number_once(void **state)
{
    (void)state;
    struct replay r;
    replay_reset(&r);
    for (uint64_t i = 0; i < 3 * REPLAY_BITS; i++) {
        assert_true(replay_accept(&r, i));
        assert_false(replay_accept(&r, i));
    }
}

static void checking_leaves_no_trace(void **state)
{
    (void)state;
    struct replay r, before;
    replay_reset(&r);
    assert_true(replay_accept(&r, 1000));
    before = r;
    assert_true(replay_check(&r, 5000));
    assert_true(replay_check(&r, 999));
    assert_false(replay_check(&r, 1000));
    assert_false(replay_accept(&r, 1000));
    assert_memory_equal(&r, &before, sizeof(r));
}

static void window_ends_where_it_says(void **state)
{
    (void)state;
    /* The highest number at each place within its block. */
    for (uint64_t high = 1000000; high < 1000000 + 2 * REPLAY_BLOCK_BITS; high++) {
        struct replay r;
        replay_reset(&r);
        assert_true(replay_accept(&r, high));
        assert_true(replay_check(&r, high - (REPLAY_WINDOW - 1)));
        assert_false(replay_check(&r, high - REPLAY_WINDOW));
        assert_true(replay_accept(&r, high - (REPLAY_WINDOW - 1)));
        assert_false(replay_accept(&r, high - (REPLAY_WINDOW - 1)));
        assert_false(replay_accept(&r, high));
    }
}

static void a_jump_forgets_what_lay_behind(void **state)
{
    (void)state;
    struct replay r;
    replay_reset(&r);
    for (uint64_t i = 0; i < REPLAY_BITS; i++) {
        assert_true(replay_accept(&r, i));
    }
    uint64_t far = UINT64_C(1) << 40;
    assert_true(replay_accept(&r, far));
    for (uint64_t i = 1; i < REPLAY_WINDOW; i++) {
        assert_true(replay_accept(&r, far - i));
    }
    assert_false(replay_accept(&r, REPLAY_BITS - 1));
}

static void survives_the_largest_numbers(void **state)
{
    (void)state;
    struct replay r;
    replay_reset(&r);
    assert_false(replay_accept(&r, UINT64_MAX));
    assert_true(replay_accept(&r, UINT64_MAX - 1));
    assert_false(replay_accept(&r, UINT64_MAX - 1));
    assert_false(replay_accept(&r, UINT64_MAX));
    assert_true(replay_accept(&r, UINT64_MAX - 2));
    assert_false(replay_check(&r, 0));
}

static void reset_starts_over(void **state)
{
    (void)state;
    struct replay r;
    replay_reset(&r);
    assert_true(replay_accept(&r, 12345));
    replay_reset(&r);
    assert_true(replay_accept(&r, 0));
    assert_true(replay_accept(&r, 12345));
}

/* The model remembers every number for ever. */
enum { MODEL_NUMBERS = 1 << 17 };

struct model {
    uint64_t next;
    bool seen[MODEL_NUMBERS];
};

static bool model_accept(struct model *m, uint64_t number)
{
    if (m->seen[number] || (number < m->next && m->next - 1 - number >= REPLAY_WINDOW)) {
        return false;
    }
    m->seen[number] = true;
    m->next = number >= m->next ? number + 1 : m->next;
    return true;
}

/* Mostly near the front, as packets come; sometimes far behind, sometimes a leap ahead. */
static uint64_t next_number(struct rng rng, uint64_t front)
{
    static const uint64_t spans[] = {1, 64, 200, REPLAY_WINDOW + 2, REPLAY_BITS + 200, 40000};
    uint64_t span = spans[rng_below(rng, 6)];
    uint64_t off = rng_below(rng, span) + rng_below(rng, 2);
    uint64_t ahead = rng_below(rng, 2000) == 0 ? span / 2 : 2;
    uint64_t number = front + ahead > off ? front + ahead - off : 0;
    return number < MODEL_NUMBERS ? number : MODEL_NUMBERS - 1;
}

static void agrees_with_a_naive_model(void **state)
{
    (void)state;
    static struct model m;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct replay r;
        struct pcg pcg;
        struct rng rng = pcg_rng(&pcg, seed);
        int accepted = 0, refused = 0;
        memset(&m, 0, sizeof(m));
        replay_reset(&r);
        for (int i = 0; i < 50000 && m.next < MODEL_NUMBERS; i++) {
            uint64_t number = next_number(rng, m.next);
            bool expected = model_accept(&m, number);
            assert_int_equal(replay_check(&r, number), expected);
            assert_int_equal(replay_accept(&r, number), expected);
            *(expected ? &accepted : &refused) += 1;
        }
        assert_true(accepted > 1000 && refused > 1000); /* the world had both */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_each_number_once),
        cmocka_unit_test(checking_leaves_no_trace),
        cmocka_unit_test(window_ends_where_it_says),
        cmocka_unit_test(a_jump_forgets_what_lay_behind),
        cmocka_unit_test(survives_the_largest_numbers),
        cmocka_unit_test(reset_starts_over),
        cmocka_unit_test(agrees_with_a_naive_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
