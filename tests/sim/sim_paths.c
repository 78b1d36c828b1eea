/* Several paths: switching, silent death, different delays, closing. */
#include "sim/pair.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
enum { BYTES = 10000000 };
#define RATE 50000000

static struct pair_config two_paths(void)
{
    struct pair_config config = pair_config_default("sim_paths", 1);
    struct link_config near = {
        .rate_bps = RATE, .delay_ns = MS(5), .queue_bytes = 300000, .mtu = 1472};
    struct link_config far = near;
    far.delay_ns = MS(50);
    far.queue_bytes = 1000000;
    config.paths = 2;
    pair_config_path(&config, 0, &near);
    pair_config_path(&config, 1, &far);
    return config;
}

static struct pair *start(const struct pair_config *config, uint64_t up, uint64_t down)
{
    struct pair *p = pair_new(config);
    struct app_plan plan = app_transfer(up, down);
    pair_open(p, 0, &plan);
    return p;
}

/* Every switch may cost a new slow start over at most 100 ms, about ten rounds in all. */
static void switching_back_and_forth_loses_nothing(void **state)
{
    (void)state;
    struct pair_config config = two_paths();
    struct pair *p = start(&config, BYTES, BYTES);
    for (size_t i = 1; i <= 10; i++) {
        pair_rest(p, MS(100));
        pair_use(p, 0, i % 2, false);
        pair_rest(p, MS(30));
        pair_use(p, 1, i % 2, false);
    }
    pair_finish(p, pair_ideal_ns(BYTES, RATE, MS(100)) * 3 / 2 + NS_PER_S);
    /* A switch alone is no loss: what was on its way arrives and is acknowledged. Only where the
     * near path's queue runs over is anything sent twice. */
    assert_true(p->side[0].packets_out + p->side[1].packets_out <=
                3 * pair_ideal_packets(BYTES) + pair_ideal_packets(BYTES) / 2);
    pair_settle(p);
    pair_free(p);
}

/* The session moves as soon as it is told to; what was in flight is sent again at once. */
static void a_path_that_dies_in_silence_costs_little(void **state)
{
    (void)state;
    struct pair_config config = two_paths();
    struct pair *p = start(&config, BYTES, BYTES);
    pair_rest(p, MS(500));
    pair_set_up(p, 0, false);
    pair_rest(p, MS(200));
    pair_use(p, 0, 1, true);
    pair_use(p, 1, 1, true);
    pair_finish(p, pair_ideal_ns(BYTES, RATE, MS(100)) * 3 / 2 + MS(200));
    pair_close_path(p, 0);
    pair_settle(p);
    pair_free(p);
}

/* The same without anybody who tells: two probe timeouts make the path suspect, then the node's
 * rule moves on. PTO is about 10 + 4 * 5 + 25 ms; 2 of them, the second doubled, stay below
 * 400 ms even with the queue's delay in the round trip. */
static void suspicion_moves_the_session(void **state)
{
    (void)state;
    struct pair_config config = two_paths();
    config.switch_when_suspect = true;
    struct pair *p = start(&config, BYTES, BYTES);
    pair_rest(p, MS(500));
    pair_set_up(p, 0, false);
    pair_rest(p, MS(400));
    for (size_t i = 0; i < 2; i++) {
        assert_true(p->side[i].app.suspects > 0);
        assert_int_equal(conn_path_used(p->side[i].conn), p->side[i].path[1].id);
    }
    pair_finish(p, pair_ideal_ns(BYTES, RATE, MS(100)) * 3 / 2 + MS(400));
    pair_close_path(p, 0);
    pair_settle(p);
    pair_free(p);
}

/* Each side sends on a path of its own choice. */
static void both_sides_may_use_different_paths(void **state)
{
    (void)state;
    struct pair_config config = two_paths();
    struct pair *p = pair_new(&config);
    pair_use(p, 1, 1, false);
    struct app_plan plan = app_transfer(BYTES, BYTES);
    pair_open(p, 0, &plan);
    pair_finish(p, pair_ideal_ns(BYTES, RATE, MS(100)) * 3 / 2 + MS(100));
    pair_settle(p);
    pair_free(p);
}

static void a_closed_path_hands_over_what_was_in_flight(void **state)
{
    (void)state;
    struct pair_config config = two_paths();
    struct pair *p = start(&config, BYTES, BYTES);
    pair_rest(p, MS(500));
    pair_use(p, 0, 1, false);
    pair_use(p, 1, 1, false);
    pair_close_path(p, 0);
    pair_rest(p, MS(300));
    pair_open_path(p, 0); /* numbers go on: nothing of the old life is taken for new */
    pair_use(p, 0, 0, false);
    pair_use(p, 1, 0, false);
    pair_finish(p, pair_ideal_ns(BYTES, RATE, MS(100)) * 3 / 2 + NS_PER_S);
    pair_settle(p);
    pair_free(p);
}

/* No path at all for an hour, as in sleep: streams wait and go on. */
static void streams_outlive_all_paths(void **state)
{
    (void)state;
    struct pair_config config = two_paths();
    struct pair *p = start(&config, BYTES, BYTES);
    pair_rest(p, MS(500));
    pair_close_path(p, 0);
    pair_close_path(p, 1);
    uint64_t packets = p->side[0].packets_out + p->side[1].packets_out;
    pair_rest(p, 3600 * NS_PER_S);
    assert_int_equal(p->side[0].packets_out + p->side[1].packets_out, packets);
    assert_true(p->side[0].app.unfinished > 0);
    pair_open_path(p, 1);
    pair_use(p, 0, 1, true);
    pair_use(p, 1, 1, true);
    assert_true(pair_run(p, pair_ideal_ns(BYTES, RATE, MS(100)) * 3 / 2));
    pair_settle(p);
    pair_free(p);
}

/* The used path goes away for ten seconds and comes back: probes find out soon, although their
 * distance doubles. Nobody switches. */
static void an_outage_ends_soon_after_the_network_is_back(void **state)
{
    (void)state;
    struct pair_config config = pair_config_default("sim_paths", 1);
    struct pair *p = start(&config, BYTES, 0);
    pair_rest(p, MS(300));
    pair_set_up(p, 0, false);
    uint64_t before = p->side[0].packets_out;
    pair_rest(p, 10 * NS_PER_S);
    assert_true(p->side[0].packets_out - before < 3000); /* a window and some probes */
    pair_set_up(p, 0, true);
    /* The last distance is at most as long as the outage. Persistent congestion begins anew. */
    assert_true(pair_run(p, 10 * NS_PER_S + pair_ideal_ns(BYTES, 100000000, MS(40)) * 2));
    pair_settle(p);
    pair_free(p);
}

static void a_blocked_path_is_left_alone(void **state)
{
    (void)state;
    struct pair_config config = two_paths();
    struct pair *p = pair_new(&config);
    struct side *s = &p->side[0];
    conn_path_block(s->conn, s->path[0].id, true);
    struct app_plan plan = app_transfer(1000, 1000);
    pair_open(p, 0, &plan);
    pair_rest(p, 5 * NS_PER_S);
    assert_int_equal(s->path[0].out.stats.sent, 0);
    conn_path_block(s->conn, s->path[0].id, false);
    pair_drive(p, 0);
    assert_true(pair_run(p, MS(200)));
    pair_settle(p);
    pair_free(p);
}

/* The newest list arrives in the end, however lossy the path; older ones need not. */
static void the_newest_candidates_arrive(void **state)
{
    (void)state;
    struct pair_config config = pair_config_default("sim_paths", 1);
    config.link[0][0].loss_ppm = config.link[0][1].loss_ppm = 500000;
    struct pair *p = pair_new(&config);
    struct frame_candidate list[FRAME_CANDIDATES_MAX];
    for (size_t i = 0; i < FRAME_CANDIDATES_MAX; i++) {
        list[i] = (struct frame_candidate){1, addr_ipv4(10, 0, 0, (uint8_t)i, 7)};
    }
    for (size_t count = 1; count <= FRAME_CANDIDATES_MAX; count++) {
        conn_send_candidates(p->side[0].conn, list, count);
        pair_drive(p, 0);
        pair_rest(p, MS(5));
    }
    pair_rest(p, 30 * NS_PER_S);
    assert_int_equal(p->side[1].app.candidates, FRAME_CANDIDATES_MAX);
    assert_true(p->side[0].packets_out < 100);
    pair_settle(p);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(switching_back_and_forth_loses_nothing),
        cmocka_unit_test(a_path_that_dies_in_silence_costs_little),
        cmocka_unit_test(suspicion_moves_the_session),
        cmocka_unit_test(both_sides_may_use_different_paths),
        cmocka_unit_test(a_closed_path_hands_over_what_was_in_flight),
        cmocka_unit_test(streams_outlive_all_paths),
        cmocka_unit_test(an_outage_ends_soon_after_the_network_is_back),
        cmocka_unit_test(a_blocked_path_is_left_alone),
        cmocka_unit_test(the_newest_candidates_arrive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
