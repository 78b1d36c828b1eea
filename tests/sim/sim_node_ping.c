/* Pings: round trips to a peer's node, and what they do to a session that sleeps. */
#include "sim/fleet.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
#define S(n) ((uint64_t)(n)*NS_PER_S)

static uint64_t ping(struct fleet *f, size_t node)
{
    uint64_t id;
    assert_int_equal(node_ping(f->nodes[node].node, fleet_peer(node, 1 - node), &id, f->world.now),
                     0);
    fleet_drive(f, node);
    return id;
}

static void expect_pong(const struct fleet *f, uint64_t id, enum adit_path_kind kind, uint64_t rtt)
{
    const struct fleet_app *app = &f->nodes[0].app;
    assert_int_equal(app->last_pong.id, id);
    assert_int_equal(app->last_pong.kind, kind);
    assert_int_equal(app->last_pong.relay != NULL, kind == ADIT_PATH_RELAY);
    assert_int_equal(app->last_pong.address.family != ADDR_NONE, kind == ADIT_PATH_DIRECT);
    assert_in_range(app->last_pong.rtt_ns, rtt, rtt + MS(3));
}

/* Each by the path in use: the relay is two cables away, the peer is one. */
static void a_ping_takes_the_path_in_use(void **state)
{
    (void)state;
    struct fleet_config config = fleet_config_default("sim_node_ping", 1);
    config.no_udp = true;
    struct fleet *f = fleet_new(&config);
    fleet_start_all(f);
    fleet_run(f, S(2));
    uint64_t id = ping(f, 0);
    fleet_run(f, MS(200));
    expect_pong(f, id, ADIT_PATH_RELAY, MS(80));
    fleet_udp(f, true);
    for (int i = 0; i < 100 && f->nodes[0].app.last_pong.kind != ADIT_PATH_DIRECT; i++) {
        id = ping(f, 0);
        fleet_run(f, MS(100));
    }
    expect_pong(f, id, ADIT_PATH_DIRECT, MS(40));
    fleet_free(f);
}

/* Keys are gone, nothing is open: the first ping brings it all back, and it lasts a while. */
static void a_ping_wakes_a_session_that_sleeps(void **state)
{
    (void)state;
    struct fleet_config config = fleet_config_default("sim_node_ping", 2);
    struct fleet *f = fleet_new(&config);
    fleet_start_all(f);
    fleet_run(f, S(3600));
    assert_int_equal(fleet_stats(f, 0, 1).state, ADIT_PEER_IDLE);
    uint64_t id = ping(f, 0);
    fleet_run(f, S(1));
    expect_pong(f, id, f->nodes[0].app.last_pong.kind,
                f->nodes[0].app.last_pong.kind == ADIT_PATH_RELAY ? MS(80) : MS(40));
    assert_int_equal(f->nodes[0].app.pongs, 1);
    (void)fleet_until_path(f, 0, 1, ADIT_PATH_DIRECT, S(5));
    fleet_run(f, S(60));
    uint64_t sent = f->nodes[0].datagrams_out; /* it sleeps again */
    fleet_run(f, S(600));
    assert_true(f->nodes[0].datagrams_out - sent < 20);
    fleet_free(f);
}

static void a_peer_that_is_gone_answers_nothing(void **state)
{
    (void)state;
    struct fleet_config config = fleet_config_default("sim_node_ping", 3);
    struct fleet *f = fleet_new(&config);
    fleet_start_all(f);
    fleet_run(f, S(1));
    fleet_kill(f, 1);
    for (int i = 0; i < 30; i++) {
        (void)ping(f, 0); /* more than there is room for */
        fleet_run(f, MS(50));
    }
    fleet_run(f, S(30));
    assert_int_equal(f->nodes[0].app.pongs, 0);
    fleet_start(f, 1);
    fleet_run(f, S(10));
    assert_int_equal(f->nodes[0].app.pongs, 0); /* old ones are not sent late */
    uint64_t id = ping(f, 0);
    fleet_run(f, S(2));
    assert_int_equal(f->nodes[0].app.last_pong.id, id);
    fleet_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ping_takes_the_path_in_use),
        cmocka_unit_test(a_ping_wakes_a_session_that_sleeps),
        cmocka_unit_test(a_peer_that_is_gone_answers_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
