/* Two nodes and a relay: relay alone, upgrade to a direct path, and all that can die on the way. */
#include "sim/fleet.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
#define S(n) ((uint64_t)(n)*NS_PER_S)
#define MB UINT64_C(1000000)

static struct fleet *start(uint64_t seed, bool no_udp, size_t relays)
{
    struct fleet_config config = fleet_config_default("sim_node_relay", seed);
    config.no_udp = no_udp;
    config.relays = relays;
    struct fleet *f = fleet_new(&config);
    fleet_start_all(f);
    return f;
}

static void assert_done(const struct fleet *f, uint64_t streams)
{
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(f->nodes[i].app.completed, streams);
        assert_int_equal(f->nodes[i].app.resets, 0);
    }
}

static void assert_paths(const struct fleet *f, enum adit_path_kind kind)
{
    fleet_assert_path(f, 0, 1, kind);
    fleet_assert_path(f, 1, 0, kind);
}

/* 20 MB at 100 Mbit/s are 1.6 s. */
static void a_transfer_over_the_relay_alone(void **state)
{
    (void)state;
    for (uint64_t way = 0; way < 2; way++) {
        struct fleet *f = start(10 + way, true, 1);
        fleet_run(f, S(2));
        assert_paths(f, ADIT_PATH_RELAY);
        fleet_open(f, way, 1 - way, (struct fleet_plan){.up = 20 * MB, .down = 1});
        uint64_t took = fleet_finish(f, S(6));
        assert_true(took < S(4));
        assert_paths(f, ADIT_PATH_RELAY);
        assert_done(f, 1);
        fleet_free(f);
    }
}

static void a_transfer_both_ways_over_the_relay(void **state)
{
    (void)state;
    struct fleet *f = start(12, true, 1);
    fleet_open(f, 0, 1, (struct fleet_plan){.up = 20 * MB, .down = 20 * MB});
    fleet_finish(f, S(8));
    assert_paths(f, ADIT_PATH_RELAY);
    assert_done(f, 1);
    fleet_free(f);
}

static void the_relay_first_then_the_direct_path(void **state)
{
    (void)state;
    for (size_t way = 0; way < 2; way++) {
        struct fleet *f = start(13 + way, true, 1);
        fleet_open(f, way, 1 - way, (struct fleet_plan){.up = 20 * MB, .down = 20 * MB});
        fleet_run(f, MS(600));
        assert_paths(f, ADIT_PATH_RELAY);
        fleet_udp(f, true);
        (void)fleet_until_path(f, 0, 1, ADIT_PATH_DIRECT, S(6));
        (void)fleet_until_path(f, 1, 0, ADIT_PATH_DIRECT, MS(200));
        fleet_finish(f, S(8));
        assert_paths(f, ADIT_PATH_DIRECT);
        assert_done(f, 1);
        fleet_free(f);
    }
}

static void an_upgrade_with_one_side_that_knows_the_address(void **state)
{
    (void)state;
    for (size_t knower = 0; knower < 2; knower++) {
        struct fleet_config config = fleet_config_default("sim_node_relay", 15 + knower);
        config.blind = true;
        config.no_udp = true;
        struct fleet *f = fleet_new(&config);
        fleet_know(f, knower, 1 - knower);
        fleet_start_all(f);
        uint64_t id = fleet_open(f, 0, 1, (struct fleet_plan){.up = MB, .endless = true});
        fleet_run(f, S(100));
        assert_paths(f, ADIT_PATH_RELAY);
        fleet_udp(f, true);
        fleet_app_more(&f->nodes[0].app, id, MB);
        (void)fleet_until_path(f, knower, 1 - knower, ADIT_PATH_DIRECT, S(6));
        (void)fleet_until_path(f, 1 - knower, knower, ADIT_PATH_DIRECT, MS(200));
        fleet_run(f, S(1));
        fleet_app_finish(&f->nodes[0].app, id);
        fleet_finish(f, S(1));
        fleet_free(f);
    }
}

/* --- the direct path is cut --- */

static void a_cut_path_costs_at_most_three_seconds(void **state)
{
    (void)state;
    const struct fleet_plan plan = {.up = 66 * MB, .pace_bytes = 10000, .pace_ns = MS(20)};
    struct fleet *f = start(20, false, 1);
    fleet_open(f, 0, 1, plan);
    fleet_open(f, 1, 0, plan);
    fleet_run(f, S(2));
    for (uint64_t i = 0; i < 10; i++) {
        assert_paths(f, ADIT_PATH_DIRECT);
        f->nodes[0].app.max_gap_ns = f->nodes[1].app.max_gap_ns = 0;
        fleet_udp(f, false);
        fleet_run(f, S(4) + MS(137) * i);
        assert_paths(f, ADIT_PATH_RELAY);
        fleet_udp(f, true);
        fleet_run(f, S(8));
        assert_true(f->nodes[0].app.max_gap_ns < S(3));
        assert_true(f->nodes[1].app.max_gap_ns < S(3));
    }
    fleet_finish(f, S(20));
    assert_paths(f, ADIT_PATH_DIRECT);
    assert_done(f, 2);
    fleet_free(f);
}

/* Packets go one way only: each side leaves the path by itself. */
static void a_path_that_is_cut_in_one_direction(void **state)
{
    (void)state;
    for (size_t way = 0; way < 2; way++) {
        struct fleet *f = start(21 + way, false, 1);
        fleet_run(f, S(2));
        assert_paths(f, ADIT_PATH_DIRECT);
        fleet_open(f, 0, 1, (struct fleet_plan){.up = 80 * MB, .down = 80 * MB});
        fleet_run(f, S(1));
        fleet_udp_way(f, way, 1 - way, false);
        fleet_run(f, S(1));
        fleet_finish(f, S(20));
        assert_true(f->nodes[0].app.max_gap_ns < S(3));
        assert_true(f->nodes[1].app.max_gap_ns < S(3));
        fleet_assert_path(f, way, 1 - way, ADIT_PATH_RELAY);
        assert_done(f, 1);
        fleet_free(f);
    }
}

/* From the start on: what comes first, by the direct path, is answered where no answer arrives. */
static void a_path_that_never_worked_in_one_direction(void **state)
{
    (void)state;
    for (size_t way = 0; way < 2; way++) {
        struct fleet_config config = fleet_config_default("sim_node_relay", 23 + way);
        config.relay_delay_ns = MS(60);
        struct fleet *f = fleet_new(&config);
        fleet_udp_way(f, way, 1 - way, false);
        fleet_start(f, 1);
        fleet_run(f, S(30)); /* its greetings are over */
        fleet_start(f, 0);
        fleet_open(f, 0, 1, (struct fleet_plan){.up = MB, .down = MB});
        fleet_finish(f, S(4));
        fleet_assert_path(f, way, 1 - way, ADIT_PATH_RELAY);
        assert_done(f, 1);
        fleet_free(f);
    }
}

/* --- the relay dies --- */

static void streams_wait_for_the_relay(void **state)
{
    (void)state;
    struct fleet *f = start(30, true, 1);
    fleet_open(f, 0, 1, (struct fleet_plan){.up = 20 * MB, .down = 20 * MB});
    fleet_run(f, S(1));
    fleet_relay_kill(f, 0);
    fleet_run(f, S(60));
    assert_true(f->nodes[0].app.bytes_read < 20 * MB);
    fleet_relay_start(f, 0);
    fleet_finish(f, S(30));
    assert_paths(f, ADIT_PATH_RELAY);
    assert_done(f, 1);
    fleet_free(f);
}

/* The connection hangs first, and is given up by the client when it has heard nothing. */
static void streams_wait_while_one_side_cannot_reach_the_relay(void **state)
{
    (void)state;
    static const uint64_t times[] = {5, 30, 50, 200, 1000};
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        struct fleet *f = start(31 + i, true, 1);
        fleet_open(f, 0, 1, (struct fleet_plan){.up = 20 * MB, .down = 20 * MB});
        fleet_run(f, S(1));
        fleet_relay_cut(f, i % 2, 0, true);
        fleet_run(f, S(times[i]));
        fleet_relay_cut(f, i % 2, 0, false);
        fleet_finish(f, S(40));
        assert_paths(f, ADIT_PATH_RELAY);
        assert_done(f, 1);
        fleet_free(f);
    }
}

static void a_dead_relay_does_not_hurt_a_direct_path(void **state)
{
    (void)state;
    struct fleet *f = start(40, false, 1);
    fleet_open(f, 0, 1, (struct fleet_plan){.up = 40 * MB, .down = 1});
    fleet_run(f, S(1));
    assert_paths(f, ADIT_PATH_DIRECT);
    f->nodes[1].app.max_gap_ns = 0;
    fleet_relay_kill(f, 0);
    fleet_finish(f, S(5));
    assert_true(f->nodes[1].app.max_gap_ns < S(1)); /* a loss takes a round trip */
    assert_paths(f, ADIT_PATH_DIRECT);
    assert_done(f, 1);
    fleet_free(f);
}

static void of_two_relays_one_dies(void **state)
{
    (void)state;
    struct fleet *f = start(41, true, 2);
    fleet_open(f, 0, 1, (struct fleet_plan){.up = 40 * MB, .down = 40 * MB});
    for (size_t i = 0; i < 4; i++) {
        fleet_run(f, S(1));
        fleet_relay_kill(f, i % 2);
        fleet_run(f, S(1));
        fleet_relay_start(f, i % 2);
        fleet_run(f, S(7));
    }
    fleet_finish(f, S(20));
    assert_true(f->nodes[0].app.max_gap_ns < S(3));
    assert_paths(f, ADIT_PATH_RELAY);
    assert_done(f, 1);
    fleet_free(f);
}

/* The other side reaches one of them only, and that may change. */
static void of_two_relays_one_is_shared(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct fleet_config config = fleet_config_default("sim_node_relay", 60 + i);
        config.no_udp = true;
        config.relays = 2;
        struct fleet *f = fleet_new(&config);
        fleet_relay_cut(f, i / 2, i % 2, true);
        fleet_start_all(f);
        fleet_open(f, 0, 1, (struct fleet_plan){.up = MB, .down = MB});
        fleet_finish(f, S(3));
        fleet_open(f, 1, 0, (struct fleet_plan){.up = 20 * MB, .down = 20 * MB});
        fleet_run(f, S(1));
        fleet_relay_cut(f, i / 2, i % 2, false);
        fleet_run(f, S(1));
        fleet_relay_cut(f, 1 - i / 2, 1 - i % 2, true); /* hangs: nobody says so */
        fleet_finish(f, S(30));
        assert_done(f, 2);
        fleet_free(f);
    }
}

static void a_stream_opened_before_the_relay_is_there(void **state)
{
    (void)state;
    struct fleet_config config = fleet_config_default("sim_node_relay", 42);
    config.no_udp = true;
    struct fleet *f = fleet_new(&config);
    fleet_relay_kill(f, 0);
    fleet_start_all(f);
    fleet_open(f, 0, 1, (struct fleet_plan){.up = MB, .down = MB});
    fleet_run(f, S(300));
    fleet_relay_start(f, 0);
    fleet_finish(f, S(8));
    assert_done(f, 1);
    fleet_free(f);
}

/* The relay says that the peer has gone: nothing may wait for a message that never comes. */
static void a_stream_opened_while_the_peer_is_away_from_the_relay(void **state)
{
    (void)state;
    for (uint64_t away = 5; away < 500; away *= 3) {
        struct fleet *f = start(50 + away, true, 1);
        fleet_run(f, S(2));
        assert_paths(f, ADIT_PATH_RELAY);
        fleet_run(f, S(30)); /* asleep: nothing is open */
        fleet_relay_cut(f, 1, 0, true);
        fleet_conn_close(&f->nodes[1].conns[0]);
        fleet_run(f, S(1));
        fleet_open(f, 0, 1, (struct fleet_plan){.up = MB, .down = MB});
        fleet_run(f, S(away));
        fleet_relay_cut(f, 1, 0, false);
        node_relay_disconnected(f->nodes[1].node, 0, 0, f->world.now);
        fleet_drive(f, 1);
        fleet_finish(f, S(25));
        assert_done(f, 1);
        fleet_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transfer_over_the_relay_alone),
        cmocka_unit_test(a_transfer_both_ways_over_the_relay),
        cmocka_unit_test(the_relay_first_then_the_direct_path),
        cmocka_unit_test(an_upgrade_with_one_side_that_knows_the_address),
        cmocka_unit_test(a_cut_path_costs_at_most_three_seconds),
        cmocka_unit_test(a_path_that_is_cut_in_one_direction),
        cmocka_unit_test(a_path_that_never_worked_in_one_direction),
        cmocka_unit_test(streams_wait_for_the_relay),
        cmocka_unit_test(streams_wait_while_one_side_cannot_reach_the_relay),
        cmocka_unit_test(a_dead_relay_does_not_hurt_a_direct_path),
        cmocka_unit_test(of_two_relays_one_dies),
        cmocka_unit_test(of_two_relays_one_is_shared),
        cmocka_unit_test(a_stream_opened_before_the_relay_is_there),
        cmocka_unit_test(a_stream_opened_while_the_peer_is_away_from_the_relay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
