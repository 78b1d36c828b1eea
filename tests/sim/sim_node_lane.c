/* Streams that are bound to direct paths, or to relays: whole nodes, and which way the bytes went.
 */
#include "sim/fleet.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define S(n) ((uint64_t)(n)*NS_PER_S)
#define MB UINT64_C(1000000)
/* Of handshakes, challenges and candidates in the time of one test. */
#define OTHER_BYTES 60000

static bool count_direct(struct fleet *f, size_t from, size_t to, const uint8_t *data, size_t len)
{
    (void)from;
    (void)to;
    (void)data;
    *(uint64_t *)f->user += len;
    return true;
}

static struct fleet *start(uint64_t seed, bool no_udp, uint64_t *direct_bytes)
{
    struct fleet_config config = fleet_config_default("sim_node_lane", seed);
    config.no_udp = no_udp;
    struct fleet *f = fleet_new(&config);
    *direct_bytes = 0;
    f->filter = count_direct;
    f->user = direct_bytes;
    fleet_start_all(f);
    return f;
}

static uint64_t relay_bytes(const struct fleet *f)
{
    return relay_server_stats(f->relays[0].server)->bytes_in;
}

static void assert_done(const struct fleet *f, uint64_t streams)
{
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(f->nodes[i].app.completed, streams);
        assert_int_equal(f->nodes[i].app.resets, 0);
    }
}

static void direct_only_waits_until_there_is_a_direct_path(void **state)
{
    (void)state;
    for (size_t way = 0; way < 2; way++) {
        uint64_t direct;
        struct fleet *f = start(1 + way, true, &direct);
        fleet_open(f, way, 1 - way,
                   (struct fleet_plan){.up = 5 * MB, .down = 5 * MB, .lane = FRAME_LANE_DIRECT});
        fleet_run(f, S(20));
        fleet_assert_path(f, way, 1 - way, ADIT_PATH_RELAY);
        assert_int_equal(f->nodes[1 - way].app.accepted, 0);
        fleet_udp(f, true);
        fleet_finish(f, S(12));
        assert_done(f, 1);
        assert_true(direct > 10 * MB);
        assert_true(relay_bytes(f) < OTHER_BYTES);
        fleet_free(f);
    }
}

/* The path dies in the middle; what was in flight waits, while others go on over the relay. */
static void direct_only_waits_while_the_direct_path_is_gone(void **state)
{
    (void)state;
    uint64_t direct;
    struct fleet *f = start(3, false, &direct);
    (void)fleet_until_path(f, 0, 1, ADIT_PATH_DIRECT, S(6));
    fleet_open(f, 0, 1,
               (struct fleet_plan){.up = 20 * MB, .down = 20 * MB, .lane = FRAME_LANE_DIRECT});
    fleet_run(f, S(1));
    fleet_udp(f, false);
    fleet_run(f, S(9));
    fleet_assert_path(f, 0, 1, ADIT_PATH_RELAY);
    assert_true(relay_bytes(f) < OTHER_BYTES);
    fleet_open(f, 0, 1, (struct fleet_plan){.up = MB, .down = MB});
    fleet_run(f, S(3));
    assert_int_equal(f->nodes[0].app.unfinished, 1); /* the other one is done */
    assert_true(relay_bytes(f) > 2 * MB && relay_bytes(f) < 2 * MB + MB / 4);
    uint64_t read = f->nodes[0].app.bytes_read;
    fleet_run(f, S(3));
    assert_int_equal(f->nodes[0].app.bytes_read, read);
    fleet_udp(f, true);
    fleet_finish(f, S(20));
    assert_done(f, 2);
    assert_true(relay_bytes(f) < 2 * MB + MB / 4);
    fleet_free(f);
}

static void relay_only_stays_there_although_direct_is_in_use(void **state)
{
    (void)state;
    for (size_t way = 0; way < 2; way++) {
        uint64_t direct;
        struct fleet *f = start(4 + way, false, &direct);
        (void)fleet_until_path(f, 0, 1, ADIT_PATH_DIRECT, S(6));
        (void)fleet_until_path(f, 1, 0, ADIT_PATH_DIRECT, S(6));
        fleet_open(f, way, 1 - way,
                   (struct fleet_plan){.up = 5 * MB, .down = 5 * MB, .lane = FRAME_LANE_RELAY});
        fleet_run(f, S(1));
        fleet_assert_path(f, 0, 1, ADIT_PATH_DIRECT);
        fleet_finish(f, S(8));
        assert_done(f, 1);
        assert_true(relay_bytes(f) > 10 * MB);
        assert_true(direct < OTHER_BYTES);
        fleet_free(f);
    }
}

/* Both paths carry data at the same time, each its own. */
static void three_streams_three_ways(void **state)
{
    (void)state;
    uint64_t direct;
    struct fleet *f = start(6, false, &direct);
    (void)fleet_until_path(f, 0, 1, ADIT_PATH_DIRECT, S(6));
    (void)fleet_until_path(f, 1, 0, ADIT_PATH_DIRECT, S(6));
    for (int lane = FRAME_LANE_ANY; lane < FRAME_LANES; lane++) {
        fleet_open(
            f, 0, 1,
            (struct fleet_plan){.up = 10 * MB, .down = 10 * MB, .lane = (enum frame_lane)lane});
    }
    fleet_finish(f, S(8));
    assert_done(f, 3);
    assert_true(direct > 40 * MB && direct < 46 * MB);
    assert_true(relay_bytes(f) > 20 * MB && relay_bytes(f) < 23 * MB);
    fleet_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(direct_only_waits_until_there_is_a_direct_path),
        cmocka_unit_test(direct_only_waits_while_the_direct_path_is_gone),
        cmocka_unit_test(relay_only_stays_there_although_direct_is_in_use),
        cmocka_unit_test(three_streams_three_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
