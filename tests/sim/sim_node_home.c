/* Peers tell each other where they are at home, and find each other there. */
#include "sim/fleet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
#define S(n) ((uint64_t)(n)*NS_PER_S)
#define MB UINT64_C(1000000)

/* Without UDP, and with relays that are nearer the higher their number; but no node's configuration
 * names any relay of a peer's but the first. */
static struct fleet *start(uint64_t seed, const size_t foreign[2])
{
    struct fleet_config config = fleet_config_default("sim_node_home", seed);
    config.no_udp = true;
    config.relays = 3;
    config.first_relay_only = true;
    for (size_t i = 0; foreign && i < 2; i++) {
        config.foreign_relays[i] = foreign[i];
    }
    struct fleet *f = fleet_new(&config);
    for (size_t i = 0; i < 2; i++) {
        for (size_t r = 0; r < 3; r++) {
            struct fleet_conn *c = &f->nodes[i].conns[r];
            c->up.delay_ns = c->down.delay_ns = MS(20) * (3 - r);
        }
    }
    fleet_start_all(f);
    return f;
}

static void assert_way(const struct fleet *f, const char *relay)
{
    for (size_t i = 0; i < 2; i++) {
        struct adit_peer_stats s = fleet_stats(f, i, 1 - i);
        assert_int_equal(s.path.kind, ADIT_PATH_RELAY);
        assert_string_equal(s.path.relay, relay);
    }
}

static void assert_homes(const struct fleet *f, const char *relay)
{
    for (size_t i = 0; i < 2; i++) {
        const char *home = fleet_stats(f, i, 1 - i).home_relay;
        assert_non_null(home);
        assert_string_equal(home, relay);
    }
}

static void finish(struct fleet *f, uint64_t ns)
{
    fleet_finish(f, ns);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(f->nodes[i].app.completed, 1);
        assert_int_equal(f->nodes[i].app.resets, 0);
    }
    fleet_free(f);
}

static void they_meet_at_the_home_that_no_configuration_names(void **state)
{
    (void)state;
    struct fleet *f = start(1, NULL);
    const struct fleet_plan plan = {.up = 3 * MB, .pace_bytes = 10000, .pace_ns = MS(20)};
    fleet_open(f, 0, 1, plan);
    fleet_run(f, S(3));
    assert_homes(f, "relay2");
    assert_way(f, "relay2");
    /* The one that the configuration names may die. */
    f->nodes[1].app.max_gap_ns = 0;
    fleet_relay_kill(f, 0);
    fleet_run(f, S(1));
    assert_way(f, "relay2");
    assert_true(f->nodes[1].app.max_gap_ns < MS(100));
    assert_int_equal(fleet_counters(f, 0).relays_unknown, 0);
    finish(f, S(10));
}

/* A peer that moves says so, and is followed to relays that were none of its before. */
static void who_moves_is_followed(void **state)
{
    (void)state;
    struct fleet *f = start(2, NULL);
    const struct fleet_plan plan = {.up = 6 * MB, .pace_bytes = 10000, .pace_ns = MS(20)};
    fleet_open(f, 0, 1, plan);
    fleet_run(f, S(3));
    assert_way(f, "relay2");
    fleet_relay_kill(f, 2);
    fleet_run(f, S(2));
    assert_homes(f, "relay1");
    assert_way(f, "relay1");
    fleet_relay_kill(f, 0);
    fleet_run(f, S(2));
    assert_way(f, "relay1");
    finish(f, S(20));
}

/* Also while nothing is open: a later stream needs nobody that is dead by then. */
static void who_moves_while_nothing_is_open_is_found(void **state)
{
    (void)state;
    struct fleet *f = start(3, NULL);
    fleet_run(f, S(60));
    assert_homes(f, "relay2");
    fleet_relay_kill(f, 2);
    fleet_run(f, S(10));
    assert_homes(f, "relay1");
    fleet_relay_kill(f, 0);
    fleet_run(f, S(300)); /* no keys any more */
    fleet_open(f, 1, 0, (struct fleet_plan){.up = MB, .down = 1});
    fleet_run(f, S(3));
    assert_way(f, "relay1");
    finish(f, S(5));
}

/* Node 0 has only the last relay as its own; the first is what it knows of its peer, the second is
 * some other peer's. Node 1 is at home at the second. */
static void nobody_goes_where_the_own_configuration_does_not_send_it(void **state)
{
    (void)state;
    struct fleet *f = start(4, (const size_t[2]){2, 0});
    fleet_relay_cut(f, 1, 2, true);
    fleet_conn_close(&f->nodes[1].conns[2]);
    node_relay_disconnected(f->nodes[1].node, 2, 0, f->world.now);
    fleet_drive(f, 1);
    const struct fleet_plan plan = {.up = 3 * MB, .pace_bytes = 10000, .pace_ns = MS(20)};
    fleet_open(f, 0, 1, plan);
    fleet_run(f, S(4));
    struct adit_relay_stats r;
    node_relay_stats(f->nodes[1].node, 1, &r);
    assert_true(r.home);
    assert_null(fleet_stats(f, 0, 1).home_relay);
    assert_true(fleet_counters(f, 0).relays_unknown > 0);
    assert_way(f, "relay0");
    finish(f, S(20));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_meet_at_the_home_that_no_configuration_names),
        cmocka_unit_test(who_moves_is_followed),
        cmocka_unit_test(who_moves_while_nothing_is_open_is_found),
        cmocka_unit_test(nobody_goes_where_the_own_configuration_does_not_send_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
