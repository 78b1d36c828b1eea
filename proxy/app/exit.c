#include "app/exit.h"

#include "app/binder.h"
#include "app/dialer.h"
#include "app/endpoint.h"
#include "app/pump.h"
#include "app/upstream.h"
#include "policy/serve.h"

#include <base/err.h>
#include <base/mem.h>

#include <string.h>

struct exit_conn {
    LIST_ENTRY(exit_conn) entry;
    struct exits *all;
    struct endpoint *end;      /* NULL once the pump has it */
    struct dialer *dialer;     /* while it dials, */
    struct upstream *upstream; /* or lets somebody else dial, */
    struct binder *binder;     /* or waits to be dialled */
    struct pump pump;
    size_t peer;
    struct target target;
};

static void forget(struct exit_conn *x)
{
    LIST_REMOVE(x, entry);
    x->all->count--;
    quota_give(&x->all->shares[x->peer].streams);
    mem_free(x);
}

static void on_pump_over(void *user)
{
    forget(user);
}

static void log_failure(const struct context *ctx, size_t peer, const char *target, size_t len,
                        enum cause cause)
{
    LOG_AT(ctx->log, LOG_INFO, "exit", "failed", "peer=%s target=%.*s cause=%s",
           ctx->config->peers[peer].name, (int)len, target, cause_name(cause));
}

static void fail(struct exit_conn *x, enum cause cause)
{
    char text[TARGET_TEXT_MAX];
    (void)target_format(&x->target, text);
    log_failure(x->all->ctx, x->peer, text, strlen(text), cause);
    context_count_failure(x->all->ctx->counters.exit.failures, cause);
    endpoint_abort(x->end, cause);
    forget(x);
}

static void pump(struct exit_conn *x, struct tcp *tcp)
{
    struct pump_parts parts = {.tcp = tcp, .end = x->end, .broken = CAUSE_TARGET_RESET};
    x->all->ctx->counters.exit.connected++;
    x->end = NULL;
    pump_start(&x->pump, &parts, on_pump_over, x);
}

static void join(struct exit_conn *x, struct tcp *tcp)
{
    static const struct addr nowhere = {.family = ADDR_IPV4}; /* a unix socket */
    char text[ADDR_TEXT_MAX];
    struct addr bound = tcp_local(tcp);
    (void)addr_format(bound.family == ADDR_NONE ? &nowhere : &bound, text);
    if (adit_accept(x->all->ctx->node, endpoint_stream(x->end), text, strlen(text)) == 0) {
        pump(x, tcp);
    } else {
        tcp_close(tcp);
        fail(x, CAUSE_FAILED);
    }
}

static void on_dialled(void *user, struct tcp *tcp, enum cause cause)
{
    struct exit_conn *x = user;
    x->dialer = NULL;
    x->upstream = NULL;
    x->all->dialling--;
    if (tcp) {
        join(x, tcp);
    } else {
        fail(x, cause);
    }
}

static void give_up_dialling(struct exit_conn *x)
{
    if (x->dialer) {
        dialer_cancel(x->dialer);
        x->dialer = NULL;
        x->all->dialling--;
    }
    if (x->upstream) {
        upstream_cancel(x->upstream);
        x->upstream = NULL;
        x->all->dialling--;
    }
    if (x->binder) {
        binder_stop(x->binder);
        x->binder = NULL;
        quota_give(&x->all->shares[x->peer].binds);
    }
}

static void on_reset(void *user, enum cause cause)
{
    struct exit_conn *x = user;
    (void)cause;
    give_up_dialling(x);
    endpoint_release(x->end);
    forget(x);
}

/* Early data stays in the stream until there is a connection to take it. */
static void on_nothing(void *user)
{
    (void)user;
}

static const struct endpoint_events dialling = {
    .readable = on_nothing,
    .writable = on_nothing,
    .reset = on_reset,
};

static const struct config_serve *find_service(const struct exits *e, const struct target *t)
{
    const struct config *config = e->ctx->config;
    const struct exit_service *s;
    LIST_FOREACH (s, &e->services, entry) {
        if (serve_fits(&s->serve, t)) {
            return &s->serve;
        }
    }
    return serve_find(config->serves, config->serves_count, t);
}

static struct dialer *dial_service(struct exit_conn *x, const struct config_serve *serve)
{
    struct context *ctx = x->all->ctx;
    if (serve->path[0] != '\0') {
        return dialer_start_unix(ctx, serve->path, on_dialled, x);
    }
    const struct dialer_wish wish = {.target = serve->target, .owner = x->peer};
    return dialer_start(ctx, &wish, on_dialled, x);
}

/* --- BIND ------------------------------------------------------------------------------------ */

static void on_listening(void *user, const struct addr *at)
{
    struct exit_conn *x = user;
    char text[ADDR_TEXT_MAX];
    (void)addr_format(at, text);
    if (adit_accept(x->all->ctx->node, endpoint_stream(x->end), text, strlen(text)) != 0) {
        give_up_dialling(x);
        fail(x, CAUSE_FAILED);
    }
}

/* Who has connected is the first the front reads: a length byte and text. */
static bool tell_who(struct exit_conn *x, const struct addr *from)
{
    uint8_t *at;
    char text[ADDR_TEXT_MAX];
    size_t len = strlen(addr_format(from, text));
    if (endpoint_space(x->end, len + 1, &at) < len + 1) {
        return false;
    }
    at[0] = (uint8_t)len;
    memcpy(at + 1, text, len);
    return endpoint_wrote(x->end, len + 1) == 0;
}

static void on_bound(void *user, struct tcp *tcp, enum cause cause)
{
    struct exit_conn *x = user;
    struct addr from = tcp ? tcp_remote(tcp) : (struct addr){.family = ADDR_NONE};
    x->binder = NULL;
    quota_give(&x->all->shares[x->peer].binds);
    if (!tcp) {
        fail(x, cause);
    } else if (!tell_who(x, &from)) {
        tcp_close(tcp);
        fail(x, CAUSE_LIMIT);
    } else {
        pump(x, tcp);
    }
}

/* --- what peers ask for ---------------------------------------------------------------------- */

struct wanted {
    struct target target;
    bool bind;                        /* wait for a connection from there */
    const struct config_serve *serve; /* NULL: as far as `allow` of the peer says so */
};

static void dial_target(struct exit_conn *x, const struct target *t, const struct acl *allow)
{
    struct context *ctx = x->all->ctx;
    const struct dialer_wish wish = {.target = *t, .acl = allow, .owner = x->peer};
    if (upstream_is_for(ctx, t, false)) {
        x->upstream = upstream_start(ctx, &wish, on_dialled, x);
    } else {
        x->dialer = dialer_start(ctx, &wish, on_dialled, x);
    }
}

static bool start(struct exit_conn *x, const struct wanted *w)
{
    struct context *ctx = x->all->ctx;
    const struct acl *allow = &ctx->config->peers[x->peer].allow;
    const struct binder_options options = {
        .ctx = ctx,
        .expected = &w->target,
        .acl = allow,
        .owner = x->peer,
        .listening = on_listening,
        .done = on_bound,
        .user = x,
    };
    if (w->bind) {
        x->binder = binder_start(&options);
    } else if (w->serve) {
        x->dialer = dial_service(x, w->serve);
    } else if (w->target.path[0]) {
        x->dialer = dialer_start_unix(ctx, w->target.path, on_dialled, x);
    } else {
        dial_target(x, &w->target, allow);
    }
    return x->binder || x->dialer || x->upstream;
}

/* Who waits to be dialled may do so for minutes, so that has a ceiling of its own. */
static bool take_quotas(struct exit_share *share, bool bind, uint64_t now)
{
    if (bind && !quota_take(&share->binds, now)) {
        return false;
    }
    if (!quota_take(&share->streams, now)) {
        if (bind) {
            quota_give(&share->binds);
        }
        return false;
    }
    return true;
}

static bool has_room(struct exits *e, size_t peer, bool bind)
{
    if (e->count >= e->ctx->limits.exit_max || (!bind && e->dialling >= e->ctx->limits.dials_max) ||
        gate_is_shut(&e->ctx->gate)) {
        return false;
    }
    bool taken = take_quotas(&e->shares[peer], bind, uv_now(e->ctx->loop) * NS_PER_MS);
    e->ctx->counters.exit.over_peer_limit += !taken;
    return taken;
}

static void give_quotas(struct exits *e, size_t peer, bool bind)
{
    quota_give(&e->shares[peer].streams);
    if (bind) {
        quota_give(&e->shares[peer].binds);
    }
}

static enum cause begin(struct exits *e, const struct adit_event *ev, const struct wanted *w)
{
    if (!has_room(e, ev->peer, w->bind)) {
        return CAUSE_LIMIT;
    }
    struct exit_conn *x = mem_new(1, sizeof(*x));
    if (!x) {
        give_quotas(e, ev->peer, w->bind);
        return CAUSE_LIMIT;
    }
    x->all = e;
    x->peer = ev->peer;
    x->target = w->target;
    x->end = endpoint_of_stream(e->ctx->node, ev->stream);
    if (!x->end || !start(x, w)) {
        if (x->end) {
            endpoint_abort(x->end, CAUSE_LIMIT);
        }
        give_quotas(e, ev->peer, w->bind);
        mem_free(x);
        return CAUSE_LIMIT;
    }
    endpoint_attach(x->end, &dialling, x);
    LIST_INSERT_HEAD(&e->list, x, entry);
    e->count++;
    e->dialling += !w->bind;
    if (x->dialer) {
        dialer_hurry(x->dialer); /* so that the answer leaves in this round; x may be gone */
    }
    return CAUSE_NONE;
}

static bool is_flow(const struct adit_event *ev)
{
    static const char udp[] = "udp";
    return ev->len == sizeof(udp) - 1 && memcmp(ev->data, udp, ev->len) == 0;
}

/* "HOST:PORT", "unix:/PATH" or "bind HOST:PORT". */
static bool read_wanted(const struct adit_event *ev, struct wanted *w)
{
    static const char prefix[] = BINDER_TARGET_PREFIX;
    size_t skip = sizeof(prefix) - 1;
    w->bind = ev->len > skip && memcmp(ev->data, prefix, skip) == 0;
    skip = w->bind ? skip : 0;
    const char *text = (const char *)ev->data + skip;
    size_t len = ev->len - skip;
    return target_parse(&w->target, text, len) == 0 ||
           (!w->bind && target_parse_unix(&w->target, text, len) == 0);
}

/* Who connects from beyond the upstream comes to its address, not to ours; and we are not to be
 * seen by whom peers reach only through it. */
static enum cause look_at_bind(const struct context *ctx, size_t peer, const struct target *t)
{
    if (!ctx->config->peers[peer].bind || serve_is_meant(t)) {
        return CAUSE_NOT_ALLOWED;
    }
    if (upstream_is_for(ctx, t, false)) {
        LOG_AT(ctx->log, LOG_INFO, "exit", "bind_refused",
               "peer=%s why=\"[exit] upstream takes no BIND\"", ctx->config->peers[peer].name);
        return CAUSE_NOT_ALLOWED;
    }
    return CAUSE_NONE;
}

/* CAUSE_NONE if it may be had. */
static enum cause look_at(struct exits *e, const struct adit_event *ev, struct wanted *w)
{
    if (w->bind) {
        return look_at_bind(e->ctx, ev->peer, &w->target);
    }
    if (w->target.path[0]) {
        const struct acl *allow = &e->ctx->config->peers[ev->peer].allow;
        return acl_allows_unix(allow, w->target.path) ? CAUSE_NONE : CAUSE_NOT_ALLOWED;
    }
    if (!serve_is_meant(&w->target)) {
        return CAUSE_NONE;
    }
    w->serve = find_service(e, &w->target);
    if (!w->serve) {
        return CAUSE_NAME_NOT_FOUND;
    }
    return serve_allows(w->serve, ev->peer) ? CAUSE_NONE : CAUSE_NOT_ALLOWED;
}

static enum cause take(struct exits *e, const struct adit_event *ev, bool *readable)
{
    struct wanted w = {0};
    *readable = true;
    if (is_flow(ev)) {
        struct exit_share *share = &e->shares[ev->peer];
        return exit_flows_open(&e->flows, ev, &share->streams, &share->flows);
    }
    *readable = read_wanted(ev, &w);
    enum cause cause = *readable ? look_at(e, ev, &w) : CAUSE_BAD_TARGET;
    return cause == CAUSE_NONE ? begin(e, ev, &w) : cause;
}

const char *exits_serve(struct exits *e, const char *name, const char *value,
                        struct exit_service **out)
{
    struct exit_service *s = mem_new(1, sizeof(*s));
    if (!s) {
        return "out of memory";
    }
    const char *why = config_parse_serve(&s->serve, e->ctx->config, name, value);
    if (why) {
        mem_free(s);
        return why;
    }
    LIST_INSERT_HEAD(&e->services, s, entry);
    *out = s;
    return NULL;
}

void exits_unserve(struct exit_service *s)
{
    LIST_REMOVE(s, entry);
    config_serve_free(&s->serve);
    mem_free(s);
}

/* Of what all peers together may have, one gets half, unless its section says otherwise: so there
 * is always something left for another. */
static void init_share(struct exit_share *share, const struct context *ctx,
                       const struct config_peer *p)
{
    uint64_t now = uv_now(ctx->loop) * NS_PER_MS;
    uint64_t half = (ctx->limits.associations_max + 1) / 2;
    quota_init(&share->streams, p->streams_max, p->streams_rate, now);
    quota_init(&share->flows, p->flows_max ? p->flows_max : half, 0, now);
    quota_init(&share->binds, ctx->limits.binds_max, 0, now);
}

int exits_init(struct exits *e, struct context *ctx)
{
    const struct config *config = ctx->config;
    *e = (struct exits){.ctx = ctx};
    e->shares = mem_new(config->peers_count + 1, sizeof(*e->shares));
    for (size_t i = 0; e->shares && i < config->peers_count; i++) {
        init_share(&e->shares[i], ctx, &config->peers[i]);
    }
    LIST_INIT(&e->list);
    LIST_INIT(&e->services);
    exit_flows_init(&e->flows, ctx);
    return e->shares ? 0 : ERR_NO_MEMORY;
}

void exits_open(struct exits *e, const struct adit_event *ev)
{
    bool good;
    e->ctx->counters.exit.requests++;
    enum cause cause = take(e, ev, &good);
    if (cause == CAUSE_NONE) {
        return;
    }
    /* A target that cannot be read is the peer's text: not for a log line. */
    log_failure(e->ctx, ev->peer, good ? ev->data : "?", good ? ev->len : 1, cause);
    context_count_failure(e->ctx->counters.exit.failures, cause);
    adit_abort(e->ctx->node, ev->stream, cause);
}

void exits_stop(struct exits *e)
{
    struct exit_conn *x;
    exit_flows_stop(&e->flows);
    while ((x = LIST_FIRST(&e->list)) != NULL) {
        give_up_dialling(x);
        if (x->end) {
            endpoint_abort(x->end, CAUSE_PEER_CLOSED);
        } else {
            pump_stop(&x->pump, CAUSE_PEER_CLOSED);
        }
        forget(x);
    }
    mem_free(e->shares);
    e->shares = NULL;
}
