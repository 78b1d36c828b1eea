/* What can be asked at the control socket: one handler for each path. */
#include "app/control_internal.h"

#include <base/err.h>

#include <stdio.h>
#include <string.h>

enum { PING_MS = 4500 }; /* less than the asker waits */

/* --- what lasts as long as its asker --- */

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
    struct app_fault fault;
    int err = app_forward(a->server->app, listen, split + 1, &a->forward, &fault);
    if (err != 0) {
        (void)snprintf(a->text, sizeof(a->text), "\"%.80s\": %s", fault.about, fault.why);
        return err == ERR_MALFORMED ? 400 : 502;
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
        (void)snprintf(a->text, sizeof(a->text), "\"%.40s = %.60s\": %s", both, split + 1, why);
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

static void on_pong(void *user, const struct adit_pong *pong)
{
    struct asker *a = user;
    a->ping = NULL;
    a->body = app_ping_json(a->peer, pong);
    control_answer(a, a->body ? 200 : 500);
}

void control_ping_late(struct asker *a)
{
    app_ping_cancel(a->ping);
    a->ping = NULL;
    (void)snprintf(a->text, sizeof(a->text), "no answer from %s", a->peer);
    control_set_timer(a, CONTROL_ASK_MS);
    control_answer(a, 504);
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
    control_set_timer(a, PING_MS);
    return a->ping ? CONTROL_LATER : 500;
}

static void on_benched(void *user, char *json, const char *why)
{
    struct asker *a = user;
    a->bench = NULL;
    a->body = json;
    (void)snprintf(a->text, sizeof(a->text), "%s", why ? why : "");
    control_set_timer(a, CONTROL_ASK_MS);
    control_answer(a, json ? 200 : 502);
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
    return CONTROL_LATER;
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

unsigned control_handle(struct asker *a, struct control_request *r)
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
