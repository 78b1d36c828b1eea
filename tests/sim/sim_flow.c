/* Slow and stalled readers: nothing is held beyond the windows, and nobody else waits. */
#include "sim/pair.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
/* Credit is renewed when half of the window has been read: at least half of 100 kB travels in a
 * round trip of 40 ms. */
#define WINDOW_BPS (50000 * 8 * 25)
#define MB(n) ((uint64_t)(n)*1000000)

static struct pair_config small_windows(void)
{
    struct pair_config config = pair_config_default("sim_flow", 1);
    for (size_t i = 0; i < 2; i++) {
        config.limits[i].stream_window = config.limits[i].stream_window_max = 100000;
        config.limits[i].session_window = config.limits[i].session_window_max = 400000;
        config.limits[i].send_buffer_max = 200000;
    }
    return config;
}

static void a_stopped_reader_stops_the_sender(void **state)
{
    (void)state;
    struct pair_config config = small_windows();
    struct pair *p = pair_new(&config);
    p->side[1].app.hold = true;
    struct app_plan plan = app_transfer(MB(5), 0);
    uint64_t id = pair_open(p, 0, &plan);
    pair_rest(p, 60 * NS_PER_S);
    /* The window is full at the reader, and some 64 kB more are at the sender. */
    assert_in_range(app_stream_written(&p->side[0].app, id), 100000 + 32768, 100000 + 65536);
    struct conn_stats stats;
    conn_stats(p->side[1].conn, &stats);
    assert_in_range(stats.bytes_in, 0, 100000);
    /* No packets but those that brought the window and perhaps a few probes. */
    assert_in_range(p->side[0].packets_out, 60, 200);
    app_release_all(&p->side[1].app);
    pair_drive(p, 1);
    assert_true(pair_run(p, pair_ideal_ns(MB(5), WINDOW_BPS, MS(40)) * 6 / 5));
    pair_settle(p);
    pair_free(p);
}

/* 100 kB/s for 20 s: the reader's pace is the writer's. */
static void a_slow_reader_slows_the_sender(void **state)
{
    (void)state;
    struct pair_config config = small_windows();
    struct pair *p = pair_new(&config);
    p->side[1].app.hold = true;
    struct app_plan plan = app_transfer(MB(2), 0);
    uint64_t id = pair_open(p, 0, &plan);
    for (int i = 0; i < 2000; i++) {
        pair_rest(p, MS(10));
        app_read_some(&p->side[1].app, id, 1000);
        pair_drive(p, 1);
        uint64_t written = app_stream_written(&p->side[0].app, id);
        uint64_t read = app_stream_read(&p->side[1].app, id);
        assert_true(written - read <= 300000);
        assert_true(i < 20 || read >= (uint64_t)(i - 20) * 1000); /* never starved */
    }
    app_release_all(&p->side[1].app); /* the end itself */
    pair_finish(p, NS_PER_S);
    /* Credit is not given byte by byte: a few packets for each half of a window. */
    assert_true(p->side[1].packets_out <= pair_ideal_packets(MB(2)) + 500);
    pair_settle(p);
    pair_free(p);
}

/* Two streams are stalled and hold half of the session's window; a third one goes on. */
static void stalled_streams_leave_room_for_others(void **state)
{
    (void)state;
    struct pair_config config = small_windows();
    struct pair *p = pair_new(&config);
    struct app_plan plan = app_transfer(MB(1), 0);
    p->side[1].app.hold = true;
    uint64_t stalled[2] = {pair_open(p, 0, &plan), pair_open(p, 0, &plan)};
    pair_rest(p, NS_PER_S);
    p->side[1].app.hold = false;
    uint64_t id = pair_open(p, 0, &plan);
    pair_rest(p, pair_ideal_ns(MB(1), WINDOW_BPS, MS(40)) * 6 / 5);
    assert_int_equal(app_stream_read(&p->side[1].app, id), MB(1));
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(app_stream_read(&p->side[1].app, stalled[i]), 0);
    }
    app_release_all(&p->side[1].app);
    pair_drive(p, 1);
    assert_true(pair_run(p, pair_ideal_ns(MB(2), WINDOW_BPS, MS(40)) * 6 / 5));
    pair_settle(p);
    pair_free(p);
}

/* Eight stalled streams use up the session's window of four: that is its ceiling. Aborting them
 * gives it back, though nobody ever read what had come. */
static void the_session_window_is_the_ceiling_and_is_given_back(void **state)
{
    (void)state;
    struct pair_config config = small_windows();
    struct pair *p = pair_new(&config);
    struct app_plan plan = app_transfer(MB(1), 0);
    p->side[1].app.hold = true;
    uint64_t ids[8];
    for (size_t i = 0; i < 8; i++) {
        ids[i] = pair_open(p, 0, &plan);
    }
    pair_rest(p, 5 * NS_PER_S);
    struct conn_stats stats;
    conn_stats(p->side[1].conn, &stats);
    assert_in_range(stats.bytes_in, 390000, 400000);
    for (size_t i = 0; i < 8; i++) {
        app_abort(&p->side[i % 2].app, ids[i]);
    }
    pair_drive(p, 0);
    pair_drive(p, 1);
    pair_rest(p, NS_PER_S);
    assert_int_equal(conn_stream_count(p->side[0].conn), 0);
    assert_int_equal(conn_stream_count(p->side[1].conn), 0);
    /* Another life for the window, several times over. */
    p->side[1].app.hold = false;
    uint64_t id = pair_open(p, 0, &plan);
    pair_rest(p, pair_ideal_ns(MB(1), WINDOW_BPS, MS(40)) * 6 / 5);
    assert_int_equal(app_stream_read(&p->side[1].app, id), MB(1));
    pair_free(p);
}

/* Windows grow while the application keeps up: 64 kB would be 13 Mbit/s over 40 ms. */
static void windows_grow_to_the_path(void **state)
{
    (void)state;
    struct pair_config config = pair_config_default("sim_flow", 1);
    for (size_t i = 0; i < 2; i++) {
        config.limits[i].stream_window = 65536;
        config.limits[i].session_window = 131072;
    }
    struct pair *p = pair_new(&config);
    struct app_plan plan = app_transfer(MB(20), 0);
    pair_open(p, 0, &plan);
    pair_finish(p, pair_ideal_ns(MB(20), 100000000, MS(40)) * 3 / 2);
    pair_settle(p);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stopped_reader_stops_the_sender),
        cmocka_unit_test(a_slow_reader_slows_the_sender),
        cmocka_unit_test(stalled_streams_leave_room_for_others),
        cmocka_unit_test(the_session_window_is_the_ceiling_and_is_given_back),
        cmocka_unit_test(windows_grow_to_the_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
