#include "loop/udp_uv.h"

#include "os/sysclock.h"

#include <base/check.h>
#include <base/err.h>
#include <base/mem.h>

#include <errno.h>

struct udp_uv {
    uv_poll_t poll;
    struct udp_socket socket;
    struct udp_batch own_batch; /* without a buffer when a shared one is used */
    struct udp_batch *batch;
    const struct udp_uv_callbacks *callbacks;
    void *user;
    bool blocked; /* waits until it is writable */
    bool failed;  /* on_error has been told */
    bool closing;
};

static void on_poll(uv_poll_t *poll, int status, int events);

static void udp_uv_free(struct udp_uv *u)
{
    udp_close(&u->socket);
    udp_batch_deinit(&u->own_batch);
    mem_free(u);
}

static void on_closed(uv_handle_t *handle)
{
    udp_uv_free(handle->data);
}

static int watch(struct udp_uv *u)
{
    int events = UV_READABLE | (u->blocked ? UV_WRITABLE : 0);
    return uv_poll_start(&u->poll, events, on_poll);
}

static void fail(struct udp_uv *u, int err, uint64_t now)
{
    if (u->failed) {
        return;
    }
    u->failed = true;
    (void)uv_poll_stop(&u->poll);
    if (u->callbacks->on_error) {
        u->callbacks->on_error(u->user, err, now);
    }
}

static void receive_round(struct udp_uv *u, uint64_t now)
{
    for (int i = 0; i < UDP_UV_ROUND_BATCHES && !u->closing; i++) {
        int n = udp_receive(&u->socket, u->batch);
        if (n < 0) {
            fail(u, n, now);
            return;
        }
        bool more = u->batch->more; /* the callee may use a shared batch for another socket */
        if (n > 0) {
            u->callbacks->on_batch(u->user, u->batch, now);
        }
        if (!more) {
            return;
        }
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct udp_uv *u = poll->data;
    uint64_t now = sys_now_ns();
    bool writable = u->blocked && (status < 0 || events & UV_WRITABLE);
    if (writable) {
        u->blocked = false;
    }
    if (status < 0 || events & UV_READABLE) {
        receive_round(u, now);
    }
    if (u->closing || u->failed) {
        return;
    }
    /* libuv stops a handle whose descriptor has an error pending, as it has after ICMP. Reading
     * took that error away, so the watch goes on. */
    if (status < 0 || writable) {
        int rc = watch(u);
        if (rc < 0) {
            fail(u, rc, now);
            return;
        }
    }
    if (writable && !u->blocked) { /* on_batch may have filled the buffer again */
        u->callbacks->on_writable(u->user, now);
    }
}

static int udp_uv_start(struct udp_uv *u, uv_loop_t *loop, const struct udp_options *options)
{
    int rc = u->batch == &u->own_batch ? udp_batch_init(&u->own_batch) : 0;
    if (rc == 0) {
        rc = udp_open(&u->socket, options);
    }
    return rc == 0 ? uv_poll_init(loop, &u->poll, u->socket.fd) : rc;
}

int udp_uv_open(uv_loop_t *loop, const struct udp_options *options, struct udp_batch *batch,
                const struct udp_uv_callbacks *callbacks, void *user, struct udp_uv **out)
{
    CHECK(callbacks->on_batch && callbacks->on_writable);
    struct udp_uv *u = mem_new(1, sizeof(*u));
    if (!u) {
        return ERR_NO_MEMORY;
    }
    u->socket.fd = -1;
    u->batch = batch ? batch : &u->own_batch;
    u->callbacks = callbacks;
    u->user = user;
    int rc = udp_uv_start(u, loop, options);
    if (rc < 0) {
        udp_uv_free(u);
        return rc;
    }
    u->poll.data = u;
    rc = watch(u);
    if (rc < 0) {
        udp_uv_close(u);
        return rc;
    }
    *out = u;
    return 0;
}

void udp_uv_close(struct udp_uv *u)
{
    CHECK(!u->closing);
    u->closing = true;
    uv_close((uv_handle_t *)&u->poll, on_closed);
}

int udp_uv_send(struct udp_uv *u, const struct addr *to, const uint8_t *data, size_t len,
                size_t segment, size_t *sent)
{
    CHECK(!u->closing);
    int rc = udp_send(&u->socket, to, data, len, segment, sent);
    if (rc == -EAGAIN && !u->blocked && !u->failed) {
        u->blocked = true;
        if (watch(u) < 0) {
            u->blocked = false; /* the next attempt tries to wait again */
        }
    }
    return rc;
}

void udp_uv_grow(struct udp_uv *u)
{
    udp_grow(&u->socket);
}

void udp_uv_batch_sends(struct udp_uv *u, bool on)
{
    udp_batch_sends(&u->socket, on);
}

void udp_uv_catch_up(struct udp_uv *u, uint64_t now)
{
    CHECK(!u->closing);
    if (!u->failed) {
        receive_round(u, now);
    }
}

int udp_uv_local(const struct udp_uv *u, struct addr *out)
{
    return udp_local(&u->socket, out);
}

int udp_uv_set_hops(struct udp_uv *u, int hops)
{
    return udp_set_hops(&u->socket, hops);
}

struct udp_socket udp_uv_lend(const struct udp_uv *u)
{
    return udp_lend(&u->socket);
}

void udp_uv_return(struct udp_uv *u, const struct udp_socket *lent)
{
    udp_return(&u->socket, lent);
}

const struct udp_socket *udp_uv_socket(const struct udp_uv *u)
{
    return &u->socket;
}
