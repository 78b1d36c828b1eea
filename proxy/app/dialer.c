#include "app/dialer.h"

#include "session/dial.h"

#include <base/check.h>
#include <base/mem.h>

#include <netdb.h>
#include <stdio.h>
#include <string.h>

struct attempt {
    struct dialer *dialer;
    struct tcp *tcp;
};

struct dialer {
    struct context *ctx;
    const struct acl *acl;
    struct target target;
    char path[CONFIG_SOCKET_PATH_MAX + 1]; /* of a unix socket; then there is no target */
    struct dial core;
    struct attempt attempts[DIAL_ADDRS_MAX];
    uv_timer_t timer;
    uv_getaddrinfo_t resolve;
    bool resolving, ended, timer_closed;
    void (*done)(void *user, struct tcp *tcp, enum cause cause);
    void *user;
};

static void step(struct dialer *d);

/* libuv may still hold the timer and the lookup; the last to come back frees. */
static void free_if_unused(struct dialer *d)
{
    if (d->ended && d->timer_closed && !d->resolving) {
        mem_free(d);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct dialer *d = handle->data;
    d->timer_closed = true;
    free_if_unused(d);
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
    if (d->resolving) {
        (void)uv_cancel((uv_req_t *)&d->resolve); /* if it has not begun */
    }
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
    a.port = d->target.port;
    const char *name = d->target.kind == TARGET_NAME ? d->target.name : NULL;
    if (d->acl && own_has(&d->ctx->own, &a) && !acl_names(d->acl, &a, a.port)) {
        dial_forbid(&d->core);
        return;
    }
    dial_add(&d->core, d->acl, name, &a);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct dialer *d = req->data;
    d->resolving = false;
    if (d->ended) {
        uv_freeaddrinfo(list);
        free_if_unused(d);
        return;
    }
    for (struct addrinfo *i = status == 0 ? list : NULL; i; i = i->ai_next) {
        add(d, tcp_addr(i->ai_addr));
    }
    uv_freeaddrinfo(list);
    dial_start(&d->core, now_of(d));
    step(d);
}

static bool is_localhost(const char *name)
{
    static const char localhost[] = "localhost";
    size_t len = strlen(name);
    size_t tail = sizeof(localhost) - 1;
    return len >= tail && strcmp(name + len - tail, localhost) == 0 &&
           (len == tail || name[len - tail - 1] == '.');
}

static int resolve(struct dialer *d)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    d->resolve.data = d;
    int status =
        uv_getaddrinfo(d->ctx->loop, &d->resolve, on_resolved, d->target.name, NULL, &hints);
    d->resolving = status == 0;
    return status;
}

/* With what is known at once the answer still comes from the loop: by the timer. */
static void on_begin(uv_timer_t *timer)
{
    struct dialer *d = timer->data;
    dial_start(&d->core, now_of(d));
    step(d);
}

static void begin(struct dialer *d)
{
    if (d->target.kind == TARGET_ADDRESS) {
        add(d, d->target.addr);
    } else if (is_localhost(d->target.name)) {
        add(d, addr_ipv4(127, 0, 0, 1, 0));
        add(d, (struct addr){.family = ADDR_IPV6, .ip = {[15] = 1}});
    } else if (!d->acl || acl_could_allow(d->acl, d->target.name, d->target.port)) {
        if (resolve(d) == 0) {
            return;
        }
    } else {
        dial_forbid(&d->core);
    }
    (void)uv_timer_start(&d->timer, on_begin, 0, 0);
}

static struct dialer *dialer_new(struct context *ctx,
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
    dial_init(&d->core);
    return d;
}

struct dialer *dialer_start(struct context *ctx, const struct target *target, const struct acl *acl,
                            void (*done)(void *user, struct tcp *tcp, enum cause cause), void *user)
{
    struct dialer *d = dialer_new(ctx, done, user);
    if (!d) {
        return NULL;
    }
    d->acl = acl;
    d->target = *target;
    begin(d);
    return d;
}

struct dialer *dialer_start_unix(struct context *ctx, const char *path,
                                 void (*done)(void *user, struct tcp *tcp, enum cause cause),
                                 void *user)
{
    struct dialer *d = dialer_new(ctx, done, user);
    size_t len = strlen(path);
    if (!d) {
        return NULL;
    }
    CHECK(len > 0 && len < sizeof(d->path));
    memcpy(d->path, path, len + 1);
    /* The one thing to try; what it says of an address is not looked at. */
    dial_add(&d->core, NULL, NULL, &(struct addr){.family = ADDR_NONE});
    (void)uv_timer_start(&d->timer, on_begin, 0, 0);
    return d;
}

void dialer_cancel(struct dialer *d)
{
    end(d);
}
