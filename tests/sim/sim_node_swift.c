/* How long it takes from the start of a session to a direct path, behind NATs that need hole
 * punching on both sides. The relay stands halfway: a round trip between the nodes takes as long
 * over it as directly. */
#include "sim/fleet.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
#define S(n) ((uint64_t)(n)*NS_PER_S)
#define RTT MS(40)

enum { RUNS = 15 };

static struct fleet_config eim_and_eim(uint64_t seed)
{
    static const struct natbox_config eim_apdf = {.mapping = NATBOX_EIM, .filtering = NATBOX_APDF};
    struct fleet_config config = fleet_config_default("sim_node_swift", seed);
    config.blind = true;
    config.nats = true;
    config.nat[0] = config.nat[1] = eim_apdf;
    config.stun_servers = 2;
    config.relay_delay_ns = RTT / 4;
    return config;
}

static void until_relay_is_up(struct fleet *f, size_t node)
{
    struct adit_relay_stats stats;
    uint64_t until = f->world.now + S(5);
    do {
        node_relay_stats(f->nodes[node].node, 0, &stats);
    } while (stats.state != ADIT_RELAY_UP && world_step(&f->world, until));
    assert_int_equal(stats.state, ADIT_RELAY_UP);
}

/* Until both ends are direct. */
static uint64_t measure(struct fleet *f, uint64_t start)
{
    fleet_until_path(f, 0, 1, ADIT_PATH_DIRECT, S(2));
    fleet_until_path(f, 1, 0, ADIT_PATH_DIRECT, S(2));
    return f->world.now - start;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static uint64_t median(uint64_t took[RUNS], const char *what)
{
    qsort(took, RUNS, sizeof(took[0]), by_size);
    print_message("             %s: direct after %.1f ms (%.1f to %.1f)\n", what,
                  (double)took[RUNS / 2] / 1e6, (double)took[0] / 1e6,
                  (double)took[RUNS - 1] / 1e6);
    return took[RUNS / 2];
}

/* From the moment at which a node that has just started can say anything at all. */
static void a_node_that_starts_is_direct_in_less_than_3_round_trips(void **state)
{
    (void)state;
    uint64_t took[RUNS];
    for (size_t i = 0; i < RUNS; i++) {
        struct fleet_config config = eim_and_eim(1 + i);
        struct fleet *f = fleet_new(&config);
        fleet_start(f, 1);
        fleet_run(f, S(3) + world_chance(&f->world, 500000) * MS(7) + i * MS(3));
        fleet_start(f, 0);
        (void)fleet_open(f, 0, 1, (struct fleet_plan){.up = 100, .down = 100});
        until_relay_is_up(f, 0);
        took[i] = measure(f, f->world.now);
        fleet_finish(f, S(1));
        /* An answer that came by two ways is no fault. */
        assert_int_equal(fleet_counters(f, 0).handshakes_invalid, 0);
        assert_int_equal(fleet_counters(f, 1).handshakes_invalid, 0);
        fleet_free(f);
    }
    assert_true(median(took, "just started") < 3 * RTT);
}

/* Mappings, keys and all knowledge of them are long gone: the servers are asked first. */
static void nodes_that_rested_for_an_hour_take_one_round_trip_more(void **state)
{
    (void)state;
    uint64_t took[RUNS];
    for (size_t i = 0; i < RUNS; i++) {
        struct fleet_config config = eim_and_eim(100 + i);
        struct fleet *f = fleet_new(&config);
        fleet_start_all(f);
        fleet_run(f, S(3600) + i * MS(1300));
        uint64_t start = f->world.now;
        (void)fleet_open(f, 0, 1, (struct fleet_plan){.up = 100, .down = 100});
        took[i] = measure(f, start);
        fleet_finish(f, S(1));
        fleet_free(f);
    }
    assert_true(median(took, "after an hour") < 4 * RTT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_that_starts_is_direct_in_less_than_3_round_trips),
        cmocka_unit_test(nodes_that_rested_for_an_hour_take_one_round_trip_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
