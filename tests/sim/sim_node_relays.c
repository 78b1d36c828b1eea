/* Several relays: which is home, what happens when one dies, and when it comes back. */
#include "sim/fleet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "relay/relay_home.h"

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
#define S(n) ((uint64_t)(n)*NS_PER_S)
#define MB UINT64_C(1000000)

/* Without UDP; the last relay is 20 ms away from everybody, the one before it 40 ms, and so on. */
static struct fleet *start(uint64_t seed, size_t relays)
{
    struct fleet_config config = fleet_config_default("sim_node_relays", seed);
    config.no_udp = true;
    config.relays = relays;
    config.all_alike = true;
    struct fleet *f = fleet_new(&config);
    for (size_t i = 0; i < 2; i++) {
        for (size_t r = 0; r < relays; r++) {
            struct fleet_conn *c = &f->nodes[i].conns[r];
            c->up.delay_ns = c->down.delay_ns = MS(20) * (relays - r);
        }
    }
    fleet_start_all(f);
    fleet_run(f, S(4));
    return f;
}

/* -1 = none */
static int home_of(const struct fleet *f, size_t node)
{
    int home = -1;
    for (size_t r = 0; r < f->config.relays; r++) {
        struct adit_relay_stats s;
        node_relay_stats(f->nodes[node].node, r, &s);
        if (s.home) {
            assert_int_equal(home, -1);
            home = (int)r;
        }
    }
    return home;
}

static void assert_way(const struct fleet *f, size_t relay)
{
    for (size_t i = 0; i < 2; i++) {
        struct adit_relay_stats s;
        struct adit_peer_stats peer = fleet_stats(f, i, 1 - i);
        node_relay_stats(f->nodes[i].node, relay, &s);
        assert_int_equal(peer.path.kind, ADIT_PATH_RELAY);
        assert_string_equal(peer.path.relay, s.name);
    }
}

static void assert_done(const struct fleet *f)
{
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(f->nodes[i].app.completed, 1);
        assert_int_equal(f->nodes[i].app.resets, 0);
    }
}

static void home_is_the_nearest(void **state)
{
    (void)state;
    struct fleet *f = start(1, 3);
    assert_int_equal(home_of(f, 0), 2);
    assert_int_equal(home_of(f, 1), 2);
    fleet_open(f, 0, 1, (struct fleet_plan){.up = 10 * MB});
    fleet_finish(f, S(6));
    assert_way(f, 2);
    assert_done(f);
    fleet_free(f);
}

/* The others are connected already: the transfer goes on there. */
static void the_home_dies_in_a_transfer(void **state)
{
    (void)state;
    struct fleet *f = start(2, 3);
    const struct fleet_plan plan = {.up = 3 * MB, .pace_bytes = 10000, .pace_ns = MS(20)};
    fleet_open(f, 0, 1, plan);
    fleet_run(f, S(2));
    assert_way(f, 2);
    f->nodes[1].app.max_gap_ns = 0;
    fleet_relay_kill(f, 2);
    fleet_run(f, S(1));
    assert_way(f, 1);
    assert_int_equal(home_of(f, 0), 1);
    assert_int_equal(home_of(f, 1), 1);
    assert_true(f->nodes[1].app.max_gap_ns < MS(600));
    fleet_finish(f, S(10));
    assert_done(f);
    fleet_free(f);
}

static void a_home_that_is_back_has_to_stay(void **state)
{
    (void)state;
    struct fleet *f = start(3, 2);
    const struct fleet_plan plan = {.up = MB, .pace_bytes = 200, .pace_ns = MS(20)};
    assert_int_equal(home_of(f, 0), 1);
    fleet_open(f, 0, 1, plan);
    fleet_relay_kill(f, 1);
    fleet_run(f, S(2));
    assert_int_equal(home_of(f, 0), 0);
    fleet_relay_start(f, 1);
    /* Back-off, and then the time that it has to hold. */
    uint64_t waited = 0;
    while (home_of(f, 0) == 0 && waited < S(90)) {
        fleet_run(f, S(1));
        waited += S(1);
    }
    assert_int_equal(home_of(f, 0), 1);
    assert_true(waited >= RELAY_HOME_HOLD_NS && waited < RELAY_HOME_HOLD_NS + S(30));
    assert_way(f, 1);
    fleet_finish(f, S(120));
    assert_done(f);
    fleet_free(f);
}

/* --- a relay that says that it ends --- */

/* All goes elsewhere while the relay still forwards; then it is let go, long before it ends. */
static void a_home_that_ends_is_left_first(void **state)
{
    (void)state;
    struct fleet *f = start(4, 3);
    const struct fleet_plan plan = {.up = 4 * MB, .pace_bytes = 10000, .pace_ns = MS(20)};
    fleet_open(f, 0, 1, plan);
    fleet_run(f, S(2));
    assert_way(f, 2);
    uint64_t lost = fleet_stats(f, 0, 1).packets_lost;
    f->nodes[1].app.max_gap_ns = 0;
    fleet_relay_drain(f, 2, S(10));
    fleet_run(f, MS(500));
    assert_way(f, 1);
    assert_int_equal(home_of(f, 0), 1);
    assert_int_equal(home_of(f, 1), 1);
    fleet_run(f, S(1));
    assert_int_equal(fleet_relay_clients(f, 2), 0);
    assert_int_equal(fleet_counters(f, 0).relay_restarts, 1);
    fleet_relay_kill(f, 2);
    fleet_run(f, S(1));
    assert_true(f->nodes[1].app.max_gap_ns < MS(250)); /* the other one is 80 ms further */
    assert_int_equal(fleet_stats(f, 0, 1).packets_lost, lost);
    /* It is back: they too, not before they were told to be, nor much later. */
    fleet_relay_start(f, 2);
    fleet_run(f, S(6));
    assert_int_equal(fleet_relay_clients(f, 2), 0);
    fleet_run(f, S(5));
    assert_int_equal(fleet_relay_clients(f, 2), 2);
    fleet_finish(f, S(10));
    assert_done(f);
    fleet_free(f);
}

/* The other side does not reach any other relay: so this one is used until it ends. */
static void an_ending_relay_that_is_the_only_one_in_common(void **state)
{
    (void)state;
    struct fleet *f = start(5, 2);
    const struct fleet_plan plan = {.up = 8 * MB, .pace_bytes = 10000, .pace_ns = MS(20)};
    fleet_relay_cut(f, 1, 0, true);
    fleet_conn_close(&f->nodes[1].conns[0]);
    node_relay_disconnected(f->nodes[1].node, 0, 0, f->world.now);
    fleet_drive(f, 1);
    fleet_open(f, 0, 1, plan);
    fleet_run(f, S(2));
    assert_way(f, 1);
    f->nodes[1].app.max_gap_ns = 0;
    fleet_relay_drain(f, 1, S(5));
    fleet_run(f, S(5));
    assert_way(f, 1);
    assert_int_equal(fleet_relay_clients(f, 1), 2);
    assert_true(f->nodes[1].app.max_gap_ns < MS(150));
    fleet_relay_kill(f, 1);
    fleet_relay_start(f, 1);
    fleet_finish(f, S(20));
    assert_way(f, 1);
    assert_true(f->nodes[1].app.max_gap_ns < S(3));
    assert_done(f);
    fleet_free(f);
}

/* The only relay: a pause from its end to its return, and hardly longer. */
static void the_only_relay_restarts(void **state)
{
    (void)state;
    static const uint64_t away_ms[] = {0, 700, 20000};
    for (size_t i = 0; i < sizeof(away_ms) / sizeof(away_ms[0]); i++) {
        struct fleet *f = start(6 + i, 1);
        const struct fleet_plan plan = {.up = 4 * MB, .pace_bytes = 10000, .pace_ns = MS(20)};
        fleet_open(f, 0, 1, plan);
        fleet_run(f, S(2));
        f->nodes[1].app.max_gap_ns = 0;
        fleet_relay_drain(f, 0, S(2));
        fleet_run(f, S(2));
        assert_true(f->nodes[1].app.max_gap_ns < MS(150));
        assert_int_equal(home_of(f, 0), 0);
        fleet_relay_kill(f, 0);
        fleet_run(f, MS(away_ms[i]));
        fleet_relay_start(f, 0);
        fleet_finish(f, S(20));
        assert_true(f->nodes[1].app.max_gap_ns < MS(away_ms[i]) + S(3));
        assert_way(f, 0);
        assert_done(f);
        fleet_free(f);
    }
}

/* It said so, and did not: it is used again. */
static void a_relay_that_stays_after_all(void **state)
{
    (void)state;
    struct fleet *f = start(9, 1);
    const struct fleet_plan plan = {.up = MB, .pace_bytes = 200, .pace_ns = MS(20)};
    fleet_open(f, 0, 1, plan);
    for (int i = 0; i < 3; i++) {
        fleet_relay_drain(f, 0, S(1));
        fleet_run(f, S(5));
    }
    fleet_run(f, S(60));
    assert_int_equal(fleet_relay_clients(f, 0), 2);
    assert_way(f, 0);
    fleet_finish(f, S(60));
    assert_done(f);
    fleet_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(home_is_the_nearest),
        cmocka_unit_test(the_home_dies_in_a_transfer),
        cmocka_unit_test(a_home_that_is_back_has_to_stay),
        cmocka_unit_test(a_home_that_ends_is_left_first),
        cmocka_unit_test(an_ending_relay_that_is_the_only_one_in_common),
        cmocka_unit_test(the_only_relay_restarts),
        cmocka_unit_test(a_relay_that_stays_after_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
