/* Links that lose nothing by themselves: transfers are nearly as fast as they can be. */
#include "sim/pair.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
#define MBIT(n) ((uint64_t)(n)*1000000)

static const struct {
    uint64_t rate_bps, delay_ns, bytes;
} lines[] = {
    {MBIT(1), MS(20), 300000},         {MBIT(10), MS(10), 3000000},
    {MBIT(100), MS(20), 10000000},     {MBIT(100), MS(300), 10000000},
    {MBIT(1000), MS(1) / 2, 10000000}, {MBIT(50), MS(600), 4000000},
};
enum { LINES = sizeof(lines) / sizeof(lines[0]) };

static struct pair *line(size_t i)
{
    struct pair_config config = pair_config_default("sim_clean", 1);
    uint64_t path = lines[i].rate_bps / 8 * (2 * lines[i].delay_ns / NS_PER_US) / 1000000;
    struct link_config link = {
        .rate_bps = lines[i].rate_bps,
        .delay_ns = lines[i].delay_ns,
        .queue_bytes = path > 100000 ? path : 100000,
        .mtu = 1472,
    };
    pair_config_path(&config, 0, &link);
    return pair_new(&config);
}

/* At most 1.5 times the ideal; the window of a stream may be the limit instead of the line. The
 * milliseconds are those of four timers and of the delayed acknowledgement. */
static uint64_t bound(const struct pair *p, size_t i)
{
    uint64_t rtt_ns = 2 * lines[i].delay_ns;
    uint64_t window_bps = p->config.limits[1].stream_window * 8 * NS_PER_S / rtt_ns;
    uint64_t rate = lines[i].rate_bps < window_bps ? lines[i].rate_bps : window_bps;
    return pair_ideal_ns(lines[i].bytes, rate, rtt_ns) * 3 / 2 + MS(30);
}

static void expect_few_packets(const struct pair *p, size_t sender, uint64_t bytes)
{
    uint64_t ideal = pair_ideal_packets(bytes);
    assert_in_range(p->side[sender].packets_out, bytes / PACKET_MTU_MAX, ideal * 11 / 10 + 30);
    assert_in_range(p->side[1 - sender].packets_out, 1, ideal * 6 / 10 + 50);
}

static void sends_up_at_the_rate_of_the_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < LINES; i++) {
        struct pair *p = line(i);
        struct app_plan plan = app_transfer(lines[i].bytes, 0);
        pair_open(p, 0, &plan);
        pair_finish(p, bound(p, i));
        assert_int_equal(p->side[1].app.bytes_read, lines[i].bytes);
        expect_few_packets(p, 0, lines[i].bytes);
        pair_settle(p);
        pair_free(p);
    }
}

static void sends_down_at_the_rate_of_the_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < LINES; i++) {
        struct pair *p = line(i);
        struct app_plan plan = app_transfer(0, lines[i].bytes);
        pair_open(p, 1, &plan);
        /* The request takes half a round trip more. */
        pair_finish(p, bound(p, i) + lines[i].delay_ns);
        assert_int_equal(p->side[1].app.bytes_read, lines[i].bytes);
        expect_few_packets(p, 0, lines[i].bytes);
        pair_settle(p);
        pair_free(p);
    }
}

static void sends_both_ways_at_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < LINES; i++) {
        struct pair *p = line(i);
        struct app_plan plan = app_transfer(lines[i].bytes, lines[i].bytes);
        pair_open(p, 0, &plan);
        pair_finish(p, bound(p, i) + lines[i].delay_ns);
        pair_settle(p);
        pair_free(p);
    }
}

/* Request and answer: one round trip, and nothing waits for a timer. */
static void answers_a_request_in_one_round_trip(void **state)
{
    (void)state;
    for (size_t i = 1; i < LINES; i++) {
        struct pair *p = line(i);
        struct app_plan plan = app_transfer(500, 3000);
        plan.down_after_up = true;
        pair_open(p, 0, &plan);
        uint64_t ns = pair_finish(p, 2 * lines[i].delay_ns + NS_PER_S);
        assert_in_range(ns, 2 * lines[i].delay_ns, 2 * lines[i].delay_ns + MS(6));
        pair_settle(p);
        pair_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_up_at_the_rate_of_the_line),
        cmocka_unit_test(sends_down_at_the_rate_of_the_line),
        cmocka_unit_test(sends_both_ways_at_once),
        cmocka_unit_test(answers_a_request_in_one_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
