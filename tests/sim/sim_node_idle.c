/* What a pair of nodes costs while nothing happens, and that its direct path survives that. */
#include "sim/fleet.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
#define S(n) ((uint64_t)(n)*NS_PER_S)
#define HOUR S(3600)

/* Bytes an hour, sent and received by one node, its relay included (tunnel/README.md has them). */
enum { BUDGET_STREAM = 50000, BUDGET_30_S = 42000, BUDGET_PATIENT = 28000, BUDGET_NOTHING = 15000 };

static struct fleet *pair_behind(enum natbox_filtering filtering, uint64_t idle_ns, uint64_t seed)
{
    struct natbox_config nat = {.mapping = NATBOX_EIM, .filtering = filtering, .idle_ns = idle_ns};
    struct fleet_config config = fleet_config_default("sim_node_idle", seed);
    config.blind = true;
    config.nats = true;
    config.nat[0] = config.nat[1] = nat;
    config.stun_servers = 2;
    struct fleet *f = fleet_new(&config);
    fleet_start_all(f);
    return f;
}

/* A stream that was used, and then left open; after all that follows from its use. */
static uint64_t open_and_rest(struct fleet *f)
{
    uint64_t id = fleet_open(f, 0, 1, (struct fleet_plan){.up = 1000, .endless = true});
    fleet_until_path(f, 0, 1, ADIT_PATH_DIRECT, S(2));
    fleet_until_path(f, 1, 0, ADIT_PATH_DIRECT, S(2));
    fleet_run(f, S(120));
    return id;
}

static uint64_t an_hour(struct fleet *f, const char *what)
{
    uint64_t before[2] = {fleet_traffic(f, 0), fleet_traffic(f, 1)};
    fleet_run(f, HOUR);
    uint64_t cost[2] = {fleet_traffic(f, 0) - before[0], fleet_traffic(f, 1) - before[1]};
    print_message("             %s: %" PRIu64 " and %" PRIu64 " bytes an hour\n", what, cost[0],
                  cost[1]);
    return cost[0] > cost[1] ? cost[0] : cost[1];
}

/* The NATs' mappings were never lost: the same ones are used, and the path was never left. */
static void stays_direct(enum natbox_filtering filtering, uint64_t idle_ns, const char *what,
                         uint64_t budget)
{
    struct fleet *f = pair_behind(filtering, idle_ns, 1 + filtering);
    uint64_t id = open_and_rest(f);
    fleet_run(f, S(600)); /* in which it is measured what the NATs allow */
    assert_int_equal(f->nodes[0].sockets + f->nodes[1].sockets, 0);
    uint64_t changes[2] = {fleet_stats(f, 0, 1).path_changes, fleet_stats(f, 1, 0).path_changes};
    assert_true(an_hour(f, what) < budget);
    for (size_t i = 0; i < 2; i++) {
        fleet_assert_path(f, i, 1 - i, ADIT_PATH_DIRECT);
        assert_int_equal(fleet_stats(f, i, 1 - i).path_changes, changes[i]);
    }
    uint64_t start = f->world.now;
    uint64_t read = f->nodes[1].app.bytes_read;
    fleet_app_more(&f->nodes[0].app, id, 100);
    while (f->nodes[1].app.bytes_read == read) {
        assert_true(world_step(&f->world, start + S(1)));
    }
    assert_true(f->world.now - start <= MS(21)); /* one way, directly */
    fleet_app_finish(&f->nodes[0].app, id);
    fleet_finish(f, S(2));
    fleet_free(f);
}

static void an_open_stream_behind_nats_that_forget_after_30_s(void **state)
{
    (void)state;
    for (enum natbox_filtering i = NATBOX_EIF; i <= NATBOX_APDF; i++) {
        stays_direct(i, S(30), "a stream, NATs of 30 s", BUDGET_30_S);
    }
}

/* What the NATs allow was measured: fewer keep-alives, with the mappings of before. */
static void patient_nats_need_fewer_keep_alives(void **state)
{
    (void)state;
    stays_direct(NATBOX_APDF, S(120), "a stream, NATs of 120 s", BUDGET_PATIENT + 5000);
    stays_direct(NATBOX_APDF, S(300), "a stream, NATs of 300 s", BUDGET_PATIENT);
}

static void an_open_stream_behind_nats_that_forget_after_20_s(void **state)
{
    (void)state;
    stays_direct(NATBOX_APDF, S(20), "a stream, NATs of 20 s", BUDGET_STREAM);
}

static void nothing_open_costs_next_to_nothing(void **state)
{
    (void)state;
    struct fleet *f = pair_behind(NATBOX_APDF, S(30), 9);
    fleet_finish(f, S(2));
    fleet_run(f, S(120));
    uint64_t datagrams = f->nodes[0].datagrams_out + f->nodes[1].datagrams_out;
    assert_true(an_hour(f, "nothing open") < BUDGET_NOTHING);
    assert_int_equal(f->nodes[0].datagrams_out + f->nodes[1].datagrams_out, datagrams);
    fleet_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_open_stream_behind_nats_that_forget_after_30_s),
        cmocka_unit_test(an_open_stream_behind_nats_that_forget_after_20_s),
        cmocka_unit_test(patient_nats_need_fewer_keep_alives),
        cmocka_unit_test(nothing_open_costs_next_to_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
