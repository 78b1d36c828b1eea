/* Paths that die, close, block or change under a conn. */
#include <base/clock.h>
#include <base/err.h>
#include <base/mem.h>

#include "support/conn_pair.h"
#include "transport/path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void a_dead_path_is_told_and_its_frames_move(void **state)
{
    (void)state;
    struct conn_pair p;
    conn_pair_init(&p);
    struct conn_end ends[2] = {{.to_write = 500000}, {.to_write = 1000}};
    conn_pair_open(&p, &ends[0]);
    for (int i = 0; i < 40; i++) {
        conn_pair_step(&p);
        conn_pair_run_events(&p, ends);
    }
    p.dead[1] = true;
    bool suspect = false;
    uint64_t died = p.now;
    while (!suspect) {
        struct conn_event ev;
        assert_true(conn_pair_step(&p));
        while (conn_event(p.side[0], &ev)) {
            suspect = suspect || (ev.type == CONN_EVENT_PATH_SUSPECT && ev.path == 1);
            if (ev.type != CONN_EVENT_PATH_SUSPECT) {
                conn_pair_note_event(&p, 0, &ends[0], &ev);
            }
        }
        assert_true(p.now - died < NS_PER_S);
    }
    /* Two timeouts alone are over much earlier. Silence counts from the last acknowledgement. */
    assert_true(p.now - died > PATH_SUSPECT_NS - 30 * NS_PER_MS);
    uint64_t moved = p.now;
    conn_path_use(p.side[0], 2, true, p.now);
    conn_path_close(p.side[1], 1, p.now);
    conn_path_use(p.side[1], 2, false, p.now);
    struct conn_path_info info;
    assert_true(conn_path_info(p.side[0], 1, &info));
    assert_int_equal(info.in_flight, 0);
    conn_pair_run_to_end(&p, ends, 5 * NS_PER_S);
    conn_pair_check_complete(&p, ends);
    assert_true(p.now - moved < NS_PER_S);
    conn_pair_settle(&p);
    conn_pair_free(&p);
}

static void a_closed_path_keeps_its_numbers(void **state)
{
    (void)state;
    struct conn_pair p;
    conn_pair_init(&p);
    struct conn_end ends[2] = {{.to_write = 60000}, {.to_write = 60000}};
    conn_pair_open(&p, &ends[0]);
    struct conn_path_info info;
    for (int i = 0; i < 30; i++) {
        conn_pair_step(&p);
        conn_pair_run_events(&p, ends);
        conn_path_close(p.side[0], 1, p.now);
        assert_int_equal(conn_path_used(p.side[0]), 0);
        assert_false(conn_path_info(p.side[0], 1, &info));
        assert_int_equal(conn_next_path(p.side[0], p.now) == 1, false);
        conn_path_open(p.side[0], 1, MTU, p.now);
        conn_path_use(p.side[0], 1, false, p.now);
    }
    conn_pair_run_to_end(&p, ends, 5 * NS_PER_S);
    conn_pair_check_complete(&p, ends);
    struct conn_stats stats;
    conn_stats(p.side[1], &stats);
    assert_int_equal(stats.packets_duplicate, 0);
    conn_pair_settle(&p);
    conn_pair_free(&p);
}

static void a_blocked_path_sends_nothing_and_probes_nothing(void **state)
{
    (void)state;
    struct conn_pair p;
    conn_pair_init(&p);
    struct conn_end ends[2] = {{.to_write = 60000}, {.to_write = 10}};
    conn_pair_open(&p, &ends[0]);
    conn_pair_step(&p);
    conn_path_block(p.side[0], 1, true);
    for (int i = 0; i < 100 && conn_pair_step(&p); i++) {
        conn_pair_run_events(&p, ends);
    }
    assert_false(ends[1].gone);
    assert_int_equal(conn_next_path(p.side[0], p.now + 60 * NS_PER_S), 0);
    conn_tick(p.side[0], p.now + 60 * NS_PER_S);
    p.now += 60 * NS_PER_S;
    conn_path_block(p.side[0], 1, false);
    struct conn_path_info info;
    conn_path_info(p.side[0], 1, &info);
    assert_int_equal(info.pto_count, 0);
    conn_pair_run_to_end(&p, ends, 5 * NS_PER_S);
    conn_pair_check_complete(&p, ends);
    conn_pair_settle(&p);
    conn_pair_free(&p);
}

static void frames_leave_a_dead_path_without_being_told_to(void **state)
{
    (void)state;
    struct conn_pair p;
    conn_pair_init(&p);
    struct conn_end ends[2] = {{.to_write = 1 << 20}, {.to_write = 10}};
    conn_pair_open(&p, &ends[0]);
    struct conn_path_info before, after;
    do {
        conn_pair_step(&p);
        conn_pair_run_events(&p, ends);
        conn_path_info(p.side[0], 1, &before);
    } while (before.srtt_ns == 0);
    p.dead[1] = true;
    p.count = 0; /* what was on its way is gone, too */
    conn_pair_step(&p);
    conn_pair_run_events(&p, ends);
    conn_path_info(p.side[0], 1, &before);
    assert_true(before.in_flight > 4 * MTU);
    conn_path_use(p.side[0], 2, false, p.now);
    conn_path_use(p.side[1], 2, false, p.now);
    /* Something waits for the other path while this one times out. */
    conn_path_block(p.side[0], 2, true);
    conn_send_candidates(p.side[0], NULL, 0);
    uint64_t start = p.now;
    while (p.now < start + 300 * NS_PER_MS && conn_pair_step(&p)) {
    }
    conn_path_info(p.side[0], 1, &after);
    assert_int_equal(after.in_flight, 0);
    conn_path_block(p.side[0], 2, false);
    conn_pair_run_to_end(&p, ends, 2 * NS_PER_S);
    conn_pair_check_complete(&p, ends);
    conn_path_info(p.side[0], 1, &after);
    assert_int_equal(after.packets_sent, before.packets_sent);
    conn_pair_settle(&p);
    conn_pair_free(&p);
}

static size_t count_suspects(struct conn_pair *p)
{
    size_t count = 0;
    struct conn_event ev;
    while (conn_event(p->side[0], &ev)) {
        count += ev.type == CONN_EVENT_PATH_SUSPECT;
    }
    return count;
}

static void a_path_is_suspected_once_per_silence(void **state)
{
    (void)state;
    struct conn_pair p;
    conn_pair_init(&p);
    uint64_t id;
    assert_int_equal(conn_stream_open(p.side[0], "t", 1, &id), 0);
    for (int round = 0; round < 3; round++) {
        conn_stream_write(p.side[0], id, "x", 1);
        p.dead[1] = true;
        for (int i = 0; i < 60; i++) {
            conn_pair_step(&p);
        }
        struct conn_path_info info;
        conn_path_info(p.side[0], 1, &info);
        assert_true(info.pto_count > 3);
        assert_int_equal(count_suspects(&p), 1);
        p.dead[1] = false;
        for (int i = 0; i < 1000 && conn_pair_step(&p); i++) {
        }
        conn_path_info(p.side[0], 1, &info);
        assert_int_equal(info.pto_count, 0);
        assert_int_equal(count_suspects(&p), 0);
    }
    conn_pair_free(&p);
}

static void a_late_packet_gives_the_window_back(void **state)
{
    (void)state;
    struct conn_pair p;
    conn_pair_init_cubic(&p);
    struct conn_end ends[2] = {{.to_write = 4 << 20}, {.to_write = 10}};
    conn_pair_open(&p, &ends[0]);
    struct conn_path_info before, lost, after;
    while (ends[1].read < 1 << 20) {
        conn_pair_step(&p);
        conn_pair_run_events(&p, ends);
    }
    conn_path_info(p.side[0], 1, &before);
    size_t i = 0;
    while (i == p.count || p.wire[i].to != 1) {
        if (i++ >= p.count) {
            conn_pair_step(&p);
            conn_pair_run_events(&p, ends);
            i = 0;
        }
    }
    struct conn_pair_packet late = p.wire[i];
    p.wire[i] = p.wire[--p.count];
    do {
        conn_pair_step(&p);
        conn_pair_run_events(&p, ends);
        conn_path_info(p.side[0], 1, &lost);
    } while (lost.packets_lost == 0);
    assert_true(lost.cwnd < before.cwnd);
    late.at_ns = p.now;
    p.wire[p.count++] = late;
    uint64_t sent = p.now;
    while (p.now < sent + 40 * NS_PER_MS) {
        conn_pair_step(&p);
        conn_pair_run_events(&p, ends);
    }
    conn_path_info(p.side[0], 1, &after);
    assert_true(after.cwnd >= before.cwnd);
    conn_pair_run_to_end(&p, ends, 5 * NS_PER_S);
    conn_pair_check_complete(&p, ends);
    conn_pair_free(&p);
}

static void the_window_does_not_grow_unused(void **state)
{
    (void)state;
    struct conn_pair p;
    conn_pair_init_cubic(&p);
    uint64_t id;
    uint8_t block[2000] = {0};
    const uint8_t *at;
    bool fin;
    struct conn_event ev;
    assert_int_equal(conn_stream_open(p.side[0], "t", 1, &id), 0);
    for (int round = 0; round < 200; round++) {
        assert_int_equal(conn_stream_write(p.side[0], id, block, sizeof(block)), sizeof(block));
        while (conn_pair_step(&p)) {
            while (conn_event(p.side[1], &ev)) {
                size_t n;
                while ((n = conn_stream_peek(p.side[1], id, &at, &fin)) > 0) {
                    conn_stream_consume(p.side[1], id, n, p.now);
                }
            }
        }
    }
    struct conn_path_info info;
    conn_path_info(p.side[0], 1, &info);
    assert_true(info.packets_sent > 200);
    assert_int_equal(info.cwnd, 10 * MTU);
    conn_pair_free(&p);
}

static void unused_path_zero_sends_acks_only(void **state)
{
    (void)state;
    struct conn_pair p;
    conn_pair_init(&p);
    p.reply_same = true;
    struct conn_end ends[2] = {{.to_write = 3000}, {.to_write = 3000}};
    conn_path_use(p.side[1], 0, false, p.now);
    conn_pair_open(&p, &ends[0]);
    for (int i = 0; i < 200 && conn_pair_step(&p); i++) {
        conn_pair_run_events(&p, ends);
    }
    assert_int_equal(ends[1].read, 3000);
    assert_int_equal(ends[0].read, 0);
    struct conn_path_info info;
    conn_path_info(p.side[0], 1, &info);
    assert_int_equal(info.in_flight, 0); /* so the acknowledgements came */
    assert_true(conn_is_active(p.side[1]));
    conn_path_use(p.side[1], 2, false, p.now);
    conn_pair_run_to_end(&p, ends, NS_PER_S);
    conn_pair_check_complete(&p, ends);
    conn_pair_settle(&p);
    conn_pair_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dead_path_is_told_and_its_frames_move),
        cmocka_unit_test(a_closed_path_keeps_its_numbers),
        cmocka_unit_test(a_blocked_path_sends_nothing_and_probes_nothing),
        cmocka_unit_test(frames_leave_a_dead_path_without_being_told_to),
        cmocka_unit_test(a_path_is_suspected_once_per_silence),
        cmocka_unit_test(a_late_packet_gives_the_window_back),
        cmocka_unit_test(the_window_does_not_grow_unused),
        cmocka_unit_test(unused_path_zero_sends_acks_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
