/* Relays that let a client send only so much: the whole of it is used, and nothing is made only to
 * be thrown away.
 */
#include "sim/fleet.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
#define S(n) ((uint64_t)(n)*NS_PER_S)
#define MB UINT64_C(1000000)

/* The greatest packet: a relay lets no burst be smaller. */
enum { BURST = 65536 + 37 };

static struct fleet *start(uint64_t seed, uint64_t bytes_per_s, size_t nodes)
{
    struct fleet_config config = fleet_config_default("sim_node_rated", seed);
    config.no_udp = true;
    config.nodes = nodes;
    config.relay_client_bytes_per_s = bytes_per_s;
    struct fleet *f = fleet_new(&config);
    fleet_start_all(f);
    fleet_run(f, S(2));
    return f;
}

static void assert_clean(const struct fleet *f, size_t node, size_t other)
{
    struct adit_peer_stats s = fleet_stats(f, node, other);
    uint64_t packets = s.bytes_out / 8192 + 1;
    assert_true(s.packets_lost * 50 <= packets); /* 2 % */
    assert_int_equal(fleet_counters(f, node).relay_dropped, 0);
    fleet_assert_path(f, node, other, ADIT_PATH_RELAY);
}

/* From 1 Mbit/s on. */
static void the_whole_rate_is_used(void **state)
{
    (void)state;
    const uint64_t rates[] = {125000, 500000, 5 * MB};
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct fleet *f = start(1 + i, rates[i], 2);
        uint64_t bytes = 20 * rates[i];
        fleet_open(f, 0, 1, (struct fleet_plan){.up = bytes, .down = 1});
        uint64_t took = fleet_finish(f, S(40));
        uint64_t per_s = (bytes - BURST) * 1000 / (took / NS_PER_MS);
        print_message("%llu of %llu bytes/s\n", (unsigned long long)per_s,
                      (unsigned long long)rates[i]);
        assert_in_range(per_s, rates[i] * 85 / 100, rates[i] * 105 / 100);
        assert_clean(f, 0, 1);
        fleet_free(f);
    }
}

/* The acknowledgements of each direction go within the rate of the other. */
static void both_ways_at_once(void **state)
{
    (void)state;
    struct fleet *f = start(10, 250000, 2);
    fleet_open(f, 0, 1, (struct fleet_plan){.up = 5 * MB, .down = 5 * MB});
    uint64_t took = fleet_finish(f, S(40));
    assert_true((5 * MB - BURST) * 1000 / (took / NS_PER_MS) >= 250000 * 85 / 100);
    assert_clean(f, 0, 1);
    assert_clean(f, 1, 0);
    fleet_free(f);
}

/* The relay counts what we send to all peers together. */
static void several_peers_share_it(void **state)
{
    (void)state;
    struct fleet *f = start(11, 500000, 4);
    for (size_t to = 1; to < 4; to++) {
        fleet_open(f, 0, to, (struct fleet_plan){.up = 3 * MB, .down = 1});
    }
    uint64_t took = fleet_finish(f, S(40));
    assert_true((9 * MB - BURST) * 1000 / (took / NS_PER_MS) >= 500000 * 85 / 100);
    for (size_t to = 1; to < 4; to++) {
        assert_clean(f, 0, to);
    }
    fleet_free(f);
}

/* A request beside the bulk is not kept waiting by what the relay will not take. */
static void a_request_beside_bulk(void **state)
{
    (void)state;
    struct fleet *f = start(12, 250000, 2);
    fleet_open(f, 0, 1, (struct fleet_plan){.up = 10 * MB, .down = 1});
    fleet_run(f, S(10));
    uint64_t before = f->nodes[0].app.completed;
    fleet_open(f, 0, 1, (struct fleet_plan){.up = 300, .down = 300});
    fleet_run(f, MS(600));
    assert_int_equal(f->nodes[0].app.completed, before + 1);
    fleet_finish(f, S(60));
    assert_clean(f, 0, 1);
    fleet_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_rate_is_used),
        cmocka_unit_test(both_ways_at_once),
        cmocka_unit_test(several_peers_share_it),
        cmocka_unit_test(a_request_beside_bulk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
