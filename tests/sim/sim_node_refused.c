/* The system refuses to send (a firewall, a route that is gone), and the shell tells the node. */
#include "sim/fleet.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
#define S(n) ((uint64_t)(n)*NS_PER_S)

static struct fleet *direct_pair(uint64_t seed, uint64_t *stream)
{
    struct fleet_config config = fleet_config_default("sim_node_refused", seed);
    struct fleet *f = fleet_new(&config);
    fleet_start_all(f);
    *stream = fleet_open(f, 0, 1, (struct fleet_plan){.up = 1000, .endless = true});
    (void)fleet_until_path(f, 0, 1, ADIT_PATH_DIRECT, S(10));
    fleet_run(f, S(2));
    return f;
}

/* Nobody waits for a time-out: what is written now is there after the relay's half round trip. */
static void what_is_refused_goes_by_the_relay_at_once(void **state)
{
    (void)state;
    uint64_t stream;
    struct fleet *f = direct_pair(1, &stream);
    fleet_udp(f, false);
    assert_true(node_unsent(f->nodes[0].node, 0, &f->nodes[1].addr, f->world.now));
    fleet_drive(f, 0);
    uint64_t before = f->nodes[1].app.bytes_read;
    fleet_app_more(&f->nodes[0].app, stream, 1000);
    fleet_drive(f, 0);
    fleet_run(f, MS(100));
    assert_int_equal(f->nodes[1].app.bytes_read, before + 1000);
    fleet_udp(f, true);
    (void)fleet_until_path(f, 0, 1, ADIT_PATH_DIRECT, S(20));
    fleet_app_finish(&f->nodes[0].app, stream);
    fleet_finish(f, S(10));
    fleet_free(f);
}

/* One refusal among packets that go through costs a moment on the relay and no stream. */
static void a_refusal_that_passes_is_soon_forgotten(void **state)
{
    (void)state;
    uint64_t stream;
    struct fleet *f = direct_pair(2, &stream);
    assert_true(node_unsent(f->nodes[0].node, 0, &f->nodes[1].addr, f->world.now));
    fleet_drive(f, 0);
    fleet_app_more(&f->nodes[0].app, stream, 1000);
    fleet_run(f, S(3));
    fleet_assert_path(f, 0, 1, ADIT_PATH_DIRECT);
    fleet_app_finish(&f->nodes[0].app, stream);
    fleet_finish(f, S(10));
    fleet_free(f);
}

/* Guesses are refused all the time, such as IPv6 candidates where there is no IPv6. */
static void a_guess_that_is_refused_changes_nothing(void **state)
{
    (void)state;
    uint64_t stream;
    struct fleet *f = direct_pair(3, &stream);
    const struct addr guess = addr_ipv4(198, 51, 100, 77, 9);
    uint64_t changes = fleet_stats(f, 0, 1).path_changes;
    assert_false(node_unsent(f->nodes[0].node, 0, &guess, f->world.now));
    assert_false(node_unsent(f->nodes[0].node, 3, &f->nodes[1].addr, f->world.now));
    fleet_drive(f, 0);
    fleet_run(f, S(2));
    assert_int_equal(fleet_stats(f, 0, 1).path_changes, changes);
    fleet_app_finish(&f->nodes[0].app, stream);
    fleet_finish(f, S(10));
    fleet_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_refused_goes_by_the_relay_at_once),
        cmocka_unit_test(a_refusal_that_passes_is_soon_forgotten),
        cmocka_unit_test(a_guess_that_is_refused_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
