#include "relay/relay_home.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
#define S(n) ((uint64_t)(n)*NS_PER_S)

static struct relay_home home_of(uint64_t a_ms, uint64_t b_ms)
{
    struct relay_home h;
    relay_home_init(&h);
    relay_home_note(&h, 0, true, MS(a_ms));
    relay_home_note(&h, 1, true, MS(b_ms));
    return h;
}

static void the_fastest_that_is_up(void **state)
{
    (void)state;
    struct relay_home h;
    relay_home_init(&h);
    assert_false(relay_home_choose(&h, S(1)));
    assert_int_equal(h.home, RELAY_HOME_NONE);
    relay_home_note(&h, 2, true, 0);
    assert_true(relay_home_choose(&h, S(1)));
    assert_int_equal(h.home, 2);
    h = home_of(30, 20);
    relay_home_note(&h, 2, false, MS(1));
    assert_true(relay_home_choose(&h, S(1)));
    assert_int_equal(h.home, 1);
    relay_home_note(&h, 1, false, MS(20));
    assert_true(relay_home_choose(&h, S(1)));
    assert_int_equal(h.home, 0);
    relay_home_note(&h, 0, false, MS(20));
    assert_true(relay_home_choose(&h, S(1)));
    assert_int_equal(h.home, RELAY_HOME_NONE);
    assert_int_equal(h.moves, 1);
}

static void early_it_follows_what_is_measured(void **state)
{
    (void)state;
    struct relay_home h;
    relay_home_init(&h);
    relay_home_note(&h, 0, true, MS(80));
    assert_true(relay_home_choose(&h, S(1)));
    relay_home_note(&h, 1, true, MS(20));
    assert_true(relay_home_choose(&h, S(3)));
    assert_int_equal(h.home, 1);
}

static void later_another_has_to_be_faster_for_long(void **state)
{
    (void)state;
    struct relay_home h = home_of(20, 30);
    assert_true(relay_home_choose(&h, S(1)));
    relay_home_note(&h, 0, true, MS(60));
    assert_false(relay_home_choose(&h, S(10)));
    assert_int_equal(relay_home_next_ns(&h), S(10) + RELAY_HOME_HOLD_NS);
    assert_false(relay_home_choose(&h, S(39)));
    /* Once not, and it begins anew. */
    relay_home_note(&h, 0, true, MS(35));
    assert_false(relay_home_choose(&h, S(39)));
    assert_int_equal(relay_home_next_ns(&h), TIME_NEVER);
    relay_home_note(&h, 0, true, MS(60));
    assert_false(relay_home_choose(&h, S(41)));
    assert_false(relay_home_choose(&h, S(70)));
    assert_true(relay_home_choose(&h, S(71)));
    assert_int_equal(h.home, 1);
}

static void a_little_is_no_reason(void **state)
{
    (void)state;
    const uint64_t pairs[][2] = {{30, 21}, {6, 2}, {30, 0}, {0, 30}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct relay_home h;
        relay_home_init(&h);
        relay_home_note(&h, 0, true, MS(pairs[i][0]));
        assert_true(relay_home_choose(&h, S(1)));
        relay_home_note(&h, 1, true, MS(pairs[i][1]));
        assert_false(relay_home_choose(&h, S(2)));
        assert_int_equal(relay_home_next_ns(&h), TIME_NEVER);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fastest_that_is_up),
        cmocka_unit_test(early_it_follows_what_is_measured),
        cmocka_unit_test(later_another_has_to_be_faster_for_long),
        cmocka_unit_test(a_little_is_no_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
