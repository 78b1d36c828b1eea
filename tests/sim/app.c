#include "sim/app.h"

#include <base/check.h>
#include <base/err.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The default function falls through its switch, at which clang warns in the place of use. */
#define HASH_FUNCTION(key, len, hash) HASH_OAT(key, len, hash)
#include <uthash.h>

struct app_stream {
    uint64_t id;
    bool ours;
    struct app_plan plan;
    uint64_t to_write, written;
    uint64_t to_read, read;
    bool write_ended, read_ended;
    bool over; /* gone, reset or aborted */
    bool aborted;
    bool accepted;
    bool hold;
    UT_hash_handle hh;
};

/* --- the pattern --- */

/* A prime length, so that a shift by any usual size shows. */
enum { PATTERN_LEN = 65521, PATTERN_CHUNK = 16384 };

static const uint8_t *pattern_at(uint64_t stream, bool up, uint64_t offset)
{
    static uint8_t pattern[PATTERN_LEN + PATTERN_CHUNK];
    static bool made;
    if (!made) {
        struct pcg pcg;
        rng_fill(pcg_rng(&pcg, 1), pattern, PATTERN_LEN);
        memcpy(pattern + PATTERN_LEN, pattern, PATTERN_CHUNK);
        made = true;
    }
    return pattern + (offset + stream * 7919 + (up ? 31 : 0)) % PATTERN_LEN;
}

static size_t chunk_of(uint64_t len)
{
    return len < PATTERN_CHUNK ? (size_t)len : PATTERN_CHUNK;
}

static void expect_pattern(const struct app_stream *s, const uint8_t *at, size_t len)
{
    assert_true(len <= s->to_read - s->read);
    for (size_t done = 0; done < len;) {
        size_t n = chunk_of(len - done);
        if (memcmp(at + done, pattern_at(s->id, !s->ours, s->read + done), n) != 0) {
            fail_msg("stream %llu: wrong bytes at %llu", (unsigned long long)s->id,
                     (unsigned long long)(s->read + done));
        }
        done += n;
    }
}

/* --- streams --- */

void app_init(struct app *a, struct conn *conn, struct world *world)
{
    *a = (struct app){.conn = conn, .world = world};
}

void app_deinit(struct app *a)
{
    struct app_stream *s, *next;
    HASH_ITER (hh, a->streams, s, next) {
        HASH_DEL(a->streams, s);
        free(s);
    }
}

static struct app_stream *find(const struct app *a, uint64_t id)
{
    struct app_stream *s;
    HASH_FIND(hh, a->streams, &id, sizeof(id), s);
    return s;
}

static struct app_stream *add(struct app *a, uint64_t id, bool ours, const struct app_plan *plan)
{
    assert_null(find(a, id));
    struct app_stream *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->id = id;
    s->ours = ours;
    s->plan = *plan;
    s->to_write = ours ? plan->up : plan->down;
    s->to_read = ours ? plan->down : plan->up;
    s->hold = a->hold;
    HASH_ADD(hh, a->streams, id, sizeof(id), s);
    a->unread++;
    a->unfinished++;
    return s;
}

static void end_read(struct app *a, struct app_stream *s)
{
    if (!s->read_ended) {
        s->read_ended = true;
        a->unread--;
        a->read_ns = a->world->now;
    }
}

static void end(struct app *a, struct app_stream *s)
{
    end_read(a, s);
    if (!s->over) {
        s->over = true;
        a->unfinished--;
    }
}

/* The peer may have reset the stream already; that event has not been fetched yet. */
static void expect_done_or_reset(int err)
{
    assert_true(err == 0 || err == ERR_STATE);
}

static void abort_stream(struct app *a, struct app_stream *s)
{
    uint64_t cause = s->ours ? APP_CAUSE_OPENER : APP_CAUSE_ACCEPTOR;
    assert_int_equal(conn_stream_abort(a->conn, s->id, cause), 0);
    s->aborted = true;
    end(a, s);
}

static bool write_chunk(struct app *a, struct app_stream *s, uint64_t until)
{
    size_t want = chunk_of(until - s->written);
    const uint8_t *from = pattern_at(s->id, s->ours, s->written);
    size_t len;
    if (s->id & 2) { /* both ways of writing */
        len = conn_stream_write(a->conn, s->id, from, want);
    } else {
        uint8_t *at;
        len = conn_stream_space(a->conn, s->id, want, &at);
        len = len < want ? len : want;
        if (len > 0) {
            memcpy(at, from, len);
            conn_stream_wrote(a->conn, s->id, len);
        }
    }
    assert_true(len <= want);
    s->written += len;
    a->bytes_written += len;
    return len > 0;
}

/* How far it may write now. */
static uint64_t limit_of(const struct app_stream *s)
{
    bool aborts = s->ours && s->plan.opener_aborts != APP_NEVER;
    uint64_t until = aborts ? s->plan.opener_aborts : s->to_write;
    if (s->plan.message == 0) {
        return until;
    }
    uint64_t heard = s->read - s->read % s->plan.message;
    uint64_t turn = s->ours ? heard + s->plan.message : s->read;
    return turn < until ? turn : until;
}

static void write_all(struct app *a, struct app_stream *s)
{
    bool aborts = s->ours && s->plan.opener_aborts != APP_NEVER;
    uint64_t until = limit_of(s);
    if (s->over || s->write_ended || (!s->ours && s->plan.down_after_up && !s->read_ended)) {
        return;
    }
    while (s->written < until && write_chunk(a, s, until)) {
    }
    bool all = aborts || until == s->to_write;
    if (s->written < until || !all || s->plan.stays_open) {
        return;
    }
    s->write_ended = true;
    if (aborts) {
        abort_stream(a, s);
    } else {
        expect_done_or_reset(conn_stream_finish(a->conn, s->id));
    }
}

/* One look at what has come; false when there is nothing more to do. */
static bool read_chunk(struct app *a, struct app_stream *s, size_t max)
{
    const uint8_t *at = NULL;
    bool fin = false;
    size_t ready = conn_stream_peek(a->conn, s->id, &at, &fin);
    size_t len = ready < max ? ready : max;
    expect_pattern(s, at, len);
    s->read += len;
    a->bytes_read += len;
    if (len > 0 || fin) {
        conn_stream_consume(a->conn, s->id, len, a->world->now);
    }
    if (fin && len == ready) {
        assert_int_equal(s->read, s->to_read);
        end_read(a, s);
        return false;
    }
    return len > 0;
}

static void read_all(struct app *a, struct app_stream *s, size_t max)
{
    uint64_t until = s->read + max;
    while (!s->over && !s->read_ended && s->read < until) {
        if (!read_chunk(a, s, (size_t)(until - s->read))) {
            break;
        }
        if (!s->ours && s->read >= s->plan.acceptor_aborts) {
            abort_stream(a, s);
        }
    }
    if (s->read_ended || s->plan.message > 0) {
        write_all(a, s);
    }
}

static void pump(struct app *a, struct app_stream *s)
{
    write_all(a, s);
    if (!s->hold) {
        read_all(a, s, SIZE_MAX / 2);
    }
}

struct app_plan app_transfer(uint64_t up, uint64_t down)
{
    return (struct app_plan){
        .up = up, .down = down, .opener_aborts = APP_NEVER, .acceptor_aborts = APP_NEVER};
}

static int open_stream(struct app *a, const struct app_plan *plan, uint64_t *id)
{
    int err = conn_stream_open(a->conn, plan, sizeof(*plan), id);
    if (err == 0) {
        a->opened++;
        pump(a, add(a, *id, true, plan));
    }
    return err;
}

uint64_t app_open(struct app *a, const struct app_plan *plan)
{
    uint64_t id = 0;
    assert_int_equal(open_stream(a, plan, &id), 0);
    return id;
}

bool app_try_open(struct app *a, const struct app_plan *plan)
{
    uint64_t id;
    int err = open_stream(a, plan, &id);
    assert_true(err == 0 || err == ERR_NO_ROOM || err == ERR_NO_MEMORY);
    return err == 0;
}

void app_abort(struct app *a, uint64_t id)
{
    struct app_stream *s = find(a, id);
    CHECK(s);
    abort_stream(a, s);
}

/* --- events --- */

static void on_opened(struct app *a, const struct conn_event *ev)
{
    struct app_plan plan;
    assert_int_equal(ev->u.text.len, sizeof(plan));
    memcpy(&plan, ev->u.text.data, sizeof(plan));
    struct app_stream *s = add(a, ev->stream, false, &plan);
    a->accepted_from_peer++;
    if (plan.acceptor_aborts == 0) {
        abort_stream(a, s);
        return;
    }
    int err = conn_stream_accept(a->conn, s->id, &s->id, sizeof(s->id));
    if (err == ERR_NO_MEMORY) {
        abort_stream(a, s);
        return;
    }
    expect_done_or_reset(err);
    pump(a, s);
}

static void on_accepted(const struct conn_event *ev, struct app_stream *s)
{
    assert_true(s->ours);
    assert_false(s->accepted);
    assert_int_equal(ev->u.text.len, sizeof(s->id));
    assert_memory_equal(ev->u.text.data, &s->id, sizeof(s->id));
    s->accepted = true;
}

static void on_reset(struct app *a, const struct conn_event *ev, struct app_stream *s)
{
    /* The peer's may have come just before our own abort. */
    assert_true(!s->over || s->aborted);
    a->resets += !s->aborted;
    a->last_cause = ev->cause;
    end(a, s);
}

/* The transport may say so only when both ends have been reached. */
static void on_gone(struct app *a, struct app_stream *s)
{
    assert_true(s->over || (s->write_ended && s->read_ended));
    end(a, s);
}

/* True if it is of a stream without a plan. */
static bool flow_event(struct app *a, const struct conn_event *ev)
{
    if (!a->on_datagram || find(a, ev->stream)) {
        return false;
    }
    if (ev->type == CONN_EVENT_DATAGRAM) {
        a->on_datagram(a->user, ev);
    }
    if (ev->type == CONN_EVENT_OPENED && ev->u.text.len != sizeof(struct app_plan)) {
        assert_int_equal(conn_stream_accept(a->conn, ev->stream, NULL, 0), 0);
        return true;
    }
    return ev->type == CONN_EVENT_ACCEPTED || ev->type == CONN_EVENT_RESET ||
           ev->type == CONN_EVENT_GONE || ev->type == CONN_EVENT_DATAGRAM;
}

void app_event(struct app *a, const struct conn_event *ev)
{
    if (flow_event(a, ev)) {
        return;
    }
    struct app_stream *s = find(a, ev->stream);
    switch (ev->type) {
    case CONN_EVENT_OPENED:
        on_opened(a, ev);
        break;
    case CONN_EVENT_ACCEPTED:
        assert_non_null(s);
        on_accepted(ev, s);
        break;
    case CONN_EVENT_READABLE:
    case CONN_EVENT_WRITABLE:
        assert_non_null(s);
        pump(a, s);
        break;
    case CONN_EVENT_RESET:
        assert_non_null(s);
        on_reset(a, ev, s);
        break;
    case CONN_EVENT_GONE:
        assert_non_null(s);
        on_gone(a, s);
        break;
    case CONN_EVENT_PATH_SUSPECT:
        a->suspects++;
        break;
    case CONN_EVENT_CANDIDATES:
        a->candidates = ev->u.candidates.count;
        break;
    case CONN_EVENT_DATAGRAM:
        fail_msg("a datagram on stream %llu", (unsigned long long)ev->stream);
        break;
    case CONN_EVENT_PEER_CLOSED:
        a->closed = true;
        a->close_cause = ev->cause;
        break;
    }
}

/* --- holding back --- */

void app_hold(struct app *a, uint64_t id)
{
    struct app_stream *s = find(a, id);
    CHECK(s);
    s->hold = true;
}

void app_release(struct app *a, uint64_t id)
{
    struct app_stream *s = find(a, id);
    CHECK(s);
    s->hold = false;
    pump(a, s);
}

void app_release_all(struct app *a)
{
    struct app_stream *s, *next;
    a->hold = false;
    HASH_ITER (hh, a->streams, s, next) {
        app_release(a, s->id);
    }
}

void app_read_some(struct app *a, uint64_t id, size_t max)
{
    struct app_stream *s = find(a, id);
    if (s) {
        read_all(a, s, max);
    }
}

uint64_t app_stream_read(const struct app *a, uint64_t id)
{
    const struct app_stream *s = find(a, id);
    return s ? s->read : 0;
}

uint64_t app_stream_written(const struct app *a, uint64_t id)
{
    const struct app_stream *s = find(a, id);
    return s ? s->written : 0;
}

bool app_stream_is_over(const struct app *a, uint64_t id)
{
    const struct app_stream *s = find(a, id);
    return s && s->over;
}
