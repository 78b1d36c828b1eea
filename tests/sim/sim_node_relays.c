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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(home_is_the_nearest),
        cmocka_unit_test(the_home_dies_in_a_transfer),
        cmocka_unit_test(a_home_that_is_back_has_to_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
