/* How far the relays are: a connection to each, and GET /derp/probe. */
#include "loop/netcheck_internal.h"

#include <base/mem.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "os/sockaddr.h"
#include "os/sysclock.h"

enum {
    REQUEST_MAX = 512,
    ANSWER_MAX = 512,
    STATUS_AT = 9, /* "HTTP/1.1 200" */
    STATUS_END = 12,
    STATUS_OK = 200,
    STATUS_LOG_IN = 511,
};

/* Lives until libuv has closed its handle. */
struct check_attempt {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    struct check_relay *relay; /* NULL = given up */
    uint64_t since_ns;         /* of what is being waited for: the connection, then the answer */
    size_t answer_len;
    char request[REQUEST_MAX];
    char answer[ANSWER_MAX];
};

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static void drop_attempt(struct check_relay *r)
{
    if (r->attempt) {
        r->attempt->relay = NULL;
        uv_close((uv_handle_t *)&r->attempt->tcp, on_closed);
        r->attempt = NULL;
    }
}

/* `status`: of HTTP, or a libuv error. */
static void conclude(struct check_relay *r, int status)
{
    r->over = true;
    r->result->status = status > 0 ? (unsigned)status : 0;
    r->result->error = status < 0 ? status : 0;
    r->result->answered = status == STATUS_OK && !r->result->portal;
    drop_attempt(r);
    netcheck_uv_go_on(r->check);
}

/* --- the answer --- */

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
    (void)hint;
    struct check_attempt *a = handle->data;
    *buf = uv_buf_init(a->answer + a->answer_len,
                       (unsigned)(ANSWER_MAX - 1 - a->answer_len)); /* the rest stays 0 */
}

/* 0 if this is no answer of HTTP (RFC 9112 4). */
static int status_of(const char *answer)
{
    char digits[STATUS_END - STATUS_AT + 1] = "";
    if (memcmp(answer, "HTTP/1.", 7) != 0) {
        return 0;
    }
    memcpy(digits, answer + STATUS_AT, STATUS_END - STATUS_AT);
    return (int)strtoul(digits, NULL, 10);
}

/* A relay has nothing to show and sends nobody elsewhere (RFC 6585 6: 511). */
static bool is_portal(const char *answer, int status)
{
    static const char html[] = "\ncontent-type: text/html";
    bool page = false;
    for (const char *at = strchr(answer, '\n'); at && !page; at = strchr(at + 1, '\n')) {
        page = strncasecmp(at, html, sizeof(html) - 1) == 0;
    }
    return (status >= 300 && status < 400) || status == STATUS_LOG_IN ||
           (status == STATUS_OK && page);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    (void)buf;
    struct check_attempt *a = stream->data;
    struct check_relay *r = a->relay;
    if (count < 0) {
        conclude(r, (int)count);
        return;
    }
    a->answer_len += (size_t)count;
    if (a->answer_len >= STATUS_END) {
        int status = status_of(a->answer);
        r->result->answer_ns = time_since(a->since_ns, sys_now_ns());
        r->result->portal = is_portal(a->answer, status);
        conclude(r, status > 0 ? status : UV_EPROTO);
    }
}

/* --- the question --- */

static void on_written(uv_write_t *req, int status)
{
    struct check_attempt *a = req->data;
    if (a->relay && status != 0) {
        conclude(a->relay, status);
    }
}

static void ask(struct check_attempt *a)
{
    const struct adit_relay_config *config = a->relay->result->config;
    bool v6 = strchr(config->host, ':') != NULL;
    int len = snprintf(a->request, sizeof(a->request),
                       "GET /derp/probe HTTP/1.1\r\nHost: %s%s%s:%u\r\nConnection: close\r\n\r\n",
                       v6 ? "[" : "", config->host, v6 ? "]" : "", (unsigned)config->port);
    if (len < 0 || (size_t)len >= sizeof(a->request)) {
        conclude(a->relay, UV_ENAMETOOLONG);
        return;
    }
    uv_buf_t buf = uv_buf_init(a->request, (unsigned)len);
    a->since_ns = sys_now_ns();
    a->write.data = a;
    int err = uv_read_start((uv_stream_t *)&a->tcp, on_alloc, on_read);
    if (err == 0) {
        err = uv_write(&a->write, (uv_stream_t *)&a->tcp, &buf, 1, on_written);
    }
    if (err != 0) {
        conclude(a->relay, err);
    }
}

/* --- connecting --- */

static void try_next(struct check_relay *r, int last_err);

static void on_connect(uv_connect_t *req, int status)
{
    struct check_attempt *a = req->data;
    struct check_relay *r = a->relay;
    if (!r) {
        return;
    }
    if (status != 0) {
        drop_attempt(r);
        try_next(r, status);
        return;
    }
    (void)uv_tcp_nodelay(&a->tcp, 1);
    r->result->connect_ns = time_since(a->since_ns, sys_now_ns());
    ask(a);
}

static int start_attempt(struct check_relay *r, const struct addr *to)
{
    struct check_attempt *a = mem_new(1, sizeof(*a));
    if (!a) {
        return UV_ENOMEM;
    }
    (void)uv_tcp_init(r->check->loop, &a->tcp); /* makes no socket yet: cannot fail */
    a->tcp.data = a;
    a->connect.data = a;
    a->relay = r;
    a->since_ns = sys_now_ns();
    r->attempt = a;
    struct sockaddr_storage storage;
    (void)sockaddr_encode(&storage, to, AF_UNSPEC);
    int err = uv_tcp_connect(&a->connect, &a->tcp, (const struct sockaddr *)&storage, on_connect);
    if (err != 0) {
        drop_attempt(r);
    }
    return err;
}

static void try_next(struct check_relay *r, int last_err)
{
    while (r->addr_next < r->addr_count) {
        last_err = start_attempt(r, &r->addrs[r->addr_next++]);
        if (last_err == 0) {
            return;
        }
    }
    conclude(r, last_err);
}

static void on_resolved(void *user, int status, const struct addr *addrs, size_t count)
{
    struct check_relay *r = user;
    r->resolve = NULL;
    memcpy(r->addrs, addrs, count * sizeof(*addrs));
    r->addr_count = count;
    try_next(r, status);
}

/* --- all of them --- */

void netcheck_tcp_start(struct adit_netcheck *c)
{
    for (size_t i = 0; i < c->config.relay_count && i < ADIT_NETCHECK_RELAYS_MAX; i++) {
        struct check_relay *r = &c->relays[i];
        const struct adit_relay_config *config = &c->config.relays[i];
        c->relay_results[i] = (struct adit_netcheck_relay){.config = config, .error = UV_ETIMEDOUT};
        *r = (struct check_relay){.check = c, .result = &c->relay_results[i]};
        int err =
            resolve_uv_start(c->loop, config->host, config->port, on_resolved, r, &r->resolve);
        if (err != 0) {
            r->over = true;
            r->result->error = err;
        }
        c->report.relay_count++;
    }
}

bool netcheck_tcp_is_over(const struct adit_netcheck *c)
{
    for (size_t i = 0; i < c->report.relay_count; i++) {
        if (!c->relays[i].over) {
            return false;
        }
    }
    return true;
}

void netcheck_tcp_stop(struct adit_netcheck *c)
{
    for (size_t i = 0; i < c->report.relay_count; i++) {
        if (c->relays[i].resolve) {
            resolve_uv_cancel(c->relays[i].resolve);
            c->relays[i].resolve = NULL;
        }
        drop_attempt(&c->relays[i]);
    }
}
