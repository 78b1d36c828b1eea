#include "app/udp_forward.h"

#include "app/carrier.h"

#include <base/mem.h>

enum { LOOK_MS = 10000 };

struct source {
    TAILQ_ENTRY(source) link;
    struct udp_forward *all;
    struct addr addr;
    uint64_t used_ns;
    struct carrier carrier;
};

struct udp_forward {
    struct context *ctx;
    struct udpsock *udp;
    struct target target;
    uv_timer_t timer;
    size_t count;
    TAILQ_HEAD(sources, source) sources; /* the longest silent first */
};

static uint64_t now_of(const struct udp_forward *f)
{
    return uv_now(f->ctx->loop) * NS_PER_MS;
}

static void drop(struct source *s)
{
    TAILQ_REMOVE(&s->all->sources, s, link);
    s->all->count--;
    carrier_deinit(&s->carrier);
    mem_free(s);
}

static void touch(struct source *s)
{
    s->used_ns = now_of(s->all);
    TAILQ_REMOVE(&s->all->sources, s, link);
    TAILQ_INSERT_TAIL(&s->all->sources, s, link);
}

/* Drops those that have been silent for longer than `ns`; at most `most`. */
static void drop_silent(struct udp_forward *f, uint64_t ns, size_t most)
{
    struct source *s;
    while (most-- > 0 && (s = TAILQ_FIRST(&f->sources)) != NULL &&
           time_since(s->used_ns, now_of(f)) > ns) {
        drop(s);
    }
}

/* Looks only while there is somebody to look at. */
static void on_timer(uv_timer_t *timer)
{
    struct udp_forward *f = timer->data;
    drop_silent(f, UDP_FORWARD_IDLE_NS, f->count);
    if (f->count == 0) {
        (void)uv_timer_stop(timer);
    }
}

static void on_answer(void *user, const struct addr *from, uint8_t *data, size_t len)
{
    struct source *s = user;
    struct context *ctx = s->all->ctx;
    (void)from; /* there is one target */
    touch(s);
    if (udpsock_send(s->all->udp, &s->addr, data, len) == 0) {
        ctx->counters.udp.to_clients++;
    } else {
        ctx->counters.udp.dropped++;
    }
}

static struct source *add(struct udp_forward *f, const struct addr *from)
{
    if (f->count >= UDP_FORWARD_SOURCES_MAX) {
        drop_silent(f, UDP_FORWARD_QUICK_NS, 1);
    }
    bool room = f->count < UDP_FORWARD_SOURCES_MAX;
    struct source *s = room ? mem_new(1, sizeof(*s)) : NULL;
    if (!s) {
        return NULL;
    }
    s->all = f;
    s->addr = *from;
    const struct carrier_way way = {.lane = ADIT_LANE_ANY};
    carrier_init(&s->carrier, f->ctx, &way, on_answer, s);
    TAILQ_INSERT_TAIL(&f->sources, s, link);
    if (f->count++ == 0) {
        (void)uv_timer_start(&f->timer, on_timer, LOOK_MS, LOOK_MS);
    }
    return s;
}

/* The newest first: it is mostly the one that is asked for. */
static struct source *find(struct udp_forward *f, const struct addr *from)
{
    struct source *s;
    TAILQ_FOREACH_REVERSE(s, &f->sources, sources, link)
    {
        if (addr_equal(&s->addr, from)) {
            return s;
        }
    }
    return add(f, from);
}

static void on_received(void *user, const struct addr *from, uint8_t *data, size_t len)
{
    struct udp_forward *f = user;
    struct source *s = find(f, from);
    f->ctx->counters.udp.from_clients++;
    if (!s) {
        f->ctx->counters.udp.dropped++;
        return;
    }
    touch(s);
    carrier_send(&s->carrier, &f->target, data, len);
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

int udp_forward_start(struct context *ctx, const struct addr *at, const struct target *target,
                      struct udp_forward **out)
{
    struct udp_forward *f = mem_new(1, sizeof(*f));
    if (!f) {
        return UV_ENOMEM;
    }
    int status = udpsock_open(ctx, at, on_received, f, &f->udp);
    if (status != 0) {
        mem_free(f);
        return status;
    }
    f->ctx = ctx;
    f->target = *target;
    TAILQ_INIT(&f->sources);
    (void)uv_timer_init(ctx->loop, &f->timer); /* cannot fail */
    f->timer.data = f;
    *out = f;
    return 0;
}

struct addr udp_forward_address(const struct udp_forward *f)
{
    return udpsock_address(f->udp);
}

void udp_forward_stop(struct udp_forward *f)
{
    while (!TAILQ_EMPTY(&f->sources)) {
        drop(TAILQ_FIRST(&f->sources));
    }
    udpsock_close(f->udp);
    uv_close((uv_handle_t *)&f->timer, on_closed);
}
