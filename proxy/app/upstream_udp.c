#include "app/upstream_udp.h"

#include "app/upstream.h"
#include "proto/udphead.h"

#include <base/mem.h>

#include <string.h>

#define REOPEN_NS (1 * NS_PER_S)

enum {
    WAITING_MAX = 16,      /* datagrams that wait for the proxy, */
    WAITING_BYTES = 65536, /* and their bytes */
};

/* One that waits, with its head. */
struct waiting {
    STAILQ_ENTRY(waiting) link;
    size_t len;
    uint8_t data[];
};

struct upstream_udp {
    struct context *ctx;
    size_t owner;
    udpsock_received *received;
    void *user;
    struct upstream *asking; /* while the proxy is being asked; then both of: */
    struct tcp *tcp;         /* as long as it lives the proxy carries datagrams */
    struct udpsock *udp;
    struct addr relay; /* where they are sent */
    uint64_t ended_ns;
    STAILQ_HEAD(, waiting) waiting;
    size_t waiting_count, waiting_bytes;
    uint8_t in[16]; /* the proxy has nothing more to say */
};

struct upstream_udp *upstream_udp_new(struct context *ctx, size_t owner, udpsock_received *received,
                                      void *user)
{
    struct upstream_udp *u = mem_new(1, sizeof(*u));
    if (u) {
        u->ctx = ctx;
        u->owner = owner;
        u->received = received;
        u->user = user;
        STAILQ_INIT(&u->waiting);
    }
    return u;
}

static struct waiting *take_waiting(struct upstream_udp *u)
{
    struct waiting *w = STAILQ_FIRST(&u->waiting);
    if (w) {
        STAILQ_REMOVE_HEAD(&u->waiting, link);
        u->waiting_count--;
        u->waiting_bytes -= w->len;
    }
    return w;
}

static void drop_waiting(struct upstream_udp *u)
{
    struct waiting *w;
    while ((w = take_waiting(u)) != NULL) {
        u->ctx->counters.udp.unsent++;
        mem_free(w);
    }
}

static void close_all(struct upstream_udp *u)
{
    if (u->asking) {
        upstream_cancel(u->asking);
        u->asking = NULL;
    }
    if (u->tcp) {
        tcp_close(u->tcp);
        u->tcp = NULL;
    }
    if (u->udp) {
        udpsock_close(u->udp);
        u->udp = NULL;
    }
}

void upstream_udp_free(struct upstream_udp *u)
{
    if (u) {
        close_all(u);
        drop_waiting(u);
        mem_free(u);
    }
}

static void on_ended(struct upstream_udp *u, const char *why)
{
    LOG_AT(u->ctx->log, LOG_WARN, "udp", "upstream_failed", "why=\"%s\"", why);
    close_all(u);
    drop_waiting(u);
    u->ended_ns = uv_now(u->ctx->loop) * NS_PER_MS;
}

/* --- the proxy's connection ------------------------------------------------------------------ */

static size_t on_room(void *user, uint8_t **at)
{
    struct upstream_udp *u = user;
    *at = u->in;
    return sizeof(u->in);
}

static void on_read(void *user, ssize_t n)
{
    if (n <= 0) {
        on_ended(user, "the proxy has ended it");
    }
}

static void on_sent(void *user, int status)
{
    (void)user;
    (void)status;
}

static const struct tcp_ops tcp_ops = {
    .room = on_room,
    .read = on_read,
    .sent = on_sent,
};

/* --- datagrams ------------------------------------------------------------------------------- */

static void on_datagram(void *user, const struct addr *from, uint8_t *data, size_t len)
{
    struct upstream_udp *u = user;
    struct udphead h;
    struct addr plain = addr_normalize(from);
    if (!addr_equal(&plain, &u->relay)) {
        u->ctx->counters.udp.unasked++;
        return;
    }
    if (udphead_read(&h, true, data, len) != 0 || h.target.kind != TARGET_ADDRESS) {
        u->ctx->counters.udp.malformed++;
    } else if (h.frag != 0) {
        u->ctx->counters.udp.fragments++;
    } else {
        u->ctx->counters.udp.received++;
        u->received(u->user, &h.target.addr, data + h.len, len - h.len);
    }
}

static void send_now(struct upstream_udp *u, const uint8_t *data, size_t len)
{
    if (udpsock_send(u->udp, &u->relay, data, len) == 0) {
        u->ctx->counters.udp.sent++;
    } else {
        u->ctx->counters.udp.unsent++;
    }
}

static void let_wait(struct upstream_udp *u, const uint8_t *data, size_t len)
{
    bool room = u->waiting_count < WAITING_MAX && u->waiting_bytes + len <= WAITING_BYTES;
    struct waiting *w = room ? mem_new(1, sizeof(*w) + len) : NULL;
    if (!w) {
        u->ctx->counters.udp.unsent++;
        return;
    }
    w->len = len;
    memcpy(w->data, data, len);
    STAILQ_INSERT_TAIL(&u->waiting, w, link);
    u->waiting_count++;
    u->waiting_bytes += len;
}

static void on_associated(void *user, struct tcp *tcp, enum cause cause)
{
    struct upstream_udp *u = user;
    struct waiting *w;
    u->asking = NULL;
    if (!tcp) {
        bool socks5 = u->ctx->config->exit.upstream.at->socks5;
        on_ended(u, socks5 ? cause_text(cause) : "an HTTP proxy carries no datagrams");
        return;
    }
    u->tcp = tcp;
    tcp_attach(tcp, &tcp_ops, u);
    tcp_resume(tcp);
    u->relay = addr_normalize(&u->relay);
    const struct addr any = {.family = u->relay.family};
    if (u->relay.family == ADDR_NONE || udpsock_open(u->ctx, &any, on_datagram, u, &u->udp) != 0) {
        on_ended(u, "no socket toward the proxy");
        return;
    }
    while ((w = take_waiting(u)) != NULL) {
        send_now(u, w->data, w->len);
        mem_free(w);
    }
}

static void ask(struct upstream_udp *u)
{
    uint64_t now = uv_now(u->ctx->loop) * NS_PER_MS;
    if (u->ended_ns == 0 || time_since(u->ended_ns, now) >= REOPEN_NS) {
        u->asking = upstream_associate(u->ctx, u->owner, &u->relay, on_associated, u);
    }
}

void upstream_udp_send(struct upstream_udp *u, const struct target *t, const uint8_t *data,
                       size_t len)
{
    uint8_t *to = u->ctx->datagram + CONTEXT_HEADROOM;
    if (len > CONTEXT_DATAGRAM) {
        u->ctx->counters.udp.unsent++;
        return;
    }
    memmove(to, data, len);
    uint8_t *at = udphead_put(to, true, t);
    len += (size_t)(to - at);
    if (!u->tcp && !u->asking) {
        ask(u);
    }
    if (u->tcp) {
        send_now(u, at, len);
    } else if (u->asking) {
        let_wait(u, at, len);
    } else {
        u->ctx->counters.udp.unsent++;
    }
}
