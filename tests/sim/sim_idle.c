/* Hours of silence: no timers, no packets, and then everything goes on. */
#include "sim/pair.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
#define HOUR (3600 * NS_PER_S)

static uint64_t packets_of(const struct pair *p)
{
    return p->side[0].packets_out + p->side[1].packets_out;
}

static void a_new_session_is_silent(void **state)
{
    (void)state;
    struct pair_config config = pair_config_default("sim_idle", 1);
    struct pair *p = pair_new(&config);
    pair_settle(p);
    uint64_t packets = packets_of(p);
    pair_rest(p, 10 * HOUR);
    assert_int_equal(packets_of(p), packets);
    assert_true(packets <= 20); /* a search for the path's MTU at most */
    pair_free(p);
}

/* One stream is read from and falls asleep in the middle, one was never read. */
static void streams_sleep_for_hours_and_go_on(void **state)
{
    (void)state;
    struct pair_config config = pair_config_default("sim_idle", 1);
    struct pair *p = pair_new(&config);
    struct app_plan plan = app_transfer(20000000, 20000000);
    uint64_t id = pair_open(p, 0, &plan);
    pair_rest(p, NS_PER_S);
    p->side[1].app.hold = true;
    pair_open(p, 0, &plan);
    app_hold(&p->side[1].app, id);
    pair_rest(p, 60 * NS_PER_S);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(conn_next_ns(p->side[i].conn), TIME_NEVER);
    }
    uint64_t packets = packets_of(p);
    uint64_t ticks = p->side[0].ticks + p->side[1].ticks;
    pair_rest(p, 20 * HOUR);
    assert_int_equal(packets_of(p), packets);
    assert_int_equal(p->side[0].ticks + p->side[1].ticks, ticks);
    app_release_all(&p->side[1].app);
    assert_true(pair_run(p, pair_ideal_ns(40000000, 100000000, MS(40)) * 3 / 2));
    pair_settle(p);
    pair_free(p);
}

/* The window that a transfer had reached is no licence to send as much at once a night later:
 * a second transfer is as fast as the first one, and overruns no queue. */
static void a_second_transfer_after_a_night(void **state)
{
    (void)state;
    struct pair_config config = pair_config_default("sim_idle", 1);
    config.link[0][0].queue_bytes = 300000;
    struct pair *p = pair_new(&config);
    struct app_plan plan = app_transfer(10000000, 0);
    for (int i = 0; i < 3; i++) {
        uint64_t before = p->world.now;
        pair_open(p, 0, &plan);
        assert_true(pair_run(p, pair_ideal_ns(10000000, 100000000, MS(40)) * 3 / 2));
        assert_true(time_since(before, p->world.now) > MS(800)); /* no time travel */
        pair_settle(p);
        pair_rest(p, 9 * HOUR);
    }
    struct conn_path_info info;
    assert_true(conn_path_info(p->side[0].conn, p->side[0].path[0].id, &info));
    assert_in_range(info.cwnd, 100000, 3000000);
    assert_int_equal(info.in_flight, 0);
    assert_in_range(info.min_rtt_ns, MS(40), MS(42));
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_session_is_silent),
        cmocka_unit_test(streams_sleep_for_hours_and_go_on),
        cmocka_unit_test(a_second_transfer_after_a_night),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
