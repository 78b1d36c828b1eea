#include "app/app.h"

#include "app/app_internal.h"
#include "app/control_server.h"
#include "app/endpoint.h"
#include "app/nodeconfig.h"

#include <base/check.h>
#include <base/err.h>
#include <base/mem.h>

enum {
    DIALS_MAX = 4096, /* targets being dialled for peers at once: 2000 a second for 2 s */
    BINDS_MAX = 16,   /* ports that wait for one peer's targets at once */
    BLOCKS_PER_CONNECTION = 3,
};

static void on_event(void *user, const struct adit_event *ev)
{
    struct app *app = user;
    if (ev->type == ADIT_EVENT_OPENED) {
        if (bench_is_meant(ev)) {
            bench_accept(&app->benches, ev);
        } else {
            exits_open(&app->exits, ev);
        }
    } else if (ev->type == ADIT_EVENT_PONG) {
        app_on_pong(app, ev);
    } else {
        endpoint_event(ev);
    }
}

static int start_node(struct app *app, uv_loop_t *loop, const struct app_secrets *secrets)
{
    struct nodeconfig n;
    int err = adit_key_public(app->public_key, secrets->node);
    if (err == 0) {
        err = nodeconfig_init(&n, app->ctx.config, secrets, app->ctx.log);
    }
    if (err != 0) {
        LOG_AT(app->ctx.log, LOG_ERROR, "app", "start_failed", "error=\"%s\"", err_text(err));
        return err;
    }
    err = adit_start(loop, &n.node, on_event, app, &app->ctx.node);
    nodeconfig_deinit(&n);
    return err;
}

static int start_listener(struct app *app, const struct config_listen *at,
                          const struct client_door *door)
{
    int err = listener_start(&app->clients, at, door, &app->listeners[app->listener_count]);
    app->listener_count += err == 0;
    return err;
}

static int start_front(struct app *app, size_t index)
{
    const struct config_front *front = &app->ctx.config->fronts[index];
    const struct auth *auth = app->users ? &app->users[index] : NULL;
    const struct client_door door = {
        .front = front,
        .auth = auth && auth->count > 0 ? auth : NULL,
    };
    int err = 0;
    for (size_t i = 0; err == 0 && i < front->listen.count; i++) {
        err = start_listener(app, &front->listen.items[i], &door);
    }
    return err;
}

static size_t count_listeners(const struct config *config)
{
    size_t n = config->forwards_count;
    for (size_t i = 0; i < config->fronts_count; i++) {
        n += config->fronts[i].listen.count;
    }
    return n;
}

/* The fronts' own, then the forwarded ports. */
static int start_listeners(struct app *app)
{
    const struct config *config = app->ctx.config;
    int err = 0;
    app->listeners = mem_new(count_listeners(config) + 1, sizeof(struct listener *));
    if (!app->listeners) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; err == 0 && i < config->fronts_count; i++) {
        err = start_front(app, i);
    }
    for (size_t i = 0; err == 0 && i < config->forwards_count; i++) {
        const struct client_door door = {.target = &config->forwards[i].target};
        err = start_listener(app, &config->forwards[i].listen, &door);
    }
    return err;
}

static int init(struct app *app, uv_loop_t *loop, const struct config *config,
                const struct log *log)
{
    const struct config_limits *l = &config->limits;
    app->ctx.loop = loop;
    app->ctx.config = config;
    app->ctx.log = log;
    app->ctx.times = front_times_default;
    backoff_init(&app->ctx.backoff);
    own_init(&app->ctx.own);
    app->ctx.limits = (struct context_limits){
        .clients_max = (size_t)l->clients_max,
        .dials_max = DIALS_MAX,
        .binds_max = BINDS_MAX,
        .associations_max = (size_t)l->associations_max,
        .exit_max = (size_t)(l->streams_max * (config->peers_count ? config->peers_count : 1)),
    };
    size_t connections = app->ctx.limits.clients_max + app->ctx.limits.exit_max;
    pool_init(&app->ctx.pool, connections * BLOCKS_PER_CONNECTION);
    resolver_init(&app->ctx.resolver, loop);
    gate_init(&app->ctx.gate, loop, log);
    clients_init(&app->clients, &app->ctx);
    benches_init(&app->benches, &app->ctx);
    LIST_INIT(&app->pings);
    app->started_ns = uv_now(loop) * NS_PER_MS;
    return exits_init(&app->exits, &app->ctx);
}

int app_start(uv_loop_t *loop, const struct config *config, const struct app_secrets *secrets,
              const struct log *log, struct app **out)
{
    struct app *app = mem_new(1, sizeof(*app));
    if (!app) {
        return ERR_NO_MEMORY;
    }
    int err = init(app, loop, config, log);
    app->users = secrets->users;
    if (err == 0) {
        err = start_node(app, loop, secrets);
    }
    if (err != 0) {
        exits_stop(&app->exits);
        mem_free(app);
        return err;
    }
    if (config->node.control) {
        err = control_server_start(app, &app->clients, config->node.control, &app->control);
    }
    if (err == 0) {
        err = start_listeners(app);
    }
    if (err != 0) {
        app_stop(app, NULL, NULL);
        return err;
    }
    *out = app;
    return 0;
}

static void free_if_stopped(struct app *app)
{
    if (!app->node_stopped || !app->sockets_gone) {
        return;
    }
    void (*stopped)(void *user) = app->stopped;
    void *user = app->stopped_user;
    pool_deinit(&app->ctx.pool);
    mem_free(app->listeners);
    mem_free(app);
    if (stopped) {
        stopped(user);
    }
}

static void on_node_stopped(void *user)
{
    struct app *app = user;
    app->node_stopped = true;
    free_if_stopped(app);
}

static void on_sockets_gone(void *user)
{
    struct app *app = user;
    app->sockets_gone = true;
    free_if_stopped(app);
}

void app_stop(struct app *app, void (*stopped)(void *user), void *user)
{
    app->stopped = stopped;
    app->stopped_user = user;
    for (size_t i = 0; i < app->listener_count; i++) {
        listener_stop(app->listeners[i]);
    }
    if (app->control) {
        control_server_stop(app->control);
    }
    clients_stop(&app->clients);
    exits_stop(&app->exits);
    benches_stop(&app->benches);
    resolver_stop(&app->ctx.resolver);
    tcp_break_all(&app->ctx.pool, on_sockets_gone, app);
    adit_stop(app->ctx.node, on_node_stopped, app);
}

bool app_front_address(const struct app *app, size_t i, struct addr *out)
{
    if (i >= app->listener_count || listener_forwards(app->listeners[i])) {
        return false;
    }
    *out = listener_address(app->listeners[i]);
    return true;
}

int app_forward(struct app *app, const char *listen, const char *target, struct listener **out,
                struct app_fault *fault)
{
    struct config_listen at;
    struct target to;
    *fault = (struct app_fault){.about = listen, .why = config_parse_listen(&at, listen)};
    if (!fault->why) {
        fault->about = target;
        fault->why = config_parse_forward(&to, app->ctx.config, target);
    }
    if (!fault->why && at.udp && to.path[0]) {
        fault->why = "takes no datagrams";
    }
    if (fault->why) {
        return ERR_MALFORMED;
    }
    const struct client_door door = {.target = &to};
    int status = listener_start(&app->clients, &at, &door, out);
    if (status != 0) {
        *fault = (struct app_fault){.about = listen, .why = uv_strerror(status)};
    }
    return status;
}

const char *app_serve(struct app *app, const char *name, const char *value,
                      struct exit_service **out)
{
    return exits_serve(&app->exits, name, value, out);
}

bool app_peer_stats(const struct app *app, size_t peer, struct adit_peer_stats *out)
{
    return adit_peer_stats(app->ctx.node, peer, out);
}

struct addr app_local(const struct app *app)
{
    struct addr a;
    adit_local(app->ctx.node, &a);
    return a;
}
