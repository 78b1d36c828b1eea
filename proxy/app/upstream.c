#include "app/upstream.h"

#include "proto/proxyclient.h"

#include <adit/key.h>
#include <base/check.h>
#include <base/mem.h>

#include <string.h>

struct upstream {
    struct context *ctx;
    struct dialer *dialer; /* toward the proxy */
    struct tcp *tcp;       /* while the two talk */
    uv_timer_t timer;      /* for the talk, or what is known at once */
    enum cause cause;
    struct proxyclient talk;
    struct addr *relay; /* UDP ASSOCIATE: for what it answers */
    uint8_t in[64];
    void (*done)(void *user, struct tcp *tcp, enum cause cause);
    void *user;
};

bool upstream_is_for(const struct context *ctx, const struct target *t, bool udp)
{
    struct addr local[RESOLVER_ADDRS];
    bool here;
    if (t->kind == TARGET_NAME) {
        here = t->path[0] || resolver_localhost(t->name, local) > 0;
    } else {
        struct addr meant = acl_normalize(&t->addr);
        here = addr_is_loopback(&meant) || own_has(&ctx->own, &t->addr, udp);
    }
    return ctx->config->exit.upstream.kind == CONFIG_PROXY_GIVEN && !here;
}

bool upstream_allows(const struct acl *acl, const struct target *t)
{
    return !acl || (t->kind == TARGET_NAME ? acl_allows_name(acl, t->name, t->port)
                                           : acl_allows(acl, &t->addr, t->port, NULL));
}

static void on_timer_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void upstream_cancel(struct upstream *u)
{
    if (u->dialer) {
        dialer_cancel(u->dialer);
    }
    if (u->tcp) {
        tcp_close(u->tcp);
    }
    proxyclient_deinit(&u->talk);
    uv_close((uv_handle_t *)&u->timer, on_timer_closed);
}

static void finish(struct upstream *u, struct tcp *tcp, enum cause cause)
{
    void (*done)(void *user, struct tcp *tcp, enum cause cause) = u->done;
    void *user = u->user;
    upstream_cancel(u);
    done(user, tcp, cause);
}

static void on_timer(uv_timer_t *timer)
{
    struct upstream *u = timer->data;
    finish(u, NULL, u->cause);
}

/* Some name no address, or 0.0.0.0: they mean their own. */
static struct addr relay_of(const struct upstream *u)
{
    struct addr relay = tcp_remote(u->tcp);
    relay.port = u->talk.bound.port;
    return addr_is_unspecified(&u->talk.bound) ? relay : u->talk.bound;
}

/* `u` may be gone afterwards. */
static void go_on(struct upstream *u)
{
    uint8_t out[PROXYCLIENT_OUT_MAX];
    size_t len = proxyclient_output(&u->talk, out);
    struct tcp *tcp = u->tcp;
    bool sent = len == 0 || tcp_send(tcp, out, len) == (ssize_t)len;
    adit_key_wipe(out, len); /* it may hold a password */
    switch (u->talk.state) {
    case PROXYCLIENT_TALKING:
        if (!sent) {
            finish(u, NULL, CAUSE_FAILED);
        }
        break;
    case PROXYCLIENT_CONNECTED:
        tcp_pause(tcp);
        if (u->relay) {
            *u->relay = relay_of(u);
        }
        u->tcp = NULL;
        finish(u, tcp, CAUSE_NONE);
        break;
    case PROXYCLIENT_FAILED:
        finish(u, NULL, u->talk.cause);
        break;
    }
}

static size_t on_room(void *user, uint8_t **at)
{
    struct upstream *u = user;
    size_t wants = proxyclient_wants(&u->talk);
    *at = u->in;
    return wants < sizeof(u->in) ? wants : sizeof(u->in);
}

static void on_read(void *user, ssize_t n)
{
    struct upstream *u = user;
    if (n <= 0) {
        finish(u, NULL, CAUSE_FAILED); /* the proxy's end says nothing of the target */
        return;
    }
    proxyclient_input(&u->talk, u->in, (size_t)n);
    go_on(u);
}

static void on_sent(void *user, int status)
{
    if (status < 0) {
        finish(user, NULL, CAUSE_FAILED);
    }
}

static const struct tcp_ops tcp_ops = {
    .room = on_room,
    .read = on_read,
    .sent = on_sent,
};

static void on_dialled(void *user, struct tcp *tcp, enum cause cause)
{
    struct upstream *u = user;
    u->dialer = NULL;
    if (!tcp) {
        finish(u, NULL, cause == CAUSE_LIMIT ? cause : CAUSE_FAILED);
        return;
    }
    u->tcp = tcp;
    tcp_attach(tcp, &tcp_ops, u);
    tcp_resume(tcp);
    go_on(u);
}

static void set_target(struct target *t, const struct httpproxy *at)
{
    int err = target_set_name(t, at->host, strlen(at->host), at->port);
    CHECK(err == 0); /* looked at when the ini was read */
}

/* With what is known at once the answer still comes from the loop: by the timer. */
static void refuse(struct upstream *u, enum cause cause)
{
    u->cause = cause;
    (void)uv_timer_start(&u->timer, on_timer, 0, 0);
}

/* What is to be said is set up. */
static void dial(struct upstream *u, size_t owner)
{
    struct dialer_wish proxy = {.owner = owner};
    set_target(&proxy.target, u->ctx->config->exit.upstream.at);
    u->dialer = dialer_start(u->ctx, &proxy, on_dialled, u);
    if (!u->dialer) {
        refuse(u, CAUSE_LIMIT);
        return;
    }
    u->cause = CAUSE_TIMED_OUT;
    uint64_t ms = u->ctx->config->exit.dial_timeout_ns / NS_PER_MS;
    (void)uv_timer_start(&u->timer, on_timer, ms, 0);
}

static struct upstream *upstream_new(struct context *ctx,
                                     void (*done)(void *user, struct tcp *tcp, enum cause cause),
                                     void *user)
{
    struct upstream *u = mem_new(1, sizeof(*u));
    if (u) {
        u->ctx = ctx;
        u->done = done;
        u->user = user;
        (void)uv_timer_init(ctx->loop, &u->timer); /* cannot fail */
        u->timer.data = u;
    }
    return u;
}

struct upstream *upstream_start(struct context *ctx, const struct dialer_wish *wish,
                                void (*done)(void *user, struct tcp *tcp, enum cause cause),
                                void *user)
{
    const struct httpproxy *at = ctx->config->exit.upstream.at;
    struct upstream *u = upstream_new(ctx, done, user);
    if (u && upstream_allows(wish->acl, &wish->target)) {
        proxyclient_init(&u->talk, at->socks5, at->login, &wish->target);
        dial(u, wish->owner);
    } else if (u) {
        refuse(u, CAUSE_NOT_ALLOWED);
    }
    return u;
}

struct upstream *upstream_associate(struct context *ctx, size_t owner, struct addr *relay,
                                    void (*done)(void *user, struct tcp *tcp, enum cause cause),
                                    void *user)
{
    const struct httpproxy *at = ctx->config->exit.upstream.at;
    struct upstream *u = upstream_new(ctx, done, user);
    if (u && at->socks5) {
        u->relay = relay;
        proxyclient_init_associate(&u->talk, at->login);
        dial(u, owner);
    } else if (u) {
        refuse(u, CAUSE_FAILED);
    }
    return u;
}
