#include "app/dialer.h"

#include "session/dial.h"

#include <base/check.h>
#include <base/mem.h>

#include <stdio.h>
#include <string.h>

struct attempt {
    struct dialer *dialer;
    struct tcp *tcp;
};

struct dialer {
    struct context *ctx;
    struct dialer_wish wish;
    char path[CONFIG_SOCKET_PATH_MAX + 1]; /* of a unix socket; then there is no target */
    struct dial core;
    struct attempt attempts[DIAL_ADDRS_MAX];
    uv_timer_t timer;
    struct resolver_asker *askers[2]; /* IPv4, IPv6; while they are being asked */
    bool ended;
    bool at_once; /* all that there is to try is known: it begins in the next round */
    void (*done)(void *user, struct tcp *tcp, enum cause cause);
    void *user;
};

static void step(struct dialer *d);

static void on_timer_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static void forget_questions(struct dialer *d)
{
    for (size_t i = 0; i < 2; i++) {
        if (d->askers[i]) {
            resolver_forget(d->askers[i]);
            d->askers[i] = NULL;
        }
    }
}

static void end(struct dialer *d)
{
    CHECK(!d->ended);
    d->ended = true;
    for (size_t i = 0; i < DIAL_ADDRS_MAX; i++) {
        if (d->attempts[i].tcp) {
            tcp_close(d->attempts[i].tcp);
            d->attempts[i].tcp = NULL;
        }
    }
    forget_questions(d);
    uv_close((uv_handle_t *)&d->timer, on_timer_closed);
}

static uint64_t now_of(const struct dialer *d)
{
    return uv_now(d->ctx->loop) * NS_PER_MS;
}

static void on_connected(void *user, struct tcp *tcp, int status)
{
    struct attempt *a = user;
    struct dialer *d = a->dialer;
    size_t slot = (size_t)(a - d->attempts);
    if (status == 0) {
        dial_connected(&d->core, slot);
    } else {
        tcp_close(tcp);
        a->tcp = NULL;
        dial_attempt_failed(&d->core, slot, status, now_of(d));
    }
    step(d);
}

static void try_path(struct dialer *d, size_t slot)
{
    struct attempt *a = &d->attempts[slot];
    a->dialer = d;
    a->tcp = tcp_new_pipe(d->ctx->loop, &d->ctx->pool);
    if (a->tcp) {
        tcp_connect_unix(a->tcp, d->path, on_connected, a);
    } else {
        dial_attempt_failed(&d->core, slot, UV_ENOMEM, now_of(d));
    }
}

static void try_address(struct dialer *d, size_t slot, const struct addr *to)
{
    struct attempt *a = &d->attempts[slot];
    a->dialer = d;
    a->tcp = tcp_new(d->ctx->loop, &d->ctx->pool);
    int status = a->tcp ? tcp_connect(a->tcp, to, on_connected, a) : UV_ENOMEM;
    if (status != 0) {
        if (a->tcp) {
            tcp_close(a->tcp);
            a->tcp = NULL;
        }
        dial_attempt_failed(&d->core, slot, status, now_of(d));
    } else if (tcp_is_connected(a->tcp)) {
        dial_connected(&d->core, slot);
    }
}

static void finish(struct dialer *d, const struct dial_event *ev)
{
    struct tcp *tcp = NULL;
    if (ev->type == DIAL_EVENT_DONE) {
        tcp = d->attempts[ev->slot].tcp;
        d->attempts[ev->slot].tcp = NULL;
    }
    end(d);
    d->done(d->user, tcp, ev->cause);
}

static void on_timer(uv_timer_t *timer)
{
    struct dialer *d = timer->data;
    dial_tick(&d->core, now_of(d));
    step(d);
}

static void step(struct dialer *d)
{
    struct dial_event ev;
    while (dial_event(&d->core, &ev)) {
        if (ev.type != DIAL_EVENT_TRY) {
            finish(d, &ev);
            return;
        }
        if (d->path[0] != '\0') {
            try_path(d, ev.slot);
        } else {
            try_address(d, ev.slot, &ev.addr);
        }
    }
    uint64_t next = dial_next_ns(&d->core);
    if (next != TIME_NEVER) {
        uint64_t ms = (time_since(now_of(d), next) + NS_PER_MS - 1) / NS_PER_MS;
        (void)uv_timer_start(&d->timer, on_timer, ms, 0);
    }
}

static void add(struct dialer *d, struct addr a)
{
    const struct target *t = &d->wish.target;
    const struct acl *acl = d->wish.acl;
    a.port = t->port;
    const char *name = t->kind == TARGET_NAME ? t->name : NULL;
    if (acl && own_has(&d->ctx->own, &a, false) && !acl_names(acl, &a, a.port)) {
        dial_forbid(&d->core);
        return;
    }
    dial_add(&d->core, acl, name, &a);
}

static void on_resolved(void *user, uint8_t family, const struct addr *addrs, size_t count)
{
    struct dialer *d = user;
    d->askers[family == ADDR_IPV6] = NULL;
    for (size_t i = 0; i < count; i++) {
        add(d, addrs[i]);
    }
    dial_answered(&d->core, family, now_of(d));
    step(d);
}

/* Both at once: a server that keeps silent about one family does not hold up the other. */
static bool resolve(struct dialer *d)
{
    for (size_t i = 0; i < 2; i++) {
        const struct resolver_question q = {.name = d->wish.target.name,
                                            .owner = d->wish.owner,
                                            .family = i ? ADDR_IPV6 : ADDR_IPV4};
        d->askers[i] = resolver_ask(&d->ctx->resolver, &q, on_resolved, d);
        if (!d->askers[i]) {
            forget_questions(d);
            return false;
        }
    }
    return true;
}

/* With what is known at once the answer still comes from the loop: by the timer. */
static void on_begin(uv_timer_t *timer)
{
    struct dialer *d = timer->data;
    d->at_once = false;
    dial_start(&d->core, now_of(d));
    step(d);
}

static void begin_soon(struct dialer *d)
{
    d->at_once = true;
    (void)uv_timer_start(&d->timer, on_begin, 0, 0);
}

void dialer_hurry(struct dialer *d)
{
    if (d->at_once) {
        (void)uv_timer_stop(&d->timer);
        on_begin(&d->timer);
    }
}

static void begin(struct dialer *d)
{
    const struct target *t = &d->wish.target;
    const struct acl *acl = d->wish.acl;
    struct addr local[RESOLVER_ADDRS];
    size_t count = t->kind == TARGET_NAME ? resolver_localhost(t->name, local) : 0;
    for (size_t i = 0; i < count; i++) {
        add(d, local[i]);
    }
    if (t->kind == TARGET_ADDRESS) {
        add(d, t->addr);
    } else if (count == 0 && acl && !acl_could_allow(acl, t->name, t->port)) {
        dial_forbid(&d->core);
    } else if (count == 0 && resolve(d)) {
        dial_wait(&d->core, now_of(d));
        (void)uv_timer_start(&d->timer, on_timer, d->core.timeout_ns / NS_PER_MS, 0);
        return;
    } else if (count == 0) {
        dial_blame(&d->core, CAUSE_LIMIT);
    }
    begin_soon(d);
}

static struct dialer *dialer_new(struct context *ctx, uint64_t timeout_ns,
                                 void (*done)(void *user, struct tcp *tcp, enum cause cause),
                                 void *user)
{
    struct dialer *d = mem_new(1, sizeof(*d));
    if (!d) {
        return NULL;
    }
    d->ctx = ctx;
    d->done = done;
    d->user = user;
    (void)uv_timer_init(ctx->loop, &d->timer); /* cannot fail */
    d->timer.data = d;
    dial_init(&d->core, timeout_ns ? timeout_ns : ctx->config->exit.dial_timeout_ns);
    return d;
}

struct dialer *dialer_start(struct context *ctx, const struct dialer_wish *wish,
                            void (*done)(void *user, struct tcp *tcp, enum cause cause), void *user)
{
    struct dialer *d = dialer_new(ctx, wish->timeout_ns, done, user);
    if (!d) {
        return NULL;
    }
    d->wish = *wish;
    begin(d);
    return d;
}

struct dialer *dialer_start_unix(struct context *ctx, const char *path,
                                 void (*done)(void *user, struct tcp *tcp, enum cause cause),
                                 void *user)
{
    struct dialer *d = dialer_new(ctx, 0, done, user);
    size_t len = strlen(path);
    if (!d) {
        return NULL;
    }
    CHECK(len > 0 && len < sizeof(d->path));
    memcpy(d->path, path, len + 1);
    /* The one thing to try; what it says of an address is not looked at. */
    dial_add(&d->core, NULL, NULL, &(struct addr){.family = ADDR_NONE});
    begin_soon(d);
    return d;
}

void dialer_cancel(struct dialer *d)
{
    end(d);
}
