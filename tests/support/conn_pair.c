#include "support/conn_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct conn_limits conn_pair_limits(void)
{
    struct conn_limits l = conn_limits_default();
    l.session_window = 256 << 10;
    l.session_window_max = 1 << 20;
    l.stream_window = 64 << 10;
    l.stream_window_max = 512 << 10;
    l.send_buffer_max = 128 << 10;
    l.streams_max = 64;
    return l;
}

static struct conn *make_side(bool even, const struct conn_limits *limits,
                              enum conn_congestion congestion)
{
    static struct pcg pcg;
    const struct conn_config config = {
        .limits = *limits, .congestion = congestion, .even = even, .rng = pcg_rng(&pcg, even)};
    return conn_new(&config);
}

struct conn *conn_pair_make_side(bool even, const struct conn_limits *limits)
{
    return make_side(even, limits, CONN_CONGESTION_BBR);
}

void conn_pair_start_side(struct conn *c, const struct conn_limits *peer, uint64_t now)
{
    const struct conn_peer_limits told = {.session_window = peer->session_window,
                                          .stream_window = peer->stream_window,
                                          .streams_max = peer->streams_max,
                                          .max_ack_delay_ns = peer->max_ack_delay_ns};
    conn_start(c, &told, now);
    conn_path_open(c, 1, MTU, now);
    conn_path_open(c, 2, MTU, now);
    conn_path_use(c, 1, false, now);
}

static void init(struct conn_pair *p, const struct conn_limits *limits,
                 enum conn_congestion congestion)
{
    *p = (struct conn_pair){.now = NS_PER_S, .delay_ns = {0, 10 * NS_PER_MS, 3 * NS_PER_MS}};
    p->rng = pcg_rng(&p->pcg, 7);
    p->wire = calloc(WIRE_MAX, sizeof(*p->wire));
    assert_non_null(p->wire);
    for (int i = 0; i < 2; i++) {
        p->side[i] = make_side(i == 0, limits, congestion);
        assert_non_null(p->side[i]);
        conn_pair_start_side(p->side[i], limits, p->now);
    }
}

void conn_pair_init_with(struct conn_pair *p, const struct conn_limits *limits)
{
    init(p, limits, CONN_CONGESTION_BBR);
}

void conn_pair_init(struct conn_pair *p)
{
    const struct conn_limits limits = conn_pair_limits();
    conn_pair_init_with(p, &limits);
}

void conn_pair_init_cubic(struct conn_pair *p)
{
    const struct conn_limits limits = conn_pair_limits();
    init(p, &limits, CONN_CONGESTION_CUBIC);
}

void conn_pair_free(struct conn_pair *p)
{
    conn_free(p->side[0]);
    conn_free(p->side[1]);
    free(p->wire);
}

static bool is_dropped(struct conn_pair *p, uint8_t path)
{
    p->sent++;
    return p->dead[path] || p->count == WIRE_MAX ||
           (p->drop_every && p->sent % p->drop_every == 0) ||
           (p->hash_drop && rng_below(p->rng, 1000) < p->hash_drop);
}

static void flush_side(struct conn_pair *p, int from)
{
    uint8_t path;
    while ((path = conn_next_path(p->side[from], p->now)) != 0) {
        struct conn_pair_packet out = {.to = 1 - from, .path = path};
        out.len = conn_output(p->side[from], path, out.data, PAYLOAD_MAX, &out.number, p->now);
        if (out.len == 0) {
            break;
        }
        out.at_ns = p->now + p->delay_ns[path];
        if (p->spy) {
            p->spy(p, &out);
        }
        if (!is_dropped(p, path)) {
            p->wire[p->count++] = out;
        }
    }
}

static uint64_t pair_next(const struct conn_pair *p)
{
    uint64_t next = time_min(conn_next_ns(p->side[0]), conn_next_ns(p->side[1]));
    for (size_t i = 0; i < p->count; i++) {
        next = time_min(next, p->wire[i].at_ns);
    }
    return next;
}

/* Packets of one path keep their order. */
static void deliver(struct conn_pair *p)
{
    size_t kept = 0;
    size_t count = p->count;
    for (size_t i = 0; i < count; i++) {
        struct conn_pair_packet *w = &p->wire[i];
        if (w->at_ns > p->now) {
            p->wire[kept++] = *w;
            continue;
        }
        uint8_t reply = p->reply_same ? w->path : 0;
        int err = conn_input(p->side[w->to], w->path, w->number, reply, w->data, w->len, p->now);
        assert_true(err == 0 || p->mangled);
    }
    p->count = kept;
}

bool conn_pair_step(struct conn_pair *p)
{
    flush_side(p, 0);
    flush_side(p, 1);
    uint64_t next = pair_next(p);
    if (next == TIME_NEVER) {
        return false;
    }
    p->now = next > p->now ? next : p->now + NS_PER_US;
    deliver(p);
    conn_tick(p->side[0], p->now);
    conn_tick(p->side[1], p->now);
    return true;
}

/* --- a transfer --- */

static uint8_t pattern(uint64_t at)
{
    return (uint8_t)(at * 131 + (at >> 8) * 7);
}

void conn_pair_feed(struct conn *c, struct conn_end *e)
{
    uint8_t block[3000];
    while (e->written < e->to_write) {
        size_t want = sizeof(block);
        want = e->to_write - e->written < want ? (size_t)(e->to_write - e->written) : want;
        for (size_t i = 0; i < want; i++) {
            block[i] = pattern(e->written + i);
        }
        size_t n = conn_stream_write(c, e->id, block, want);
        e->written += n;
        if (n < want) {
            return;
        }
    }
    if (!e->finished) {
        assert_int_equal(conn_stream_finish(c, e->id), 0);
        e->finished = true;
    }
}

static void drain(struct conn *c, struct conn_end *e, uint64_t now)
{
    const uint8_t *at;
    size_t n;
    while ((n = conn_stream_peek(c, e->id, &at, &e->eof)) > 0) {
        for (size_t i = 0; i < n; i++) {
            if (at[i] != pattern(e->read + i)) {
                fail_msg("byte %llu is wrong", (unsigned long long)(e->read + i));
            }
        }
        e->read += n;
        bool fin = e->eof;
        conn_stream_consume(c, e->id, n, now);
        if (fin) {
            break;
        }
    }
}

void conn_pair_note_event(struct conn_pair *p, int side, struct conn_end *e,
                          const struct conn_event *ev)
{
    switch ((int)ev->type) {
    case CONN_EVENT_OPENED:
        assert_false(e->opened);
        e->opened = true;
        e->id = ev->stream;
        memcpy(e->text, ev->u.text.data, ev->u.text.len);
        if (conn_stream_accept(p->side[side], e->id, "there", 5) == 0) {
            conn_pair_feed(p->side[side], e);
        }
        break;
    case CONN_EVENT_ACCEPTED:
        assert_int_equal(e->read, 0);
        e->accepted = true;
        break;
    case CONN_EVENT_READABLE:
        assert_true(e->opened || e->accepted);
        drain(p->side[side], e, p->now);
        break;
    case CONN_EVENT_WRITABLE:
        conn_pair_feed(p->side[side], e);
        break;
    case CONN_EVENT_RESET:
        assert_false(e->reset);
        e->reset = true;
        e->cause = ev->cause;
        break;
    case CONN_EVENT_GONE:
        e->gone = true;
        break;
    default:
        break;
    }
}

void conn_pair_run_events(struct conn_pair *p, struct conn_end *ends)
{
    struct conn_event ev;
    for (int i = 0; i < 2; i++) {
        while (conn_event(p->side[i], &ev)) {
            conn_pair_note_event(p, i, &ends[i], &ev);
        }
    }
}

void conn_pair_open(struct conn_pair *p, struct conn_end *e)
{
    assert_int_equal(conn_stream_open(p->side[0], "target", 6, &e->id), 0);
    conn_pair_feed(p->side[0], e);
}

uint64_t conn_pair_run_to_end(struct conn_pair *p, struct conn_end *ends, uint64_t limit_ns)
{
    uint64_t start = p->now;
    while (!ends[0].gone || !ends[1].gone) {
        assert_true(conn_pair_step(p));
        conn_pair_run_events(p, ends);
        if (p->now - start > limit_ns) {
            fail_msg("not done: wrote %llu %llu read %llu %llu",
                     (unsigned long long)ends[0].written, (unsigned long long)ends[1].written,
                     (unsigned long long)ends[0].read, (unsigned long long)ends[1].read);
        }
    }
    return p->now - start;
}

void conn_pair_check_complete(const struct conn_pair *p, const struct conn_end *ends)
{
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ends[i].read, ends[1 - i].to_write);
        assert_true(ends[i].eof);
        assert_false(ends[i].reset);
        assert_int_equal(conn_stream_count(p->side[i]), 0);
    }
    assert_string_equal(ends[1].text, "target");
    assert_true(ends[0].accepted);
}

void conn_pair_read_all(struct conn_pair *p)
{
    static struct conn_event ev;
    for (int k = 0; k < 2; k++) {
        while (conn_event(p->side[k], &ev)) {
            const uint8_t *at;
            size_t len;
            bool fin;
            if (ev.type == CONN_EVENT_OPENED) {
                assert_int_equal(conn_stream_accept(p->side[k], ev.stream, NULL, 0), 0);
            }
            while ((len = conn_stream_peek(p->side[k], ev.stream, &at, &fin)) > 0) {
                conn_stream_consume(p->side[k], ev.stream, len, p->now);
            }
        }
    }
}

void conn_pair_run_reading(struct conn_pair *p, uint64_t ns)
{
    for (uint64_t until = p->now + ns; p->now < until && conn_pair_step(p);) {
        conn_pair_read_all(p);
    }
}

void conn_pair_settle(struct conn_pair *p)
{
    struct conn_event ev;
    for (int i = 0; i < 10000 && conn_pair_step(p); i++) {
        for (int k = 0; k < 2; k++) {
            while (p->drain_events && conn_event(p->side[k], &ev)) {
            }
        }
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(conn_next_ns(p->side[i]), TIME_NEVER);
        assert_false(conn_is_active(p->side[i]));
    }
}
