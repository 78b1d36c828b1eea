/* Two conns over two paths in virtual time: what is written arrives, whatever is lost. */
#include <base/clock.h>
#include <base/err.h>
#include <base/mem.h>

#include "transport/conn.h"
#include "transport/path.h"

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
    bool mangled;        /* so even good packets may be refused */
    bool drain_events;   /* in settle() */
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
        int err = conn_input(p->side[w->to], w->path, w->number, reply, w->data, w->len, p->now);
        assert_true(err == 0 || p->mangled);
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
        if (conn_stream_accept(p->side[side], e->id, "there", 5) == 0) {
            feed(p->side[side], e);
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
    struct conn_event ev;
    for (int i = 0; i < 10000 && step(p); i++) {
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

/* --- paths --- */

static void a_dead_path_is_told_and_its_frames_move(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    struct end ends[2] = {{.to_write = 500000}, {.to_write = 1000}};
    open_one(&p, &ends[0]);
    for (int i = 0; i < 40; i++) {
        step(&p);
        run_events(&p, ends);
    }
    p.dead[1] = true;
    bool suspect = false;
    uint64_t died = p.now;
    while (!suspect) {
        struct conn_event ev;
        assert_true(step(&p));
        while (conn_event(p.side[0], &ev)) {
            suspect = suspect || (ev.type == CONN_EVENT_PATH_SUSPECT && ev.path == 1);
            if (ev.type != CONN_EVENT_PATH_SUSPECT) {
                note_event(&p, 0, &ends[0], &ev);
            }
        }
        assert_true(p.now - died < NS_PER_S);
    }
    /* Two timeouts alone are over much earlier. */
    assert_true(p.now - died > PATH_SUSPECT_NS);
    uint64_t moved = p.now;
    conn_path_use(p.side[0], 2, true, p.now);
    conn_path_close(p.side[1], 1, p.now);
    conn_path_use(p.side[1], 2, false, p.now);
    struct conn_path_info info;
    assert_true(conn_path_info(p.side[0], 1, &info));
    assert_int_equal(info.in_flight, 0);
    run_to_end(&p, ends, 5 * NS_PER_S);
    check_complete(&p, ends);
    assert_true(p.now - moved < NS_PER_S);
    settle(&p);
    pair_free(&p);
}

static void a_closed_path_keeps_its_numbers(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    struct end ends[2] = {{.to_write = 60000}, {.to_write = 60000}};
    open_one(&p, &ends[0]);
    struct conn_path_info info;
    for (int i = 0; i < 30; i++) {
        step(&p);
        run_events(&p, ends);
        conn_path_close(p.side[0], 1, p.now);
        assert_int_equal(conn_path_used(p.side[0]), 0);
        assert_false(conn_path_info(p.side[0], 1, &info));
        assert_int_equal(conn_next_path(p.side[0], p.now) == 1, false);
        conn_path_open(p.side[0], 1, MTU, p.now);
        conn_path_use(p.side[0], 1, false, p.now);
    }
    run_to_end(&p, ends, 5 * NS_PER_S);
    check_complete(&p, ends);
    struct conn_stats stats;
    conn_stats(p.side[1], &stats);
    assert_int_equal(stats.packets_duplicate, 0);
    settle(&p);
    pair_free(&p);
}

static void a_blocked_path_sends_nothing_and_probes_nothing(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    struct end ends[2] = {{.to_write = 60000}, {.to_write = 10}};
    open_one(&p, &ends[0]);
    step(&p);
    conn_path_block(p.side[0], 1, true);
    for (int i = 0; i < 100 && step(&p); i++) {
        run_events(&p, ends);
    }
    assert_false(ends[1].gone);
    assert_int_equal(conn_next_path(p.side[0], p.now + 60 * NS_PER_S), 0);
    conn_tick(p.side[0], p.now + 60 * NS_PER_S);
    p.now += 60 * NS_PER_S;
    conn_path_block(p.side[0], 1, false);
    struct conn_path_info info;
    conn_path_info(p.side[0], 1, &info);
    assert_int_equal(info.pto_count, 0);
    run_to_end(&p, ends, 5 * NS_PER_S);
    check_complete(&p, ends);
    settle(&p);
    pair_free(&p);
}

static void frames_leave_a_dead_path_without_being_told_to(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    struct end ends[2] = {{.to_write = 1 << 20}, {.to_write = 10}};
    open_one(&p, &ends[0]);
    struct conn_path_info before, after;
    do {
        step(&p);
        run_events(&p, ends);
        conn_path_info(p.side[0], 1, &before);
    } while (before.in_flight < 8 * MTU);
    p.dead[1] = true;
    p.count = 0; /* what was on its way is gone, too */
    conn_path_use(p.side[0], 2, false, p.now);
    conn_path_use(p.side[1], 2, false, p.now);
    run_to_end(&p, ends, 2 * NS_PER_S);
    check_complete(&p, ends);
    conn_path_info(p.side[0], 1, &after);
    assert_int_equal(after.packets_sent, before.packets_sent);
    settle(&p);
    pair_free(&p);
}

static size_t count_suspects(struct pair *p)
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
    struct pair p;
    pair_init(&p);
    uint64_t id;
    assert_int_equal(conn_stream_open(p.side[0], "t", 1, &id), 0);
    for (int round = 0; round < 3; round++) {
        conn_stream_write(p.side[0], id, "x", 1);
        p.dead[1] = true;
        for (int i = 0; i < 60; i++) {
            step(&p);
        }
        struct conn_path_info info;
        conn_path_info(p.side[0], 1, &info);
        assert_true(info.pto_count > 3);
        assert_int_equal(count_suspects(&p), 1);
        p.dead[1] = false;
        for (int i = 0; i < 1000 && step(&p); i++) {
        }
        conn_path_info(p.side[0], 1, &info);
        assert_int_equal(info.pto_count, 0);
        assert_int_equal(count_suspects(&p), 0);
    }
    pair_free(&p);
}

static void a_late_packet_gives_the_window_back(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    struct end ends[2] = {{.to_write = 4 << 20}, {.to_write = 10}};
    open_one(&p, &ends[0]);
    struct conn_path_info before, lost, after;
    while (ends[1].read < 1 << 20) {
        step(&p);
        run_events(&p, ends);
    }
    conn_path_info(p.side[0], 1, &before);
    size_t i = 0;
    while (i < p.count && p.wire[i].to != 1) {
        i++;
    }
    assert_true(i < p.count);
    struct wire_packet late = p.wire[i];
    p.wire[i] = p.wire[--p.count];
    do {
        step(&p);
        run_events(&p, ends);
        conn_path_info(p.side[0], 1, &lost);
    } while (lost.packets_lost == 0);
    assert_true(lost.cwnd < before.cwnd);
    late.at_ns = p.now;
    p.wire[p.count++] = late;
    uint64_t sent = p.now;
    while (p.now < sent + 40 * NS_PER_MS) {
        step(&p);
        run_events(&p, ends);
    }
    conn_path_info(p.side[0], 1, &after);
    assert_true(after.cwnd >= before.cwnd);
    run_to_end(&p, ends, 5 * NS_PER_S);
    check_complete(&p, ends);
    pair_free(&p);
}

static void the_window_does_not_grow_unused(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    uint64_t id;
    uint8_t block[2000] = {0};
    const uint8_t *at;
    bool fin;
    struct conn_event ev;
    assert_int_equal(conn_stream_open(p.side[0], "t", 1, &id), 0);
    for (int round = 0; round < 200; round++) {
        assert_int_equal(conn_stream_write(p.side[0], id, block, sizeof(block)), sizeof(block));
        while (step(&p)) {
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
    pair_free(&p);
}

static void unused_path_zero_sends_acks_only(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    p.reply_same = true;
    struct end ends[2] = {{.to_write = 3000}, {.to_write = 3000}};
    conn_path_use(p.side[1], 0, false, p.now);
    open_one(&p, &ends[0]);
    for (int i = 0; i < 200 && step(&p); i++) {
        run_events(&p, ends);
    }
    assert_int_equal(ends[1].read, 3000);
    assert_int_equal(ends[0].read, 0);
    struct conn_path_info info;
    conn_path_info(p.side[0], 1, &info);
    assert_int_equal(info.in_flight, 0); /* so the acknowledgements came */
    assert_true(conn_is_active(p.side[1]));
    conn_path_use(p.side[1], 2, false, p.now);
    run_to_end(&p, ends, NS_PER_S);
    check_complete(&p, ends);
    settle(&p);
    pair_free(&p);
}

/* --- streams --- */

static void abort_ends_both_sides(void **state)
{
    (void)state;
    for (unsigned drop = 0; drop < 6; drop++) {
        struct pair p;
        pair_init(&p);
        p.hash_drop = drop < 2 ? 0 : 50 * drop;
        struct end ends[2] = {{.to_write = 1 << 30}, {.to_write = 1 << 30}};
        open_one(&p, &ends[0]);
        for (int i = 0; i < 60; i++) {
            step(&p);
            run_events(&p, ends);
        }
        int who = drop % 2;
        assert_int_equal(conn_stream_abort(p.side[who], ends[who].id, 77), 0);
        run_to_end(&p, ends, 60 * NS_PER_S);
        assert_false(ends[who].reset);
        assert_int_equal(ends[1 - who].reset, ends[1].opened);
        assert_int_equal(ends[1 - who].cause, 77);
        assert_int_equal(conn_stream_abort(p.side[who], ends[who].id, 1), ERR_NOT_FOUND);
        assert_int_equal(conn_stream_finish(p.side[who], ends[who].id), ERR_NOT_FOUND);
        settle(&p);
        /* The session's credit came back: another stream can use all of it. */
        struct end more[2] = {{.to_write = 600000}, {.to_write = 600000}};
        open_one(&p, &more[0]);
        run_to_end(&p, more, 600 * NS_PER_S);
        check_complete(&p, more);
        pair_free(&p);
    }
}

static void abort_before_anything_was_sent(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    struct end ends[2] = {{.to_write = 5000}, {0}};
    open_one(&p, &ends[0]);
    assert_int_equal(conn_stream_abort(p.side[0], ends[0].id, 5), 0);
    run_to_end(&p, ends, NS_PER_S);
    assert_true(ends[1].opened && ends[1].reset);
    assert_int_equal(ends[1].cause, 5);
    settle(&p);
    pair_free(&p);
}

static void an_abort_takes_its_pending_events_back(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    struct end ends[2] = {{.to_write = 3000}, {0}};
    open_one(&p, &ends[0]);
    struct conn_event ev;
    while (!conn_event(p.side[1], &ev)) {
        step(&p);
    }
    assert_int_equal(ev.type, CONN_EVENT_OPENED);
    /* READABLE is pending now. */
    assert_int_equal(conn_stream_abort(p.side[1], ev.stream, 3), 0);
    assert_false(conn_event(p.side[1], &ev));
    while (!ends[0].gone) {
        step(&p);
        run_events(&p, ends);
    }
    assert_int_equal(ends[0].cause, 3);
    pair_free(&p);
}

/* What nobody reads holds the session's credit; an abort gives it back. */
static void unread_bytes_of_an_aborted_stream_are_given_back(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    uint8_t block[60000] = {0};
    for (int round = 0; round < 20; round++) {
        uint64_t id;
        assert_int_equal(conn_stream_open(p.side[0], "t", 1, &id), 0);
        assert_int_equal(conn_stream_write(p.side[0], id, block, sizeof(block)), sizeof(block));
        while (step(&p)) {
        }
        assert_int_equal(conn_stream_abort(p.side[round % 2], id, 1), 0);
        while (step(&p)) {
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
    pair_free(&p);
}

/* Streams that have used up the session's credit stand aside, and go on when some is given. */
static void streams_share_the_session_credit(void **state)
{
    (void)state;
    enum { STREAMS = 8, EACH = 60000 };
    struct pair p;
    pair_init(&p);
    uint8_t block[EACH] = {0};
    uint64_t id[STREAMS];
    size_t read = 0;
    for (int i = 0; i < STREAMS; i++) {
        assert_int_equal(conn_stream_open(p.side[0], "t", 1, &id[i]), 0);
        assert_int_equal(conn_stream_write(p.side[0], id[i], block, EACH), EACH);
    }
    while (step(&p)) {
    }
    struct conn_stats stats;
    conn_stats(p.side[1], &stats);
    assert_int_equal(stats.bytes_in, small_limits().session_window);
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
        while (step(&p)) {
        }
    }
    assert_int_equal(read, STREAMS * EACH);
    pair_free(&p);
}

static void streams_are_limited_and_come_back(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
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
            assert_true(step(&p));
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
    settle(&p);
    pair_free(&p);
}

static void streams_written_before_the_start_go_out(void **state)
{
    (void)state;
    struct conn_limits limits = small_limits();
    struct pair p = {.now = NS_PER_S, .delay_ns = {0, NS_PER_MS, NS_PER_MS}};
    p.wire = calloc(WIRE_MAX, sizeof(*p.wire));
    p.side[0] = make_side(true, &limits);
    limits.streams_max = 1; /* the second stream has to wait for the first to go */
    p.side[1] = make_side(false, &limits);
    uint64_t ids[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(conn_stream_open(p.side[0], "t", 1, &ids[i]), 0);
        assert_int_equal(conn_stream_write(p.side[0], ids[i], "hello", 5), 5);
        assert_int_equal(conn_stream_finish(p.side[0], ids[i]), 0);
    }
    assert_int_equal(conn_next_path(p.side[0], p.now), 0);
    start_side(p.side[0], &limits, p.now);
    start_side(p.side[1], &limits, p.now);
    size_t gone = 0, opened = 0;
    struct conn_event ev;
    for (int i = 0; i < 300 && step(&p); i++) {
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
    pair_free(&p);
}

/* --- the session --- */

static void candidates_arrive_and_the_newest_wins(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    p.hash_drop = 300;
    struct frame_candidate list[2] = {{.source = 1, .addr = {.family = ADDR_IPV4, .port = 1}},
                                      {.source = 2, .addr = {.family = ADDR_IPV6, .port = 2}}};
    conn_send_candidates(p.side[0], list, 2);
    step(&p);
    list[0].addr.port = 9;
    conn_send_candidates(p.side[0], list, 1);
    settle(&p);
    struct conn_event ev;
    struct conn_event last = {0};
    while (conn_event(p.side[1], &ev)) {
        last = ev;
    }
    assert_int_equal(last.type, CONN_EVENT_CANDIDATES);
    assert_int_equal(last.u.candidates.count, 1);
    assert_int_equal(last.u.candidates.list[0].addr.port, 9);
    pair_free(&p);
}

static void close_and_abandon_end_everything(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    struct end ends[2] = {{.to_write = 100000}, {.to_write = 100000}};
    open_one(&p, &ends[0]);
    for (int i = 0; i < 20; i++) {
        step(&p);
        run_events(&p, ends);
    }
    conn_close(p.side[0], 42, "good bye");
    for (int i = 0; i < 100; i++) {
        step(&p);
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
    pair_free(&p);
}

/* --- a broken peer --- */

static int send_raw(struct pair *p, uint64_t number, const struct writer *w)
{
    return conn_input(p->side[1], 1, number, 0, w->start, writer_len(w), p->now);
}

static void a_broken_peer_is_refused(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    uint8_t raw[256];
    uint8_t data[16] = {0};
    uint64_t number = 0;
    const struct conn_limits limits = small_limits();

    struct writer w = writer_of(raw, sizeof(raw));
    frame_write_stream(&w, limits.streams_max << 1, 0, 1, false);
    write_bytes(&w, data, 1);
    assert_int_equal(send_raw(&p, number++, &w), ERR_STREAM_LIMIT);

    w = writer_of(raw, sizeof(raw));
    frame_write_stream(&w, 0, limits.stream_window - 3, 4, false);
    write_bytes(&w, data, 4);
    assert_int_equal(send_raw(&p, number++, &w), ERR_FLOW_CONTROL);

    w = writer_of(raw, sizeof(raw));
    frame_write_stream(&w, 0, 100, 4, true);
    write_bytes(&w, data, 4);
    assert_int_equal(send_raw(&p, number++, &w), 0);
    w = writer_of(raw, sizeof(raw));
    frame_write_stream(&w, 0, 104, 1, false);
    write_bytes(&w, data, 1);
    assert_int_equal(send_raw(&p, number++, &w), ERR_PROTOCOL);
    w = writer_of(raw, sizeof(raw));
    frame_write_reset(&w, 0, 1, 103);
    assert_int_equal(send_raw(&p, number++, &w), ERR_PROTOCOL);

    w = writer_of(raw, sizeof(raw));
    frame_write_accept(&w, 0, data, 1); /* for the peer's own stream */
    assert_int_equal(send_raw(&p, number++, &w), ERR_PROTOCOL);
    w = writer_of(raw, sizeof(raw));
    frame_write_max(&w, FRAME_MAX_STREAM_DATA, 1, 5); /* ours, never opened */
    assert_int_equal(send_raw(&p, number++, &w), ERR_PROTOCOL);

    const struct frame_ack ack = {.path = 1, .count = 1, .ranges = {{0, 1000}}};
    w = writer_of(raw, sizeof(raw));
    frame_write_ack(&w, &ack); /* of packets never sent */
    assert_int_equal(send_raw(&p, number++, &w), ERR_PROTOCOL);

    raw[0] = 0x3f;
    w = writer_of(raw, sizeof(raw));
    w.at++;
    assert_int_equal(send_raw(&p, number, &w), ERR_PROTOCOL);
    pair_free(&p);
}

static void an_older_packet_brings_no_older_candidates(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    uint8_t raw[64];
    struct conn_event ev;
    struct frame_candidate one = {.source = 1, .addr = {.family = ADDR_IPV4}};
    for (uint16_t number = 2; number >= 1; number--) {
        one.addr.port = number;
        struct writer w = writer_of(raw, sizeof(raw));
        frame_write_candidates(&w, &one, 1);
        assert_int_equal(send_raw(&p, number, &w), 0);
    }
    assert_true(conn_event(p.side[1], &ev));
    assert_int_equal(ev.u.candidates.list[0].addr.port, 2);
    assert_false(conn_event(p.side[1], &ev));
    pair_free(&p);
}

static void session_credit_bounds_all_streams_together(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    uint8_t raw[64];
    const struct conn_limits limits = small_limits();
    uint64_t streams = limits.session_window / limits.stream_window;
    for (uint64_t i = 0; i <= streams; i++) {
        struct writer w = writer_of(raw, sizeof(raw));
        frame_write_stream(&w, i << 1, limits.stream_window - 1, 1, false);
        write_u8(&w, 1);
        assert_int_equal(send_raw(&p, i, &w), i < streams ? 0 : ERR_FLOW_CONTROL);
    }
    pair_free(&p);
}

static void data_before_its_open_waits(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    uint8_t raw[64];
    struct conn_event ev;
    const uint8_t *at;
    bool fin;
    struct writer w = writer_of(raw, sizeof(raw));
    frame_write_stream(&w, 6, 0, 2, true);
    write_bytes(&w, "hi", 2);
    assert_int_equal(send_raw(&p, 1, &w), 0);
    assert_false(conn_event(p.side[1], &ev));
    assert_int_equal(conn_stream_peek(p.side[1], 6, &at, &fin), 0);
    w = writer_of(raw, sizeof(raw));
    frame_write_open(&w, 6, (const uint8_t *)"t", 1);
    frame_write_open(&w, 2, (const uint8_t *)"older", 5);
    assert_int_equal(send_raw(&p, 0, &w), 0);
    assert_true(conn_event(p.side[1], &ev));
    assert_int_equal(ev.type, CONN_EVENT_OPENED);
    assert_int_equal(ev.stream, 6);
    assert_true(conn_event(p.side[1], &ev));
    assert_int_equal(ev.type, CONN_EVENT_READABLE);
    assert_int_equal(conn_stream_peek(p.side[1], 6, &at, &fin), 2);
    assert_true(fin);
    assert_true(conn_event(p.side[1], &ev));
    assert_int_equal(ev.type, CONN_EVENT_OPENED);
    assert_int_equal(ev.stream, 2);
    assert_int_equal(ev.u.text.len, 5);
    pair_free(&p);
}

/* Frames of a peer that has lost its mind: errors perhaps, but no crash and no leak. */
static void mangled_payloads_do_no_harm(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 150; seed++) {
        struct pair p;
        pair_init(&p);
        p.mangled = true;
        p.rng = pcg_rng(&p.pcg, seed);
        struct end ends[2] = {{.to_write = 20000}, {.to_write = 20000}};
        open_one(&p, &ends[0]);
        int err = 0;
        for (int i = 0; i < 100 && err == 0 && step(&p); i++) {
            struct conn_event ev;
            for (size_t k = 0; k < p.count && err == 0; k++) {
                struct wire_packet bad = p.wire[k];
                for (uint64_t n = rng_below(p.rng, 3) + 1; n > 0; n--) {
                    bad.data[rng_below(p.rng, bad.len < 40 ? bad.len : 40)] =
                        (uint8_t)rng_below(p.rng, 256);
                }
                err = conn_input(p.side[bad.to], 1, bad.number + 1000 + seed, 1, bad.data, bad.len,
                                 p.now);
            }
            for (int k = 0; k < 2 && err == 0; k++) {
                while (conn_event(p.side[k], &ev)) {
                    const uint8_t *at;
                    bool fin;
                    size_t len = conn_stream_peek(p.side[k], ev.stream, &at, &fin);
                    conn_stream_consume(p.side[k], ev.stream, len, p.now);
                    conn_stream_write(p.side[k], ev.stream, "some", 4);
                }
            }
            if (p.count > WIRE_MAX / 2) {
                break;
            }
        }
        pair_free(&p);
    }
}

/* --- memory --- */

/* Memory that fails from the n-th allocation on, for a while: nothing breaks, and when there is
 * memory again the exchange goes on. */
static void survives_short_memory(void **state)
{
    (void)state;
    for (size_t n = 1; n < 60; n++) {
        struct pair p;
        pair_init(&p);
        p.drop_every = 5;
        struct end ends[2] = {{.to_write = 40000}, {.to_write = 30000}};
        mem_fail_after(n);
        while (conn_stream_open(p.side[0], "target", 6, &ends[0].id) < 0) {
            mem_fail_after(0);
        }
        for (int i = 0; i < 60; i++) {
            step(&p);
            if (n < 20) {
                mem_fail_after(0);
            }
            run_events(&p, ends);
            if (n < 20) {
                mem_fail_after(1);
            }
        }
        mem_fail_after(0);
        feed(p.side[0], &ends[0]);
        run_to_end(&p, ends, 60 * NS_PER_S);
        check_complete(&p, ends);
        settle(&p);
        pair_free(&p);
    }
}

static void new_fails_cleanly(void **state)
{
    (void)state;
    const struct conn_limits limits = small_limits();
    mem_fail_after(1);
    assert_null(make_side(true, &limits));
    mem_fail_after(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_exchange_takes_three_round_trips),
        cmocka_unit_test(bulk_grows_its_windows),
        cmocka_unit_test(every_nth_packet_lost),
        cmocka_unit_test(random_loss_on_separate_reply_paths),
        cmocka_unit_test(a_dead_path_is_told_and_its_frames_move),
        cmocka_unit_test(a_closed_path_keeps_its_numbers),
        cmocka_unit_test(a_blocked_path_sends_nothing_and_probes_nothing),
        cmocka_unit_test(frames_leave_a_dead_path_without_being_told_to),
        cmocka_unit_test(a_path_is_suspected_once_per_silence),
        cmocka_unit_test(a_late_packet_gives_the_window_back),
        cmocka_unit_test(the_window_does_not_grow_unused),
        cmocka_unit_test(unused_path_zero_sends_acks_only),
        cmocka_unit_test(abort_ends_both_sides),
        cmocka_unit_test(abort_before_anything_was_sent),
        cmocka_unit_test(an_abort_takes_its_pending_events_back),
        cmocka_unit_test(unread_bytes_of_an_aborted_stream_are_given_back),
        cmocka_unit_test(streams_share_the_session_credit),
        cmocka_unit_test(streams_are_limited_and_come_back),
        cmocka_unit_test(streams_written_before_the_start_go_out),
        cmocka_unit_test(candidates_arrive_and_the_newest_wins),
        cmocka_unit_test(close_and_abandon_end_everything),
        cmocka_unit_test(a_broken_peer_is_refused),
        cmocka_unit_test(an_older_packet_brings_no_older_candidates),
        cmocka_unit_test(session_credit_bounds_all_streams_together),
        cmocka_unit_test(data_before_its_open_waits),
        cmocka_unit_test(mangled_payloads_do_no_harm),
        cmocka_unit_test(survives_short_memory),
        cmocka_unit_test(new_fails_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
