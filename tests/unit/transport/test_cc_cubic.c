#include "transport/cc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { MTU = 1000 };
#define START_NS (10 * NS_PER_S)
#define MS(n) ((uint64_t)(n)*NS_PER_MS)

static void sent(struct cc *cc, uint64_t number, size_t bytes, uint64_t now)
{
    const struct cc_sent packet = {.number = number, .bytes = bytes};
    cc->ops->on_sent(cc, &packet, now);
}

static void spurious(struct cc *cc, uint64_t number, uint64_t now)
{
    const struct cc_loss loss = {.number = number, .sent_ns = START_NS};
    cc->ops->on_spurious(cc, &loss, now);
}

/* A controller in the middle of its life: a window of so many segments, packets 0..999 out. */
static struct cc make(uint64_t segments)
{
    struct cc cc;
    cc_init(&cc, &cc_cubic, MTU);
    cc.cwnd = segments * MTU;
    sent(&cc, 999, MTU, START_NS);
    return cc;
}

/* No RTT at all, so that the target is the curve at the very moment of the acknowledgement. */
static const struct rtt no_rtt;

static void ack(struct cc *cc, uint64_t number, size_t bytes, uint64_t sent_ns, uint64_t now)
{
    struct cc_ack a = {.number = number, .sent_ns = sent_ns, .bytes = bytes, .in_flight = cc->cwnd};
    cc->ops->on_ack(cc, &a, &no_rtt, now);
}

static void lose(struct cc *cc, uint64_t number, uint64_t now)
{
    const struct cc_loss loss = {.number = number, .sent_ns = now - MS(10)};
    cc->ops->on_loss(cc, &loss, now);
}

static void starts_with_the_window_of_rfc_9002(void **state)
{
    (void)state;
    assert_int_equal(cc_initial_window(1200), 12000);
    assert_int_equal(cc_initial_window(1372), 13720);
    assert_int_equal(cc_initial_window(1452), 14520);
    assert_int_equal(cc_initial_window(9000), 18000);
    assert_int_equal(cc_minimum_window(1200), 2400);
    struct cc cc;
    cc_init(&cc, &cc_cubic, 1200);
    assert_int_equal(cc.cwnd, 12000);
    assert_true(cc_in_slow_start(&cc));
    cc.ops->on_mtu(&cc, 1452);
    assert_int_equal(cc.cwnd, 14520);
}

static void doubles_in_slow_start_unless_app_limited(void **state)
{
    (void)state;
    struct cc cc = make(10);
    for (uint64_t i = 0; i < 10; i++) {
        ack(&cc, i, MTU, START_NS, START_NS + MS(50));
    }
    assert_int_equal(cc.cwnd, 20 * MTU);
    struct cc_ack idle = {.number = 10, .sent_ns = START_NS, .bytes = MTU, .app_limited = true};
    cc.ops->on_ack(&cc, &idle, &no_rtt, START_NS + MS(50));
    assert_int_equal(cc.cwnd, 20 * MTU);
}

static void reduces_once_for_each_round_trip(void **state)
{
    (void)state;
    struct cc cc = make(100);
    lose(&cc, 500, START_NS);
    assert_int_equal(cc.cwnd, 70 * MTU);
    assert_int_equal(cc.ssthresh, 70 * MTU);
    assert_int_equal(cc.cubic.curve.w_max, 100 * MTU);
    lose(&cc, 999, START_NS + MS(1)); /* was out before the reduction */
    assert_int_equal(cc.cwnd, 70 * MTU);
    ack(&cc, 998, MTU, START_NS, START_NS + MS(2)); /* no growth in recovery */
    assert_true(cc.in_recovery);
    assert_int_equal(cc.cwnd, 70 * MTU);
    sent(&cc, 1000, MTU, START_NS + MS(3));
    ack(&cc, 1000, MTU, START_NS + MS(3), START_NS + MS(4));
    assert_false(cc.in_recovery);
    uint64_t before = cc.cwnd;
    sent(&cc, 1001, MTU, START_NS + MS(5));
    lose(&cc, 1001, START_NS + MS(6));
    assert_int_equal(cc.cwnd, before * 7 / 10);
    assert_int_equal(cc.cubic.curve.w_max, before * 17 / 20); /* fast convergence */
}

static void never_falls_below_two_packets(void **state)
{
    (void)state;
    struct cc cc = make(10);
    for (uint64_t i = 1000; i < 1050; i++) {
        sent(&cc, i, MTU, START_NS);
        lose(&cc, i, START_NS);
    }
    assert_int_equal(cc.cwnd, 2 * MTU);
}

/* Reduces from `w_max` segments, begins the epoch, and gives the window that one acknowledged
 * window makes of it t later: W(t), as the growth per acknowledged window is target - cwnd. */
static struct cc epoch_after(uint64_t w_max, uint64_t t_ns)
{
    struct cc cc = make(w_max);
    cc.ssthresh = 1; /* so that the curve of the reduction is all that acts */
    lose(&cc, 999, START_NS);
    sent(&cc, 1000, MTU, START_NS);
    ack(&cc, 1000, 1, START_NS, START_NS);
    ack(&cc, 1000, cc.cwnd, START_NS, START_NS + t_ns);
    return cc;
}

static void expect_near(uint64_t got, double want, double off)
{
    double error = (double)got - want;
    if (error < -off || error > off) {
        fail_msg("%.1f, expected %.1f", (double)got, want);
    }
}

static void follows_the_curve(void **state)
{
    (void)state;
    expect_near(epoch_after(100, 0).cubic.curve.k_ns, 4.2172e9, 5e4);
    expect_near(epoch_after(1000, 0).cubic.curve.k_ns, 9.0856e9, 5e4);
    expect_near(epoch_after(10000, 0).cubic.curve.k_ns, 19.5743e9, 5e4);
    uint64_t k_ns = epoch_after(100, 0).cubic.curve.k_ns;
    expect_near(epoch_after(100, MS(500)).cwnd, 79.46 * MTU, 10);
    expect_near(epoch_after(100, MS(1000)).cwnd, 86.68 * MTU, 10);
    expect_near(epoch_after(100, MS(2000)).cwnd, 95.64 * MTU, 10);
    expect_near(epoch_after(100, k_ns).cwnd, 100 * MTU, 10);
    expect_near(epoch_after(100, k_ns + NS_PER_S).cwnd, 100.4 * MTU, 10);
    expect_near(epoch_after(1000, NS_PER_S).cwnd, 788.56 * MTU, 10);
    expect_near(epoch_after(10000, NS_PER_S).cwnd, 7436.70 * MTU, 10);
}

static void grows_at_most_by_half_in_a_round_trip(void **state)
{
    (void)state;
    assert_int_equal(epoch_after(100, 1000 * NS_PER_S).cwnd, 105 * MTU);
    assert_int_equal(epoch_after(100, 10000 * 3600 * NS_PER_S).cwnd, 105 * MTU);
}

static void is_as_fast_as_reno_where_that_is_faster(void **state)
{
    (void)state;
    /* Near the start of the epoch the curve is flat, the window small: W_est decides. */
    struct cc cc = make(10);
    lose(&cc, 999, START_NS);
    assert_int_equal(cc.cwnd, 7 * MTU);
    uint64_t now = START_NS;
    uint64_t before = cc.cwnd;
    double w_est = 7;
    for (uint64_t i = 1000; i < 1000 + 7; i++) {
        sent(&cc, i, MTU, now);
        w_est += 9.0 / 17 * MTU / (double)cc.cwnd;
        ack(&cc, i, MTU, now, now + MS(1));
    }
    assert_true(cc.cwnd > before);
    expect_near(cc.cwnd, w_est * MTU, 10);
}

/* With windows of 10,000 segments a packet is worth less than a byte of growth. */
static void loses_no_fraction_of_growth(void **state)
{
    (void)state;
    struct cc cc = epoch_after(10000, 0);
    uint64_t now = START_NS + 5 * NS_PER_S;
    uint64_t before = cc.cwnd;
    uint64_t target = 10000 * MTU; /* curve at 5 s: 10000 - 0.4 * 14.574^3 */
    target -= (uint64_t)(0.4 * 14.5743 * 14.5743 * 14.5743 * MTU);
    for (uint64_t bytes = 0; bytes < before; bytes += MTU) {
        ack(&cc, 1000, MTU, START_NS, now);
    }
    /* After one window's worth in small steps: 1 - 1/e of the way, a little less as cwnd grows. */
    expect_near(cc.cwnd, (double)before + 0.62 * (double)(target - before),
                0.03 * (double)(target - before));
}

static void stands_still_while_idle(void **state)
{
    (void)state;
    struct cc cc = epoch_after(100, MS(500));
    uint64_t window = cc.cwnd;
    uint64_t later = START_NS + 5 * 3600 * NS_PER_S;
    /* Five hours of nothing, then one more second of use: as if no idle time had been. */
    sent(&cc, 1001, MTU, later);
    ack(&cc, 1001, window, later, later + MS(500));
    expect_near(cc.cwnd, 86.68 * MTU, 10);
}

static void forgets_after_persistent_congestion(void **state)
{
    (void)state;
    struct cc cc = make(100);
    lose(&cc, 500, START_NS);
    cc.ops->on_persistent(&cc, START_NS);
    assert_int_equal(cc.cwnd, 2 * MTU);
    assert_true(cc_in_slow_start(&cc));
    lose(&cc, 600, START_NS); /* of the same flight: no further reduction */
    assert_int_equal(cc.ssthresh, 70 * MTU);
    ack(&cc, 1000, MTU, START_NS, START_NS + MS(1));
    assert_int_equal(cc.cwnd, 3 * MTU);
}

static void takes_a_reduction_back_when_nothing_was_lost(void **state)
{
    (void)state;
    struct cc cc = make(100);
    cc.ssthresh = 90 * MTU;
    lose(&cc, 500, START_NS);
    lose(&cc, 501, START_NS);
    spurious(&cc, 500, START_NS + MS(1));
    assert_int_equal(cc.cwnd, 70 * MTU); /* 501 is still missing */
    spurious(&cc, 501, START_NS + MS(1));
    assert_int_equal(cc.cwnd, 100 * MTU);
    assert_int_equal(cc.ssthresh, 90 * MTU);
    assert_false(cc.in_recovery);
    spurious(&cc, 502, START_NS + MS(1)); /* nothing left to undo */
    assert_int_equal(cc.cwnd, 100 * MTU);
}

static void keeps_a_reduction_that_an_older_packet_did_not_cause(void **state)
{
    (void)state;
    struct cc cc = make(100);
    lose(&cc, 500, START_NS);
    sent(&cc, 1500, MTU, START_NS + MS(20));
    lose(&cc, 1200, START_NS + MS(30));
    assert_int_equal(cc.cwnd, 49 * MTU);
    spurious(&cc, 500, START_NS + MS(31)); /* of the episode before */
    assert_int_equal(cc.cwnd, 49 * MTU);
    spurious(&cc, 1200, START_NS + MS(31));
    assert_int_equal(cc.cwnd, 70 * MTU);
}

static void never_passes_the_largest_window(void **state)
{
    (void)state;
    struct cc cc = make(10);
    for (int i = 0; i < 100; i++) {
        ack(&cc, 10, CC_WINDOW_MAX / 16, START_NS, START_NS + MS(1));
    }
    assert_int_equal(cc.cwnd, CC_WINDOW_MAX);
    lose(&cc, 999, START_NS);
    uint64_t now = START_NS;
    for (uint64_t i = 1000; i < 3000; i++) {
        sent(&cc, i, 16384, now);
        ack(&cc, i, 16384, now, now + 3600 * NS_PER_S);
        now += 3600 * NS_PER_S;
    }
    assert_in_range(cc.cwnd, CC_WINDOW_MAX / 10 * 7, CC_WINDOW_MAX);
}

/* --- HyStart++ --- */

/* One round trip: a flight of so many packets, each acknowledged alone with this RTT. */
static void round_trip(struct cc *cc, uint64_t *number, uint64_t *now, int packets, uint64_t rtt_ns)
{
    struct rtt rtt = {.latest = rtt_ns, .smoothed = rtt_ns, .min = rtt_ns, .sampled = true};
    uint64_t first = *number;
    for (int i = 0; i < packets; i++) {
        sent(cc, (*number)++, MTU, *now + (uint64_t)i * NS_PER_US);
    }
    for (int i = 0; i < packets; i++) {
        uint64_t sent = *now + (uint64_t)i * NS_PER_US;
        struct cc_ack a = {.number = first + (uint64_t)i, .sent_ns = sent, .bytes = MTU};
        cc->ops->on_ack(cc, &a, &rtt, sent + rtt_ns);
    }
    *now += rtt_ns + NS_PER_MS;
}

static void leaves_slow_start_when_the_rtt_rises(void **state)
{
    (void)state;
    struct cc cc;
    cc_init(&cc, &cc_cubic, MTU);
    uint64_t number = 0;
    uint64_t now = START_NS;
    round_trip(&cc, &number, &now, 10, MS(80));
    round_trip(&cc, &number, &now, 20, MS(89)); /* threshold is 80 / 8 = 10 ms */
    assert_false(cc.hystart.in_css);
    round_trip(&cc, &number, &now, 7, MS(100));
    assert_false(cc.hystart.in_css); /* seven samples prove nothing */
    round_trip(&cc, &number, &now, 8, MS(113));
    assert_true(cc.hystart.in_css); /* 100 / 8 = 12.5 ms */
    uint64_t before = cc.cwnd;
    round_trip(&cc, &number, &now, 8, MS(113));
    assert_int_equal(cc.cwnd, before + 8 * MTU / 4);
    for (int i = 0; i < 3; i++) {
        assert_true(cc_in_slow_start(&cc));
        round_trip(&cc, &number, &now, 8, MS(113));
    }
    assert_true(cc.hystart.done);
    assert_false(cc_in_slow_start(&cc));
}

static void goes_on_when_the_rise_was_noise(void **state)
{
    (void)state;
    struct cc cc;
    cc_init(&cc, &cc_cubic, MTU);
    uint64_t number = 0;
    uint64_t now = START_NS;
    round_trip(&cc, &number, &now, 10, MS(20));
    round_trip(&cc, &number, &now, 10, MS(23)); /* less than 4 ms */
    assert_false(cc.hystart.in_css);
    round_trip(&cc, &number, &now, 10, MS(27));
    assert_true(cc.hystart.in_css);
    round_trip(&cc, &number, &now, 10, MS(22));
    assert_false(cc.hystart.in_css);
    assert_true(cc_in_slow_start(&cc));
    /* Of very long paths 16 ms suffice. */
    round_trip(&cc, &number, &now, 10, MS(600));
    cc.hystart.in_css = false;
    round_trip(&cc, &number, &now, 10, MS(615));
    assert_false(cc.hystart.in_css);
    round_trip(&cc, &number, &now, 10, MS(631));
    assert_true(cc.hystart.in_css);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_with_the_window_of_rfc_9002),
        cmocka_unit_test(doubles_in_slow_start_unless_app_limited),
        cmocka_unit_test(reduces_once_for_each_round_trip),
        cmocka_unit_test(never_falls_below_two_packets),
        cmocka_unit_test(follows_the_curve),
        cmocka_unit_test(grows_at_most_by_half_in_a_round_trip),
        cmocka_unit_test(is_as_fast_as_reno_where_that_is_faster),
        cmocka_unit_test(loses_no_fraction_of_growth),
        cmocka_unit_test(stands_still_while_idle),
        cmocka_unit_test(forgets_after_persistent_congestion),
        cmocka_unit_test(takes_a_reduction_back_when_nothing_was_lost),
        cmocka_unit_test(keeps_a_reduction_that_an_older_packet_did_not_cause),
        cmocka_unit_test(never_passes_the_largest_window),
        cmocka_unit_test(leaves_slow_start_when_the_rtt_rises),
        cmocka_unit_test(goes_on_when_the_rise_was_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
