#include "app/listener.h"

#include "app/refusal.h"
#include "app/udp_forward.h"
#include "app/unixsocket.h"

#include <base/mem.h>

#include <stdio.h>
#include <sys/socket.h>

enum { LISTENER_BACKLOG = 511 };

struct listener {
    struct clients *clients;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    struct udp_forward *udp; /* then there are no connections, no handle and no refusal */
    struct refusal *refusal;
    struct config_listen at;
    struct client_door door;
    struct target target;
    struct own_place place; /* once it listens, unless by a unix socket */
    struct gate_entry paused;
    bool placed;
};

static bool is_unix(const struct listener *l)
{
    return l->at.addr.family == ADDR_NONE;
}

/* While nobody takes the connection libuv asks for no other. */
static void take(void *user)
{
    struct listener *l = user;
    if (!client_accept(l->clients, &l->uv.stream, &l->door)) {
        refusal_take(l->refusal);
    }
}

static void on_connection(uv_stream_t *server, int status)
{
    struct listener *l = server->data;
    struct context *ctx = l->clients->ctx;
    if (status == 0 && gate_is_shut(&ctx->gate)) {
        ctx->counters.front.accept_paused++;
        gate_wait(&ctx->gate, &l->paused);
    } else if (status == 0) {
        take(l);
    } else {
        LOG_AT(l->clients->ctx->log, LOG_WARN, "front", "accept_failed", "error=\"%s\"",
               uv_strerror(status));
    }
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static int bind_tcp(struct listener *l)
{
    struct sockaddr_storage sa;
    tcp_sockaddr(&l->at.addr, &sa);
    unsigned flags = l->at.addr.family == ADDR_IPV6 ? UV_TCP_IPV6ONLY : 0;
    int status = uv_tcp_bind(&l->uv.tcp, (const struct sockaddr *)&sa, flags);
    if (status == 0) {
        tcp_prepare_listener(&l->uv.tcp);
    }
    return status;
}

/* Others than the node's own user may open the socket. */
static bool has_guests(const struct listener *l)
{
    const struct config_uids *uids = l->door.front ? &l->door.front->uids : NULL;
    return uids && (uids->any || uids->count > 0);
}

static int bind_and_listen(struct listener *l)
{
    if (l->at.udp) {
        return udp_forward_start(l->clients->ctx, &l->at.addr, &l->target, &l->udp);
    }
    l->refusal = refusal_new(&l->uv.stream);
    if (!l->refusal) {
        return UV_ENOMEM;
    }
    int status = is_unix(l) ? unixsocket_bind(&l->uv.pipe, l->at.path, has_guests(l)) : bind_tcp(l);
    if (status == 0) {
        status = uv_listen(&l->uv.stream, LISTENER_BACKLOG, on_connection);
    }
    return status;
}

static struct listener *listener_new(struct clients *clients, const struct config_listen *at,
                                     const struct client_door *door)
{
    struct listener *l = mem_new(1, sizeof(*l));
    if (!l) {
        return NULL;
    }
    l->clients = clients;
    l->at = *at;
    l->paused = (struct gate_entry){.open = take, .user = l};
    l->door = *door;
    l->door.is_unix = is_unix(l);
    if (door->target) {
        l->target = *door->target;
        l->door.target = &l->target;
    }
    if (at->udp) {
        return l;
    }
    /* Makes no socket yet: cannot fail. */
    (void)(is_unix(l) ? uv_pipe_init(clients->ctx->loop, &l->uv.pipe, 0)
                      : uv_tcp_init(clients->ctx->loop, &l->uv.tcp));
    l->uv.handle.data = l;
    return l;
}

/* Known as ours from now on. */
static void place(struct listener *l)
{
    if (!is_unix(l)) {
        l->place = (struct own_place){.addr = listener_address(l), .udp = l->at.udp};
        l->placed = true;
        own_add(&l->clients->ctx->own, &l->place);
    }
}

int listener_start(struct clients *clients, const struct config_listen *at,
                   const struct client_door *door, struct listener **out)
{
    char text[CONFIG_SOCKET_PATH_MAX + 1];
    struct listener *l = listener_new(clients, at, door);
    if (!l) {
        return UV_ENOMEM;
    }
    int status = bind_and_listen(l);
    if (status != 0) {
        LOG_AT(clients->ctx->log, LOG_ERROR, "front", "listen_failed", "address=%s error=\"%s\"",
               at->path[0] ? at->path : addr_format(&at->addr, text), uv_strerror(status));
        listener_stop(l);
        return status;
    }
    place(l);
    LOG_AT(clients->ctx->log, LOG_INFO, "front", door->target ? "forwarding" : "listening",
           "address=%s", listener_text(l, text));
    *out = l;
    return 0;
}

struct addr listener_address(const struct listener *l)
{
    struct sockaddr_storage sa = {0};
    int len = sizeof(sa);
    if (is_unix(l)) {
        return (struct addr){.family = ADDR_NONE};
    }
    if (l->udp) {
        return udp_forward_address(l->udp);
    }
    (void)uv_tcp_getsockname(&l->uv.tcp, (struct sockaddr *)&sa, &len);
    return tcp_addr((const struct sockaddr *)&sa);
}

const char *listener_text(const struct listener *l, char out[CONFIG_SOCKET_PATH_MAX + 1])
{
    struct addr a = listener_address(l);
    if (!is_unix(l)) {
        return addr_format(&a, out);
    }
    (void)snprintf(out, CONFIG_SOCKET_PATH_MAX + 1, "%s", l->at.path);
    return out;
}

bool listener_forwards(const struct listener *l)
{
    return l->door.target != NULL;
}

void listener_stop(struct listener *l)
{
    gate_leave(&l->clients->ctx->gate, &l->paused);
    if (l->placed) {
        own_remove(&l->place);
    }
    if (l->udp) {
        udp_forward_stop(l->udp);
    }
    if (l->at.udp) {
        mem_free(l);
        return;
    }
    refusal_free(l->refusal);
    uv_close(&l->uv.handle, on_closed); /* removes a unix socket's file */
}
