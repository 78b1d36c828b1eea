#include "transport/skip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* The distance to the next number that is left out. */
static uint64_t next_gap(struct skip *s, uint64_t *number, struct rng rng)
{
    uint64_t from = *number;
    while (!skip_is_due(s, *number, rng)) {
        ++*number;
    }
    skip_note(s, *number, rng);
    return (*number)++ - from;
}

static void leaves_out_less_and_less_at_random(void **state)
{
    (void)state;
    struct pcg pcg;
    struct rng rng = pcg_rng(&pcg, 3);
    struct skip s;
    uint64_t number = SKIP_EVERY_FIRST;
    uint64_t last = 0;
    skip_init(&s);
    for (uint64_t few = 0; few < SKIP_EVERY_FIRST; few++) {
        assert_false(skip_is_due(&s, few, rng));
    }
    for (uint64_t every = SKIP_EVERY_FIRST; every <= SKIP_EVERY_MAX; every *= 2) {
        assert_in_range(next_gap(&s, &number, rng), every - 1, 2 * every - 1);
    }
    for (unsigned i = 0; i < 20; i++) {
        uint64_t gap = next_gap(&s, &number, rng);
        assert_in_range(gap, SKIP_EVERY_MAX - 1, 2 * SKIP_EVERY_MAX - 1);
        assert_true(gap != last);
        last = gap;
    }
}

static void knows_the_last_one(void **state)
{
    (void)state;
    struct pcg pcg;
    struct rng rng = pcg_rng(&pcg, 3);
    struct skip s;
    skip_init(&s);
    assert_false(skip_is_within(&s, 0, UINT64_MAX));
    skip_note(&s, 300, rng);
    assert_true(skip_is_within(&s, 300, 300));
    assert_true(skip_is_within(&s, 0, 1000));
    assert_false(skip_is_within(&s, 0, 299));
    assert_false(skip_is_within(&s, 301, 1000));
    skip_note(&s, 1000, rng);
    assert_false(skip_is_within(&s, 300, 300));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_out_less_and_less_at_random),
        cmocka_unit_test(knows_the_last_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
