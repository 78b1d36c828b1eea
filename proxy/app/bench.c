#include "app/bench.h"

#include "app/endpoint.h"

#include <base/clock.h>
#include <base/mem.h>

#include <stdio.h>
#include <string.h>

enum {
    BLOCK = 65536,
    DRAIN_MS = 40000, /* what is still under way when the time is over */
    COUNT_LEN = 8,
};

static const char prefix[] = "!bench ";

struct bench_end {
    LIST_ENTRY(bench_end) entry;
    struct benches *all;
    struct endpoint *end;
    uv_timer_t timer;
    bool sends; /* bytes, until the time is over; else it takes them */
    bool begun, stopped;
    unsigned seconds;
    uint64_t bytes; /* taken */
    uint64_t begin_ns;
    uint8_t count[COUNT_LEN]; /* the peer's */
    size_t count_len;
    void (*over)(void *user, const struct bench_result *result); /* NULL: a peer's */
    void *user;
};

static uint64_t now_ns(void)
{
    return uv_hrtime();
}

/* --- life --- */

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static struct bench_end *new_end(struct benches *b, bool sends, unsigned seconds)
{
    struct bench_end *e = b->count < BENCH_MAX ? mem_new(1, sizeof(*e)) : NULL;
    if (!e) {
        return NULL;
    }
    e->all = b;
    e->sends = sends;
    e->seconds = seconds;
    (void)uv_timer_init(b->ctx->loop, &e->timer); /* cannot fail */
    e->timer.data = e;
    LIST_INSERT_HEAD(&b->list, e, entry);
    b->count++;
    return e;
}

/* Its endpoint is gone. */
static void forget(struct bench_end *e)
{
    LIST_REMOVE(e, entry);
    e->all->count--;
    uv_close((uv_handle_t *)&e->timer, on_closed);
}

static void conclude(struct bench_end *e, enum cause cause)
{
    struct bench_result result = {
        .cause = cause, .bytes = e->bytes, .took_ns = time_since(e->begin_ns, now_ns())};
    void (*over)(void *, const struct bench_result *) = e->over;
    void *user = e->user;
    forget(e);
    if (over) {
        over(user, &result);
    }
}

static void give_up(struct bench_end *e, enum cause cause)
{
    endpoint_abort(e->end, cause);
    conclude(e, cause);
}

/* --- bytes --- */

/* Zeros, and not what memory held before. */
static void push(struct bench_end *e)
{
    uint8_t *at;
    size_t room;
    while (!e->stopped && (room = endpoint_space(e->end, BLOCK, &at)) > 0) {
        size_t len = room < BLOCK ? room : BLOCK;
        memset(at, 0, len);
        (void)endpoint_wrote(e->end, len);
    }
}

static void take_count(struct bench_end *e, const uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len && e->count_len < COUNT_LEN; i++) {
        e->count[e->count_len++] = at[i];
    }
}

static void tell_count(struct bench_end *e)
{
    uint8_t *at = NULL;
    if (endpoint_space(e->end, COUNT_LEN, &at) >= COUNT_LEN) {
        for (size_t i = 0; i < COUNT_LEN; i++) {
            at[i] = (uint8_t)(e->bytes >> (8 * (COUNT_LEN - 1 - i)));
        }
        (void)endpoint_wrote(e->end, COUNT_LEN);
    }
    endpoint_finish(e->end);
}

/* The other side has sent all that it will. */
static void on_end(struct bench_end *e)
{
    if (e->sends && !e->over) {
        return; /* the asker has nothing to say: its end comes at once */
    }
    if (e->sends) {
        e->bytes = 0;
        for (size_t i = 0; i < COUNT_LEN; i++) {
            e->bytes = e->bytes << 8 | e->count[i];
        }
    } else if (!e->over) {
        tell_count(e);
    }
    endpoint_release(e->end);
    conclude(e, !e->sends || e->count_len == COUNT_LEN ? CAUSE_NONE : CAUSE_PROTOCOL);
}

static void on_readable(void *user)
{
    struct bench_end *e = user;
    const uint8_t *at;
    bool fin;
    size_t len;
    while ((len = endpoint_peek(e->end, &at, &fin)) > 0) {
        if (e->sends) {
            take_count(e, at, len);
        } else {
            e->bytes += len;
        }
        endpoint_consume(e->end, len);
    }
    if (fin) {
        endpoint_consume(e->end, 0);
        on_end(e);
    }
}

static void on_writable(void *user)
{
    push(user);
}

static void on_reset(void *user, enum cause cause)
{
    struct bench_end *e = user;
    endpoint_release(e->end);
    conclude(e, cause == CAUSE_NONE ? CAUSE_FAILED : cause);
}

/* --- time --- */

static void on_late(uv_timer_t *timer)
{
    struct bench_end *e = timer->data;
    give_up(e, e->begun ? CAUSE_TIMED_OUT : CAUSE_PEER_UNREACHABLE);
}

static void on_time(uv_timer_t *timer)
{
    struct bench_end *e = timer->data;
    e->stopped = true;
    endpoint_finish(e->end);
    if (!e->over) { /* the node sees to what is still under way */
        endpoint_release(e->end);
        conclude(e, CAUSE_NONE);
        return;
    }
    (void)uv_timer_start(timer, on_late, DRAIN_MS, 0);
}

static void begin(struct bench_end *e)
{
    e->begun = true;
    e->begin_ns = now_ns();
    uint64_t ms = e->seconds * UINT64_C(1000);
    if (e->sends) {
        (void)uv_timer_start(&e->timer, on_time, ms, 0);
        push(e);
    } else {
        (void)uv_timer_start(&e->timer, on_late, ms + DRAIN_MS, 0);
    }
}

/* --- a peer asks --- */

bool bench_is_meant(const struct adit_event *ev)
{
    return ev->len >= sizeof(prefix) - 1 && memcmp(ev->data, prefix, sizeof(prefix) - 1) == 0;
}

/* "!bench up 3". False if it is malformed. */
static bool parse(const struct adit_event *ev, bool *up, unsigned *seconds)
{
    char text[32], way[8];
    int end = 0;
    if (ev->len >= sizeof(text)) {
        return false;
    }
    memcpy(text, ev->data, ev->len);
    text[ev->len] = '\0';
    if (sscanf(text, "!bench %7s %2u%n", way, seconds, &end) != 2 || text[end] != '\0') {
        return false;
    }
    *up = strcmp(way, "up") == 0;
    return (*up || strcmp(way, "down") == 0) && *seconds >= 1 && *seconds <= BENCH_SECONDS_MAX;
}

static const struct endpoint_events events = {
    .readable = on_readable,
    .writable = on_writable,
    .reset = on_reset,
};

static enum cause take(struct benches *b, const struct adit_event *ev)
{
    bool up;
    unsigned seconds;
    if (!b->ctx->config->node.bench) {
        return CAUSE_NOT_ALLOWED;
    }
    if (!parse(ev, &up, &seconds)) {
        return CAUSE_BAD_TARGET;
    }
    struct endpoint *end = endpoint_of_stream(b->ctx->node, ev->stream);
    struct bench_end *e = end ? new_end(b, !up, seconds) : NULL;
    if (!e) {
        if (end) {
            endpoint_abort(end, CAUSE_LIMIT);
        }
        return end ? CAUSE_NONE : CAUSE_LIMIT;
    }
    e->end = end;
    endpoint_attach(end, &events, e);
    (void)adit_accept(b->ctx->node, ev->stream, NULL, 0);
    begin(e);
    return CAUSE_NONE;
}

void bench_accept(struct benches *b, const struct adit_event *ev)
{
    enum cause cause = take(b, ev);
    if (cause != CAUSE_NONE) {
        adit_abort(b->ctx->node, ev->stream, cause);
    }
    LOG_AT(b->ctx->log, LOG_INFO, "bench", cause == CAUSE_NONE ? "asked" : "refused",
           "peer=%s cause=%s", b->ctx->config->peers[ev->peer].name, cause_name(cause));
}

/* --- we ask --- */

static void on_accepted(void *user, const void *info, size_t len)
{
    struct bench_end *e = user;
    (void)info;
    (void)len;
    begin(e);
}

static const struct endpoint_events asking = {
    .readable = on_readable,
    .writable = on_writable,
    .reset = on_reset,
    .accepted = on_accepted,
};

struct bench_end *bench_start(struct benches *b, const struct bench_wish *wish,
                              void (*over)(void *user, const struct bench_result *result),
                              void *user)
{
    char target[32];
    struct bench_end *e = new_end(b, wish->up, wish->seconds);
    if (!e) {
        return NULL;
    }
    (void)snprintf(target, sizeof(target), "%s%s %u", prefix, wish->up ? "up" : "down",
                   wish->seconds);
    if (endpoint_open(b->ctx->node, wish->peer, target, &asking, e, &e->end) != 0) {
        forget(e);
        return NULL;
    }
    (void)adit_bind(b->ctx->node, endpoint_stream(e->end), wish->lane); /* nothing has left yet */
    e->over = over;
    e->user = user;
    if (!wish->up) {
        endpoint_finish(e->end);
    }
    (void)uv_timer_start(&e->timer, on_late, BENCH_SECONDS_MAX * UINT64_C(1000), 0);
    return e;
}

void bench_cancel(struct bench_end *e)
{
    endpoint_abort(e->end, CAUSE_CANCELLED);
    forget(e);
}

void benches_init(struct benches *b, struct context *ctx)
{
    *b = (struct benches){.ctx = ctx};
    LIST_INIT(&b->list);
}

void benches_stop(struct benches *b)
{
    struct bench_end *e;
    while ((e = LIST_FIRST(&b->list)) != NULL) {
        endpoint_abort(e->end, CAUSE_PEER_CLOSED);
        forget(e);
    }
}
