/* Random worlds: three nodes and two relays to which everything happens that the other scenarios
 * do one by one, and then peace. In peace all streams must come to an end and new ones must pass.
 *
 * ADIT_STORM=n plays n worlds, ADIT_SEED=s begins with that one. */
#include "sim/fleet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
#define S(n) ((uint64_t)(n)*NS_PER_S)
#define KB UINT64_C(1000)
enum { NODES = 3, RELAYS = 2, WORLDS = 60 };

static uint64_t chance(struct fleet *f, uint64_t below)
{
    return rng_below(f->world.rng, below);
}

static struct fleet_config climate(uint64_t seed)
{
    struct pcg pcg;
    struct rng rng = pcg_rng(&pcg, seed);
    struct fleet_config config = fleet_config_default("sim_node_storm", seed);
    config.seed = seed;
    config.nodes = NODES;
    config.relays = RELAYS;
    config.udp.delay_ns = MS(1 + rng_below(rng, 150));
    config.udp.jitter_ns = rng_below(rng, 2) ? MS(rng_below(rng, 20)) : 0;
    config.udp.loss_ppm = rng_below(rng, 2) ? (uint32_t)rng_below(rng, 50000) : 0;
    config.udp.duplicate_ppm = rng_below(rng, 3) ? 0 : 50000;
    config.udp.corrupt_ppm = rng_below(rng, 3) ? 0 : 5000;
    config.relay_delay_ns = MS(1 + rng_below(rng, 150));
    config.blind = rng_below(rng, 2);
    config.open_apart = rng_below(rng, 2);
    return config;
}

static void open_something(struct fleet *f)
{
    size_t node = chance(f, NODES);
    size_t other = (node + 1 + chance(f, NODES - 1)) % NODES;
    struct fleet_plan plan = {.up = chance(f, 2) ? chance(f, 2000 * KB) : chance(f, 10 * KB),
                              .down = chance(f, 2) ? chance(f, 2000 * KB) : chance(f, 10 * KB)};
    if (chance(f, 3) == 0) {
        plan.pace_bytes = 1 + (plan.up > plan.down ? plan.up : plan.down) / 50;
        plan.pace_ns = MS(1 + chance(f, 2000));
    }
    if (f->nodes[node].node) {
        fleet_open(f, node, other, plan);
    }
}

static void hurt_a_node(struct fleet *f)
{
    size_t node = chance(f, NODES);
    struct fleet_node *n = &f->nodes[node];
    if (!n->node) {
        n->no_clock = chance(f, 2);
        n->forgetful = !n->no_clock && chance(f, 2);
        fleet_start(f, node);
    } else if (chance(f, 3) == 0) {
        const struct addr addr = addr_ipv4(198, 51, 100, (uint8_t)(1 + chance(f, 250)), 7);
        fleet_move(f, node, &addr);
    } else {
        if (chance(f, 2)) {
            fleet_stop(f, node);
            fleet_run(f, MS(chance(f, 100)));
        }
        fleet_kill(f, node);
    }
}

static void hurt_the_network(struct fleet *f)
{
    size_t node = chance(f, NODES);
    size_t relay = chance(f, RELAYS);
    switch (chance(f, 5)) {
    case 0:
        fleet_udp(f, chance(f, 2));
        break;
    case 1:
        fleet_udp_way(f, node, (node + 1) % NODES, chance(f, 2));
        break;
    case 2:
        fleet_relay_cut(f, node, relay, chance(f, 2));
        break;
    default:
        if (f->relays[relay].server) {
            fleet_relay_kill(f, relay);
        } else {
            fleet_relay_start(f, relay);
        }
        break;
    }
}

static void storm(struct fleet *f)
{
    for (uint64_t i = 0, steps = 5 + chance(f, 40); i < steps; i++) {
        switch (chance(f, 5)) {
        case 0:
            hurt_a_node(f);
            break;
        case 1:
        case 2:
            hurt_the_network(f);
            break;
        default:
            open_something(f);
            break;
        }
        fleet_run(f, chance(f, 8) ? MS(chance(f, 5000)) : S(chance(f, 300)));
    }
}

static void heal(struct fleet *f)
{
    for (size_t i = 0; i < RELAYS; i++) {
        if (!f->relays[i].server) {
            fleet_relay_start(f, i);
        }
        for (size_t k = 0; k < NODES; k++) {
            fleet_relay_cut(f, k, i, false);
        }
    }
    fleet_udp(f, true);
    for (size_t i = 0; i < NODES; i++) {
        if (!f->nodes[i].node) {
            fleet_start(f, i);
        }
    }
}

/* A paced plan may go on for 50 times 2 s. */
static void every_world_comes_to_rest(void **state)
{
    (void)state;
    uint64_t first = world_setting("ADIT_SEED", 1);
    uint64_t worlds = world_setting("ADIT_STORM", world_setting("ADIT_SEED", 0) ? 1 : WORLDS);
    for (uint64_t i = 0; i < worlds; i++) {
        struct fleet_config config = climate(first + i);
        struct fleet *f = fleet_new(&config);
        fleet_start_all(f);
        storm(f);
        heal(f);
        fleet_finish(f, S(200));
        for (size_t k = 0; k < NODES; k++) {
            fleet_open(f, k, (k + 1) % NODES,
                       (struct fleet_plan){.up = 300 * KB, .down = 300 * KB});
        }
        fleet_finish(f, S(15));
        fleet_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_world_comes_to_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
