#include "app/client.h"

#include "app/dialer.h"
#include "app/endpoint.h"
#include "app/pump.h"
#include "policy/route.h"

#include <base/err.h>
#include <base/mem.h>

#include <stdio.h>
#include <string.h>

enum { CLIENT_IN = 2048 }; /* a request, and what an eager application sends behind it */

struct client {
    LIST_ENTRY(client) entry;
    struct clients *all;
    struct context *ctx;
    uv_timer_t timer;
    struct front front;
    struct tcp *tcp;       /* NULL once the pump has it */
    struct dialer *dialer; /* `direct`: while it dials */
    struct endpoint *end;  /* the stream that is being opened */
    size_t peer;           /* where to, for the cause of an expiry */
    struct pump pump;
    bool pumping, closing;
    bool ended; /* the application has sent FIN */
    size_t in_len;
    uint8_t in[CLIENT_IN];
};

static void step(struct client *c);

static uint64_t now_of(const struct client *c)
{
    return uv_now(c->ctx->loop) * NS_PER_MS;
}

/* --- the end -------------------------------------------------------------------------------- */

static void on_timer_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static void forget(struct client *c)
{
    LIST_REMOVE(c, entry);
    c->all->count--;
    uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}

static void give_up_dialling(struct client *c, enum cause cause)
{
    if (c->dialer) {
        dialer_cancel(c->dialer);
        c->dialer = NULL;
    }
    if (c->end) {
        endpoint_abort(c->end, cause);
        c->end = NULL;
    }
}

static void drop(struct client *c)
{
    give_up_dialling(c, CAUSE_CANCELLED);
    tcp_close(c->tcp);
    forget(c);
}

static void on_pump_over(void *user)
{
    forget(user);
}

/* --- going somewhere ------------------------------------------------------------------------- */

static void fail(struct client *c, enum cause cause)
{
    char text[TARGET_TEXT_MAX];
    LOG_AT(c->ctx->log, LOG_INFO, "front", "failed", "target=%s cause=%s",
           target_format(front_target(&c->front), text), cause_name(cause));
    context_count_failure(c->ctx->counters.front.failures, cause);
    front_failed(&c->front, cause, now_of(c));
    step(c);
}

static void send_output(struct client *c)
{
    uint8_t out[SOCKS5_OUT_MAX];
    size_t len;
    while (!tcp_busy(c->tcp) && (len = front_output(&c->front, out, sizeof(out))) > 0) {
        if (tcp_send(c->tcp, out, len) < 0) {
            return; /* reading says the same in a moment */
        }
    }
}

/* Replies and joins both sides; `c` may be gone afterwards. */
static void connected(struct client *c, struct endpoint *end, const struct addr *bound)
{
    front_connected(&c->front, bound);
    c->ctx->counters.front.connected++;
    send_output(c);
    (void)uv_timer_stop(&c->timer);
    struct pump_parts parts = {
        .tcp = c->tcp,
        .end = end,
        .early = c->in,
        .early_len = c->in_len,
        .tcp_ended = c->ended,
        .broken = CAUSE_CANCELLED,
    };
    c->tcp = NULL;
    c->end = NULL;
    c->pumping = true;
    pump_start(&c->pump, &parts, on_pump_over, c);
}

static void on_dialled(void *user, struct tcp *tcp, enum cause cause)
{
    struct client *c = user;
    c->dialer = NULL;
    struct endpoint *end = tcp ? endpoint_of_tcp(tcp) : NULL;
    if (end) {
        struct addr bound = tcp_local(tcp);
        connected(c, end, &bound);
        return;
    }
    if (tcp) {
        tcp_close(tcp);
        cause = CAUSE_LIMIT;
    }
    fail(c, cause);
}

static void on_accepted(void *user, const void *info, size_t len)
{
    struct client *c = user;
    char text[ADDR_TEXT_MAX] = "";
    struct addr bound = {.family = ADDR_NONE};
    if (len < sizeof(text)) {
        memcpy(text, info, len);
        (void)addr_parse(&bound, text);
    }
    connected(c, c->end, bound.family == ADDR_NONE ? NULL : &bound);
}

static void on_refused(void *user, enum cause cause)
{
    struct client *c = user;
    endpoint_release(c->end);
    c->end = NULL;
    fail(c, cause);
}

/* Bytes before the acceptance stay in the stream until there is a pump to take them. */
static void on_nothing(void *user)
{
    (void)user;
}

static const struct endpoint_events opening = {
    .readable = on_nothing,
    .writable = on_nothing,
    .reset = on_refused,
    .accepted = on_accepted,
};

static void go_direct(struct client *c, const struct target *t)
{
    c->dialer = dialer_start(c->ctx, t, NULL, on_dialled, c);
    if (!c->dialer) {
        fail(c, CAUSE_LIMIT);
    }
}

/* NAME.peer means the peer's own machine: there it is called localhost. */
static void go_to_peer(struct client *c, const struct target *t, const struct route *route)
{
    char text[TARGET_TEXT_MAX];
    if (route->self) {
        (void)snprintf(text, sizeof(text), "localhost:%u", (unsigned)t->port);
    } else {
        (void)target_format(t, text);
    }
    c->peer = route->peer;
    int err = endpoint_open(c->ctx->node, route->peer, text, &opening, c, &c->end);
    if (err != 0) {
        fail(c, err == ERR_NOT_FOUND ? CAUSE_UNKNOWN_PEER : CAUSE_LIMIT);
    }
}

static void go(struct client *c)
{
    const struct target *t = front_target(&c->front);
    char peer[TARGET_PEER_MAX + 1];
    bool name = t->kind == TARGET_NAME;
    struct route route =
        route_decide(c->ctx->config, name ? t->name : NULL, name ? NULL : &t->addr);
    c->ctx->counters.front.requests++;
    switch (route.kind) {
    case ROUTE_DIRECT:
        go_direct(c, t);
        break;
    case ROUTE_PEER:
        go_to_peer(c, t, &route);
        break;
    case ROUTE_REFUSE:
        fail(c, target_is_peer_name(t, peer) ? CAUSE_UNKNOWN_PEER : CAUSE_REFUSED_BY_ROUTE);
        break;
    }
}

/* Without a session there is no path; with one it is the target that does not answer. */
static void expire(struct client *c)
{
    enum cause cause = CAUSE_TIMED_OUT;
    struct adit_peer_stats peer;
    if (c->end &&
        (!adit_peer_stats(c->ctx->node, c->peer, &peer) || peer.state != ADIT_PEER_CONNECTED)) {
        cause = CAUSE_PEER_UNREACHABLE;
    }
    give_up_dialling(c, CAUSE_TIMED_OUT);
    fail(c, cause);
}

/* --- negotiation ----------------------------------------------------------------------------- */

static void count_fault(struct client *c)
{
    struct context_counters *n = &c->ctx->counters;
    switch (c->front.fault) {
    case FRONT_FAULT_PROTOCOL:
        n->front.bad_protocol++;
        break;
    case FRONT_FAULT_REQUEST:
        n->front.bad_requests++;
        break;
    case FRONT_FAULT_SLOW:
        n->front.slow_requests++;
        break;
    case FRONT_FAULT_NONE:
        return;
    }
    LOG_AT(c->ctx->log, LOG_INFO, "front", "bad_client", "why=\"%s\"",
           c->front.why ? c->front.why : "malformed");
}

static void finish_when_sent(struct client *c)
{
    if (c->closing && !tcp_busy(c->tcp)) {
        c->closing = false;
        (void)tcp_finish(c->tcp); /* if it is broken, the linger time ends it */
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct client *c = timer->data;
    front_tick(&c->front, now_of(c));
    step(c);
}

static void set_timer(struct client *c)
{
    uint64_t next = front_next_ns(&c->front);
    if (next == TIME_NEVER) {
        (void)uv_timer_stop(&c->timer);
        return;
    }
    uint64_t ms = (time_since(now_of(c), next) + NS_PER_MS - 1) / NS_PER_MS;
    (void)uv_timer_start(&c->timer, on_timer, ms, 0);
}

/* One event at a time; `c` may be gone, or be the pump's, afterwards. */
static void step(struct client *c)
{
    send_output(c);
    set_timer(c);
    switch (front_event(&c->front)) {
    case FRONT_EVENT_CONNECT:
        go(c);
        break;
    case FRONT_EVENT_EXPIRED:
        expire(c);
        break;
    case FRONT_EVENT_CLOSE:
        count_fault(c);
        c->closing = true;
        c->in_len = 0;
        tcp_resume(c->tcp);
        finish_when_sent(c);
        break;
    case FRONT_EVENT_DROP:
        drop(c);
        break;
    case FRONT_EVENT_NONE:
        break;
    }
}

static size_t on_room(void *user, uint8_t **at)
{
    struct client *c = user;
    *at = c->in + c->in_len;
    return sizeof(c->in) - c->in_len;
}

static void on_read(void *user, ssize_t n)
{
    struct client *c = user;
    if (n == 0 && front_state(&c->front) == FRONT_CONNECTING) {
        c->ended = true; /* it may still want the answer */
        return;
    }
    if (n <= 0) {
        drop(c);
        return;
    }
    c->in_len += (size_t)n;
    size_t taken = front_input(&c->front, c->in, c->in_len, now_of(c));
    c->in_len -= taken;
    memmove(c->in, c->in + taken, c->in_len);
    step(c);
}

static void on_sent(void *user, int status)
{
    struct client *c = user;
    if (status < 0) {
        drop(c);
        return;
    }
    send_output(c);
    finish_when_sent(c);
}

static const struct tcp_ops tcp_ops = {
    .room = on_room,
    .read = on_read,
    .sent = on_sent,
};

void clients_init(struct clients *c, struct context *ctx)
{
    *c = (struct clients){.ctx = ctx};
    LIST_INIT(&c->list);
}

void clients_stop(struct clients *all)
{
    struct client *c;
    while ((c = LIST_FIRST(&all->list)) != NULL) {
        if (c->pumping) {
            pump_stop(&c->pump, CAUSE_CANCELLED);
            forget(c);
        } else {
            drop(c);
        }
    }
}

/* A connection must be accepted to be closed, else the listener calls for it for ever. */
static void refuse(struct context *ctx, struct tcp *tcp)
{
    ctx->counters.front.clients_refused++;
    tcp_close(tcp);
}

static struct client *client_new(struct clients *all, struct tcp *tcp)
{
    struct client *c = all->count < all->ctx->limits.clients_max ? mem_new(1, sizeof(*c)) : NULL;
    if (!c) {
        return NULL;
    }
    c->all = all;
    c->ctx = all->ctx;
    c->tcp = tcp;
    (void)uv_timer_init(c->ctx->loop, &c->timer); /* cannot fail */
    c->timer.data = c;
    front_init(&c->front, &c->ctx->times, now_of(c));
    LIST_INSERT_HEAD(&all->list, c, entry);
    all->count++;
    c->ctx->counters.front.clients++;
    return c;
}

void client_accept(struct clients *all, uv_stream_t *listener)
{
    struct context *ctx = all->ctx;
    struct tcp *tcp = tcp_new(ctx->loop, &ctx->pool);
    if (!tcp) {
        ctx->counters.front.clients_refused++;
        return;
    }
    struct client *c = tcp_accept(tcp, listener) == 0 ? client_new(all, tcp) : NULL;
    if (!c) {
        refuse(ctx, tcp);
        return;
    }
    tcp_attach(tcp, &tcp_ops, c);
    set_timer(c);
    tcp_resume(tcp);
}
