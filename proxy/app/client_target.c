/* Where a client's request goes: a stream to a peer, a connection from here, or an answer. */
#include "app/client_internal.h"

#include "policy/route.h"

#include <base/err.h>

#include <stdio.h>
#include <string.h>

void client_give_up_dialling(struct client *c, enum cause cause)
{
    if (c->dialer) {
        dialer_cancel(c->dialer);
        c->dialer = NULL;
    }
    if (c->binder) {
        binder_stop(c->binder);
        c->binder = NULL;
    }
    if (c->end) {
        endpoint_abort(c->end, cause);
        c->end = NULL;
    }
}

void client_refuse(struct client *c, enum cause cause)
{
    char text[TARGET_TEXT_MAX];
    LOG_AT(c->ctx->log, LOG_INFO, "front", "failed", "target=%s cause=%s",
           target_format(front_target(&c->front), text), cause_name(cause));
    context_count_failure(c->ctx->counters.front.failures, cause);
    front_failed(&c->front, cause, client_now(c));
    client_step(c);
}

void client_connected(struct client *c, struct endpoint *end, const struct addr *bound)
{
    front_connected(&c->front, bound);
    c->ctx->counters.front.connected++;
    client_send_output(c);
    if (front_state(&c->front) == FRONT_RELAYING) {
        c->end = end;
        (void)uv_timer_stop(&c->timer);
        client_relay(c);
    } else {
        client_pump(c, end);
    }
}

void client_connected_tcp(struct client *c, struct tcp *tcp, const struct addr *bound)
{
    struct endpoint *end = endpoint_of_tcp(tcp);
    if (end) {
        client_connected(c, end, bound);
    } else {
        tcp_close(tcp);
        client_refuse(c, CAUSE_LIMIT);
    }
}

static void on_dialled(void *user, struct tcp *tcp, enum cause cause)
{
    struct client *c = user;
    c->dialer = NULL;
    if (tcp) {
        struct addr bound = tcp_local(tcp);
        client_connected_tcp(c, tcp, &bound);
    } else {
        client_refuse(c, cause);
    }
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
    client_connected(c, c->end, bound.family == ADDR_NONE ? NULL : &bound);
}

void client_on_refused(void *user, enum cause cause)
{
    struct client *c = user;
    endpoint_release(c->end);
    c->end = NULL;
    client_refuse(c, cause);
}

/* Bytes before the acceptance stay in the stream until there is a pump to take them. */
static void on_nothing(void *user)
{
    (void)user;
}

static const struct endpoint_events opening = {
    .readable = on_nothing,
    .writable = on_nothing,
    .reset = client_on_refused,
    .accepted = on_accepted,
};

static void go_direct(struct client *c, const struct target *t)
{
    c->dialer = dialer_start(c->ctx, t, NULL, on_dialled, c);
    if (!c->dialer) {
        client_refuse(c, CAUSE_LIMIT);
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
        client_refuse(c, err == ERR_NOT_FOUND ? CAUSE_UNKNOWN_PEER : CAUSE_LIMIT);
    }
}

static void client_dial(struct client *c)
{
    const struct target *t = front_target(&c->front);
    char peer[TARGET_PEER_MAX + 1];
    bool name = t->kind == TARGET_NAME;
    struct route route =
        route_decide(c->ctx->config, name ? t->name : NULL, name ? NULL : &t->addr);
    if (client_take_kept(c, t)) {
        client_connected(c, c->end, NULL);
        return;
    }
    switch (route.kind) {
    case ROUTE_DIRECT:
        go_direct(c, t);
        break;
    case ROUTE_PEER:
        go_to_peer(c, t, &route);
        break;
    case ROUTE_REFUSE:
        client_refuse(c,
                      target_is_peer_name(t, peer) ? CAUSE_UNKNOWN_PEER : CAUSE_REFUSED_BY_ROUTE);
        break;
    }
}

void client_go(struct client *c)
{
    c->ctx->counters.front.requests++;
    switch (front_command(&c->front)) {
    case SOCKS5_CONNECT:
        client_dial(c);
        break;
    case SOCKS5_BIND:
        client_bind(c);
        break;
    case SOCKS5_ASSOCIATE:
        client_associate(c);
        break;
    }
}

/* Without a session there is no path; with one it is the target that does not answer. */
void client_expire(struct client *c)
{
    enum cause cause = CAUSE_TIMED_OUT;
    struct adit_peer_stats peer;
    if (c->end &&
        (!adit_peer_stats(c->ctx->node, c->peer, &peer) || peer.state != ADIT_PEER_CONNECTED)) {
        cause = CAUSE_PEER_UNREACHABLE;
    }
    client_give_up_dialling(c, CAUSE_TIMED_OUT);
    client_refuse(c, cause);
}
