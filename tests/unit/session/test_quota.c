#include "session/quota.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NOW (1000 * NS_PER_S)

static void without_limits_everything_goes(void **state)
{
    (void)state;
    struct quota q;
    quota_init(&q, 0, 0, NOW);
    for (size_t i = 0; i < 10000; i++) {
        assert_true(quota_take(&q, NOW));
    }
}

static void no_more_than_max_at_once(void **state)
{
    (void)state;
    struct quota q;
    quota_init(&q, 2, 0, NOW);
    assert_true(quota_take(&q, NOW));
    assert_true(quota_take(&q, NOW));
    assert_false(quota_take(&q, NOW + 3600 * NS_PER_S));
    quota_give(&q);
    assert_true(quota_take(&q, NOW));
    assert_false(quota_take(&q, NOW));
}

static size_t take_all(struct quota *q, uint64_t now)
{
    size_t n = 0;
    while (n < 1000 && quota_take(q, now)) {
        n++;
    }
    return n;
}

/* A second's worth after a pause however long, then `rate` a second; refusals cost nothing. */
static void no_faster_than_rate(void **state)
{
    (void)state;
    struct quota q;
    quota_init(&q, 0, 10, NOW);
    assert_int_equal(take_all(&q, NOW), 10);
    assert_int_equal(take_all(&q, NOW + 99 * NS_PER_MS), 0);
    assert_int_equal(take_all(&q, NOW + 100 * NS_PER_MS), 1);
    assert_int_equal(take_all(&q, NOW + 600 * NS_PER_MS), 5);
    assert_int_equal(take_all(&q, NOW + 100 * NS_PER_S), 10);
    quota_init(&q, 0, 10, 0); /* a clock that has just begun */
    assert_true(take_all(&q, 0) <= 10);
    assert_int_equal(take_all(&q, 5 * NS_PER_S), 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_limits_everything_goes),
        cmocka_unit_test(no_more_than_max_at_once),
        cmocka_unit_test(no_faster_than_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
