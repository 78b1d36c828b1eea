#include "app/exit.h"

#include "app/binder.h"
#include "app/dialer.h"
#include "app/endpoint.h"
#include "app/pump.h"

#include <base/mem.h>

#include <string.h>

struct exit_conn {
    LIST_ENTRY(exit_conn) entry;
    struct exits *all;
    struct endpoint *end;  /* NULL once the pump has it */
    struct dialer *dialer; /* while it dials */
    struct binder *binder; /* or waits to be dialled */
    struct pump pump;
    size_t peer;
    struct target target;
};

static void forget(struct exit_conn *x)
{
    LIST_REMOVE(x, entry);
    x->all->count--;
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
    char text[ADDR_TEXT_MAX];
    struct addr bound = tcp_local(tcp);
    (void)addr_format(&bound, text);
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
    if (x->binder) {
        binder_stop(x->binder);
        x->binder = NULL;
        x->all->dialling--;
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
    x->all->dialling--;
    if (!tcp) {
        fail(x, cause);
    } else if (!tell_who(x, &from)) {
        tcp_close(tcp);
        fail(x, CAUSE_LIMIT);
    } else {
        pump(x, tcp);
    }
}

/* --- a new one ------------------------------------------------------------------------------- */

static bool start(struct exit_conn *x, bool bind)
{
    struct context *ctx = x->all->ctx;
    const struct acl *allow = &ctx->config->peers[x->peer].allow;
    const struct binder_options options = {
        .ctx = ctx,
        .expected = &x->target,
        .acl = allow,
        .listening = on_listening,
        .done = on_bound,
        .user = x,
    };
    if (bind) {
        x->binder = binder_start(&options);
    } else {
        x->dialer = dialer_start(ctx, &x->target, allow, on_dialled, x);
    }
    return x->binder || x->dialer;
}

static enum cause begin(struct exits *e, const struct adit_event *ev, const struct target *t,
                        bool bind)
{
    if (bind && !e->ctx->config->peers[ev->peer].bind) {
        return CAUSE_NOT_ALLOWED;
    }
    if (e->count >= e->ctx->limits.exit_max || e->dialling >= e->ctx->limits.dials_max) {
        return CAUSE_LIMIT;
    }
    struct exit_conn *x = mem_new(1, sizeof(*x));
    if (!x) {
        return CAUSE_LIMIT;
    }
    x->all = e;
    x->peer = ev->peer;
    x->target = *t;
    x->end = endpoint_of_stream(e->ctx->node, ev->stream);
    if (!x->end || !start(x, bind)) {
        if (x->end) {
            endpoint_abort(x->end, CAUSE_LIMIT);
        }
        mem_free(x);
        return CAUSE_LIMIT;
    }
    endpoint_attach(x->end, &dialling, x);
    LIST_INSERT_HEAD(&e->list, x, entry);
    e->count++;
    e->dialling++;
    return CAUSE_NONE;
}

void exits_init(struct exits *e, struct context *ctx)
{
    *e = (struct exits){.ctx = ctx};
    LIST_INIT(&e->list);
    exit_flows_init(&e->flows, ctx);
}

static bool is_flow(const struct adit_event *ev)
{
    static const char udp[] = "udp";
    return ev->len == sizeof(udp) - 1 && memcmp(ev->data, udp, ev->len) == 0;
}

/* "HOST:PORT", or "bind HOST:PORT". */
static bool read_target(const struct adit_event *ev, struct target *t, bool *bind)
{
    static const char prefix[] = BINDER_TARGET_PREFIX;
    size_t skip = sizeof(prefix) - 1;
    *bind = ev->len > skip && memcmp(ev->data, prefix, skip) == 0;
    skip = *bind ? skip : 0;
    return target_parse(t, (const char *)ev->data + skip, ev->len - skip) == 0;
}

/* What a peer asks for; CAUSE_NONE if it is being done. */
static enum cause take(struct exits *e, const struct adit_event *ev, bool *readable)
{
    struct target t;
    bool bind;
    *readable = true;
    if (is_flow(ev)) {
        return exit_flows_open(&e->flows, ev);
    }
    *readable = read_target(ev, &t, &bind);
    return *readable ? begin(e, ev, &t, bind) : CAUSE_BAD_TARGET;
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
}
