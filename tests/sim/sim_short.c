/* A path of a fifth of a millisecond: what is spent on looking at it must be short, too. */
#include "sim/pair.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
enum { MBIT = 600, SLICE_MS = 100, SLICES = 56, FIRST = 5 };
#define SLICE_BYTES (UINT64_C(1000000) * MBIT / 8 * SLICE_MS / 1000)

/* What a timer of a millisecond sends stands in the queue, so that the least round trip is not seen
 * again by itself: after 5 s it is looked for, with half of what fits into the path. */
static void looking_for_the_least_round_trip_is_hardly_felt(void **state)
{
    (void)state;
    struct pair_config config = pair_config_default("sim_short", 1);
    const struct link_config link = {.rate_bps = UINT64_C(1000000) * MBIT,
                                     .delay_ns = MS(1) / 10,
                                     .queue_bytes = 1000000,
                                     .mtu = 1472};
    pair_config_path(&config, 0, &link);
    config.congestion = CONN_CONGESTION_BBR;
    struct pair *p = pair_new(&config);
    const struct app_plan bulk = app_transfer(0, UINT64_C(1) << 40);
    pair_open(p, 0, &bulk);
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < SLICES; i++) {
        uint64_t before = p->side[0].app.bytes_read;
        pair_rest(p, MS(SLICE_MS));
        uint64_t got = p->side[0].app.bytes_read - before;
        least = i >= FIRST && got < least ? got : least;
    }
    print_message("             least: %u %%\n", (unsigned)(least * 100 / SLICE_BYTES));
    assert_in_range(least, SLICE_BYTES * 70 / 100, SLICE_BYTES);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(looking_for_the_least_round_trip_is_hardly_felt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
