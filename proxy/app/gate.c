#include "app/gate.h"

#include <base/mem.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { RESERVE_MAX = 64, RESERVE_SHARE = 8, TRUST_SHARE = 8, INTERVAL_MS = 100 };

struct gate_timer {
    uv_timer_t timer;
    struct gate *gate;
};

void gate_init(struct gate *g, uv_loop_t *loop, const struct log *log)
{
    *g = (struct gate){.loop = loop, .log = log};
    LIST_INIT(&g->list);
}

/* The system gives out the lowest number that is free: near the limit, nearly all are taken. The
 * limit of a running process can be changed, so it is asked, too. Once shut, it takes half as
 * many again to open, lest it flaps. */
static bool look(struct gate *g)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return false;
    }
    rlim_t reserve = limit.rlim_cur / RESERVE_SHARE;
    reserve = reserve < RESERVE_MAX ? reserve : RESERVE_MAX;
    g->trust = reserve / TRUST_SHARE;
    reserve += g->is_short ? reserve / 2 : 0;
    int fd = fcntl(uv_backend_fd(g->loop), F_DUPFD_CLOEXEC, 0);
    if (fd >= 0) {
        (void)close(fd);
    }
    return fd < 0 || (rlim_t)fd + reserve >= limit.rlim_cur;
}

/* Three system calls for each connection are too many: after a look that found room, some may come
 * unseen, a small part of the reserve and a moment long. */
static bool is_short(struct gate *g)
{
    uint64_t now = uv_now(g->loop);
    if (g->trust > 0 && !g->is_short && now - g->looked_ms < INTERVAL_MS) {
        g->trust--;
        return false;
    }
    g->trust = 0;
    g->looked_ms = now;
    return look(g);
}

bool gate_is_shut(struct gate *g)
{
    bool now = is_short(g);
    if (now == g->is_short) {
        return now;
    }
    g->is_short = now;
    if (now) {
        LOG_AT(g->log, LOG_WARN, "front", "descriptors_short",
               "no new connections until some end; more: ulimit -n, LimitNOFILE");
    } else {
        LOG_AT(g->log, LOG_INFO, "front", "descriptors_back", "new connections again");
    }
    return now;
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static void stop_timer(struct gate *g)
{
    if (g->timer && LIST_EMPTY(&g->list)) {
        uv_close((uv_handle_t *)&g->timer->timer, on_closed);
        g->timer = NULL;
    }
}

static void on_timer(uv_timer_t *timer)
{
    const struct gate_timer *t = timer->data;
    struct gate *g = t->gate;
    struct gate_entry *e;
    while (!gate_is_shut(g) && (e = LIST_FIRST(&g->list)) != NULL) {
        gate_leave(g, e);
        e->open(e->user);
    }
}

void gate_wait(struct gate *g, struct gate_entry *e)
{
    if (!g->timer) {
        g->timer = mem_new(1, sizeof(*g->timer));
        if (!g->timer) {
            e->open(e->user); /* then the system has to refuse */
            return;
        }
        g->timer->gate = g;
        (void)uv_timer_init(g->loop, &g->timer->timer); /* cannot fail */
        g->timer->timer.data = g->timer;
        (void)uv_timer_start(&g->timer->timer, on_timer, INTERVAL_MS, INTERVAL_MS);
    }
    e->waiting = true;
    LIST_INSERT_HEAD(&g->list, e, entry);
}

void gate_leave(struct gate *g, struct gate_entry *e)
{
    if (e->waiting) {
        e->waiting = false;
        LIST_REMOVE(e, entry);
        stop_timer(g);
    }
}
