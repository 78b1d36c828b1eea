/* Many streams: at once, one after the other, small beside large. */
#include "sim/pair.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdio.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
enum { STREAMS = 1000 };

/* Sizes from 0 to 100 kB, most of them small, as those of web pages. */
static struct app_plan mixed(struct pair *p, uint64_t *up, uint64_t *down)
{
    uint64_t scale = UINT64_C(10) << (3 * rng_below(p->world.rng, 5));
    struct app_plan plan =
        app_transfer(rng_below(p->world.rng, scale), rng_below(p->world.rng, 2 * scale));
    plan.down_after_up = rng_below(p->world.rng, 2);
    *up += plan.up;
    *down += plan.down;
    return plan;
}

static void a_thousand_at_once_from_both_sides(void **state)
{
    (void)state;
    struct pair_config config = pair_config_default("sim_many", 1);
    struct pair *p = pair_new(&config);
    uint64_t bytes[2] = {0, 0};
    for (size_t i = 0; i < STREAMS; i++) {
        size_t side = i % 2;
        struct app_plan plan = mixed(p, &bytes[side], &bytes[1 - side]);
        pair_open(p, side, &plan);
    }
    uint64_t most = bytes[0] > bytes[1] ? bytes[0] : bytes[1];
    /* Each stream adds its open and its accept, about 100 bytes, to what is sent. One round trip
     * more for those that answer. */
    uint64_t ideal = pair_ideal_ns(most + STREAMS * 100, 100000000, MS(40));
    pair_finish(p, ideal * 3 / 2 + MS(40));
    assert_int_equal(p->side[0].app.accepted_from_peer, STREAMS / 2);
    assert_int_equal(p->side[1].app.accepted_from_peer, STREAMS / 2);
    assert_int_equal(p->side[0].app.bytes_read, bytes[1]);
    assert_int_equal(p->side[1].app.bytes_read, bytes[0]);
    assert_int_equal(p->side[0].app.resets + p->side[1].app.resets, 0);
    pair_settle(p);
    pair_free(p);
}

/* One round trip each: ids, limits and tables are given back. The limit on streams is far below
 * the number of streams that come and go. */
static void a_thousand_one_after_the_other(void **state)
{
    (void)state;
    struct pair_config config = pair_config_default("sim_many", 1);
    config.limits[0].streams_max = config.limits[1].streams_max = 16;
    struct pair *p = pair_new(&config);
    for (size_t i = 0; i < STREAMS; i++) {
        uint64_t before = p->world.now;
        struct app_plan plan = app_transfer(300, 1000);
        plan.down_after_up = true;
        pair_open(p, i % 2, &plan);
        assert_true(pair_run(p, MS(200)));
        uint64_t read_ns = p->side[i % 2].app.read_ns;
        assert_in_range(time_since(before, read_ns), MS(40), MS(44));
    }
    /* Each takes two packets a side, and some more for credit. */
    assert_in_range(p->side[0].packets_out, STREAMS, 4 * STREAMS);
    pair_settle(p);
    pair_free(p);
}

/* More than either side admits at once: each stream that ends makes room for the next. Ten in two
 * round trips, the second one for the new limit to arrive. */
static void waits_at_the_limit_of_streams(void **state)
{
    (void)state;
    enum { JOBS = 200, AT_ONCE = 10 };
    for (size_t narrow = 0; narrow < 2; narrow++) {
        struct pair_config config = pair_config_default("sim_many", 1);
        config.limits[narrow].streams_max = AT_ONCE;
        struct pair *p = pair_new(&config);
        struct app *a = &p->side[0].app;
        struct app_plan plan = app_transfer(1000, 1000);
        while (a->opened < JOBS) {
            while (a->opened < JOBS && app_try_open(a, &plan)) {
            }
            pair_drive(p, 0);
            assert_true(p->side[1].app.unfinished <= AT_ONCE);
            pair_rest(p, MS(5));
            assert_true(time_since(p->start_ns, p->world.now) < JOBS / AT_ONCE * MS(100));
        }
        pair_finish(p, NS_PER_S);
        assert_int_equal(p->side[1].app.bytes_read, JOBS * 1000);
        pair_settle(p);
        pair_free(p);
    }
}

/* A page loads while a backup runs: requests wait for the queue on the line at most, not for the
 * backup. The queue is 50 ms here. */
static void small_streams_pass_a_large_one(void **state)
{
    (void)state;
    struct pair_config config = pair_config_default("sim_many", 1);
    config.link[0][1].rate_bps = 20000000;
    config.link[0][1].queue_bytes = 125000;
    struct pair *p = pair_new(&config);
    struct app_plan backup = app_transfer(0, 20000000);
    pair_open(p, 0, &backup);
    pair_rest(p, NS_PER_S);
    struct app_plan page = app_transfer(400, 5000);
    uint64_t slowest = 0;
    for (int i = 0; i < 20; i++) {
        uint64_t before = p->world.now;
        uint64_t id = pair_open(p, 0, &page);
        while (app_stream_read(&p->side[0].app, id) < page.down) {
            assert_true(world_step(&p->world, before + 2 * NS_PER_S));
        }
        uint64_t took = time_since(before, p->world.now);
        slowest = took > slowest ? took : slowest;
        pair_rest(p, MS(50));
    }
    /* Round trip, the queue, and the pacer's and the timers' milliseconds; a loss of one of its
     * packets, where the queue runs over, costs a round trip more. */
    assert_in_range(slowest, MS(40), 2 * MS(40 + 50) + MS(20));
    assert_false(app_stream_is_over(&p->side[0].app, 0)); /* the backup still ran */
    pair_finish(p, 20 * NS_PER_S);
    pair_settle(p);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_at_once_from_both_sides),
        cmocka_unit_test(a_thousand_one_after_the_other),
        cmocka_unit_test(waits_at_the_limit_of_streams),
        cmocka_unit_test(small_streams_pass_a_large_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
