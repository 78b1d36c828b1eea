#include "transport/rtt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)

static void knows_nothing_before_the_first_sample(void **state)
{
    (void)state;
    struct rtt r;
    rtt_init(&r);
    assert_false(r.sampled);
    assert_int_equal(rtt_pto(&r, 0), MS(999));
    assert_int_equal(rtt_pto(&r, MS(25)), MS(1024));
    assert_int_equal(rtt_loss_delay(&r, 1), MS(333) * 9 / 8);
}

static void takes_the_first_sample_whole(void **state)
{
    (void)state;
    struct rtt r;
    rtt_init(&r);
    rtt_sample(&r, MS(100), MS(20), MS(25));
    assert_int_equal(r.smoothed, MS(100));
    assert_int_equal(r.variance, MS(50));
    assert_int_equal(r.min, MS(100));
    assert_int_equal(rtt_pto(&r, MS(25)), MS(325));
}

static void follows_rfc_9002_afterwards(void **state)
{
    (void)state;
    struct rtt r;
    rtt_init(&r);
    rtt_sample(&r, MS(80), 0, MS(25));
    rtt_sample(&r, MS(136), MS(16), MS(25)); /* adjusted to 120 */
    assert_int_equal(r.latest, MS(136));
    assert_int_equal(r.min, MS(80));
    assert_int_equal(r.variance, MS(40)); /* 3/4 * 40 + 1/4 * |80 - 120| */
    assert_int_equal(r.smoothed, MS(85)); /* 7/8 * 80 + 1/8 * 120 */
    assert_int_equal(rtt_loss_delay(&r, 1), MS(153));
}

static void limits_the_ack_delay_that_it_believes(void **state)
{
    (void)state;
    struct rtt r;
    rtt_init(&r);
    rtt_sample(&r, MS(80), 0, MS(25));
    rtt_sample(&r, MS(185), MS(1000), MS(25)); /* 160, not negative */
    assert_int_equal(r.smoothed, MS(90));
    rtt_init(&r);
    rtt_sample(&r, MS(80), 0, MS(25));
    rtt_sample(&r, MS(88), MS(20), MS(25)); /* would be below the minimum: taken as it is */
    assert_int_equal(r.smoothed, MS(81));
    assert_int_equal(r.min, MS(80));
}

static void never_waits_less_than_the_granularity(void **state)
{
    (void)state;
    struct rtt r;
    rtt_init(&r);
    for (int i = 0; i < 100; i++) {
        rtt_sample(&r, 1000, 0, 0);
    }
    assert_int_equal(rtt_loss_delay(&r, 1), MS(1));
    assert_int_equal(rtt_pto(&r, 0), r.smoothed + MS(1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_nothing_before_the_first_sample),
        cmocka_unit_test(takes_the_first_sample_whole),
        cmocka_unit_test(follows_rfc_9002_afterwards),
        cmocka_unit_test(limits_the_ack_delay_that_it_believes),
        cmocka_unit_test(never_waits_less_than_the_granularity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
