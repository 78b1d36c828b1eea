/* The ends of streams: half-closes and resets, each way, with and without loss. */
#include "sim/pair.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <base/err.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)

static const uint32_t losses[] = {0, 100000};
enum { LOSSES = 2 };

static struct pair *make(uint32_t loss_ppm)
{
    struct pair_config config = pair_config_default("sim_half_close", 1);
    config.limits[0].send_buffer_max = config.limits[1].send_buffer_max = 200000;
    config.link[0][0].loss_ppm = config.link[0][1].loss_ppm = loss_ppm;
    return pair_new(&config);
}

/* The request ends long before the answer begins, and the other way round. */
static void each_direction_ends_by_itself(void **state)
{
    (void)state;
    for (size_t i = 0; i < LOSSES; i++) {
        struct pair *p = make(losses[i]);
        struct app_plan plans[] = {app_transfer(0, 0), app_transfer(100, 100000),
                                   app_transfer(100000, 100), app_transfer(0, 50000),
                                   app_transfer(50000, 0)};
        for (size_t k = 0; k < 10; k++) {
            plans[k % 5].down_after_up = k < 5;
            pair_open(p, k % 2, &plans[k % 5]);
        }
        pair_finish(p, losses[i] ? 10 * NS_PER_S : MS(400));
        assert_int_equal(p->side[0].app.resets + p->side[1].app.resets, 0);
        pair_settle(p);
        pair_free(p);
    }
}

/* Aborts while a transfer runs both ways; the cause arrives, the other side is over too. */
static void expect_abort(struct app_plan plan, size_t told, uint64_t cause)
{
    for (size_t i = 0; i < LOSSES; i++) {
        struct pair *p = make(losses[i]);
        pair_open(p, 0, &plan);
        pair_finish(p, losses[i] ? 30 * NS_PER_S : NS_PER_S);
        assert_int_equal(p->side[told].app.resets, 1);
        assert_int_equal(p->side[told].app.last_cause, cause);
        assert_int_equal(p->side[1 - told].app.resets, 0);
        pair_settle(p);
        pair_free(p);
    }
}

static void the_opener_resets(void **state)
{
    (void)state;
    struct app_plan plan = app_transfer(5000000, 5000000);
    plan.opener_aborts = 300000;
    expect_abort(plan, 1, APP_CAUSE_OPENER);
}

static void the_acceptor_stops_and_resets(void **state)
{
    (void)state;
    struct app_plan plan = app_transfer(5000000, 5000000);
    plan.acceptor_aborts = 300000;
    expect_abort(plan, 0, APP_CAUSE_ACCEPTOR);
    plan.acceptor_aborts = 0; /* refuses */
    expect_abort(plan, 0, APP_CAUSE_ACCEPTOR);
}

/* The acceptor had finished already: the reset of the other direction still arrives. */
static void a_reset_after_the_other_half_is_closed(void **state)
{
    (void)state;
    struct app_plan plan = app_transfer(2000000, 0);
    plan.opener_aborts = 1000000;
    expect_abort(plan, 1, APP_CAUSE_OPENER);
}

/* Both abort at the same time: neither waits for the other, nothing is left. */
static void both_reset_at_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < LOSSES; i++) {
        struct pair *p = make(losses[i]);
        struct app_plan plan = app_transfer(5000000, 5000000);
        uint64_t id = pair_open(p, 0, &plan);
        pair_rest(p, MS(500));
        assert_int_equal(conn_stream_count(p->side[1].conn), 1);
        for (size_t k = 0; k < 2; k++) {
            app_abort(&p->side[k].app, id);
        }
        pair_drive(p, 0);
        pair_drive(p, 1);
        pair_settle(p);
        assert_int_equal(p->side[0].app.resets + p->side[1].app.resets, 0);
        pair_free(p);
    }
}

/* Calls for a stream that is gone find nothing and harm nothing. */
static void late_calls_find_nothing(void **state)
{
    (void)state;
    struct pair *p = make(0);
    struct conn *c = p->side[0].conn;
    struct app_plan plan = app_transfer(10, 10);
    uint64_t id = pair_open(p, 0, &plan);
    pair_finish(p, NS_PER_S);
    uint8_t *room;
    const uint8_t *at;
    bool fin = true;
    assert_int_equal(conn_stream_finish(c, id), ERR_NOT_FOUND);
    assert_int_equal(conn_stream_abort(c, id, 1), ERR_NOT_FOUND);
    assert_int_equal(conn_stream_write(c, id, "x", 1), 0);
    assert_int_equal(conn_stream_space(c, id, 1, &room), 0);
    assert_int_equal(conn_stream_peek(c, id, &at, &fin), 0);
    assert_false(fin);
    conn_stream_consume(c, id, 0, p->world.now);
    assert_int_equal(conn_stream_accept(c, 999, NULL, 0), ERR_NOT_FOUND);
    pair_settle(p);
    pair_free(p);
}

static void closing_tells_the_peer_why(void **state)
{
    (void)state;
    struct pair *p = make(0);
    struct app_plan plan = app_transfer(5000000, 0);
    pair_open(p, 0, &plan);
    pair_rest(p, MS(100));
    conn_close(p->side[0].conn, 99, "going home");
    pair_drive(p, 0);
    pair_rest(p, MS(30));
    assert_true(p->side[1].app.closed);
    assert_int_equal(p->side[1].app.close_cause, 99);
    pair_free(p);
}

static void an_abandoned_session_ends_its_streams(void **state)
{
    (void)state;
    struct pair *p = make(0);
    struct app_plan plan = app_transfer(5000000, 5000000);
    pair_open(p, 0, &plan);
    pair_open(p, 0, &plan);
    pair_rest(p, MS(200));
    conn_abandon(p->side[0].conn, 13);
    uint64_t packets = p->side[0].packets_out;
    pair_drive(p, 0);
    assert_int_equal(p->side[0].app.resets, 2);
    assert_int_equal(p->side[0].app.last_cause, 13);
    assert_int_equal(p->side[0].app.unfinished, 0);
    pair_rest(p, NS_PER_S);
    assert_int_equal(p->side[0].packets_out, packets);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_direction_ends_by_itself),
        cmocka_unit_test(the_opener_resets),
        cmocka_unit_test(the_acceptor_stops_and_resets),
        cmocka_unit_test(a_reset_after_the_other_half_is_closed),
        cmocka_unit_test(both_reset_at_once),
        cmocka_unit_test(late_calls_find_nothing),
        cmocka_unit_test(closing_tells_the_peer_why),
        cmocka_unit_test(an_abandoned_session_ends_its_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
