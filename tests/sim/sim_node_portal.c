/* A captive portal before all relays: it is noticed, looked at often but not too often, and when
 * somebody has logged in the relays are there at once. */
#include "sim/fleet.h"

#include <adit/why.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define S(n) ((uint64_t)(n)*NS_PER_S)
#define MB UINT64_C(1000000)

static struct fleet *start(uint64_t seed, bool portal)
{
    struct fleet_config config = fleet_config_default("sim_node_portal", seed);
    config.no_udp = true;
    struct fleet *f = fleet_new(&config);
    f->portal = portal;
    fleet_start_all(f);
    return f;
}

static bool has_portal(const struct fleet *f, size_t node)
{
    struct adit_nat_stats s;
    node_nat_stats(f->nodes[node].node, &s);
    return s.captive_portal;
}

static void a_portal_is_told_and_its_end_noticed(void **state)
{
    (void)state;
    struct fleet *f = start(1, true);
    fleet_open(f, 0, 1, (struct fleet_plan){.up = MB, .down = 1});
    fleet_run(f, S(2));
    struct adit_why why;
    node_why(f->nodes[0].node, 0, &why, f->world.now);
    assert_true(has_portal(f, 0) && has_portal(f, 1));
    assert_non_null(strstr(why.text, "captive portal"));
    fleet_run(f, S(58));
    assert_in_range(f->nodes[0].portal_questions, 15, 21);
    fleet_run(f, S(3600));
    assert_true(f->nodes[0].portal_questions < 150);
    f->portal = false;
    fleet_finish(f, S(70));
    assert_false(has_portal(f, 0) || has_portal(f, 1));
    fleet_free(f);
}

/* While it is new it is asked every 3 s, and then the relays are tried without a back-off. */
static void who_logs_in_soon_is_online_soon(void **state)
{
    (void)state;
    struct fleet *f = start(2, true);
    fleet_open(f, 0, 1, (struct fleet_plan){.up = MB, .down = 1});
    fleet_run(f, S(60));
    f->portal = false;
    assert_true(fleet_finish(f, S(7)) < S(7));
    fleet_free(f);
}

/* A relay that is dead refuses: that is no portal, and it is asked about now and then only. */
static void a_dead_relay_is_no_portal(void **state)
{
    (void)state;
    struct fleet *f = start(3, false);
    fleet_run(f, S(5));
    assert_int_equal(f->nodes[0].portal_questions, 0);
    fleet_relay_kill(f, 0);
    fleet_run(f, S(600));
    assert_false(has_portal(f, 0));
    assert_in_range(f->nodes[0].portal_questions, 5, 21);
    fleet_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_portal_is_told_and_its_end_noticed),
        cmocka_unit_test(who_logs_in_soon_is_online_soon),
        cmocka_unit_test(a_dead_relay_is_no_portal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
