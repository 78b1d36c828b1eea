#include "sim/fleet_app.h"

#include <base/check.h>
#include <base/mem.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#define HASH_FUNCTION(key, len, hash) HASH_OAT(key, len, hash)
#include <uthash.h>

struct fleet_stream {
    struct fleet_app *app;
    uint64_t id;
    bool ours;
    struct fleet_plan plan;
    uint64_t to_write, written, allowed;
    uint64_t to_read, read;
    bool accepted, write_ended, read_ended;
    struct world_event pace;
    UT_hash_handle hh;
};

/* --- the pattern --- */

/* A prime length, so that a shift by any usual size shows. */
enum { PATTERN_LEN = 65521, PATTERN_CHUNK = 16384 };

static const uint8_t *pattern_at(uint64_t seed, bool up, uint64_t offset)
{
    static uint8_t pattern[PATTERN_LEN + PATTERN_CHUNK];
    static bool made;
    if (!made) {
        struct pcg pcg;
        rng_fill(pcg_rng(&pcg, 1), pattern, PATTERN_LEN);
        memcpy(pattern + PATTERN_LEN, pattern, PATTERN_CHUNK);
        made = true;
    }
    return pattern + (offset + seed * 7919 + (up ? 31 : 0)) % PATTERN_LEN;
}

static size_t chunk_of(uint64_t len)
{
    return len < PATTERN_CHUNK ? (size_t)len : PATTERN_CHUNK;
}

static void expect_pattern(const struct fleet_stream *s, const uint8_t *at, size_t len)
{
    assert_true(s->plan.endless || len <= s->to_read - s->read);
    for (size_t done = 0; done < len;) {
        size_t n = chunk_of(len - done);
        if (memcmp(at + done, pattern_at(s->plan.seed, !s->ours, s->read + done), n) != 0) {
            fail_msg("stream %llx: wrong bytes at %llu", (unsigned long long)s->id,
                     (unsigned long long)(s->read + done));
        }
        done += n;
    }
}

/* --- streams --- */

void fleet_app_init(struct fleet_app *a, struct world *world, void (*wake)(void *user), void *user)
{
    *a = (struct fleet_app){.world = world, .wake = wake, .user = user};
}

static void drop(struct fleet_app *a, struct fleet_stream *s)
{
    heap_remove(&a->world->heap, &s->pace.node);
    HASH_DEL(a->streams, s);
    mem_free(s);
    a->unfinished--;
}

void fleet_app_attach(struct fleet_app *a, struct node *node)
{
    struct fleet_stream *s, *next;
    HASH_ITER (hh, a->streams, s, next) {
        drop(a, s);
    }
    a->node = node;
}

static struct fleet_stream *find(const struct fleet_app *a, uint64_t id)
{
    struct fleet_stream *s;
    HASH_FIND(hh, a->streams, &id, sizeof(id), s);
    return s;
}

static void write_all(struct fleet_stream *s)
{
    struct fleet_app *a = s->app;
    while (s->written < s->allowed) {
        size_t want = chunk_of(s->allowed - s->written);
        uint8_t *at = NULL;
        size_t len = node_stream_space(a->node, s->id, want, &at);
        len = len < want ? len : want;
        if (len == 0) {
            return;
        }
        memcpy(at, pattern_at(s->plan.seed, s->ours, s->written), len);
        node_stream_wrote(a->node, s->id, len);
        s->written += len;
        a->bytes_written += len;
    }
    if (s->written == s->to_write && !s->write_ended && !(s->ours && s->plan.endless)) {
        s->write_ended = true;
        assert_int_equal(node_stream_finish(a->node, s->id), 0);
    }
}

static void on_pace(struct world_event *event)
{
    struct fleet_stream *s = container_of(event, struct fleet_stream, pace);
    s->allowed = time_min(s->allowed + s->plan.pace_bytes, s->to_write);
    if (s->allowed < s->to_write) {
        world_at(s->app->world, event, s->app->world->now + s->plan.pace_ns);
    }
    write_all(s);
    s->app->wake(s->app->user);
}

static struct fleet_stream *add(struct fleet_app *a, uint64_t id, bool ours,
                                const struct fleet_plan *plan)
{
    assert_null(find(a, id));
    struct fleet_stream *s = mem_new(1, sizeof(*s));
    CHECK(s);
    s->app = a;
    s->id = id;
    s->ours = ours;
    s->plan = *plan;
    s->to_write = ours ? plan->up : plan->down;
    s->to_read = ours ? plan->down : plan->up;
    s->allowed = plan->pace_bytes > 0 ? time_min(plan->pace_bytes, s->to_write) : s->to_write;
    s->pace.fire = on_pace;
    HASH_ADD(hh, a->streams, id, sizeof(id), s);
    a->unfinished++;
    if (s->allowed < s->to_write) {
        world_at(a->world, &s->pace, a->world->now + plan->pace_ns);
    }
    return s;
}

static void read_all(struct fleet_stream *s)
{
    struct fleet_app *a = s->app;
    bool fin = false;
    while (!s->read_ended) {
        const uint8_t *at = NULL;
        size_t len = node_stream_peek(a->node, s->id, &at, &fin);
        if (len == 0 && !fin) {
            return;
        }
        expect_pattern(s, at, len);
        s->read += len;
        a->bytes_read += len;
        uint64_t gap = time_since(a->read_ns, a->world->now);
        a->max_gap_ns = a->read_ns != 0 && gap > a->max_gap_ns ? gap : a->max_gap_ns;
        a->read_ns = a->world->now;
        node_stream_consume(a->node, s->id, len, a->world->now);
        if (fin) {
            assert_true(s->plan.endless || s->read == s->to_read);
            s->read_ended = true;
        }
    }
}

static void pump(struct fleet_stream *s)
{
    read_all(s);
    write_all(s);
}

uint64_t fleet_app_open(struct fleet_app *a, size_t peer, const struct fleet_plan *plan)
{
    uint64_t id;
    assert_int_equal(node_stream_open(a->node, peer, plan, sizeof(*plan), &id, a->world->now), 0);
    assert_int_equal(node_stream_bind(a->node, id, plan->lane), 0);
    assert_int_equal(node_stream_peer(id), peer);
    a->opened++;
    pump(add(a, id, true, plan));
    return id;
}

void fleet_app_more(struct fleet_app *a, uint64_t stream, uint64_t bytes)
{
    struct fleet_stream *s = find(a, stream);
    assert_non_null(s);
    s->to_write += bytes;
    s->allowed = s->to_write;
    write_all(s);
    a->wake(a->user);
}

void fleet_app_finish(struct fleet_app *a, uint64_t stream)
{
    struct fleet_stream *s = find(a, stream);
    assert_non_null(s);
    s->plan.endless = false;
    write_all(s);
    a->wake(a->user);
}

/* --- events --- */

static void on_opened(struct fleet_app *a, const struct node_event *ev)
{
    struct fleet_plan plan;
    assert_int_equal(ev->len, sizeof(plan));
    memcpy(&plan, ev->data, sizeof(plan));
    struct fleet_stream *s = add(a, ev->stream, false, &plan);
    a->accepted++;
    a->first_ns = a->first_ns != 0 ? a->first_ns : a->world->now;
    assert_int_equal(node_stream_accept(a->node, s->id, &plan.seed, sizeof(plan.seed)), 0);
    pump(s);
}

static void on_accepted(struct fleet_app *a, struct fleet_stream *s, const struct node_event *ev)
{
    assert_true(s->ours);
    assert_false(s->accepted);
    assert_int_equal(ev->len, sizeof(s->plan.seed));
    assert_memory_equal(ev->data, &s->plan.seed, sizeof(s->plan.seed));
    s->accepted = true;
    a->answered++;
}

static void on_end(struct fleet_app *a, struct fleet_stream *s, const struct node_event *ev)
{
    if (ev->type == NODE_EVENT_STREAM_RESET) {
        a->resets++;
        a->last_cause = ev->cause;
    } else if (s) {
        assert_true(s->read_ended && s->write_ended);
        a->completed++;
    }
    if (s) {
        drop(a, s);
    } else {
        a->strays += ev->type == NODE_EVENT_STREAM_RESET;
    }
}

bool fleet_app_event(struct fleet_app *a, const struct node_event *ev)
{
    struct fleet_stream *s = find(a, ev->stream);
    switch (ev->type) {
    case NODE_EVENT_STREAM_OPENED:
        on_opened(a, ev);
        return true;
    case NODE_EVENT_STREAM_ACCEPTED:
        assert_non_null(s);
        on_accepted(a, s, ev);
        return true;
    case NODE_EVENT_STREAM_READABLE:
    case NODE_EVENT_STREAM_WRITABLE:
        assert_non_null(s);
        pump(s);
        return true;
    case NODE_EVENT_STREAM_RESET:
    case NODE_EVENT_STREAM_GONE:
        on_end(a, s, ev);
        return true;
    case NODE_EVENT_DATAGRAM:
        fail_msg("a datagram on stream %llu", (unsigned long long)ev->stream);
        return true;
    case NODE_EVENT_PONG:
        a->pongs++;
        a->last_pong = ev->pong;
        return true;
    case NODE_EVENT_PEER:
    case NODE_EVENT_RELAY_CONNECT:
    case NODE_EVENT_RELAY_CLOSE:
    case NODE_EVENT_PORTAL_ASK:
    case NODE_EVENT_PORTAL_CLOSE:
    case NODE_EVENT_RESOLVE_STUN:
    case NODE_EVENT_SOCKETS:
    case NODE_EVENT_RESOLVE:
        return false;
    }
    return false;
}
