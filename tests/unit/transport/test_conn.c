/* Two conns over two paths in virtual time: what is written arrives, whatever is lost. */
#include <base/clock.h>
#include <base/err.h>
#include <base/mem.h>

#include "support/conn_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void small_exchange_takes_three_round_trips(void **state)
{
    (void)state;
    struct conn_pair p;
    conn_pair_init(&p);
    struct conn_end ends[2] = {{.to_write = 100}, {.to_write = 5000}};
    conn_pair_open(&p, &ends[0]);
    uint64_t took = conn_pair_run_to_end(&p, ends, NS_PER_S);
    conn_pair_check_complete(&p, ends);
    assert_in_range(took, 20 * NS_PER_MS, 70 * NS_PER_MS);
    conn_pair_settle(&p);
    conn_pair_free(&p);
}

static void bulk_grows_its_windows(void **state)
{
    (void)state;
    struct conn_pair p;
    conn_pair_init(&p);
    struct conn_end ends[2] = {{.to_write = 8 << 20}, {.to_write = 1000}};
    conn_pair_open(&p, &ends[0]);
    uint64_t took = conn_pair_run_to_end(&p, ends, 10 * NS_PER_S);
    conn_pair_check_complete(&p, ends);
    /* 128 KiB of send buffer per 20 ms is 6.5 MB/s: 1.3 s, and what slow start takes. */
    assert_in_range(took, NS_PER_S, 2 * NS_PER_S);
    struct conn_path_info info;
    assert_true(conn_path_info(p.side[0], 1, &info));
    assert_int_equal(info.packets_lost, 0);
    assert_in_range(info.srtt_ns, 19 * NS_PER_MS, 25 * NS_PER_MS);
    conn_pair_settle(&p);
    conn_pair_free(&p);
}

static void every_nth_packet_lost(void **state)
{
    (void)state;
    for (unsigned n = 2; n < 20; n += 3) {
        struct conn_pair p;
        conn_pair_init(&p);
        p.drop_every = n;
        struct conn_end ends[2] = {{.to_write = 300000}, {.to_write = 200000}};
        conn_pair_open(&p, &ends[0]);
        conn_pair_run_to_end(&p, ends, 600 * NS_PER_S);
        conn_pair_check_complete(&p, ends);
        conn_pair_settle(&p);
        conn_pair_free(&p);
    }
}

static void random_loss_on_separate_reply_paths(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 10; seed++) {
        struct conn_pair p;
        conn_pair_init(&p);
        p.rng = pcg_rng(&p.pcg, seed);
        p.hash_drop = 30 + 30 * seed;
        p.reply_same = seed % 2;
        struct conn_end ends[2] = {{.to_write = 200000}, {.to_write = 100000}};
        conn_pair_open(&p, &ends[0]);
        conn_path_use(p.side[1], 2, false, p.now);
        conn_pair_run_to_end(&p, ends, 600 * NS_PER_S);
        conn_pair_check_complete(&p, ends);
        conn_pair_settle(&p);
        conn_pair_free(&p);
    }
}

/* --- the session --- */

static void candidates_arrive_and_the_newest_wins(void **state)
{
    (void)state;
    struct conn_pair p;
    conn_pair_init(&p);
    p.hash_drop = 300;
    struct frame_candidate list[2] = {{.source = 1, .addr = {.family = ADDR_IPV4, .port = 1}},
                                      {.source = 2, .addr = {.family = ADDR_IPV6, .port = 2}}};
    conn_send_candidates(p.side[0], list, 2);
    conn_pair_step(&p);
    list[0].addr.port = 9;
    conn_send_candidates(p.side[0], list, 1);
    conn_pair_settle(&p);
    struct conn_event ev;
    struct conn_event last = {0};
    while (conn_event(p.side[1], &ev)) {
        last = ev;
    }
    assert_int_equal(last.type, CONN_EVENT_CANDIDATES);
    assert_int_equal(last.u.candidates.count, 1);
    assert_int_equal(last.u.candidates.list[0].addr.port, 9);
    conn_pair_free(&p);
}

static void close_and_abandon_end_everything(void **state)
{
    (void)state;
    struct conn_pair p;
    conn_pair_init(&p);
    struct conn_end ends[2] = {{.to_write = 100000}, {.to_write = 100000}};
    conn_pair_open(&p, &ends[0]);
    for (int i = 0; i < 20; i++) {
        conn_pair_step(&p);
        conn_pair_run_events(&p, ends);
    }
    conn_close(p.side[0], 42, "good bye");
    for (int i = 0; i < 100; i++) {
        conn_pair_step(&p);
    }
    assert_int_equal(conn_next_path(p.side[0], p.now), 0);
    struct conn_event ev;
    bool closed = false;
    while (conn_event(p.side[1], &ev)) {
        if (ev.type == CONN_EVENT_PEER_CLOSED) {
            assert_int_equal(ev.cause, 42);
            closed = true;
        }
    }
    assert_true(closed);
    for (int i = 0; i < 2; i++) {
        conn_abandon(p.side[i], 42);
        bool reset = false;
        while (conn_event(p.side[i], &ev)) {
            reset = reset || (ev.type == CONN_EVENT_RESET && ev.cause == 42);
        }
        assert_true(reset);
        assert_int_equal(conn_stream_count(p.side[i]), 0);
        assert_int_equal(conn_next_ns(p.side[i]), TIME_NEVER);
    }
    conn_pair_free(&p);
}

/* --- memory --- */

/* Memory that fails from the n-th allocation on, for a while: nothing breaks, and when there is
 * memory again the exchange goes on. */
static void survives_short_memory(void **state)
{
    (void)state;
    for (size_t n = 1; n < 60; n++) {
        struct conn_pair p;
        conn_pair_init(&p);
        p.drop_every = 5;
        struct conn_end ends[2] = {{.to_write = 40000}, {.to_write = 30000}};
        mem_fail_after(n);
        while (conn_stream_open(p.side[0], "target", 6, &ends[0].id) < 0) {
            mem_fail_after(0);
        }
        for (int i = 0; i < 60; i++) {
            conn_pair_step(&p);
            if (n < 20) {
                mem_fail_after(0);
            }
            conn_pair_run_events(&p, ends);
            if (n < 20) {
                mem_fail_after(1);
            }
        }
        mem_fail_after(0);
        conn_pair_feed(p.side[0], &ends[0]);
        conn_pair_run_to_end(&p, ends, 60 * NS_PER_S);
        conn_pair_check_complete(&p, ends);
        conn_pair_settle(&p);
        conn_pair_free(&p);
    }
}

static void new_fails_cleanly(void **state)
{
    (void)state;
    const struct conn_limits limits = conn_pair_limits();
    mem_fail_after(1);
    assert_null(conn_pair_make_side(true, &limits));
    mem_fail_after(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_exchange_takes_three_round_trips),
        cmocka_unit_test(bulk_grows_its_windows),
        cmocka_unit_test(every_nth_packet_lost),
        cmocka_unit_test(random_loss_on_separate_reply_paths),
        cmocka_unit_test(candidates_arrive_and_the_newest_wins),
        cmocka_unit_test(close_and_abandon_end_everything),
        cmocka_unit_test(survives_short_memory),
        cmocka_unit_test(new_fails_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
