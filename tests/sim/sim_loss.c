/* Links that lose packets, one by one or in bursts. */
#include "sim/pair.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
enum { SEEDS = 3, SEGMENT = 1192 };

/* What CUBIC can reach: the larger of its own law and of Reno's, which it follows where that is
 * faster (RFC 9438 5.1 and 4.3), in segments; rtt in s. The queue is empty all the time. */
static double steady_window(double loss, double rtt)
{
    double cubic = 1.0538 * pow(rtt, 0.75) / pow(loss, 0.75);
    double reno = sqrt(1.5 / loss);
    return cubic > reno ? cubic : reno;
}

static uint64_t expected_ns(uint64_t bytes, double loss, double rtt)
{
    double rate = steady_window(loss, rtt) * SEGMENT / rtt;
    return (uint64_t)((double)bytes / rate * 1e9);
}

static struct pair *lossy(uint64_t seed, const struct link_config *link)
{
    struct pair_config config = pair_config_default("sim_loss", seed);
    pair_config_path(&config, 0, link);
    return pair_new(&config);
}

static const struct link_config base = {
    .rate_bps = 100000000, .delay_ns = 20 * NS_PER_MS, .queue_bytes = 1000000, .mtu = 1472};

/* `factor`: how much longer than CUBIC's law says, for the probe timeouts that it leaves out. */
static void expect_transfer(uint32_t loss_ppm, uint64_t bytes, uint64_t factor)
{
    struct link_config link = base;
    link.loss_ppm = loss_ppm;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct pair *p = lossy(seed, &link);
        struct app_plan plan = app_transfer(bytes, 0);
        pair_open(p, 0, &plan);
        pair_finish(p, factor * expected_ns(bytes, loss_ppm / 1e6, 0.04) + NS_PER_S);
        /* Each packet leaves 1 / (1 - loss) times, and some were not lost in truth. */
        assert_true(p->side[0].packets_out <=
                    pair_ideal_packets(bytes) * 13 / 10 * 1000000 / (1000000 - loss_ppm) + 50);
        pair_settle(p);
        pair_free(p);
    }
}

static void one_percent(void **state)
{
    (void)state;
    expect_transfer(10000, 2000000, 2);
}

static void five_percent(void **state)
{
    (void)state;
    expect_transfer(50000, 1000000, 2);
}

static void twenty_percent(void **state)
{
    (void)state;
    expect_transfer(200000, 300000, 5);
}

/* Bursts of half a millisecond, five packets of the line's, as radio links have them: one
 * congestion event each. */
static void bursts(void **state)
{
    (void)state;
    struct link_config link = base;
    link.burst_ppm = 2000;
    link.burst_ns = NS_PER_MS / 2;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct pair *p = lossy(seed, &link);
        struct app_plan plan = app_transfer(2000000, 2000000);
        pair_open(p, 0, &plan);
        pair_finish(p, 2 * expected_ns(2000000, 0.002, 0.04) + NS_PER_S);
        pair_settle(p);
        pair_free(p);
    }
}

/* The last packet of a small answer is lost: a probe brings it within a probe timeout or two,
 * which before any sample is about 1 s, after some 120 ms. */
static void small_transfers_survive(void **state)
{
    (void)state;
    struct link_config link = base;
    link.loss_ppm = 100000;
    uint64_t longest = 0, sum = 0;
    enum { COUNT = 100 };
    struct pair *p = lossy(1, &link);
    for (int i = 0; i < COUNT; i++) {
        uint64_t before = p->world.now;
        struct app_plan plan = app_transfer(400, 4000);
        plan.down_after_up = true;
        pair_open(p, 0, &plan);
        assert_true(pair_run(p, 20 * NS_PER_S));
        uint64_t took = time_since(before, p->side[0].app.read_ns);
        longest = took > longest ? took : longest;
        sum += took;
    }
    /* 5 packets, a chance of 0.41 that at least one is lost, 40 ms without loss. */
    assert_in_range(sum / COUNT, MS(40), MS(130));
    assert_in_range(longest, MS(80), MS(2000));
    pair_settle(p);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_percent),
        cmocka_unit_test(five_percent),
        cmocka_unit_test(twenty_percent),
        cmocka_unit_test(bursts),
        cmocka_unit_test(small_transfers_survive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
