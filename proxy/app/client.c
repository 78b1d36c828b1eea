#include "app/client_internal.h"

#include <base/mem.h>

#include <string.h>

/* --- the end -------------------------------------------------------------------------------- */

static void on_timer_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void client_forget(struct client *c)
{
    LIST_REMOVE(c, entry);
    c->all->count--;
    uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}

static void drop(struct client *c)
{
    client_give_up_dialling(c, CAUSE_CANCELLED);
    tcp_close(c->tcp);
    client_forget(c);
}

void client_send_output(struct client *c)
{
    uint8_t out[SOCKS5_OUT_MAX];
    size_t len;
    while (!tcp_busy(c->tcp) && (len = front_output(&c->front, out, sizeof(out))) > 0) {
        if (tcp_send(c->tcp, out, len) < 0) {
            return; /* reading says the same in a moment */
        }
    }
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
    front_tick(&c->front, client_now(c));
    client_step(c);
}

static void set_timer(struct client *c)
{
    uint64_t next = front_next_ns(&c->front);
    if (next == TIME_NEVER) {
        (void)uv_timer_stop(&c->timer);
        return;
    }
    uint64_t ms = (time_since(client_now(c), next) + NS_PER_MS - 1) / NS_PER_MS;
    (void)uv_timer_start(&c->timer, on_timer, ms, 0);
}

/* One event at a time; `c` may be gone, or be the pump's, afterwards. */
void client_step(struct client *c)
{
    client_send_output(c);
    set_timer(c);
    switch (front_event(&c->front)) {
    case FRONT_EVENT_CONNECT:
        client_go(c);
        break;
    case FRONT_EVENT_EXPIRED:
        client_expire(c);
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
    size_t taken = front_input(&c->front, c->in, c->in_len, client_now(c));
    c->in_len -= taken;
    memmove(c->in, c->in + taken, c->in_len);
    client_step(c);
}

static void on_sent(void *user, int status)
{
    struct client *c = user;
    if (status < 0) {
        drop(c);
        return;
    }
    client_send_output(c);
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
            client_forget(c);
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
    front_init(&c->front, &c->ctx->times, client_now(c));
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
