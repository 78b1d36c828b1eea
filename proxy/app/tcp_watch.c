#include "app/tcp_watch.h"

#include <base/check.h>
#include <base/mem.h>

#include <poll.h>
#include <sys/socket.h>

enum { INTERVAL_MS = 250, AT_ONCE = 64 };

struct tcp_watch {
    uv_timer_t timer;
    struct pool *pool;
};

/* 0: it is well. Asking takes the error away. */
static int error_of(const struct tcp *t)
{
    uv_os_fd_t fd;
    int err = 0;
    socklen_t len = sizeof(err);
    if (uv_fileno(&t->uv.handle, &fd) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0) {
        return 0;
    }
    return -err;
}

static void move_broken(struct pool *pool, struct tcp *const *tcps, struct pollfd *fds, nfds_t n)
{
    if (poll(fds, n, 0) <= 0) {
        return;
    }
    for (nfds_t i = 0; i < n; i++) {
        if (fds[i].revents & POLLERR) {
            LIST_REMOVE(tcps[i], watched_entry);
            LIST_INSERT_HEAD(&pool->broken, tcps[i], watched_entry);
        }
    }
}

/* Nobody is called meanwhile, so the list stays as it is. */
static void find_broken(struct pool *pool)
{
    struct tcp *tcps[AT_ONCE];
    struct pollfd fds[AT_ONCE];
    nfds_t n = 0;
    struct tcp *t;
    struct tcp *next;
    for (t = LIST_FIRST(&pool->watched); t; t = next) {
        next = LIST_NEXT(t, watched_entry);
        uv_os_fd_t fd;
        if (uv_fileno(&t->uv.handle, &fd) != 0) {
            continue;
        }
        tcps[n] = t;
        fds[n++] = (struct pollfd){.fd = fd};
        if (n == AT_ONCE || !next) {
            move_broken(pool, tcps, fds, n);
            n = 0;
        }
    }
    move_broken(pool, tcps, fds, n);
}

/* The owner may close that one and any other, or read from them again: then they are gone from
 * here. */
static void tell_broken(struct pool *pool)
{
    struct tcp *t;
    while ((t = LIST_FIRST(&pool->broken)) != NULL) {
        tcp_watch_remove(t);
        int err = error_of(t);
        if (err != 0) {
            t->ops->read(t->user, err);
        }
    }
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void tcp_watch_stop(struct pool *pool)
{
    if (pool->watch) {
        uv_close((uv_handle_t *)&pool->watch->timer, on_closed);
        pool->watch = NULL;
    }
}

/* Who is paused and goes on, again and again, does not start and stop a timer each time: it ends
 * with the next look at an empty list. */
static void on_timer(uv_timer_t *timer)
{
    const struct tcp_watch *w = timer->data;
    struct pool *pool = w->pool;
    if (LIST_EMPTY(&pool->watched)) {
        tcp_watch_stop(pool);
        return;
    }
    find_broken(pool);
    tell_broken(pool);
}

static bool has_timer(struct pool *pool, uv_loop_t *loop)
{
    if (pool->watch) {
        return true;
    }
    pool->watch = mem_new(1, sizeof(*pool->watch));
    if (!pool->watch) {
        return false;
    }
    pool->watch->pool = pool;
    (void)uv_timer_init(loop, &pool->watch->timer); /* cannot fail */
    pool->watch->timer.data = pool->watch;
    (void)uv_timer_start(&pool->watch->timer, on_timer, INTERVAL_MS, INTERVAL_MS);
    return true;
}

void tcp_watch_add(struct tcp *t)
{
    struct pool *pool = t->pool;
    if (t->watched || t->uv.handle.type != UV_TCP || !has_timer(pool, t->uv.handle.loop)) {
        return;
    }
    CHECK(t->ops);
    t->watched = true;
    LIST_INSERT_HEAD(&pool->watched, t, watched_entry);
}

void tcp_watch_remove(struct tcp *t)
{
    if (t->watched) {
        t->watched = false;
        LIST_REMOVE(t, watched_entry);
    }
}
