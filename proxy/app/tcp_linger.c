#include "app/tcp_linger.h"

#include <base/mem.h>

#include <sys/ioctl.h>
#include <sys/socket.h>

enum { LOOK_MS = 50, LOOKS_MAX = 30000 / LOOK_MS };

struct tcp_linger {
    struct tcp *tcp;
    uv_timer_t timer;
    unsigned looks;
};

/* True while bytes are here that the other system has not acknowledged, and may still do so. */
static bool has_unsent(const struct tcp *t)
{
    uv_os_fd_t fd;
    int queued = 0, err = 0;
    socklen_t len = sizeof(err);
    if (uv_fileno(&t->uv.handle, &fd) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0 || err != 0) {
        return false;
    }
    if (tcp_busy(t)) {
        return true;
    }
    /* What a unix socket has taken is at the other end already. */
    return t->uv.handle.type == UV_TCP && ioctl(fd, TIOCOUTQ, &queued) == 0 && queued > 0;
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static void end(struct tcp_linger *l)
{
    tcp_reset(l->tcp);
    uv_close((uv_handle_t *)&l->timer, on_closed);
}

static void on_timer(uv_timer_t *timer)
{
    struct tcp_linger *l = timer->data;
    if (++l->looks >= LOOKS_MAX || !has_unsent(l->tcp)) {
        end(l);
    }
}

static size_t on_room(void *user, uint8_t **at)
{
    (void)user;
    (void)at;
    return 0;
}

static void on_read(void *user, ssize_t n)
{
    if (n < 0) {
        end(user);
    }
}

static void on_sent(void *user, int status)
{
    if (status < 0) {
        end(user);
    }
}

static const struct tcp_ops ops = {.room = on_room, .read = on_read, .sent = on_sent};

void tcp_reset_late(struct tcp *t)
{
    struct tcp_linger *l = has_unsent(t) ? mem_new(1, sizeof(*l)) : NULL;
    if (!l) {
        tcp_reset(t);
        return;
    }
    l->tcp = t;
    (void)uv_timer_init(t->uv.handle.loop, &l->timer); /* cannot fail */
    l->timer.data = l;
    (void)uv_timer_start(&l->timer, on_timer, LOOK_MS, LOOK_MS);
    tcp_attach(t, &ops, l);
}
