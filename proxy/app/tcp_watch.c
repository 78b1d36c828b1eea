#include "app/tcp_watch.h"

#include <base/mem.h>

#include <sys/socket.h>

enum { INTERVAL_MS = 250 };

struct tcp_watch {
    uv_timer_t timer;
    struct pool *pool;
};

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

/* One that has broken; its owner may close that one and any other. */
static bool tell_one(struct pool *pool)
{
    struct tcp *t;
    LIST_FOREACH (t, &pool->ended, ended_entry) {
        int err = error_of(t);
        if (err != 0) {
            const struct tcp_ops *ops = t->ops;
            void *user = t->user;
            tcp_watch_remove(t);
            ops->read(user, err);
            return true;
        }
    }
    return false;
}

static void on_timer(uv_timer_t *timer)
{
    const struct tcp_watch *w = timer->data;
    struct pool *pool = w->pool;
    while (tell_one(pool)) {
    }
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void tcp_watch_add(struct tcp *t)
{
    struct pool *pool = t->pool;
    if (t->watched || t->uv.handle.type != UV_TCP) {
        return;
    }
    if (!pool->watch) {
        pool->watch = mem_new(1, sizeof(*pool->watch));
        if (!pool->watch) {
            return;
        }
        pool->watch->pool = pool;
        (void)uv_timer_init(t->uv.handle.loop, &pool->watch->timer); /* cannot fail */
        pool->watch->timer.data = pool->watch;
        (void)uv_timer_start(&pool->watch->timer, on_timer, INTERVAL_MS, INTERVAL_MS);
    }
    t->watched = true;
    LIST_INSERT_HEAD(&pool->ended, t, ended_entry);
}

void tcp_watch_remove(struct tcp *t)
{
    struct pool *pool = t->pool;
    if (!t->watched) {
        return;
    }
    t->watched = false;
    LIST_REMOVE(t, ended_entry);
    if (LIST_EMPTY(&pool->ended)) {
        uv_close((uv_handle_t *)&pool->watch->timer, on_closed);
        pool->watch = NULL;
    }
}
