#include "app/control_server.h"

#include "app/app.h"
#include "app/exit.h"
#include "app/listener.h"
#include "app/tcp.h"
#include "app/unixsocket.h"
#include "control/control.h"
#include "control/http.h"

#include <base/mem.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    ASKERS_MAX = 64, /* some of them hold a forwarded port */
    ASK_TIMEOUT_MS = 5000,
    BACKLOG = 16,
    PING_TIMEOUT_MS = 4500, /* less than the asker waits */
    LATER = 0,              /* no status yet */
    ANSWER_TEXT_MAX = 160,
};

struct asker;

struct control_server {
    struct app *app;
    struct context *ctx;
    struct clients *clients;
    uv_pipe_t pipe;
    size_t count;
    LIST_HEAD(, asker) askers;
};

struct asker {
    LIST_ENTRY(asker) entry;
    struct control_server *server;
    struct tcp *tcp;
    uv_timer_t timer;
    size_t in_len;
    char in[CONTROL_HEAD_MAX];
    char head[CONTROL_ANSWER_HEAD_MAX];
    char *body; /* of control_status; NULL if there is none */
    char text[ANSWER_TEXT_MAX];
    struct app_ping *ping; /* NULL, or what is waited for */
    struct app_bench *bench;
    char peer[CONFIG_NAME_MAX + 1];
    /* NULL, or what there is as long as the asker is. */
    struct listener *forward;
    struct exit_service *service;
    struct {
        const char *at;
        size_t len;
    } rest[2]; /* head and body, as far as they are not sent */
    bool answering, finished;
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

/* "LISTEN=TARGET"; a target has no '=', the path of a unix socket may. */
static unsigned handle_forward(struct asker *a, const char *kind, const char *both)
{
    char listen[sizeof(a->in)];
    char address[CONFIG_SOCKET_PATH_MAX + 1];
    const char *split = strrchr(both, '=');
    if (!split) {
        return 400;
    }
    (void)snprintf(listen, sizeof(listen), "%s%.*s", kind, (int)(split - both), both);
    const char *why = app_forward(a->server->app, listen, split + 1, &a->forward);
    if (why) {
        (void)snprintf(a->text, sizeof(a->text), "%s", why);
        return 400;
    }
    (void)uv_timer_stop(&a->timer);
    (void)snprintf(a->text, sizeof(a->text), "%s", listener_text(a->forward, address));
    return 200;
}

/* "NAME=TARGET" and peers behind it, parted by commas. */
static unsigned handle_serve(struct asker *a, char *both)
{
    char *split = strchr(both, '=');
    if (!split) {
        return 400;
    }
    *split = '\0';
    const char *why = app_serve(a->server->app, both, split + 1, &a->service);
    if (why) {
        (void)snprintf(a->text, sizeof(a->text), "%s", why);
        return 400;
    }
    (void)uv_timer_stop(&a->timer);
    const struct config_serve *s = &a->service->serve;
    (void)snprintf(a->text, sizeof(a->text), "%.63s.%.63s.peer:%u", s->name,
                   a->server->ctx->config->node.name, (unsigned)s->port);
    return 200;
}

static unsigned handle_forward_tcp(struct asker *a, char *both)
{
    return handle_forward(a, "", both);
}

static unsigned handle_forward_udp(struct asker *a, char *both)
{
    return handle_forward(a, "udp ", both);
}

/* --- questions about peers --- */

static void answer(struct asker *a, unsigned status);

static void on_pong(void *user, const struct adit_pong *pong)
{
    struct asker *a = user;
    a->ping = NULL;
    a->body = app_ping_json(a->peer, pong);
    answer(a, a->body ? 200 : 500);
}

static void on_timer(uv_timer_t *timer)
{
    struct asker *a = timer->data;
    if (!a->ping) {
        drop(a);
        return;
    }
    app_ping_cancel(a->ping);
    a->ping = NULL;
    (void)snprintf(a->text, sizeof(a->text), "no answer from %s", a->peer);
    (void)uv_timer_start(&a->timer, on_timer, ASK_TIMEOUT_MS, 0);
    answer(a, 504);
}

static unsigned no_such_peer(struct asker *a, const char *name)
{
    (void)snprintf(a->text, sizeof(a->text), "no peer is called \"%.63s\"", name);
    return 404;
}

static unsigned handle_ping(struct asker *a, char *name)
{
    const struct config_peer *peer = config_find_peer(a->server->ctx->config, name);
    if (!peer) {
        return no_such_peer(a, name);
    }
    (void)snprintf(a->peer, sizeof(a->peer), "%s", peer->name);
    a->ping = app_ping_start(a->server->app, a->peer, on_pong, a);
    (void)uv_timer_start(&a->timer, on_timer, PING_TIMEOUT_MS, 0);
    return a->ping ? LATER : 500;
}

static void on_benched(void *user, char *json, const char *why)
{
    struct asker *a = user;
    a->bench = NULL;
    a->body = json;
    (void)snprintf(a->text, sizeof(a->text), "%s", why ? why : "");
    (void)uv_timer_start(&a->timer, on_timer, ASK_TIMEOUT_MS, 0);
    answer(a, json ? 200 : 502);
}

static unsigned handle_bench(struct asker *a, char *what)
{
    const char *why = NULL;
    char peer[CONFIG_NAME_MAX + 1];
    (void)snprintf(peer, sizeof(peer), "%.*s", (int)strcspn(what, "/"), what);
    if (!config_find_peer(a->server->ctx->config, peer)) {
        return no_such_peer(a, peer);
    }
    a->bench = app_bench_start(a->server->app, what, on_benched, a, &why);
    if (!a->bench) {
        (void)snprintf(a->text, sizeof(a->text), "%s", why);
        return 400;
    }
    (void)uv_timer_stop(&a->timer);
    return LATER;
}

static unsigned handle_why(struct asker *a, char *name)
{
    if (!config_find_peer(a->server->ctx->config, name)) {
        return no_such_peer(a, name);
    }
    a->body = app_why(a->server->app, name);
    return a->body ? 200 : 500;
}

static unsigned handle_route(struct asker *a, char *text)
{
    struct target t;
    if (target_parse(&t, text, strlen(text)) != 0) {
        (void)snprintf(a->text, sizeof(a->text), "this is no HOST:PORT");
        return 400;
    }
    a->body = app_route(a->server->app, &t);
    return a->body ? 200 : 500;
}

static unsigned handle_status(struct asker *a, char *rest)
{
    (void)rest;
    a->body = app_status(a->server->app);
    return a->body ? 200 : 500;
}

/* --- all of them --- */

static const struct question {
    const char *path; /* one that ends with '/' has something behind it */
    bool get;         /* else POST */
    unsigned (*handle)(struct asker *a, char *rest);
} questions[] = {
    {"/status", true, handle_status},
    {"/ping/", true, handle_ping},
    {"/why/", true, handle_why},
    {"/bench/", true, handle_bench},
    {"/route/", true, handle_route},
    {"/forward/", false, handle_forward_tcp},
    {"/forward-udp/", false, handle_forward_udp},
    {"/serve/", false, handle_serve},
};

static unsigned handle(struct asker *a, struct control_request *r)
{
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
        const struct question *q = &questions[i];
        size_t len = strlen(q->path);
        bool open = q->path[len - 1] == '/';
        if (strncmp(r->path, q->path, len) == 0 && (open || r->path[len] == '\0')) {
            return r->get == q->get ? q->handle(a, r->path + len) : 405;
        }
    }
    return 404;
}

static void answer(struct asker *a, unsigned status)
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
    unsigned status = handle(a, r);
    if (status != LATER) {
        answer(a, status);
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
        answer(a, 400);
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
    (void)uv_timer_start(&a->timer, on_timer, ASK_TIMEOUT_MS, 0);
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
    struct tcp *tcp = status == 0 ? tcp_new_pipe(s->ctx->loop, &s->ctx->pool) : NULL;
    if (!tcp) {
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
    int status = unixsocket_bind(&s->pipe, path, false);
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
    uv_close((uv_handle_t *)&s->pipe, on_closed); /* removes the socket's file */
}
