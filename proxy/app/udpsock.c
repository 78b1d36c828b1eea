#include "app/udpsock.h"

#include "app/tcp.h"

#include <base/mem.h>

enum { KERNEL_BUFFER = 1 << 20 }; /* hoped for; the system has its own ceiling */

struct udpsock {
    uv_udp_t uv;
    struct context *ctx;
    udpsock_received *received;
    void *user;
};

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

/* All sockets read into one buffer: what came is dealt with before control returns. */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct udpsock *u = handle->data;
    (void)suggested;
    *buf = uv_buf_init((char *)u->ctx->datagram + CONTEXT_HEADROOM, CONTEXT_DATAGRAM);
}

static void on_recv(uv_udp_t *uv, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from,
                    unsigned flags)
{
    struct udpsock *u = uv->data;
    if (n < 0 || !from || (flags & UV_UDP_PARTIAL)) {
        return; /* nothing there, or an error that some earlier datagram of ours met */
    }
    struct addr a = tcp_addr(from);
    u->received(u->user, &a, (uint8_t *)buf->base, (size_t)n);
}

static int bind_and_read(struct udpsock *u, const struct addr *at)
{
    struct sockaddr_storage sa;
    int size = KERNEL_BUFFER;
    tcp_sockaddr(at, &sa);
    unsigned flags = at->family == ADDR_IPV6 ? UV_UDP_IPV6ONLY : 0;
    int status = uv_udp_bind(&u->uv, (const struct sockaddr *)&sa, flags);
    if (status == 0) {
        (void)uv_recv_buffer_size((uv_handle_t *)&u->uv, &size);
        (void)uv_send_buffer_size((uv_handle_t *)&u->uv, &size);
        status = uv_udp_recv_start(&u->uv, on_alloc, on_recv);
    }
    return status;
}

int udpsock_open(struct context *ctx, const struct addr *at, udpsock_received *received, void *user,
                 struct udpsock **out)
{
    struct udpsock *u = mem_new(1, sizeof(*u));
    if (!u) {
        return UV_ENOMEM;
    }
    u->ctx = ctx;
    u->received = received;
    u->user = user;
    (void)uv_udp_init(ctx->loop, &u->uv); /* makes no socket yet: cannot fail */
    u->uv.data = u;
    int status = bind_and_read(u, at);
    if (status != 0) {
        udpsock_close(u);
        return status;
    }
    *out = u;
    return 0;
}

struct addr udpsock_address(const struct udpsock *u)
{
    struct sockaddr_storage sa = {0};
    int len = sizeof(sa);
    (void)uv_udp_getsockname(&u->uv, (struct sockaddr *)&sa, &len);
    return tcp_addr((const struct sockaddr *)&sa);
}

int udpsock_send(struct udpsock *u, const struct addr *to, const void *data, size_t len)
{
    struct sockaddr_storage sa;
    union {
        const void *in;
        char *out;
    } at = {.in = data}; /* uv_buf_t has no const */
    uv_buf_t buf = uv_buf_init(at.out, (unsigned)len);
    tcp_sockaddr(to, &sa);
    int n = uv_udp_try_send(&u->uv, &buf, 1, (const struct sockaddr *)&sa);
    return n < 0 ? n : 0;
}

void udpsock_close(struct udpsock *u)
{
    (void)uv_udp_recv_stop(&u->uv);
    uv_close((uv_handle_t *)&u->uv, on_closed);
}

/* --- the way of the system ------------------------------------------------------------------- */

static void on_probe_closed(uv_handle_t *handle)
{
    mem_free(handle);
}

int udpsock_source_toward(uv_loop_t *loop, const struct addr *to, struct addr *out)
{
    struct sockaddr_storage sa;
    int len = sizeof(sa);
    uv_udp_t *probe = mem_new(1, sizeof(*probe));
    if (!probe) {
        return UV_ENOMEM;
    }
    (void)uv_udp_init(loop, probe);
    tcp_sockaddr(to, &sa);
    int status = uv_udp_connect(probe, (const struct sockaddr *)&sa);
    if (status == 0) {
        status = uv_udp_getsockname(probe, (struct sockaddr *)&sa, &len);
    }
    if (status == 0) {
        *out = tcp_addr((const struct sockaddr *)&sa);
        out->port = 0;
    }
    uv_close((uv_handle_t *)probe, on_probe_closed);
    return status;
}
