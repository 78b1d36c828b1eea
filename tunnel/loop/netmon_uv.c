#include "loop/netmon_uv.h"

#include "os/clockmon.h"
#include "os/sysclock.h"

#include <base/err.h>
#include <base/mem.h>

/* Something that the system says on a descriptor of its own. */
struct source {
    struct netmon_uv *monitor;
    bool open;
    int fd;
    uv_poll_t poll;
    void (*close)(int fd);
};

struct netmon_uv {
    struct source routes, clock;
    uv_timer_t timer;
    struct clockmon clocks;
    unsigned changes; /* to be told */
    uint64_t first_ms;
    void (*changed)(void *user, unsigned what);
    void *user;
    int open_handles;
};

/* --- telling --- */

static void on_timer(uv_timer_t *timer)
{
    struct netmon_uv *m = timer->data;
    unsigned changes = m->changes;
    m->changes = 0;
    m->changed(m->user, changes);
}

static void note(struct netmon_uv *m, unsigned changes)
{
    if (changes == 0) {
        return;
    }
    uv_update_time(m->timer.loop);
    uint64_t now_ms = uv_now(m->timer.loop);
    m->first_ms = m->changes == 0 ? now_ms : m->first_ms;
    m->changes |= changes;
    uint64_t limit = m->first_ms + NETMON_PATIENCE_MS;
    uint64_t at = now_ms + NETMON_QUIET_MS < limit ? now_ms + NETMON_QUIET_MS : limit;
    (void)uv_timer_start(&m->timer, on_timer, at > now_ms ? at - now_ms : 0, 0);
}

void netmon_uv_check_clock(struct netmon_uv *m)
{
    if (clockmon_jumped(&m->clocks, sys_now_ns(), sys_awake_ns(), sys_unix_ns())) {
        note(m, NETMON_CLOCK);
    }
}

/* --- hearing --- */

static void on_closed(uv_handle_t *handle)
{
    struct netmon_uv *m = handle->data;
    if (--m->open_handles == 0) {
        mem_free(m);
    }
}

static void on_source_closed(uv_handle_t *handle)
{
    struct source *s = handle->data;
    s->close(s->fd);
    handle->data = s->monitor;
    on_closed(handle);
}

static void close_source(struct source *s)
{
    if (s->open) {
        s->open = false;
        uv_close((uv_handle_t *)&s->poll, on_source_closed);
    }
}

static void on_routes(uv_poll_t *poll, int status, int events)
{
    struct source *s = poll->data;
    (void)events;
    int changes = status < 0 ? status : netmon_read(s->fd);
    if (changes < 0) {
        close_source(s);
        changes = NETMON_ADDRESSES | NETMON_ROUTES; /* who polls from now on begins at once */
    }
    note(s->monitor, (unsigned)changes);
}

static void on_clock(uv_poll_t *poll, int status, int events)
{
    struct source *s = poll->data;
    (void)events;
    if (status < 0 || clockmon_rearm(s->fd) < 0) {
        close_source(s);
    }
    netmon_uv_check_clock(s->monitor);
}

/* --- life --- */

static void open_source(struct netmon_uv *m, struct source *s, int fd, uv_poll_cb heard)
{
    s->monitor = m;
    s->fd = fd;
    if (fd < 0 || uv_poll_init(m->timer.loop, &s->poll, fd) != 0) {
        if (fd >= 0) {
            s->close(fd);
        }
        return;
    }
    s->open = true;
    s->poll.data = s;
    m->open_handles++;
    (void)uv_poll_start(&s->poll, UV_READABLE, heard);
}

int netmon_uv_open(uv_loop_t *loop, void (*changed)(void *user, unsigned what), void *user,
                   struct netmon_uv **out)
{
    struct netmon_uv *m = mem_new(1, sizeof(*m));
    if (!m) {
        return ERR_NO_MEMORY;
    }
    m->changed = changed;
    m->user = user;
    m->open_handles = 1;
    (void)uv_timer_init(loop, &m->timer);
    m->timer.data = m;
    clockmon_init(&m->clocks, sys_now_ns(), sys_awake_ns(), sys_unix_ns());
    m->routes.close = netmon_close;
    m->clock.close = clockmon_close;
    open_source(m, &m->routes, netmon_open(), on_routes);
    open_source(m, &m->clock, clockmon_open(), on_clock);
    *out = m;
    return 0;
}

bool netmon_uv_hears(const struct netmon_uv *m)
{
    return m->routes.open;
}

void netmon_uv_close(struct netmon_uv *m)
{
    close_source(&m->routes);
    close_source(&m->clock);
    uv_close((uv_handle_t *)&m->timer, on_closed);
}
