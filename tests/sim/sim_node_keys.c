/* Keys are renewed and expire; nodes rest for hours; nobody wakes for nothing. */
#include "sim/fleet.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
#define S(n) ((uint64_t)(n)*NS_PER_S)
#define HOURS(n) S(3600 * (n))
#define KB UINT64_C(1000)

static struct fleet_config config_of(uint64_t seed, enum adit_path_kind kind)
{
    struct fleet_config config = fleet_config_default("sim_node_keys", seed);
    config.no_udp = kind == ADIT_PATH_RELAY;
    config.relays = kind == ADIT_PATH_RELAY;
    return config;
}

static struct fleet *start(const struct fleet_config *config)
{
    struct fleet *f = fleet_new(config);
    fleet_start_all(f);
    return f;
}

static const enum adit_path_kind kinds[] = {ADIT_PATH_DIRECT, ADIT_PATH_RELAY};

static void assert_done(const struct fleet *f, uint64_t streams)
{
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(f->nodes[i].app.completed, streams);
        assert_int_equal(f->nodes[i].app.resets, 0);
    }
}

/* Ten minutes at 40 kbit/s, one way and both ways, with one packet in ten lost. */
static void keys_are_renewed_under_way(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct fleet_config config = config_of(1 + i, kinds[i % 2]);
        config.udp.loss_ppm = 100000;
        config.seal_apart = config.open_apart = i / 2;
        struct fleet *f = start(&config);
        struct fleet_plan plan = {.up = 3000 * KB, .pace_bytes = 500, .pace_ns = MS(100)};
        plan.down = i / 2 ? plan.up : 0;
        fleet_open(f, i % 2, 1 - i % 2, plan);
        uint64_t took = fleet_finish(f, S(605));
        assert_true(took > S(590));
        assert_done(f, 1);
        assert_true(fleet_counters(f, 0).handshakes_done >= 5);
        assert_true(fleet_counters(f, 0).handshakes_done <= 12);
        assert_true(f->nodes[0].app.max_gap_ns < S(3) && f->nodes[1].app.max_gap_ns < S(3));
        fleet_assert_path(f, 0, 1, kinds[i % 2]);
        fleet_free(f);
    }
}

/* Nothing gets through for longer than keys live. */
static void a_cut_longer_than_keys_live(void **state)
{
    (void)state;
    static const uint64_t cuts[] = {100, 130, 200, 4000};
    for (size_t i = 0; i < 8; i++) {
        struct fleet_config config = config_of(10 + i, ADIT_PATH_DIRECT);
        struct fleet *f = start(&config);
        bool silent = i / 4; /* nobody has anything to say when the cut ends */
        uint64_t id = fleet_open(f, 0, 1, (struct fleet_plan){.up = 1000 * KB, .endless = true});
        fleet_run(f, S(3));
        fleet_udp(f, false);
        if (!silent) {
            fleet_app_more(&f->nodes[0].app, id, 1000 * KB);
        }
        fleet_run(f, S(cuts[i % 4]));
        fleet_udp(f, true);
        fleet_run(f, S(35));
        assert_int_equal(f->nodes[1].app.bytes_read, (silent ? 1000 : 2000) * KB);
        assert_int_equal(fleet_stats(f, 0, 1).state, ADIT_PEER_CONNECTED);
        assert_int_equal(fleet_stats(f, 1, 0).state, ADIT_PEER_CONNECTED);
        fleet_app_more(&f->nodes[0].app, id, 1000 * KB);
        fleet_app_finish(&f->nodes[0].app, id);
        fleet_finish(f, S(2));
        assert_done(f, 1);
        fleet_free(f);
    }
}

static void an_open_stream_sleeps_for_hours(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fleet_config config = config_of(20 + i, kinds[i]);
        struct fleet *f = start(&config);
        uint64_t id = fleet_open(f, 0, 1, (struct fleet_plan){.up = 100 * KB, .endless = true});
        fleet_run(f, S(100));
        uint64_t changes = fleet_stats(f, 0, 1).path_changes;
        uint64_t ticks = f->nodes[0].ticks + f->nodes[1].ticks;
        fleet_run(f, HOURS(5));
        assert_int_equal(f->nodes[1].app.bytes_read, 100 * KB);
        assert_int_equal(fleet_stats(f, 0, 1).path_changes, changes);
        ticks = f->nodes[0].ticks + f->nodes[1].ticks - ticks;
        assert_true(ticks < 2 * HOURS(5) / S(4)); /* each, the relay's pings included */
        f->nodes[1].app.max_gap_ns = 0;
        uint64_t start_ns = f->world.now;
        fleet_app_more(&f->nodes[0].app, id, 100 * KB);
        fleet_app_finish(&f->nodes[0].app, id);
        fleet_finish(f, S(1));
        assert_true(f->nodes[1].app.read_ns - start_ns < MS(200));
        assert_done(f, 1);
        fleet_free(f);
    }
}

static void a_session_without_streams_begins_again_after_hours(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fleet_config config = config_of(30 + i, kinds[i]);
        struct fleet *f = start(&config);
        for (uint64_t k = 1; k <= 3; k++) {
            fleet_open(f, k % 2, 1 - k % 2, (struct fleet_plan){.up = 100 * KB, .down = 100 * KB});
            fleet_finish(f, S(1));
            assert_done(f, k);
            fleet_run(f, HOURS(2));
            assert_int_equal(fleet_stats(f, 0, 1).state, ADIT_PEER_IDLE);
        }
        assert_int_equal(fleet_stats(f, 0, 1).restarts_seen, 0);
        fleet_free(f);
    }
}

/* --- wake-ups --- */

static uint64_t wakes(struct fleet *f, uint64_t ns)
{
    uint64_t before = f->nodes[0].ticks;
    fleet_run(f, ns);
    return f->nodes[0].ticks - before;
}

static void a_node_with_nothing_to_do_never_wakes(void **state)
{
    (void)state;
    struct fleet_config config = config_of(40, ADIT_PATH_DIRECT);
    struct fleet *f = start(&config);
    fleet_open(f, 0, 1, (struct fleet_plan){.up = 1000 * KB, .down = 1000 * KB});
    fleet_finish(f, S(1));
    fleet_run(f, S(300));
    assert_int_equal(node_next_ns(f->nodes[0].node), TIME_NEVER);
    assert_int_equal(node_next_ns(f->nodes[1].node), TIME_NEVER);
    fleet_free(f);
}

/* Its peer is not there, or there is no way to it at all. */
static void a_node_that_finds_nobody_gives_up(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct fleet_config config = config_of(41, ADIT_PATH_DIRECT);
        config.blind = i == 1;
        struct fleet *f = fleet_new(&config);
        f->nodes[0].unresolved = i == 2;
        fleet_start(f, 0);
        fleet_run(f, S(30));
        assert_true(f->nodes[0].datagrams_out <= 4);
        assert_int_equal(node_next_ns(f->nodes[0].node), TIME_NEVER);
        fleet_free(f);
    }
}

static void a_relay_is_pinged_and_nothing_else(void **state)
{
    (void)state;
    struct fleet_config config = config_of(42, ADIT_PATH_RELAY);
    struct fleet *f = start(&config);
    fleet_open(f, 0, 1, (struct fleet_plan){.up = 1000 * KB, .down = 1000 * KB});
    fleet_finish(f, S(2));
    fleet_run(f, S(300));
    assert_true(wakes(f, S(600)) <= 41); /* one ping in 15 s */
    fleet_free(f);
}

/* A bulk transfer is driven by what arrives, and by the pacer's timer. */
static void a_transfer_does_not_spin(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fleet_config config = config_of(43 + i, kinds[i]);
        config.relay_rate_bps = 4000000; /* slower than the sender: its paths are often blocked */
        struct fleet *f = start(&config);
        fleet_open(f, 0, 1, (struct fleet_plan){.up = 5000 * KB, .down = 1});
        fleet_finish(f, S(30));
        assert_true(f->nodes[0].idle_ticks < 100 + f->nodes[0].ticks / 4);
        fleet_free(f);
    }
}

/* A name that is found only later, while a stream waits. */
static void a_name_is_resolved_again(void **state)
{
    (void)state;
    struct fleet_config config = config_of(45, ADIT_PATH_DIRECT);
    struct fleet *f = fleet_new(&config);
    f->nodes[0].unresolved = f->nodes[1].unresolved = true;
    fleet_start_all(f);
    fleet_open(f, 0, 1, (struct fleet_plan){.up = 1000 * KB, .down = 1000 * KB});
    fleet_run(f, S(60));
    f->nodes[0].unresolved = false;
    fleet_finish(f, S(7));
    assert_done(f, 1);
    fleet_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_renewed_under_way),
        cmocka_unit_test(a_cut_longer_than_keys_live),
        cmocka_unit_test(an_open_stream_sleeps_for_hours),
        cmocka_unit_test(a_session_without_streams_begins_again_after_hours),
        cmocka_unit_test(a_node_with_nothing_to_do_never_wakes),
        cmocka_unit_test(a_node_that_finds_nobody_gives_up),
        cmocka_unit_test(a_relay_is_pinged_and_nothing_else),
        cmocka_unit_test(a_transfer_does_not_spin),
        cmocka_unit_test(a_name_is_resolved_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
