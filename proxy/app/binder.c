#include "app/binder.h"

#include "app/udpsock.h"
#include "session/dial.h"

#include <base/check.h>
#include <base/mem.h>

#include <string.h>

enum {
    BACKLOG = 4,
    STRANGERS_MAX = 64, /* connections from elsewhere, before it gives up */
};

struct binder {
    struct binder_options options;
    struct target expected;
    struct resolver_asker *asker;
    struct addr hosts[RESOLVER_ADDRS]; /* who may connect */
    size_t host_count;
    uv_timer_t timer;
    uv_tcp_t server;
    int open_handles;
    unsigned strangers;
    bool listening;
};

static void on_closed(uv_handle_t *handle)
{
    struct binder *b = handle->data;
    if (--b->open_handles == 0) {
        mem_free(b);
    }
}

void binder_stop(struct binder *b)
{
    if (b->asker) {
        resolver_forget(b->asker);
        b->asker = NULL;
    }
    uv_close((uv_handle_t *)&b->timer, on_closed);
    if (b->listening) {
        uv_close((uv_handle_t *)&b->server, on_closed);
    }
}

/* The user may do anything in there. */
static void finish(struct binder *b, struct tcp *tcp, enum cause cause)
{
    struct binder_options o = b->options;
    binder_stop(b);
    o.done(o.user, tcp, cause);
}

static void on_timeout(uv_timer_t *timer)
{
    finish(timer->data, NULL, CAUSE_TIMED_OUT);
}

static bool is_expected(const struct binder *b, const struct addr *from)
{
    struct addr plain = addr_normalize(from);
    for (size_t i = 0; i < b->host_count; i++) {
        if (addr_equal_ip(&b->hosts[i], &plain)) {
            return true;
        }
    }
    return false;
}

static void on_connection(uv_stream_t *server, int status)
{
    struct binder *b = server->data;
    struct context *ctx = b->options.ctx;
    struct tcp *tcp = status == 0 ? tcp_new(ctx->loop, &ctx->pool) : NULL;
    if (!tcp) {
        finish(b, NULL, status == 0 ? CAUSE_LIMIT : dial_cause(status));
        return;
    }
    int err = tcp_accept(tcp, server);
    struct addr from = tcp_remote(tcp);
    if (err == 0 && is_expected(b, &from)) {
        finish(b, tcp, CAUSE_NONE);
        return;
    }
    tcp_close(tcp);
    if (++b->strangers >= STRANGERS_MAX) {
        finish(b, NULL, CAUSE_LIMIT);
    }
}

static int start_listening(struct binder *b, struct addr *at)
{
    struct sockaddr_storage sa;
    int len = sizeof(sa);
    int status = udpsock_source_toward(b->options.ctx->loop, &b->hosts[0], at);
    if (status != 0) {
        return status;
    }
    (void)uv_tcp_init(b->options.ctx->loop, &b->server); /* makes no socket yet: cannot fail */
    b->server.data = b;
    b->listening = true;
    b->open_handles++;
    tcp_sockaddr(at, &sa);
    unsigned flags = at->family == ADDR_IPV6 ? UV_TCP_IPV6ONLY : 0;
    status = uv_tcp_bind(&b->server, (const struct sockaddr *)&sa, flags);
    if (status == 0) {
        tcp_prepare_listener(&b->server);
        status = uv_listen((uv_stream_t *)&b->server, BACKLOG, on_connection);
    }
    if (status == 0) {
        status = uv_tcp_getsockname(&b->server, (struct sockaddr *)&sa, &len);
        *at = tcp_addr((const struct sockaddr *)&sa);
    }
    return status;
}

/* Of the host's addresses those that are allowed, of one family: that of the first. */
static void keep_allowed(struct binder *b, const struct addr *addrs, size_t count)
{
    const char *name = b->expected.kind == TARGET_NAME ? b->expected.name : NULL;
    const struct acl *acl = b->options.acl;
    uint16_t port = b->expected.port;
    for (size_t i = 0; i < count && b->host_count < RESOLVER_ADDRS; i++) {
        bool allowed = acl_allows(acl, &addrs[i], port, name);
        bool family = b->host_count == 0 || addrs[i].family == b->hosts[0].family;
        if (allowed && family && !addr_is_unspecified(&addrs[i])) {
            b->hosts[b->host_count] = addr_normalize(&addrs[i]);
            b->hosts[b->host_count++].port = port != 0 ? port : 1; /* for the system's routing */
        }
    }
}

static void on_found(void *user, uint8_t family, const struct addr *addrs, size_t count)
{
    struct binder *b = user;
    struct addr at;
    (void)family;
    b->asker = NULL;
    keep_allowed(b, addrs, count);
    if (b->host_count == 0) {
        finish(b, NULL, count == 0 ? CAUSE_NAME_NOT_FOUND : CAUSE_NOT_ALLOWED);
        return;
    }
    int err = start_listening(b, &at);
    if (err != 0) {
        finish(b, NULL, dial_cause(err));
        return;
    }
    (void)uv_timer_start(&b->timer, on_timeout, BINDER_NS / NS_PER_MS, 0);
    b->options.listening(b->options.user, &at);
}

/* What is known at once is told from the loop all the same. */
static void on_begin(uv_timer_t *timer)
{
    struct binder *b = timer->data;
    struct addr addrs[RESOLVER_ADDRS] = {b->expected.addr};
    bool name = b->expected.kind == TARGET_NAME;
    size_t count = name ? resolver_localhost(b->expected.name, addrs) : 1;
    const struct acl *acl = b->options.acl;
    if (name && !acl_could_allow(acl, b->expected.name, b->expected.port)) {
        finish(b, NULL, CAUSE_NOT_ALLOWED);
        return;
    }
    if (count > 0) {
        on_found(b, ADDR_NONE, addrs, count);
        return;
    }
    const struct resolver_question q = {
        .name = b->expected.name, .owner = b->options.owner, .family = ADDR_NONE};
    b->asker = resolver_ask(&b->options.ctx->resolver, &q, on_found, b);
    if (!b->asker) {
        finish(b, NULL, CAUSE_LIMIT);
    }
}

struct binder *binder_start(const struct binder_options *options)
{
    struct binder *b = mem_new(1, sizeof(*b));
    if (!b) {
        return NULL;
    }
    b->options = *options;
    b->expected = *options->expected;
    (void)uv_timer_init(options->ctx->loop, &b->timer); /* cannot fail */
    b->timer.data = b;
    b->open_handles = 1;
    (void)uv_timer_start(&b->timer, on_begin, 0, 0);
    return b;
}
