/* Two conns over two paths in virtual time: what is written arrives, whatever is lost. */
#include <base/clock.h>
#include <base/err.h>
#include <base/mem.h>

#include "transport/conn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WIRE_MAX = 4096, PAYLOAD_MAX = 1500, MTU = 1400 };

struct wire_packet {
    uint64_t at_ns;
    uint64_t number;
    size_t len;
    int to;
    uint8_t path;
    uint8_t data[PAYLOAD_MAX];
};

struct pair {
    struct conn *side[2];
    uint64_t now;
    uint64_t delay_ns[3]; /* one way, by path */
    bool dead[3];
    bool reply_same;     /* acknowledgements on the path of the packet */
    unsigned drop_every; /* 0 = none */
    unsigned sent;
    unsigned hash_drop; /* per mille, pseudo-random */
    size_t count;
    struct wire_packet *wire;
    struct pcg pcg;
    struct rng rng;
};

static struct conn_limits small_limits(void)
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

static struct conn *make_side(bool even, const struct conn_limits *limits)
{
    const struct conn_config config = {.limits = *limits, .even = even};
    return conn_new(&config);
}

static void start_side(struct conn *c, const struct conn_limits *peer, uint64_t now)
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

static void pair_init_with(struct pair *p, const struct conn_limits *limits)
{
    *p = (struct pair){.now = NS_PER_S, .delay_ns = {0, 10 * NS_PER_MS, 3 * NS_PER_MS}};
    p->rng = pcg_rng(&p->pcg, 7);
    p->wire = calloc(WIRE_MAX, sizeof(*p->wire));
    assert_non_null(p->wire);
    for (int i = 0; i < 2; i++) {
        p->side[i] = make_side(i == 0, limits);
        assert_non_null(p->side[i]);
        start_side(p->side[i], limits, p->now);
    }
}

static void pair_init(struct pair *p)
{
    const struct conn_limits limits = small_limits();
    pair_init_with(p, &limits);
}

static void pair_free(struct pair *p)
{
    conn_free(p->side[0]);
    conn_free(p->side[1]);
    free(p->wire);
}

static bool is_dropped(struct pair *p, uint8_t path)
{
    p->sent++;
    return p->dead[path] || p->count == WIRE_MAX ||
           (p->drop_every && p->sent % p->drop_every == 0) ||
           (p->hash_drop && rng_below(p->rng, 1000) < p->hash_drop);
}

static void flush_side(struct pair *p, int from)
{
    uint8_t path;
    while ((path = conn_next_path(p->side[from], p->now)) != 0) {
        struct wire_packet out = {.to = 1 - from, .path = path};
        out.len = conn_output(p->side[from], path, out.data, PAYLOAD_MAX, &out.number, p->now);
        if (out.len == 0) {
            break;
        }
        out.at_ns = p->now + p->delay_ns[path];
        if (!is_dropped(p, path)) {
            p->wire[p->count++] = out;
        }
    }
}

static uint64_t pair_next(const struct pair *p)
{
    uint64_t next = time_min(conn_next_ns(p->side[0]), conn_next_ns(p->side[1]));
    for (size_t i = 0; i < p->count; i++) {
        next = time_min(next, p->wire[i].at_ns);
    }
    return next;
}

/* Packets of one path keep their order. */
static void deliver(struct pair *p)
{
    size_t kept = 0;
    size_t count = p->count;
    for (size_t i = 0; i < count; i++) {
        struct wire_packet *w = &p->wire[i];
        if (w->at_ns > p->now) {
            p->wire[kept++] = *w;
            continue;
        }
        uint8_t reply = p->reply_same ? w->path : 0;
        assert_int_equal(
            conn_input(p->side[w->to], w->path, w->number, reply, w->data, w->len, p->now), 0);
    }
    p->count = kept;
}

/* One step of virtual time; false when nothing will ever happen again. */
static bool step(struct pair *p)
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

struct end {
    uint64_t id;
    uint64_t written, to_write, read;
    bool finished, eof, opened, accepted, gone, reset;
    uint64_t cause;
    char text[FRAME_TARGET_MAX + 1];
};

static uint8_t pattern(uint64_t at)
{
    return (uint8_t)(at * 131 + (at >> 8) * 7);
}

static void feed(struct conn *c, struct end *e)
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

static void drain(struct conn *c, struct end *e, uint64_t now)
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

static void note_event(struct pair *p, int side, struct end *e, const struct conn_event *ev)
{
    switch ((int)ev->type) {
    case CONN_EVENT_OPENED:
        assert_false(e->opened);
        e->opened = true;
        e->id = ev->stream;
        memcpy(e->text, ev->u.text.data, ev->u.text.len);
        assert_int_equal(conn_stream_accept(p->side[side], e->id, "there", 5), 0);
        feed(p->side[side], e);
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
        feed(p->side[side], e);
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

static void run_events(struct pair *p, struct end *ends)
{
    struct conn_event ev;
    for (int i = 0; i < 2; i++) {
        while (conn_event(p->side[i], &ev)) {
            note_event(p, i, &ends[i], &ev);
        }
    }
}

static void open_one(struct pair *p, struct end *e)
{
    assert_int_equal(conn_stream_open(p->side[0], "target", 6, &e->id), 0);
    feed(p->side[0], e);
}

/* Runs until both ends are gone; how long it took. */
static uint64_t run_to_end(struct pair *p, struct end *ends, uint64_t limit_ns)
{
    uint64_t start = p->now;
    while (!ends[0].gone || !ends[1].gone) {
        assert_true(step(p));
        run_events(p, ends);
        if (p->now - start > limit_ns) {
            fail_msg("not done: wrote %llu %llu read %llu %llu",
                     (unsigned long long)ends[0].written, (unsigned long long)ends[1].written,
                     (unsigned long long)ends[0].read, (unsigned long long)ends[1].read);
        }
    }
    return p->now - start;
}

static void check_complete(const struct pair *p, const struct end *ends)
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

/* Lets the last acknowledgements pass. */
static void settle(struct pair *p)
{
    for (int i = 0; i < 10000 && step(p); i++) {
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(conn_next_ns(p->side[i]), TIME_NEVER);
        assert_false(conn_is_active(p->side[i]));
    }
}

static void small_exchange_takes_three_round_trips(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    struct end ends[2] = {{.to_write = 100}, {.to_write = 5000}};
    open_one(&p, &ends[0]);
    uint64_t took = run_to_end(&p, ends, NS_PER_S);
    check_complete(&p, ends);
    assert_in_range(took, 20 * NS_PER_MS, 70 * NS_PER_MS);
    settle(&p);
    pair_free(&p);
}

static void bulk_grows_its_windows(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    struct end ends[2] = {{.to_write = 8 << 20}, {.to_write = 1000}};
    open_one(&p, &ends[0]);
    uint64_t took = run_to_end(&p, ends, 10 * NS_PER_S);
    check_complete(&p, ends);
    /* 128 KiB of send buffer per 20 ms is 6.5 MB/s: 1.3 s, and what slow start takes. */
    assert_in_range(took, NS_PER_S, 2 * NS_PER_S);
    struct conn_path_info info;
    assert_true(conn_path_info(p.side[0], 1, &info));
    assert_int_equal(info.packets_lost, 0);
    assert_in_range(info.srtt_ns, 19 * NS_PER_MS, 25 * NS_PER_MS);
    settle(&p);
    pair_free(&p);
}

static void every_nth_packet_lost(void **state)
{
    (void)state;
    for (unsigned n = 2; n < 20; n += 3) {
        struct pair p;
        pair_init(&p);
        p.drop_every = n;
        struct end ends[2] = {{.to_write = 300000}, {.to_write = 200000}};
        open_one(&p, &ends[0]);
        run_to_end(&p, ends, 600 * NS_PER_S);
        check_complete(&p, ends);
        settle(&p);
        pair_free(&p);
    }
}

static void random_loss_on_separate_reply_paths(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 10; seed++) {
        struct pair p;
        pair_init(&p);
        p.rng = pcg_rng(&p.pcg, seed);
        p.hash_drop = 30 + 30 * seed;
        p.reply_same = seed % 2;
        struct end ends[2] = {{.to_write = 200000}, {.to_write = 100000}};
        open_one(&p, &ends[0]);
        conn_path_use(p.side[1], 2, false, p.now);
        run_to_end(&p, ends, 600 * NS_PER_S);
        check_complete(&p, ends);
        settle(&p);
        pair_free(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_exchange_takes_three_round_trips),
        cmocka_unit_test(bulk_grows_its_windows),
        cmocka_unit_test(every_nth_packet_lost),
        cmocka_unit_test(random_loss_on_separate_reply_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
