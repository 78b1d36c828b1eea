/* Streams that are aborted, limited, or share credit. */
#include <base/clock.h>
#include <base/err.h>
#include <base/mem.h>

#include "support/conn_pair.h"
#include "transport/conn_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void abort_ends_both_sides(void **state)
{
    (void)state;
    for (unsigned drop = 0; drop < 6; drop++) {
        struct conn_pair p;
        conn_pair_init(&p);
        p.hash_drop = drop < 2 ? 0 : 50 * drop;
        struct conn_end ends[2] = {{.to_write = 1 << 30}, {.to_write = 1 << 30}};
        conn_pair_open(&p, &ends[0]);
        for (int i = 0; i < 60; i++) {
            conn_pair_step(&p);
            conn_pair_run_events(&p, ends);
        }
        int who = drop % 2;
        assert_int_equal(conn_stream_abort(p.side[who], ends[who].id, 77), 0);
        conn_pair_run_to_end(&p, ends, 60 * NS_PER_S);
        assert_false(ends[who].reset);
        assert_int_equal(ends[1 - who].reset, ends[1].opened);
        assert_int_equal(ends[1 - who].cause, 77);
        assert_int_equal(conn_stream_abort(p.side[who], ends[who].id, 1), ERR_NOT_FOUND);
        assert_int_equal(conn_stream_finish(p.side[who], ends[who].id), ERR_NOT_FOUND);
        conn_pair_settle(&p);
        /* The session's credit came back: another stream can use all of it. */
        struct conn_end more[2] = {{.to_write = 600000}, {.to_write = 600000}};
        conn_pair_open(&p, &more[0]);
        conn_pair_run_to_end(&p, more, 600 * NS_PER_S);
        conn_pair_check_complete(&p, more);
        conn_pair_free(&p);
    }
}

static void abort_before_anything_was_sent(void **state)
{
    (void)state;
    struct conn_pair p;
    conn_pair_init(&p);
    struct conn_end ends[2] = {{.to_write = 5000}, {0}};
    conn_pair_open(&p, &ends[0]);
    assert_int_equal(conn_stream_abort(p.side[0], ends[0].id, 5), 0);
    conn_pair_run_to_end(&p, ends, NS_PER_S);
    assert_true(ends[1].opened && ends[1].reset);
    assert_int_equal(ends[1].cause, 5);
    conn_pair_settle(&p);
    conn_pair_free(&p);
}

static void an_abort_takes_its_pending_events_back(void **state)
{
    (void)state;
    struct conn_pair p;
    conn_pair_init(&p);
    struct conn_end ends[2] = {{.to_write = 3000}, {0}};
    conn_pair_open(&p, &ends[0]);
    struct conn_event ev;
    while (!conn_event(p.side[1], &ev)) {
        conn_pair_step(&p);
    }
    assert_int_equal(ev.type, CONN_EVENT_OPENED);
    /* READABLE is pending now. */
    assert_int_equal(conn_stream_abort(p.side[1], ev.stream, 3), 0);
    assert_false(conn_event(p.side[1], &ev));
    while (!ends[0].gone) {
        conn_pair_step(&p);
        conn_pair_run_events(&p, ends);
    }
    assert_int_equal(ends[0].cause, 3);
    conn_pair_free(&p);
}

/* What nobody reads holds the session's credit; an abort gives it back. */
static void unread_bytes_of_an_aborted_stream_are_given_back(void **state)
{
    (void)state;
    struct conn_pair p;
    conn_pair_init(&p);
    uint8_t block[60000] = {0};
    for (int round = 0; round < 20; round++) {
        uint64_t id;
        assert_int_equal(conn_stream_open(p.side[0], "t", 1, &id), 0);
        assert_int_equal(conn_stream_write(p.side[0], id, block, sizeof(block)), sizeof(block));
        while (conn_pair_step(&p)) {
        }
        assert_int_equal(conn_stream_abort(p.side[round % 2], id, 1), 0);
        while (conn_pair_step(&p)) {
        }
        struct conn_event ev;
        while (conn_event(p.side[0], &ev) || conn_event(p.side[1], &ev)) {
        }
        assert_int_equal(conn_stream_count(p.side[0]), 0);
        assert_int_equal(conn_stream_count(p.side[1]), 0);
    }
    struct conn_stats stats;
    conn_stats(p.side[1], &stats);
    assert_int_equal(stats.bytes_in, 20 * sizeof(block)); /* all came: credit was never short */
    conn_pair_free(&p);
}

/* Streams that have used up the session's credit stand aside, and go on when some is given. */
static void streams_share_the_session_credit(void **state)
{
    (void)state;
    enum { STREAMS = 8, EACH = 60000 };
    struct conn_pair p;
    conn_pair_init(&p);
    uint8_t block[EACH] = {0};
    uint64_t id[STREAMS];
    size_t read = 0;
    for (int i = 0; i < STREAMS; i++) {
        assert_int_equal(conn_stream_open(p.side[0], "t", 1, &id[i]), 0);
        assert_int_equal(conn_stream_write(p.side[0], id[i], block, EACH), EACH);
    }
    while (conn_pair_step(&p)) {
    }
    struct conn_stats stats;
    conn_stats(p.side[1], &stats);
    assert_int_equal(stats.bytes_in, conn_pair_limits().session_window);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < STREAMS; i++) {
            const uint8_t *at;
            bool fin;
            size_t n;
            while ((n = conn_stream_peek(p.side[1], id[i], &at, &fin)) > 0) {
                conn_stream_consume(p.side[1], id[i], n, p.now);
                read += n;
            }
        }
        while (conn_pair_step(&p)) {
        }
    }
    assert_int_equal(read, STREAMS * EACH);
    conn_pair_free(&p);
}

static void streams_are_limited_and_come_back(void **state)
{
    (void)state;
    struct conn_pair p;
    conn_pair_init(&p);
    p.drop_every = 7;
    struct conn_event ev;
    size_t opened = 0, refused = 0, gone = 0, seen = 0;
    for (int round = 0; round < 3000 && gone < 300; round++) {
        uint64_t id;
        if (opened < 300) {
            int err = conn_stream_open(p.side[0], "x", 1, &id);
            if (err == 0) {
                opened++;
                assert_int_equal(conn_stream_finish(p.side[0], id), 0);
            } else {
                assert_int_equal(err, ERR_NO_ROOM);
                refused++;
            }
        }
        if (opened == 300 || refused % 4 == 1) {
            assert_true(conn_pair_step(&p));
        }
        while (conn_event(p.side[1], &ev)) {
            seen += ev.type == CONN_EVENT_OPENED;
            if (ev.type == CONN_EVENT_OPENED) {
                assert_int_equal(conn_stream_finish(p.side[1], ev.stream), 0);
            }
            const uint8_t *at;
            bool fin;
            conn_stream_peek(p.side[1], ev.stream, &at, &fin);
        }
        while (conn_event(p.side[0], &ev)) {
            const uint8_t *at;
            bool fin;
            conn_stream_peek(p.side[0], ev.stream, &at, &fin);
            gone += ev.type == CONN_EVENT_GONE;
        }
    }
    assert_int_equal(opened, 300);
    assert_int_equal(seen, 300);
    assert_int_equal(gone, 300);
    assert_true(refused > 0);
    p.drain_events = true;
    conn_pair_settle(&p);
    conn_pair_free(&p);
}

static void streams_written_before_the_start_go_out(void **state)
{
    (void)state;
    struct conn_limits limits = conn_pair_limits();
    struct conn_pair p = {.now = NS_PER_S, .delay_ns = {0, NS_PER_MS, NS_PER_MS}};
    p.wire = calloc(WIRE_MAX, sizeof(*p.wire));
    p.side[0] = conn_pair_make_side(true, &limits);
    limits.streams_max = 1; /* the second stream has to wait for the first to go */
    p.side[1] = conn_pair_make_side(false, &limits);
    uint64_t ids[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(conn_stream_open(p.side[0], "t", 1, &ids[i]), 0);
        assert_int_equal(conn_stream_write(p.side[0], ids[i], "hello", 5), 5);
        assert_int_equal(conn_stream_finish(p.side[0], ids[i]), 0);
    }
    assert_int_equal(conn_next_path(p.side[0], p.now), 0);
    conn_pair_start_side(p.side[0], &limits, p.now);
    conn_pair_start_side(p.side[1], &limits, p.now);
    size_t gone = 0, opened = 0;
    struct conn_event ev;
    for (int i = 0; i < 300 && conn_pair_step(&p); i++) {
        while (conn_event(p.side[1], &ev)) {
            const uint8_t *at;
            bool fin;
            opened += ev.type == CONN_EVENT_OPENED;
            size_t n = conn_stream_peek(p.side[1], ev.stream, &at, &fin);
            conn_stream_consume(p.side[1], ev.stream, n, p.now);
            if (fin && n > 0) {
                assert_int_equal(n, 5);
                conn_stream_finish(p.side[1], ev.stream);
            }
        }
        while (conn_event(p.side[0], &ev)) {
            const uint8_t *at;
            bool fin;
            conn_stream_peek(p.side[0], ev.stream, &at, &fin);
            gone += ev.type == CONN_EVENT_GONE;
        }
    }
    assert_int_equal(opened, 2);
    assert_int_equal(gone, 2);
    conn_pair_free(&p);
}

/* --- streams that break behind what was written --- */

enum { SAID = 50000 };

/* The answering side says SAID bytes and breaks the stream, maybe after its end; the other side is
 * still writing and reads nothing yet. */
static uint64_t broken_stream(struct conn_pair *p, bool finished)
{
    static uint8_t block[SAID];
    uint64_t id, written = 0;
    struct conn_event ev;
    assert_int_equal(conn_stream_open(p->side[0], "t", 1, &id), 0);
    assert_true(conn_stream_write(p->side[0], id, block, sizeof(block)) > 0);
    while (!conn_event(p->side[1], &ev)) {
        assert_true(conn_pair_step(p));
    }
    assert_int_equal(ev.type, CONN_EVENT_OPENED);
    assert_int_equal(conn_stream_accept(p->side[1], id, "", 0), 0);
    for (size_t i = 0; i < SAID; i++) {
        block[i] = (uint8_t)(i % 251);
    }
    while (written < SAID) {
        written += conn_stream_write(p->side[1], id, block + written, SAID - written);
        assert_true(conn_pair_step(p) || written == SAID);
    }
    if (finished) {
        assert_int_equal(conn_stream_finish(p->side[1], id), 0);
    }
    assert_int_equal(conn_stream_break(p->side[1], id, 9), 0);
    assert_int_equal(conn_stream_write(p->side[1], id, block, 1), 0);
    return id;
}

/* Fetches events; how many were RESET. */
static int resets(struct conn *c, uint64_t *cause)
{
    struct conn_event ev;
    int count = 0;
    while (conn_event(c, &ev)) {
        if (ev.type == CONN_EVENT_RESET) {
            *cause = ev.cause;
            count++;
        }
    }
    return count;
}

static void run_dry(struct conn_pair *p)
{
    for (uint64_t until = p->now + 20 * NS_PER_S; p->now < until && conn_pair_step(p);) {
    }
}

static void a_break_lets_what_was_written_arrive(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 8; round++) {
        struct conn_pair p;
        uint64_t cause = 0, got = 0;
        conn_pair_init(&p);
        p.hash_drop = round < 2 ? 0 : 40 * round;
        uint64_t id = broken_stream(&p, round % 2 == 1);
        run_dry(&p);
        assert_int_equal(resets(p.side[0], &cause), 0);
        const uint8_t *at;
        bool fin;
        size_t len;
        while ((len = conn_stream_peek(p.side[0], id, &at, &fin)) > 0) {
            assert_false(fin && got + len < SAID);
            len = len < 997 ? len : 997;
            for (size_t i = 0; i < len; i++) {
                assert_int_equal(at[i], (got + i) % 251);
            }
            got += len;
            conn_stream_consume(p.side[0], id, len, p.now);
        }
        assert_int_equal(got, SAID);
        assert_false(fin);
        assert_int_equal(resets(p.side[0], &cause), 1);
        assert_int_equal(cause, 9);
        assert_int_equal(resets(p.side[1], &cause), 0);
        run_dry(&p);
        assert_int_equal(resets(p.side[0], &cause) + resets(p.side[1], &cause), 0);
        for (int k = 0; k < 2; k++) {
            assert_int_equal(conn_stream_count(p.side[k]), 0);
            assert_int_equal(p.side[k]->buffered, 0);
            assert_int_equal(p.side[k]->credit.received, p.side[k]->credit.consumed);
        }
        conn_pair_free(&p);
    }
}

/* Who waits to be read may also be given up. */
static void a_broken_stream_may_be_aborted(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        struct conn_pair p;
        uint64_t cause = 0;
        conn_pair_init(&p);
        uint64_t id = broken_stream(&p, round == 1);
        if (round < 2) {
            run_dry(&p);
        }
        assert_int_equal(conn_stream_abort(p.side[0], id, 3), 0);
        run_dry(&p);
        assert_int_equal(resets(p.side[0], &cause), 0);
        (void)resets(p.side[1], &cause); /* nobody is there who would hear it */
        assert_int_equal(conn_stream_count(p.side[0]), 0);
        assert_int_equal(conn_stream_count(p.side[1]), 0);
        conn_pair_free(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(abort_ends_both_sides),
        cmocka_unit_test(abort_before_anything_was_sent),
        cmocka_unit_test(an_abort_takes_its_pending_events_back),
        cmocka_unit_test(unread_bytes_of_an_aborted_stream_are_given_back),
        cmocka_unit_test(a_break_lets_what_was_written_arrive),
        cmocka_unit_test(a_broken_stream_may_be_aborted),
        cmocka_unit_test(streams_share_the_session_credit),
        cmocka_unit_test(streams_are_limited_and_come_back),
        cmocka_unit_test(streams_written_before_the_start_go_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
