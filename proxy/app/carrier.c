#include "app/carrier.h"

#include "app/endpoint.h"
#include "policy/route.h"
#include "proto/udphead.h"

#include <base/mem.h>

#include <string.h>

_Static_assert((int)CONTEXT_HEADROOM >= (int)UDPHEAD_MAX, "a head fits before a datagram");

#define REOPEN_NS (1 * NS_PER_S) /* after the peer has ended a flow */

/* A flow to one peer. */
struct leg {
    LIST_ENTRY(leg) link;
    struct carrier *carrier;
    size_t peer;
    struct endpoint *end; /* NULL: ended by the peer */
    uint64_t ended_ns;
};

void carrier_init(struct carrier *c, struct context *ctx, const struct carrier_way *way,
                  udpsock_received *received, void *user)
{
    *c = (struct carrier){.ctx = ctx, .way = *way, .received = received, .user = user};
    LIST_INIT(&c->legs);
}

void carrier_deinit(struct carrier *c)
{
    struct leg *l;
    while ((l = LIST_FIRST(&c->legs)) != NULL) {
        LIST_REMOVE(l, link);
        if (l->end) {
            endpoint_abort(l->end, CAUSE_NONE);
        }
        mem_free(l);
    }
    if (c->outlet) {
        outlet_deinit(c->outlet);
        mem_free(c->outlet);
        c->outlet = NULL;
    }
}

/* --- from a peer ----------------------------------------------------------------------------- */

static void on_datagram(void *user, const void *data, size_t len)
{
    struct leg *l = user;
    struct context *ctx = l->carrier->ctx;
    struct udphead h;
    uint8_t *to = ctx->datagram + CONTEXT_HEADROOM;
    if (udphead_read(&h, false, data, len) != 0 || h.target.kind != TARGET_ADDRESS ||
        len - h.len > CONTEXT_DATAGRAM) {
        ctx->counters.udp.malformed++;
        return;
    }
    memcpy(to, (const uint8_t *)data + h.len, len - h.len);
    l->carrier->received(l->carrier->user, &h.target.addr, to, len - h.len);
}

static void on_reset(void *user, enum cause cause)
{
    struct leg *l = user;
    LOG_AT(l->carrier->ctx->log, LOG_DEBUG, "udp", "flow_ended", "peer=%s cause=%s",
           l->carrier->ctx->config->peers[l->peer].name, cause_name(cause));
    endpoint_release(l->end);
    l->end = NULL;
    l->ended_ns = uv_now(l->carrier->ctx->loop) * NS_PER_MS;
}

/* The stream itself says nothing. */
static void on_nothing(void *user)
{
    (void)user;
}

static const struct endpoint_events flow_events = {
    .readable = on_nothing,
    .writable = on_nothing,
    .reset = on_reset,
    .datagram = on_datagram,
};

/* --- to a peer ------------------------------------------------------------------------------- */

static struct leg *find_leg(struct carrier *c, size_t peer)
{
    struct leg *l;
    LIST_FOREACH (l, &c->legs, link) {
        if (l->peer == peer) {
            return l;
        }
    }
    l = mem_new(1, sizeof(*l));
    if (l) {
        l->carrier = c;
        l->peer = peer;
        LIST_INSERT_HEAD(&c->legs, l, link);
    }
    return l;
}

/* The flow to the peer, opened if there is none; a peer that ends it is not asked again at once. */
static struct endpoint *flow_to(struct carrier *c, size_t peer)
{
    struct leg *l = find_leg(c, peer);
    uint64_t now = uv_now(c->ctx->loop) * NS_PER_MS;
    if (!l || l->end || (l->ended_ns != 0 && time_since(l->ended_ns, now) < REOPEN_NS)) {
        return l ? l->end : NULL;
    }
    struct adit *node = c->ctx->node;
    if (endpoint_open(node, peer, "udp", &flow_events, l, &l->end) != 0) {
        l->ended_ns = now;
    } else if (adit_bind(node, endpoint_stream(l->end), c->way.lane) != 0) {
        endpoint_abort(l->end, CAUSE_LIMIT);
        l->end = NULL;
        l->ended_ns = now;
    }
    return l->end;
}

/* A name in .peer has another one there. */
static struct target target_there(const struct route *route, const struct target *t)
{
    char text[TARGET_TEXT_MAX];
    struct target there = *t;
    if (route->self) {
        (void)route_name_there(t, text);
        (void)target_parse(&there, text, strlen(text));
    }
    return there;
}

static void send_to_peer(struct carrier *c, const struct route *route, const struct target *t,
                         uint8_t *data, size_t len)
{
    struct target there = target_there(route, t);
    uint8_t *at = udphead_put(data, false, &there);
    struct endpoint *end = flow_to(c, route->peer);
    if (!end || endpoint_send_datagram(end, at, len + (size_t)(data - at)) != 0) {
        c->ctx->counters.udp.dropped++;
    }
}

/* --- from here ------------------------------------------------------------------------------- */

static void on_received(void *user, const struct addr *from, uint8_t *data, size_t len)
{
    struct carrier *c = user;
    c->received(c->user, from, data, len);
}

static void send_direct(struct carrier *c, const struct target *t, const uint8_t *data, size_t len)
{
    if (!c->outlet) {
        c->outlet = mem_new(1, sizeof(*c->outlet));
        if (!c->outlet) {
            c->ctx->counters.udp.dropped++;
            return;
        }
        outlet_init(c->outlet, c->ctx, RESOLVER_FRONT, &c->ctx->config->direct, on_received, c);
    }
    outlet_send(c->outlet, t, data, len);
}

void carrier_send(struct carrier *c, const struct target *t, uint8_t *data, size_t len)
{
    struct route route = route_decide(c->ctx->config, t, &c->way.choice);
    switch (route.kind) {
    case ROUTE_DIRECT:
        send_direct(c, t, data, len);
        break;
    case ROUTE_PEER:
        send_to_peer(c, &route, t, data, len);
        break;
    case ROUTE_REFUSE:
        c->ctx->counters.udp.refused_by_route++;
        break;
    }
}
