#include "loop/relay_link_uv.h"

#include <base/check.h>
#include <base/mem.h>

#include <string.h>

#include "loop/resolve_uv.h"
#include "os/sockaddr.h"
#include "os/sysclock.h"

enum {
    READ_BYTES = 64 * 1024,
    KEEPALIVE_S = 60,
};

/* One connection attempt and what becomes of it. Lives until libuv has closed its handle, so a new
 * one can begin while the old one is still closing. */
struct attempt {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    struct relay_link_uv *link; /* NULL = given up */
    size_t writing;             /* bytes of the write under way */
    bool connected;
};

struct relay_link_uv {
    struct relay_link_options o;
    struct resolve_uv *resolve;
    struct attempt *attempt;
    struct addr addrs[RESOLVE_UV_ADDRS_MAX];
    size_t addr_count;
    size_t addr_next;
    uint8_t *read_buf; /* READ_BYTES */
};

struct relay_link_uv *relay_link_new(const struct relay_link_options *options)
{
    struct relay_link_uv *l = mem_new(1, sizeof(*l));
    uint8_t *buf = mem_new(1, READ_BYTES);
    if (!l || !buf) {
        mem_free(l);
        mem_free(buf);
        return NULL;
    }
    l->o = *options;
    l->read_buf = buf;
    return l;
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static void drop_attempt(struct relay_link_uv *l)
{
    if (l->attempt) {
        l->attempt->link = NULL;
        uv_close((uv_handle_t *)&l->attempt->tcp, on_closed);
        l->attempt = NULL;
    }
}

void relay_link_close(struct relay_link_uv *l)
{
    if (l->resolve) {
        resolve_uv_cancel(l->resolve);
        l->resolve = NULL;
    }
    drop_attempt(l);
}

void relay_link_free(struct relay_link_uv *l)
{
    if (l) {
        relay_link_close(l);
        mem_free(l->read_buf);
        mem_free(l);
    }
}

static void failed(struct relay_link_uv *l, int err)
{
    relay_link_close(l);
    node_relay_disconnected(l->o.node, l->o.relay, err == UV_EOF ? 0 : err, sys_now_ns());
    l->o.on_activity(l->o.user);
}

/* --- bytes --- */

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
    (void)hint;
    const struct attempt *a = handle->data;
    *buf = uv_buf_init((char *)a->link->read_buf, READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    (void)buf;
    const struct attempt *a = stream->data;
    struct relay_link_uv *l = a->link;
    if (count < 0) {
        failed(l, (int)count);
    } else if (count > 0) {
        node_relay_input(l->o.node, l->o.relay, l->read_buf, (size_t)count, sys_now_ns());
        l->o.on_activity(l->o.user);
    }
}

static void on_written(uv_write_t *req, int status)
{
    struct attempt *a = req->data;
    size_t len = a->writing;
    a->writing = 0;
    if (!a->link) {
        return;
    }
    if (status != 0) {
        failed(a->link, status);
        return;
    }
    node_relay_sent(a->link->o.node, a->link->o.relay, len, sys_now_ns());
    a->link->o.on_activity(a->link->o.user);
    relay_link_flush(a->link);
}

void relay_link_flush(struct relay_link_uv *l)
{
    struct attempt *a = l->attempt;
    while (a && a->connected && a->writing == 0) {
        const uint8_t *data;
        size_t len = node_relay_output(l->o.node, l->o.relay, &data);
        if (len == 0) {
            return;
        }
        uv_buf_t buf = {.base = (char *)(uintptr_t)data, .len = len};
        int sent = uv_try_write((uv_stream_t *)&a->tcp, &buf, 1);
        if (sent > 0) {
            node_relay_sent(l->o.node, l->o.relay, (size_t)sent, sys_now_ns());
            continue;
        }
        /* Full: let libuv wait. The node keeps these bytes where they are until they are sent. */
        a->writing = len;
        a->write.data = a;
        int err = uv_write(&a->write, (uv_stream_t *)&a->tcp, &buf, 1, on_written);
        if (err != 0) {
            a->writing = 0;
            failed(l, err);
            return;
        }
    }
}

/* --- connecting --- */

static void try_next(struct relay_link_uv *l, int last_err);

static void on_connect(uv_connect_t *req, int status)
{
    struct attempt *a = req->data;
    struct relay_link_uv *l = a->link;
    if (!l) {
        return;
    }
    if (status != 0) {
        drop_attempt(l);
        try_next(l, status);
        return;
    }
    a->connected = true;
    (void)uv_tcp_nodelay(&a->tcp, 1);
    (void)uv_tcp_keepalive(&a->tcp, 1, KEEPALIVE_S);
    int err = uv_read_start((uv_stream_t *)&a->tcp, on_alloc, on_read);
    if (err != 0) {
        failed(l, err);
        return;
    }
    node_relay_connected(l->o.node, l->o.relay, sys_now_ns());
    l->o.on_activity(l->o.user);
}

static int start_attempt(struct relay_link_uv *l, const struct addr *to)
{
    struct attempt *a = mem_new(1, sizeof(*a));
    if (!a) {
        return UV_ENOMEM;
    }
    int err = uv_tcp_init(l->o.loop, &a->tcp);
    if (err != 0) {
        mem_free(a);
        return err;
    }
    a->tcp.data = a;
    a->connect.data = a;
    a->link = l;
    l->attempt = a;
    struct sockaddr_storage storage;
    (void)sockaddr_encode(&storage, to, AF_UNSPEC);
    err = uv_tcp_connect(&a->connect, &a->tcp, (const struct sockaddr *)&storage, on_connect);
    if (err != 0) {
        drop_attempt(l);
    }
    return err;
}

static void try_next(struct relay_link_uv *l, int last_err)
{
    while (l->addr_next < l->addr_count) {
        last_err = start_attempt(l, &l->addrs[l->addr_next++]);
        if (last_err == 0) {
            return;
        }
    }
    failed(l, last_err);
}

static void on_resolved(void *user, int status, const struct addr *addrs, size_t count)
{
    struct relay_link_uv *l = user;
    l->resolve = NULL;
    if (status != 0) {
        failed(l, status);
        return;
    }
    memcpy(l->addrs, addrs, count * sizeof(*addrs));
    l->addr_count = count;
    l->addr_next = 0;
    try_next(l, UV_EAI_NONAME);
}

void relay_link_connect(struct relay_link_uv *l)
{
    relay_link_close(l);
    int err = resolve_uv_start(l->o.loop, l->o.host, l->o.port, on_resolved, l, &l->resolve);
    if (err != 0) {
        node_relay_disconnected(l->o.node, l->o.relay, err, sys_now_ns());
        l->o.on_activity(l->o.user);
    }
}
