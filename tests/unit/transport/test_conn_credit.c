/* Who may hold how much: transport/conn_credit.c, through whole conns. */
#include "support/conn_pair.h"
#include "transport/conn_internal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { STREAMS = 1000, SAID = 100 };

static struct conn_pair *make(void)
{
    static struct conn_pair p;
    const struct conn_limits limits = conn_limits_default();
    conn_pair_init_with(&p, &limits);
    return &p;
}

static void open_many(struct conn_pair *p, uint64_t *ids)
{
    const uint8_t said[SAID] = {0};
    for (size_t i = 0; i < STREAMS; i++) {
        assert_int_equal(conn_stream_open(p->side[0], "t", 1, &ids[i]), 0);
        assert_int_equal(conn_stream_write(p->side[0], ids[i], said, SAID), SAID);
    }
    conn_pair_run_reading(p, 5 * NS_PER_S);
}

/* Streams that said something and are silent now hold nothing but themselves. */
static void idle_streams_hold_no_buffers(void **state)
{
    (void)state;
    static uint64_t ids[STREAMS];
    struct conn_pair *p = make();
    open_many(p, ids);
    assert_true(sizeof(struct stream) <= 1024);
    for (int k = 0; k < 2; k++) {
        assert_int_equal(conn_stream_count(p->side[k]), STREAMS);
        for (size_t i = 0; i < STREAMS; i++) {
            const struct stream *s = conn_find(p->side[k], ids[i]);
            assert_non_null(s);
            assert_null(s->out.ring.data);
            assert_null(s->in.ring.data);
        }
        assert_int_equal(p->side[k]->buffered, 0);
    }
    conn_pair_free(p);
}

/* Credit in advance has a ceiling, and comes back with the streams. */
static void grants_are_counted(void **state)
{
    (void)state;
    static uint64_t ids[STREAMS];
    struct conn_pair *p = make();
    open_many(p, ids);
    for (int k = 0; k < 2; k++) {
        const struct conn *c = p->side[k];
        uint64_t sum = 0;
        for (size_t i = 0; i < STREAMS; i++) {
            sum += conn_find(c, ids[i])->granted;
        }
        assert_int_equal(c->granted, sum);
        assert_in_range(sum, 1 << 20, c->credit.window_max / 8);
        const struct stream *first = conn_find(c, ids[0]), *last = conn_find(c, ids[STREAMS - 1]);
        assert_int_equal(first->credit.limit, 256 << 10);
        assert_int_equal(last->credit.limit, c->limits.stream_window);
        /* The peer has heard of it. */
        assert_int_equal(conn_find(p->side[1 - k], ids[0])->send_limit, 256 << 10);
    }
    for (size_t i = 0; i < STREAMS; i++) {
        assert_int_equal(conn_stream_abort(p->side[0], ids[i], 1), 0);
    }
    conn_pair_run_reading(p, 5 * NS_PER_S);
    for (int k = 0; k < 2; k++) {
        assert_int_equal(conn_stream_count(p->side[k]), 0);
        assert_int_equal(p->side[k]->granted, 0);
        assert_int_equal(p->side[k]->buffered, 0);
    }
    conn_pair_free(p);
}

/* Nobody reads: what is written stops at the credit and a little, and an abort gives all of it
 * back. */
static void buffers_end_at_the_credit(void **state)
{
    (void)state;
    static const uint8_t block[65536];
    struct conn_pair *p = make();
    struct conn *c = p->side[0];
    uint64_t id, written = 0;
    assert_int_equal(conn_stream_open(c, "t", 1, &id), 0);
    for (int i = 0; i < 200; i++) {
        written += conn_stream_write(c, id, block, sizeof(block));
        assert_int_equal(c->buffered, sendbuf_held(&conn_find(c, id)->out));
        (void)conn_pair_step(p);
    }
    uint64_t credit = conn_find(c, id)->send_limit;
    assert_in_range(written, credit + 32768, credit + 65536);
    assert_int_equal(conn_stream_abort(c, id, 1), 0);
    assert_int_equal(c->buffered, 0);
    conn_pair_free(p);
}

/* A packet is missing and the window is used up behind it: there is more, as the reader has taken
 * all that it could. */
static void a_gap_does_not_stop_the_sender(void **state)
{
    (void)state;
    struct conn_pair *p = make();
    struct conn_end ends[2] = {{.to_write = 4 << 20}, {.to_write = 10}};
    conn_pair_open(p, &ends[0]);
    while (ends[1].read < 1 << 18) {
        (void)conn_pair_step(p);
        conn_pair_run_events(p, ends);
    }
    const struct stream *s = conn_find(p->side[1], ends[0].id);
    uint64_t window = s->credit.window;
    p->drop_every = 10;
    while (s->credit.window < 2 * window) {
        assert_true(ends[1].read < 2 << 20);
        (void)conn_pair_step(p);
        conn_pair_run_events(p, ends);
    }
    conn_pair_run_to_end(p, ends, 60 * NS_PER_S);
    conn_pair_check_complete(p, ends);
    conn_pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idle_streams_hold_no_buffers),
        cmocka_unit_test(grants_are_counted),
        cmocka_unit_test(buffers_end_at_the_credit),
        cmocka_unit_test(a_gap_does_not_stop_the_sender),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
