#include "loop/channel_uv.h"

#include <base/check.h>
#include <base/clock.h>
#include <base/err.h>
#include <base/heap.h>
#include <base/mem.h>

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "loop/resolve_uv.h"
#include "os/sockaddr.h"
#include "os/sysclock.h"
#include "relay/proxy_connect.h"

enum { KEEPALIVE_S = 60, WHY_MAX = TLS_WHY_MAX + 64 };

enum stage { STAGE_CONNECT, STAGE_PROXY, STAGE_TLS, STAGE_OPEN };

/* One address. Lives until libuv has closed its handle, so that the next one can begin before. */
struct attempt {
    struct stream_uv stream;
    uv_connect_t connect;
    struct channel_uv *channel; /* NULL = given up */
    uint64_t since_ns;
    struct proxy_connect proxy;
    size_t request_len;
    char request[]; /* to the proxy, PROXY_CONNECT_REQUEST_MAX if there is one */
};

struct channel_uv {
    uv_loop_t *loop;
    struct channel_uv_target to;
    const struct channel_uv_callbacks *callbacks;
    void *user;
    struct resolve_uv *resolve;
    struct attempt *attempt;
    enum stage stage;
    struct addr addrs[RESOLVE_UV_ADDRS_MAX];
    size_t addr_count, addr_next;
    uint64_t connect_ns;
};

static void on_attempt_closed(struct stream_uv *s)
{
    struct attempt *a = container_of(s, struct attempt, stream);
    sodium_memzero(a->request, a->request_len);
    mem_free(a);
}

static void drop_attempt(struct channel_uv *c)
{
    if (c->attempt) {
        c->attempt->channel = NULL;
        stream_uv_close(&c->attempt->stream, on_attempt_closed);
        c->attempt = NULL;
    }
}

void channel_uv_close(struct channel_uv *c)
{
    if (!c) {
        return;
    }
    if (c->resolve) {
        resolve_uv_cancel(c->resolve);
    }
    drop_attempt(c);
    mem_free(c);
}

/* Ends it and tells. `what` is what was tried, `why` how it failed. */
static void fail(struct channel_uv *c, int err, const char *what, const char *why)
{
    const struct channel_uv_callbacks *callbacks = c->callbacks;
    void *user = c->user;
    char text[WHY_MAX];
    (void)snprintf(text, sizeof(text), "%s%s%s", what, what[0] && why[0] ? ": " : "", why);
    channel_uv_close(c);
    callbacks->on_end(user, err, text);
}

static const char *cause_of(int err)
{
    return err > ERR_MALFORMED ? uv_strerror(err) : err_text(err);
}

uint64_t channel_uv_connect_ns(const struct channel_uv *c)
{
    return c->connect_ns;
}

/* --- bytes --- */

bool channel_uv_takes(const struct channel_uv *c)
{
    return c->stage == STAGE_OPEN && !stream_uv_is_busy(&c->attempt->stream);
}

static void lost(struct channel_uv *c, int err, const char *why)
{
    if (why) {
        fail(c, err, "", why);
    } else if (c->stage == STAGE_OPEN) {
        fail(c, err, "connection closed", err ? cause_of(err) : "");
    } else {
        fail(c, err,
             c->stage == STAGE_PROXY ? "closed by the proxy" : "closed during the TLS handshake",
             err ? cause_of(err) : "");
    }
}

ssize_t channel_uv_write(struct channel_uv *c, const uint8_t *data, size_t len)
{
    uv_buf_t buf = {.len = len};
    CHECK(channel_uv_takes(c));
    memcpy(&buf.base, &data, sizeof(buf.base));
    ssize_t sent = stream_uv_write(&c->attempt->stream, &buf, 1);
    if (sent < 0) {
        const char *why = stream_uv_why(&c->attempt->stream);
        lost(c, (int)sent, why[0] ? why : NULL);
    }
    return sent;
}

static void become_open(struct channel_uv *c)
{
    c->stage = STAGE_OPEN;
    c->callbacks->on_open(c->user);
}

static void secure(struct channel_uv *c)
{
    if (!c->to.tls) {
        become_open(c);
        return;
    }
    c->stage = STAGE_TLS;
    int err = stream_uv_secure(&c->attempt->stream, c->to.tls);
    if (err) {
        lost(c, err, NULL);
    }
}

/* What stands behind the proxy's answer is the relay's; but before TLS a relay says nothing. */
static void read_proxy(struct attempt *a, const uint8_t *data, size_t len)
{
    struct channel_uv *c = a->channel;
    size_t used;
    int got = proxy_connect_input(&a->proxy, data, len, &used);
    if (got < 0) {
        fail(c, got, "", a->proxy.why);
        return;
    }
    if (got > 0 && c->to.tls && used < len) {
        fail(c, ERR_PROTOCOL, "", "the proxy says more than an answer");
        return;
    }
    if (got > 0) {
        secure(c);
    }
    if (got > 0 && used < len && a->channel) {
        c->callbacks->on_data(c->user, data + used, len - used);
    }
}

static void on_data(struct stream_uv *s, const uint8_t *data, size_t len)
{
    struct attempt *a = container_of(s, struct attempt, stream);
    if (!a->channel) {
        return;
    }
    if (a->channel->stage == STAGE_PROXY) {
        read_proxy(a, data, len);
    } else {
        a->channel->callbacks->on_data(a->channel->user, data, len);
    }
}

static void on_ready(struct stream_uv *s)
{
    struct attempt *a = container_of(s, struct attempt, stream);
    become_open(a->channel);
}

static void on_sent(struct stream_uv *s, size_t len)
{
    struct attempt *a = container_of(s, struct attempt, stream);
    if (a->channel && a->channel->stage == STAGE_OPEN) {
        a->channel->callbacks->on_sent(a->channel->user, len);
    }
}

static void on_end(struct stream_uv *s, int err, const char *why)
{
    struct attempt *a = container_of(s, struct attempt, stream);
    if (a->channel) {
        lost(a->channel, err, why);
    }
}

/* --- connecting --- */

static void try_next(struct channel_uv *c, int last_err);

static void ask_proxy(struct attempt *a)
{
    struct channel_uv *c = a->channel;
    c->stage = STAGE_PROXY;
    int len = proxy_connect_start(&a->proxy, c->to.host, c->to.port, c->to.proxy_login, a->request);
    if (len < 0) {
        fail(c, len, "the request to the proxy", cause_of(len));
        return;
    }
    uv_buf_t buf = uv_buf_init(a->request, (unsigned)len);
    ssize_t sent = stream_uv_write(&a->stream, &buf, 1);
    if (sent < 0) {
        lost(c, (int)sent, NULL);
    } else if (sent < len && !stream_uv_is_busy(&a->stream)) {
        fail(c, ERR_NO_ROOM, "", "the proxy's socket takes no request"); /* an empty one: never */
    }
}

static void on_connect(uv_connect_t *connect, int status)
{
    struct attempt *a = connect->data;
    struct channel_uv *c = a->channel;
    if (!c) {
        return;
    }
    int err = status ? status : stream_uv_read_start(&a->stream);
    if (err) {
        drop_attempt(c);
        try_next(c, err);
        return;
    }
    (void)uv_tcp_nodelay(&a->stream.tcp, 1);
    (void)uv_tcp_keepalive(&a->stream.tcp, 1, KEEPALIVE_S);
    c->connect_ns = time_since(a->since_ns, sys_now_ns());
    if (c->to.proxy_host) {
        ask_proxy(a);
    } else {
        secure(c);
    }
}

static int start_attempt(struct channel_uv *c, const struct addr *to)
{
    static const struct stream_uv_callbacks callbacks = {
        .on_ready = on_ready, .on_data = on_data, .on_sent = on_sent, .on_end = on_end};
    size_t request = c->to.proxy_host ? PROXY_CONNECT_REQUEST_MAX : 0;
    struct attempt *a = mem_new(1, sizeof(*a) + request);
    if (!a) {
        return ERR_NO_MEMORY;
    }
    a->request_len = request;
    int err = stream_uv_init(&a->stream, c->loop, c->to.buffers, &callbacks);
    if (err) {
        mem_free(a);
        return err;
    }
    a->connect.data = a;
    a->channel = c;
    a->since_ns = sys_now_ns();
    c->attempt = a;
    struct sockaddr_storage storage;
    (void)sockaddr_encode(&storage, to, AF_UNSPEC);
    err =
        uv_tcp_connect(&a->connect, &a->stream.tcp, (const struct sockaddr *)&storage, on_connect);
    if (err) {
        drop_attempt(c);
    }
    return err;
}

static void try_next(struct channel_uv *c, int last_err)
{
    while (c->addr_next < c->addr_count) {
        last_err = start_attempt(c, &c->addrs[c->addr_next++]);
        if (last_err == 0) {
            return;
        }
    }
    fail(c, last_err, c->to.proxy_host ? "cannot connect to the proxy" : "cannot connect",
         cause_of(last_err));
}

static void on_resolved(void *user, int status, const struct addr *addrs, size_t count)
{
    struct channel_uv *c = user;
    c->resolve = NULL;
    if (status != 0) {
        fail(c, status,
             c->to.proxy_host ? "the proxy's name is not found" : "its name is not found",
             cause_of(status));
        return;
    }
    memcpy(c->addrs, addrs, count * sizeof(*addrs));
    c->addr_count = count;
    try_next(c, UV_EAI_NONAME);
}

int channel_uv_open(uv_loop_t *loop, const struct channel_uv_target *target,
                    const struct channel_uv_callbacks *callbacks, void *user,
                    struct channel_uv **out)
{
    struct channel_uv *c = mem_new(1, sizeof(*c));
    *out = c;
    if (!c) {
        return ERR_NO_MEMORY;
    }
    *c = (struct channel_uv){.loop = loop, .to = *target, .callbacks = callbacks, .user = user};
    const char *host = target->proxy_host ? target->proxy_host : target->host;
    uint16_t port = target->proxy_host ? target->proxy_port : target->port;
    int err = resolve_uv_start(loop, host, port, on_resolved, c, &c->resolve);
    if (err) {
        mem_free(c);
        *out = NULL;
    }
    return err;
}
