#include "app/listener.h"

#include <base/mem.h>

#include <sys/socket.h>

enum { LISTENER_BACKLOG = 511 };

struct listener {
    struct clients *clients;
    uv_tcp_t tcp;
};

static void on_connection(uv_stream_t *server, int status)
{
    struct listener *l = server->data;
    if (status == 0) {
        client_accept(l->clients, server);
    } else {
        LOG_AT(l->clients->ctx->log, LOG_WARN, "front", "accept_failed", "error=\"%s\"",
               uv_strerror(status));
    }
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static int bind_and_listen(struct listener *l, const struct addr *at)
{
    struct sockaddr_storage sa;
    tcp_sockaddr(at, &sa);
    unsigned flags = at->family == ADDR_IPV6 ? UV_TCP_IPV6ONLY : 0;
    int status = uv_tcp_bind(&l->tcp, (const struct sockaddr *)&sa, flags);
    if (status == 0) {
        status = uv_listen((uv_stream_t *)&l->tcp, LISTENER_BACKLOG, on_connection);
    }
    return status;
}

int listener_start(struct clients *clients, const struct addr *at, struct listener **out)
{
    struct listener *l = mem_new(1, sizeof(*l));
    if (!l) {
        return UV_ENOMEM;
    }
    l->clients = clients;
    (void)uv_tcp_init(clients->ctx->loop, &l->tcp); /* makes no socket yet: cannot fail */
    l->tcp.data = l;
    int status = bind_and_listen(l, at);
    char text[ADDR_TEXT_MAX];
    if (status != 0) {
        LOG_AT(clients->ctx->log, LOG_ERROR, "front", "listen_failed", "address=%s error=\"%s\"",
               addr_format(at, text), uv_strerror(status));
        listener_stop(l);
        return status;
    }
    struct addr bound = listener_address(l);
    LOG_AT(clients->ctx->log, LOG_INFO, "front", "listening", "address=%s",
           addr_format(&bound, text));
    *out = l;
    return 0;
}

struct addr listener_address(const struct listener *l)
{
    struct sockaddr_storage sa = {0};
    int len = sizeof(sa);
    (void)uv_tcp_getsockname(&l->tcp, (struct sockaddr *)&sa, &len);
    return tcp_addr((const struct sockaddr *)&sa);
}

void listener_stop(struct listener *l)
{
    uv_close((uv_handle_t *)&l->tcp, on_closed);
}
