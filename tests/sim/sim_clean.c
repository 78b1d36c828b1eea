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

/* A queue of 0.8 s would let slow start double again and again past the 500 kB that the path
 * holds. HyStart++ sees the round trip grow in the round after the first full one, when the window
 * is twice the path's, and lets it grow by a quarter for five rounds more: 2 * 1.25^5 = 6.1 times
 * the path, 5.1 of which wait in the queue. */
static void slow_start_ends_before_a_deep_queue_is_full(void **state)
{
    (void)state;
    struct pair_config config = pair_config_default("sim_clean", 1);
    config.link[0][0].queue_bytes = 10000000;
    config.limits[0].send_buffer_max = config.limits[1].stream_window = 16000000;
    struct pair *p = pair_new(&config);
    struct app_plan plan = app_transfer(20000000, 0);
    pair_open(p, 0, &plan);
    pair_finish(p, pair_ideal_ns(20000000, 100000000, MS(40)) * 5 / 4);
    assert_in_range(p->side[0].path[0].out.stats.queue_peak, 500000, 5100000 / 2 + 250000);
    pair_free(p);
}

/* A burst within the window of an earlier transfer. The window is about path and queue, 700 kB;
 * sent at 1.25 of that a round trip, 22 MB/s where 12.5 leave, 129 of 300 kB wait. All at once
 * they would run over. */
static void a_burst_is_paced(void **state)
{
    (void)state;
    struct pair_config config = pair_config_default("sim_clean", 1);
    config.link[0][0].queue_bytes = 200000;
    struct pair *p = pair_new(&config);
    struct app_plan plan = app_transfer(5000000, 0);
    pair_open(p, 0, &plan);
    assert_true(pair_run(p, 2 * NS_PER_S));
    pair_settle(p);
    struct conn_path_info info;
    struct link_stats *stats = &p->side[0].path[0].out.stats;
    assert_true(conn_path_info(p->side[0].conn, p->side[0].path[0].id, &info));
    assert_in_range(info.cwnd, 300000, 770000);
    uint64_t overflowed = stats->overflowed;
    stats->queue_peak = 0;
    plan = app_transfer(300000, 0);
    pair_open(p, 0, &plan);
    assert_true(pair_run(p, MS(200)));
    assert_in_range(stats->queue_peak, 1, 150000);
    assert_int_equal(stats->overflowed, overflowed);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_up_at_the_rate_of_the_line),
        cmocka_unit_test(sends_down_at_the_rate_of_the_line),
        cmocka_unit_test(sends_both_ways_at_once),
        cmocka_unit_test(answers_a_request_in_one_round_trip),
        cmocka_unit_test(slow_start_ends_before_a_deep_queue_is_full),
        cmocka_unit_test(a_burst_is_paced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
