#include "app/control_server.h"

#include "app/control_internal.h"
#include "app/unixsocket.h"
#include "control/control.h"

#include <base/mem.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    ASKERS_MAX = 64, /* some of them hold a forwarded port */
    BACKLOG = 16,
};

static void on_timer_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

/* Its connection is somebody else's. */
static void forget(struct asker *a)
{
    LIST_REMOVE(a, entry);
    a->server->count--;
    control_free(a->body);
    if (a->forward) {
        listener_stop(a->forward);
    }
    if (a->service) {
        exits_unserve(a->service);
    }
    if (a->ping) {
        app_ping_cancel(a->ping);
    }
    if (a->bench) {
        app_bench_cancel(a->bench);
    }
    uv_close((uv_handle_t *)&a->timer, on_timer_closed);
}

static void drop(struct asker *a)
{
    tcp_close(a->tcp);
    forget(a);
}

/* Sends on; FIN behind the last byte. The asker closes, or the time is up. */
static void send_rest(struct asker *a)
{
    for (size_t i = 0; i < 2; i++) {
        while (a->rest[i].len > 0) {
            ssize_t n = tcp_send(a->tcp, a->rest[i].at, a->rest[i].len);
            if (n < 0) {
                drop(a);
                return;
            }
            if (n == 0) {
                return;
            }
            a->rest[i].at += n;
            a->rest[i].len -= (size_t)n;
        }
    }
    if (!a->finished && !a->forward && !a->service) {
        a->finished = true;
        (void)tcp_finish(a->tcp);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct asker *a = timer->data;
    if (a->ping) {
        control_ping_late(a);
    } else {
        drop(a);
    }
}

void control_set_timer(struct asker *a, uint64_t ms)
{
    (void)uv_timer_start(&a->timer, on_timer, ms, 0);
}

void control_answer(struct asker *a, unsigned status)
{
    const char *body = a->body ? a->body : a->text;
    const char *type = a->body ? "application/json" : "text/plain; charset=utf-8";
    a->answering = true;
    a->rest[0].at = a->head;
    a->rest[0].len = control_answer_head(a->head, status, type, strlen(body));
    a->rest[1].at = body;
    a->rest[1].len = strlen(body);
    send_rest(a);
}

/* CONNECT: from here on this is an application like those at the front. */
static bool becomes_client(const struct asker *a)
{
    static const char connect[] = "CONNECT ";
    return a->in_len >= sizeof(connect) - 1 && memcmp(a->in, connect, sizeof(connect) - 1) == 0;
}

static void become_client(struct asker *a)
{
    struct tcp *tcp = a->tcp;
    if (!client_adopt(a->server->clients, tcp, a->in, a->in_len)) {
        tcp_close(tcp);
    }
    forget(a);
}

static void take_request(struct asker *a, struct control_request *r)
{
    unsigned status = control_handle(a, r);
    if (status != CONTROL_LATER) {
        control_answer(a, status);
    }
}

static size_t on_room(void *user, uint8_t **at)
{
    struct asker *a = user;
    if (a->answering || a->ping || a->bench) {
        a->in_len = 0; /* thrown away; only the end matters */
    }
    *at = (uint8_t *)a->in + a->in_len;
    return sizeof(a->in) - a->in_len;
}

static void on_read(void *user, ssize_t n)
{
    struct asker *a = user;
    if (n <= 0) {
        drop(a);
        return;
    }
    if (a->answering || a->ping || a->bench) {
        return;
    }
    a->in_len += (size_t)n;
    if (becomes_client(a)) {
        become_client(a);
        return;
    }
    struct control_request r;
    switch (control_parse_request(&r, a->in, a->in_len)) {
    case CONTROL_MORE:
        break;
    case CONTROL_COMPLETE:
        take_request(a, &r);
        break;
    case CONTROL_BAD:
        control_answer(a, 400);
        break;
    }
}

static void on_sent(void *user, int status)
{
    struct asker *a = user;
    if (status < 0) {
        drop(a);
    } else {
        send_rest(a);
    }
}

static const struct tcp_ops tcp_ops = {
    .room = on_room,
    .read = on_read,
    .sent = on_sent,
};

static struct asker *asker_new(struct control_server *s, struct tcp *tcp)
{
    struct asker *a = s->count < ASKERS_MAX ? mem_new(1, sizeof(*a)) : NULL;
    if (!a) {
        return NULL;
    }
    a->server = s;
    a->tcp = tcp;
    (void)uv_timer_init(s->ctx->loop, &a->timer); /* cannot fail */
    a->timer.data = a;
    control_set_timer(a, CONTROL_ASK_MS);
    LIST_INSERT_HEAD(&s->askers, a, entry);
    s->count++;
    return a;
}

/* The socket's mode says the same, as long as nobody changes it. */
static bool is_own_user(const struct tcp *tcp)
{
    static const struct config_uids nobody_else;
    uint32_t uid;
    return tcp_user(tcp, &uid) == 0 && config_uid_is_welcome(&nobody_else, uid, geteuid());
}

static void on_connection(uv_stream_t *server, int status)
{
    struct control_server *s = server->data;
    if (status != 0) {
        return; /* out of descriptors, most likely: libuv goes on listening */
    }
    struct tcp *tcp = tcp_new_pipe(s->ctx->loop, &s->ctx->pool);
    if (!tcp) {
        refusal_take(s->refusal);
        return;
    }
    bool welcome = tcp_accept(tcp, server) == 0 && is_own_user(tcp);
    struct asker *a = welcome ? asker_new(s, tcp) : NULL;
    if (!a) {
        tcp_close(tcp);
        return;
    }
    tcp_attach(tcp, &tcp_ops, a);
    tcp_resume(tcp);
}

/* --- the socket ------------------------------------------------------------------------------ */

static int bind_and_listen(struct control_server *s, const char *path)
{
    s->refusal = refusal_new((uv_stream_t *)&s->pipe);
    int status = s->refusal ? unixsocket_bind(&s->pipe, path, false) : UV_ENOMEM;
    return status == 0 ? uv_listen((uv_stream_t *)&s->pipe, BACKLOG, on_connection) : status;
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

int control_server_start(struct app *app, struct clients *clients, const char *path,
                         struct control_server **out)
{
    struct context *ctx = clients->ctx;
    struct control_server *s = mem_new(1, sizeof(*s));
    if (!s) {
        return UV_ENOMEM;
    }
    s->app = app;
    s->ctx = ctx;
    s->clients = clients;
    LIST_INIT(&s->askers);
    (void)uv_pipe_init(ctx->loop, &s->pipe, 0); /* makes no socket yet: cannot fail */
    s->pipe.data = s;
    int status = bind_and_listen(s, path);
    if (status != 0) {
        LOG_AT(ctx->log, LOG_ERROR, "control", "listen_failed", "socket=%s error=\"%s\"", path,
               status == UV_EADDRINUSE ? "another node answers there" : uv_strerror(status));
        refusal_free(s->refusal);
        uv_close((uv_handle_t *)&s->pipe, on_closed);
        return status;
    }
    *out = s;
    return 0;
}

void control_server_stop(struct control_server *s)
{
    struct asker *a;
    while ((a = LIST_FIRST(&s->askers)) != NULL) {
        drop(a);
    }
    refusal_free(s->refusal);
    uv_close((uv_handle_t *)&s->pipe, on_closed); /* removes the socket's file */
}
