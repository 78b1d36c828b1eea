/* Two nodes that reach each other by UDP alone. */
#include "sim/fleet.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
#define S(n) ((uint64_t)(n)*NS_PER_S)
#define RTT MS(40)

static struct fleet_config direct(uint64_t seed)
{
    struct fleet_config config = fleet_config_default("sim_node_direct", seed);
    config.relays = 0;
    return config;
}

/* The initiation, the response, and the first data with the opening of the stream. */
static void the_first_byte_takes_one_round_trip_and_a_half(void **state)
{
    (void)state;
    struct fleet_config config = direct(1);
    struct fleet *f = fleet_new(&config);
    fleet_start(f, 1);
    fleet_run(f, S(30)); /* its greetings found nobody */
    uint64_t start = f->world.now;
    fleet_start(f, 0);
    fleet_open(f, 0, 1, (struct fleet_plan){.up = 1000, .down = 1000});
    fleet_finish(f, S(2));
    assert_true(f->nodes[1].app.first_ns - start <= RTT * 3 / 2 + MS(2));
    assert_true(f->nodes[0].app.read_ns - start <= RTT * 5 / 2 + MS(4));
    assert_int_equal(f->nodes[0].app.completed, 1);
    assert_int_equal(f->nodes[1].app.completed, 1);
    fleet_assert_path(f, 0, 1, ADIT_PATH_DIRECT);
    fleet_assert_path(f, 1, 0, ADIT_PATH_DIRECT);
    fleet_free(f);
}

static void one_side_alone_knows_the_address(void **state)
{
    (void)state;
    for (size_t opener = 0; opener < 2; opener++) {
        struct fleet_config config = direct(2 + opener);
        config.blind = true;
        struct fleet *f = fleet_new(&config);
        fleet_know(f, 0, 1);
        fleet_start(f, 1);
        fleet_start(f, 0);
        fleet_run(f, S(1));
        fleet_open(f, opener, 1 - opener, (struct fleet_plan){.up = 100000, .down = 3000000});
        fleet_finish(f, S(5));
        assert_int_equal(f->nodes[0].app.completed, 1);
        assert_int_equal(f->nodes[1].app.completed, 1);
        fleet_assert_path(f, 0, 1, ADIT_PATH_DIRECT);
        fleet_assert_path(f, 1, 0, ADIT_PATH_DIRECT);
        fleet_free(f);
    }
}

static void both_sides_start_and_open_at_the_same_moment(void **state)
{
    (void)state;
    struct fleet_config config = direct(4);
    struct fleet *f = fleet_new(&config);
    fleet_start_all(f);
    fleet_open(f, 0, 1, (struct fleet_plan){.up = 20000000, .down = 1});
    fleet_open(f, 1, 0, (struct fleet_plan){.up = 20000000, .down = 1});
    fleet_finish(f, S(10));
    assert_int_equal(f->nodes[0].app.completed, 2);
    assert_int_equal(f->nodes[1].app.completed, 2);
    assert_int_equal(f->nodes[0].app.resets + f->nodes[1].app.resets, 0);
    fleet_free(f);
}

/* Its name is what stays; the other side cannot be asked for by name at all. */
static void a_node_moves_again_and_again(void **state)
{
    (void)state;
    for (size_t relays = 0; relays < 2; relays++) {
        struct fleet_config config = direct(5 + relays);
        config.blind = true;
        config.relays = relays;
        struct fleet *f = fleet_new(&config);
        fleet_know(f, 0, 1);
        fleet_start(f, 1);
        fleet_start(f, 0);
        uint64_t id = fleet_open(f, 0, 1, (struct fleet_plan){.up = 1000, .endless = true});
        fleet_run(f, S(2));
        for (uint8_t i = 1; i <= 20; i++) {
            const struct addr addr = addr_ipv4(198, 51, 100, i, 7);
            fleet_udp(f, false); /* neither side hears of the move from the other */
            fleet_move(f, 1, &addr);
            fleet_run(f, S(200));
            fleet_udp(f, true);
            fleet_app_more(&f->nodes[0].app, id, 1000);
            fleet_run(f, S(25));
            assert_int_equal(f->nodes[1].app.bytes_read, 1000 + 1000 * i);
            fleet_assert_path(f, 0, 1, ADIT_PATH_DIRECT);
            fleet_assert_path(f, 1, 0, ADIT_PATH_DIRECT);
        }
        fleet_app_finish(&f->nodes[0].app, id);
        fleet_finish(f, S(1));
        fleet_free(f);
    }
}

/* Between two packets of a transfer. */
static void a_node_moves_in_the_middle_of_a_transfer(void **state)
{
    (void)state;
    for (size_t way = 0; way < 2; way++) {
        struct fleet_config config = direct(7 + way);
        config.relays = 1;
        struct fleet *f = fleet_new(&config);
        fleet_start_all(f);
        fleet_open(f, way, 1 - way, (struct fleet_plan){.up = 40000000, .down = 1});
        fleet_run(f, S(1));
        const struct addr addr = addr_ipv4(198, 51, 100, 1, 7);
        fleet_move(f, 1, &addr);
        fleet_finish(f, S(8));
        assert_true(f->nodes[1 - way].app.max_gap_ns < S(2));
        fleet_assert_path(f, 0, 1, ADIT_PATH_DIRECT);
        assert_int_equal(f->nodes[0].app.resets + f->nodes[1].app.resets, 0);
        fleet_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_byte_takes_one_round_trip_and_a_half),
        cmocka_unit_test(one_side_alone_knows_the_address),
        cmocka_unit_test(both_sides_start_and_open_at_the_same_moment),
        cmocka_unit_test(a_node_moves_again_and_again),
        cmocka_unit_test(a_node_moves_in_the_middle_of_a_transfer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
