#include "app/tcp.h"

#include "app/tcp_watch.h"

#include <adit/peercred.h>
#include <base/check.h>
#include <base/mem.h>

#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

enum { KEEPALIVE_S = 120, READS_MAX = 4 };

void tcp_sockaddr(const struct addr *a, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof(*out));
    if (a->family == ADDR_IPV4) {
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(a->port)};
        memcpy(&v4.sin_addr, a->ip, 4);
        memcpy(out, &v4, sizeof(v4));
    } else {
        struct sockaddr_in6 v6 = {
            .sin6_family = AF_INET6, .sin6_port = htons(a->port), .sin6_scope_id = a->scope};
        memcpy(&v6.sin6_addr, a->ip, 16);
        memcpy(out, &v6, sizeof(v6));
    }
}

struct addr tcp_addr(const struct sockaddr *sa)
{
    struct addr a = {.family = ADDR_NONE};
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, sa, sizeof(v4));
        a.family = ADDR_IPV4;
        a.port = ntohs(v4.sin_port);
        memcpy(a.ip, &v4.sin_addr, 4);
    } else if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, sa, sizeof(v6));
        a.family = ADDR_IPV6;
        a.port = ntohs(v6.sin6_port);
        a.scope = v6.sin6_scope_id;
        memcpy(a.ip, &v6.sin6_addr, 16);
    }
    return a;
}

static struct tcp *prepare(struct pool *pool)
{
    struct tcp *t = mem_new(1, sizeof(*t));
    if (t) {
        t->pool = pool;
    }
    return t;
}

static struct tcp *ready(struct tcp *t, int status)
{
    if (status != 0) {
        mem_free(t);
        return NULL;
    }
    LIST_INSERT_HEAD(&t->pool->tcps, t, entry);
    t->uv.handle.data = t;
    t->write.data = t;
    t->shutdown.data = t;
    t->connect.data = t;
    return t;
}

struct tcp *tcp_new(uv_loop_t *loop, struct pool *pool)
{
    struct tcp *t = prepare(pool);
    return t ? ready(t, uv_tcp_init(loop, &t->uv.tcp)) : NULL;
}

struct tcp *tcp_new_pipe(uv_loop_t *loop, struct pool *pool)
{
    struct tcp *t = prepare(pool);
    return t ? ready(t, uv_pipe_init(loop, &t->uv.pipe, 0)) : NULL;
}

static void set_options(uv_tcp_t *tcp)
{
    (void)uv_tcp_nodelay(tcp, 1);
    (void)uv_tcp_keepalive(tcp, 1, KEEPALIVE_S);
}

void tcp_prepare_listener(uv_tcp_t *listener)
{
    set_options(listener);
}

int tcp_accept(struct tcp *t, uv_stream_t *listener)
{
    return uv_accept(listener, &t->uv.stream);
}

static void on_shutdown(uv_shutdown_t *req, int status);

/* libuv has come to know what its owner knows since tcp_is_connected. */
static void on_connect_late(struct tcp *t, int status)
{
    t->connected_early = false;
    if (status < 0) {
        t->ops->read(t->user, status);
    } else if (t->finish_early) {
        status = uv_shutdown(&t->shutdown, &t->uv.stream, on_shutdown);
        if (status < 0) {
            on_shutdown(&t->shutdown, status);
        }
    }
}

static void on_connect(uv_connect_t *req, int status)
{
    struct tcp *t = req->data;
    if (status == 0 && t->uv.handle.type == UV_TCP) {
        set_options(&t->uv.tcp);
    }
    if (t->connected_early && t->ops) {
        on_connect_late(t, status);
    } else if (t->connected) {
        t->connected(t->user, t, status);
    }
}

int tcp_connect(struct tcp *t, const struct addr *to,
                void (*connected)(void *user, struct tcp *tcp, int status), void *user)
{
    struct sockaddr_storage sa;
    tcp_sockaddr(to, &sa);
    t->connected = connected;
    t->user = user;
    return uv_tcp_connect(&t->connect, &t->uv.tcp, (const struct sockaddr *)&sa, on_connect);
}

/* Writable without an error. */
bool tcp_is_connected(struct tcp *t)
{
    uv_os_fd_t fd;
    if (uv_fileno(&t->uv.handle, &fd) != 0) {
        return false;
    }
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    if (poll(&p, 1, 0) != 1 || p.revents != POLLOUT) {
        return false;
    }
    t->connected = NULL;
    t->connected_early = true;
    return true;
}

void tcp_connect_unix(struct tcp *t, const char *path,
                      void (*connected)(void *user, struct tcp *tcp, int status), void *user)
{
    t->connected = connected;
    t->user = user;
    uv_pipe_connect(&t->connect, &t->uv.pipe, path, on_connect);
}

void tcp_attach(struct tcp *t, const struct tcp_ops *ops, void *user)
{
    tcp_pause(t);
    t->ops = ops;
    t->user = user;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct tcp *t = handle->data;
    uint8_t *at = NULL;
    (void)suggested;
    size_t len = t->reading ? t->ops->room(t->user, &at) : 0;
    *buf = uv_buf_init((char *)at, (unsigned)(len < POOL_BLOCK ? len : POOL_BLOCK));
}

static void stop(struct tcp *t)
{
    t->reading = false;
    t->polled = false;
    (void)uv_read_stop(&t->uv.stream);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct tcp *t = stream->data;
    (void)buf;
    if (n < 0 && n != UV_EOF) {
        stop(t);
    }
    if (n == UV_EOF) {
        stop(t);
        tcp_watch_add(t);
        t->ops->read(t->user, 0);
    } else if (n < 0 && n != UV_ENOBUFS) {
        t->ops->read(t->user, n);
    } else if (n > 0) {
        t->ops->read(t->user, n);
    } /* 0 = nothing there yet; the room given was not used */
}

void tcp_resume(struct tcp *t)
{
    if (!t->polled) {
        t->polled = uv_read_start(&t->uv.stream, on_alloc, on_read) == 0;
    }
    t->reading = t->polled;
}

/* To stop and to start libuv costs system calls, and most pauses end before anything comes: it is
 * stopped when it asks for room meanwhile. */
void tcp_pause(struct tcp *t)
{
    t->reading = false;
}

/* True if that has filled the room: then there may be more. */
static bool read_some(struct tcp *t)
{
    uv_os_fd_t fd;
    uint8_t *at = NULL;
    size_t room = t->ops && t->reading ? t->ops->room(t->user, &at) : 0;
    if (room == 0 || uv_fileno(&t->uv.handle, &fd) != 0) {
        return false;
    }
    ssize_t n = recv(fd, at, room, MSG_DONTWAIT);
    if (n > 0) { /* of an end or an error libuv tells */
        t->ops->read(t->user, n);
    }
    return n == (ssize_t)room;
}

void tcp_read_now(struct tcp *t)
{
    (void)read_some(t);
}

bool tcp_go_on(struct tcp *t)
{
    uint8_t *at = NULL;
    if (!t->polled) {
        t->reading = true;
        for (int i = 0; i < READS_MAX && read_some(t); i++) {
        }
        if (!t->ops) {
            return false;
        }
        if (!t->reading || t->ops->room(t->user, &at) == 0) {
            t->reading = false;
            return true;
        }
    }
    tcp_resume(t);
    return true;
}

bool tcp_busy(const struct tcp *t)
{
    return t->block != NULL;
}

static void on_write(uv_write_t *req, int status)
{
    struct tcp *t = req->data;
    pool_give(t->pool, t->block);
    t->block = NULL;
    if (t->ops) {
        t->ops->sent(t->user, status);
    }
}

static ssize_t send_later(struct tcp *t, const void *data, size_t len)
{
    size_t some = len < POOL_BLOCK ? len : POOL_BLOCK;
    t->block = pool_take(t->pool);
    if (!t->block) {
        return UV_ENOMEM;
    }
    memcpy(t->block, data, some);
    uv_buf_t buf = uv_buf_init((char *)t->block, (unsigned)some);
    int status = uv_write(&t->write, &t->uv.stream, &buf, 1, on_write);
    if (status != 0) {
        pool_give(t->pool, t->block);
        t->block = NULL;
        return status;
    }
    return (ssize_t)some;
}

ssize_t tcp_send(struct tcp *t, const void *data, size_t len)
{
    if (t->block || len == 0) {
        return 0;
    }
    union {
        const void *in;
        char *out;
    } at = {.in = data}; /* uv_buf_t has no const */
    unsigned most = len < UINT32_MAX / 2 ? (unsigned)len : UINT32_MAX / 2;
    uv_buf_t buf = uv_buf_init(at.out, most);
    int n = uv_try_write(&t->uv.stream, &buf, 1);
    if (n < 0 && n != UV_EAGAIN) {
        return n;
    }
    size_t direct = n > 0 ? (size_t)n : 0;
    if (direct == len) {
        return n;
    }
    ssize_t later = send_later(t, (const char *)data + direct, len - direct);
    return later < 0 ? later : (ssize_t)direct + later;
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
    struct tcp *t = req->data;
    if (t->ops && t->ops->finished) {
        t->ops->finished(t->user, status);
    }
}

int tcp_finish(struct tcp *t)
{
    if (t->connected_early) { /* libuv would forget it over the connection */
        t->finish_early = true;
        return 0;
    }
    return uv_shutdown(&t->shutdown, &t->uv.stream, on_shutdown);
}

struct addr tcp_local(const struct tcp *t)
{
    struct sockaddr_storage sa = {0};
    int len = sizeof(sa);
    if (t->uv.handle.type != UV_TCP) {
        return (struct addr){.family = ADDR_NONE};
    }
    (void)uv_tcp_getsockname(&t->uv.tcp, (struct sockaddr *)&sa, &len);
    return tcp_addr((const struct sockaddr *)&sa);
}

struct addr tcp_remote(const struct tcp *t)
{
    struct sockaddr_storage sa = {0};
    int len = sizeof(sa);
    (void)uv_tcp_getpeername(&t->uv.tcp, (struct sockaddr *)&sa, &len);
    return tcp_addr((const struct sockaddr *)&sa);
}

int tcp_user(const struct tcp *t, uint32_t *uid)
{
    uv_os_fd_t fd;
    int status = uv_fileno(&t->uv.handle, &fd);
    return status == 0 ? peercred_uid(fd, uid) : status;
}

static void on_close(uv_handle_t *handle)
{
    struct tcp *t = handle->data;
    struct pool *pool = t->pool;
    pool_give(pool, t->block);
    LIST_REMOVE(t, entry);
    mem_free(t);
    if (LIST_EMPTY(&pool->tcps) && pool->unused) {
        pool->unused(pool->user);
    }
}

static void detach(struct tcp *t)
{
    CHECK(!uv_is_closing(&t->uv.handle));
    tcp_pause(t);
    tcp_watch_remove(t);
    t->ops = NULL;
    t->connected = NULL;
    t->user = NULL;
}

void tcp_close(struct tcp *t)
{
    detach(t);
    uv_close(&t->uv.handle, on_close);
}

void tcp_reset(struct tcp *t)
{
    detach(t);
    /* Refused while a shutdown is under way. */
    if (t->uv.handle.type != UV_TCP || uv_tcp_close_reset(&t->uv.tcp, on_close) != 0) {
        uv_close(&t->uv.handle, on_close);
    }
}

void tcp_break_all(struct pool *pool, void (*unused)(void *user), void *user)
{
    pool->unused = unused;
    pool->user = user;
    if (LIST_EMPTY(&pool->tcps)) {
        unused(user);
        return;
    }
    /* Owners close their connections, which leave the list only later, from the loop. */
    struct tcp *t;
    LIST_FOREACH (t, &pool->tcps, entry) {
        if (t->ops) {
            t->ops->read(t->user, UV_ECANCELED);
        }
    }
}
