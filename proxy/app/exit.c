#include "app/exit.h"

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

static void join(struct exit_conn *x, struct tcp *tcp)
{
    char text[ADDR_TEXT_MAX];
    struct addr bound = tcp_local(tcp);
    (void)addr_format(&bound, text);
    if (adit_accept(x->all->ctx->node, endpoint_stream(x->end), text, strlen(text)) != 0) {
        tcp_close(tcp);
        fail(x, CAUSE_FAILED);
        return;
    }
    x->all->ctx->counters.exit.connected++;
    struct pump_parts parts = {.tcp = tcp, .end = x->end, .broken = CAUSE_TARGET_RESET};
    x->end = NULL;
    pump_start(&x->pump, &parts, on_pump_over, x);
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

static enum cause begin(struct exits *e, const struct adit_event *ev, const struct target *t)
{
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
    x->dialer = dialer_start(e->ctx, t, &e->ctx->config->peers[ev->peer].allow, on_dialled, x);
    x->end = x->dialer ? endpoint_of_stream(e->ctx->node, ev->stream) : NULL;
    if (!x->end) {
        if (x->dialer) {
            dialer_cancel(x->dialer);
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
}

void exits_open(struct exits *e, const struct adit_event *ev)
{
    struct target t;
    e->ctx->counters.exit.requests++;
    bool good = target_parse(&t, ev->data, ev->len) == 0;
    enum cause cause = good ? begin(e, ev, &t) : CAUSE_BAD_TARGET;
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
