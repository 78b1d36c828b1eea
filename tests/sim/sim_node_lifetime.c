/* NATs that forget: after a while without packets, or after a while whatever is sent. */
#include "sim/fleet.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
#define S(n) ((uint64_t)(n)*NS_PER_S)
#define RTT MS(40)
#define MB UINT64_C(1000000)

static struct fleet *pair_behind(const struct natbox_config *a, const struct natbox_config *b,
                                 uint64_t seed)
{
    struct fleet_config config = fleet_config_default("sim_node_lifetime", seed);
    config.blind = true;
    config.nats = true;
    config.nat[0] = *a;
    config.nat[1] = *b;
    config.stun_servers = 2;
    config.birthday_sockets = 256;
    config.relay_delay_ns = RTT / 4;
    struct fleet *f = fleet_new(&config);
    fleet_start_all(f);
    return f;
}

/* 100 MB in 200 s, while the mappings of one side, or both, end every minute. */
static void transfer(uint64_t life_a, uint64_t life_b, uint64_t seed)
{
    struct natbox_config nat[2] = {
        {.mapping = NATBOX_EIM, .filtering = NATBOX_APDF, .life_ns = life_a},
        {.mapping = NATBOX_EIM, .filtering = NATBOX_APDF, .life_ns = life_b}};
    struct fleet *f = pair_behind(&nat[0], &nat[1], seed);
    fleet_open(f, 0, 1,
               (struct fleet_plan){
                   .up = 100 * MB, .down = 5 * MB, .pace_bytes = 10000, .pace_ns = MS(20)});
    fleet_until_path(f, 0, 1, ADIT_PATH_DIRECT, S(2));
    uint64_t gaps[2][4] = {{0}};
    for (size_t i = 0; i < 4; i++) {
        f->nodes[0].app.max_gap_ns = f->nodes[1].app.max_gap_ns = 0;
        fleet_run(f, S(50));
        gaps[1][i] = f->nodes[1].app.max_gap_ns;
    }
    fleet_finish(f, S(60));
    print_message("             gaps in four times 50 s: %.0f %.0f %.0f %.0f ms, %" PRIu64
                  " + %" PRIu64 " changes of path\n",
                  (double)gaps[1][0] / 1e6, (double)gaps[1][1] / 1e6, (double)gaps[1][2] / 1e6,
                  (double)gaps[1][3] / 1e6, fleet_stats(f, 0, 1).path_changes,
                  fleet_stats(f, 1, 0).path_changes);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(f->nodes[i].app.completed, 1);
        assert_int_equal(f->nodes[i].app.resets, 0);
        assert_int_equal(f->nodes[i].strays, 0);
        fleet_assert_path(f, i, 1 - i, ADIT_PATH_DIRECT);
    }
    fleet_free(f);
}

static void mappings_that_end_after_60_s_cost_no_byte(void **state)
{
    (void)state;
    transfer(S(60), 0, 1);
    transfer(0, S(60), 2);
    transfer(S(60), S(60), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mappings_that_end_after_60_s_cost_no_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
