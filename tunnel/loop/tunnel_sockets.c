/* The UDP sockets: the shared one, and the temporary ones of birthday probing (path/birthday.h). */
#include "loop/tunnel_internal.h"

#include <base/err.h>

#include "os/sysclock.h"

enum {
    TRIED_BUFFER_BYTES = 64 * 1024,
    REBIND_MS = 1000,
};

/* --- in --- */

static void on_batch(void *user, struct udp_batch *batch, uint64_t now)
{
    const struct tunnel_socket *s = user;
    struct adit *a = s->adit;
    adit_stir(a);
    a->round.bytes += udp_batch_bytes(batch);
    if (!tunnel_opener_takes(a, s->number, batch, now)) {
        struct udp_datagram d;
        while (udp_batch_next(batch, &d)) {
            node_input(a->node, s->number, &d.from, d.data, d.len, now);
        }
    }
    tunnel_pump(a);
}

static void on_writable(void *user, uint64_t now)
{
    const struct tunnel_socket *s = user;
    (void)now;
    if (s->adit->blocked.socket == s->number) {
        tunnel_unblock(s->adit);
    }
}

static void on_udp_error(void *user, int err, uint64_t now)
{
    const struct tunnel_socket *s = user;
    (void)now;
    LOG_AT(s->adit->log, LOG_ERROR, "udp", "socket_lost", "socket=%u why=\"%s\"", s->number,
           strerror(-err));
    if (s->number == 0) { /* a temporary one is given up when nothing is heard on it */
        tunnel_rebind(s->adit);
    }
}

/* --- opening and closing --- */

static const struct udp_uv_callbacks callbacks = {
    .on_batch = on_batch, .on_writable = on_writable, .on_error = on_udp_error};

static int open_socket(struct adit *a, unsigned number, const struct udp_options *options)
{
    struct tunnel_socket *s = &a->sockets[number];
    s->adit = a;
    s->number = number;
    return udp_uv_open(a->loop, options, &a->batch, &callbacks, s, &s->udp);
}

int tunnel_open_socket(struct adit *a, const struct adit_config *c)
{
    struct udp_options options = {.bind = &c->listen, .offload = c->offload};
    a->listen = c->listen;
    a->offload = c->offload;
    int err = udp_batch_init(&a->batch);
    if (err == 0) {
        err = open_socket(a, 0, &options);
    }
    char text[ADDR_TEXT_MAX];
    if (err != 0) {
        LOG_AT(a->log, LOG_ERROR, "udp", "not_bound", "listen=%s why=\"%s\"",
               addr_format(&c->listen, text), uv_strerror(err));
        return err;
    }
    struct addr local;
    adit_local(a, &local);
    a->listen.port = local.port; /* for a rebind: peers and NATs know this one */
    const struct udp_socket *s = udp_uv_socket(a->sockets[0].udp);
    LOG_AT(a->log, LOG_INFO, "udp", "bound", "rcvbuf=%d sndbuf=%d offload=%d", s->rcvbuf, s->sndbuf,
           s->offload);
    if (s->rcvbuf < UDP_BUFFER_BYTES) {
        LOG_AT(a->log, LOG_INFO, "udp", "small_buffers",
               "hint=\"raise net.core.rmem_max and wmem_max to %d for full speed\"",
               UDP_BUFFER_BYTES);
    }
    return 0;
}

/* What waits for this socket is lost with it. */
static void close_socket(struct adit *a, unsigned number)
{
    struct tunnel_socket *s = &a->sockets[number];
    if (s->udp) {
        tunnel_sender_settle(a);
        udp_uv_close(s->udp);
        s->udp = NULL;
        s->grown = false;
        if (a->blocked.socket == number) {
            a->blocked.len = 0;
        }
    }
}

/* The old one holds the port until libuv has closed it: then the next try comes right after. */
static void on_rebind(uv_timer_t *timer)
{
    struct adit *a = timer->data;
    struct udp_options options = {.bind = &a->listen, .offload = a->offload};
    if (a->stopping) {
        return;
    }
    close_socket(a, 0);
    int err = open_socket(a, 0, &options);
    if (err != 0) {
        (void)uv_timer_start(&a->rebind, on_rebind, a->rebinds++ == 0 ? 0 : REBIND_MS, 0);
        return;
    }
    a->rebinds = 0;
    a->watch = (struct udp_watch){0}; /* the new one's totals begin at nought */
    LOG_AT(a->log, LOG_INFO, "udp", "rebound", "port=%u", (unsigned)a->listen.port);
    node_moved(a->node, sys_now_ns());
    a->work = true;
}

void tunnel_rebind(struct adit *a)
{
    if (!a->stopping && !uv_is_active((const uv_handle_t *)&a->rebind)) {
        (void)uv_timer_start(&a->rebind, on_rebind, 0, 0);
    }
}

static int open_temporary(struct adit *a, unsigned number)
{
    struct addr bind = a->listen;
    bind.port = 0;
    struct udp_options options = {.bind = &bind,
                                  .rcvbuf = TRIED_BUFFER_BYTES,
                                  .sndbuf = TRIED_BUFFER_BYTES,
                                  .offload = a->offload};
    return open_socket(a, number, &options);
}

void tunnel_adapt_sockets(struct adit *a)
{
    unsigned failed = 0;
    int err = 0;
    for (unsigned i = 1; i <= NODE_SOCKETS_MAX; i++) {
        struct tunnel_socket *s = &a->sockets[i];
        enum node_socket use = node_socket_use(a->node, i);
        if (use == NODE_SOCKET_CLOSED) {
            close_socket(a, i);
        } else if (!s->udp) {
            int rc = open_temporary(a, i);
            failed += rc != 0;
            err = rc != 0 ? rc : err;
        }
        if (use == NODE_SOCKET_KEPT && s->udp && !s->grown) {
            udp_uv_grow(s->udp); /* it carries streams from now on */
            s->grown = true;
        }
    }
    if (failed > 0) {
        LOG_AT(a->log, LOG_WARN, "udp", "sockets_not_opened", "count=%u why=\"%s\"", failed,
               uv_strerror(err));
    }
}

void tunnel_catch_up(struct adit *a, uint64_t now)
{
    for (unsigned i = 0; i <= NODE_SOCKETS_MAX; i++) {
        const struct tunnel_socket *s = &a->sockets[i];
        if (s->udp && (i == 0 || s->grown)) {
            udp_uv_catch_up(s->udp, now); /* may close others */
        }
    }
    tunnel_opener_settle(a, now);
}

void tunnel_close_sockets(struct adit *a)
{
    for (unsigned i = 0; i <= NODE_SOCKETS_MAX; i++) {
        close_socket(a, i);
    }
}
