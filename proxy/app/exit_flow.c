#include "app/exit_flow.h"

#include "app/endpoint.h"
#include "app/outlet.h"
#include "proto/udphead.h"

#include <base/mem.h>

enum { LOOK_MS = 30000 }; /* for sockets that nobody uses */

struct exit_flow {
    LIST_ENTRY(exit_flow) link;
    struct exit_flows *all;
    struct quota *streams, *flows; /* of its peer */
    struct endpoint *end;
    struct outlet outlet;
};

static void on_timer_closed(uv_handle_t *handle)
{
    mem_free(handle);
}

static void stop_timer(struct exit_flows *all)
{
    if (all->timer) {
        uv_close((uv_handle_t *)all->timer, on_timer_closed);
        all->timer = NULL;
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct exit_flows *all = timer->data;
    struct exit_flow *f;
    LIST_FOREACH (f, &all->list, link) {
        outlet_tick(&f->outlet);
    }
}

/* Without memory idle sockets stay open until their flow ends. */
static void start_timer(struct exit_flows *all)
{
    uv_timer_t *timer = all->timer ? NULL : mem_new(1, sizeof(*timer));
    if (timer) {
        (void)uv_timer_init(all->ctx->loop, timer);
        timer->data = all;
        (void)uv_timer_start(timer, on_timer, LOOK_MS, LOOK_MS);
        all->timer = timer;
    }
}

static void forget(struct exit_flow *f)
{
    struct exit_flows *all = f->all;
    LIST_REMOVE(f, link);
    quota_give(f->streams);
    quota_give(f->flows);
    outlet_deinit(&f->outlet);
    mem_free(f);
    if (--all->count == 0) {
        stop_timer(all);
    }
}

static void on_datagram(void *user, const void *data, size_t len)
{
    struct exit_flow *f = user;
    struct udphead h;
    if (udphead_read(&h, false, data, len) != 0) {
        f->all->ctx->counters.udp.malformed++;
        return;
    }
    outlet_send(&f->outlet, &h.target, (const uint8_t *)data + h.len, len - h.len);
}

static void on_received(void *user, const struct addr *from, uint8_t *data, size_t len)
{
    struct exit_flow *f = user;
    struct target source;
    target_set_addr(&source, from);
    uint8_t *at = udphead_put(data, false, &source);
    if (endpoint_send_datagram(f->end, at, len + (size_t)(data - at)) != 0) {
        f->all->ctx->counters.udp.dropped++;
    }
}

static void on_reset(void *user, enum cause cause)
{
    struct exit_flow *f = user;
    (void)cause;
    endpoint_release(f->end);
    forget(f);
}

/* Bytes, or the end: a flow has none, so the peer is done with it. */
static void on_readable(void *user)
{
    struct exit_flow *f = user;
    endpoint_abort(f->end, CAUSE_NONE);
    forget(f);
}

static void on_nothing(void *user)
{
    (void)user;
}

static const struct endpoint_events flow_events = {
    .readable = on_readable,
    .writable = on_nothing,
    .reset = on_reset,
    .datagram = on_datagram,
};

static struct exit_flow *flow_new(struct exit_flows *all, const struct adit_event *ev)
{
    bool room = all->count < all->ctx->limits.associations_max;
    struct exit_flow *f = room ? mem_new(1, sizeof(*f)) : NULL;
    if (f) {
        f->all = all;
        f->end = endpoint_of_stream(all->ctx->node, ev->stream);
    }
    if (f && !f->end) {
        mem_free(f);
        f = NULL;
    }
    return f;
}

static bool take_quotas(struct quota *streams, struct quota *flows, uint64_t now)
{
    if (!quota_take(flows, now)) {
        return false;
    }
    if (!quota_take(streams, now)) {
        quota_give(flows);
        return false;
    }
    return true;
}

enum cause exit_flows_open(struct exit_flows *all, const struct adit_event *ev,
                           struct quota *streams, struct quota *flows)
{
    struct context *ctx = all->ctx;
    if (ctx->config->peers[ev->peer].allow.count == 0) {
        return CAUSE_NOT_ALLOWED;
    }
    if (!take_quotas(streams, flows, uv_now(ctx->loop) * NS_PER_MS)) {
        ctx->counters.exit.over_peer_limit++;
        return CAUSE_LIMIT;
    }
    struct exit_flow *f = flow_new(all, ev);
    if (!f) {
        quota_give(streams);
        quota_give(flows);
        return CAUSE_LIMIT;
    }
    f->streams = streams;
    f->flows = flows;
    outlet_init(&f->outlet, ctx, ev->peer, &ctx->config->peers[ev->peer].allow, on_received, f);
    endpoint_attach(f->end, &flow_events, f);
    LIST_INSERT_HEAD(&all->list, f, link);
    all->count++;
    start_timer(all);
    if (adit_accept(ctx->node, ev->stream, NULL, 0) != 0) {
        on_readable(f);
        return CAUSE_LIMIT;
    }
    return CAUSE_NONE;
}

void exit_flows_init(struct exit_flows *f, struct context *ctx)
{
    *f = (struct exit_flows){.ctx = ctx};
    LIST_INIT(&f->list);
}

void exit_flows_stop(struct exit_flows *all)
{
    struct exit_flow *f;
    while ((f = LIST_FIRST(&all->list)) != NULL) {
        endpoint_abort(f->end, CAUSE_PEER_CLOSED);
        forget(f);
    }
}
