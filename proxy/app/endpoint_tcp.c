/* A TCP connection dialled from here as an endpoint.
 *
 * Writing: bytes are put into the pool's scratch and sent before control returns to the loop;
 * there is space only while nothing is stuck in the connection. Reading: one block, filled only
 * when it is empty, given back when it is empty again.
 */
#include "app/endpoint.h"
#include "app/tcp_linger.h"

#include "session/dial.h"

#include <base/check.h>
#include <base/heap.h>
#include <base/mem.h>

enum { SPARE_LEN = 256 };

struct tcp_end {
    struct endpoint base; /* base.on NULL: released, only finishing */
    struct tcp *tcp;
    uint8_t *in;
    size_t in_at, in_len;
    uint8_t spare[SPARE_LEN]; /* when there is no block: slow, but it does not stand still */
    bool in_fin, out_fin, out_done, broken;
};

static struct tcp_end *of(struct endpoint *e)
{
    return container_of(e, struct tcp_end, base);
}

static void give_back(struct tcp_end *t)
{
    pool_give(t->tcp->pool, t->in == t->spare ? NULL : t->in);
    t->in = NULL;
    t->in_at = 0;
    t->in_len = 0;
}

static void free_end(struct tcp_end *t, void (*how)(struct tcp *tcp))
{
    give_back(t);
    how(t->tcp);
    mem_free(t);
}

/* Nothing of `t` may be touched after this. */
static void break_off(struct tcp_end *t, int err)
{
    if (!t->base.on) {
        free_end(t, tcp_close);
    } else if (!t->broken) {
        t->broken = true;
        t->base.on->reset(t->base.user, dial_cause(err));
    }
}

/* --- what the connection tells -------------------------------------------------------------- */

static size_t on_room(void *user, uint8_t **at)
{
    struct tcp_end *t = user;
    if (t->in_len > 0) {
        return 0;
    }
    t->in = t->in ? t->in : pool_take(t->tcp->pool);
    t->in = t->in ? t->in : t->spare;
    *at = t->in;
    return t->in == t->spare ? SPARE_LEN : POOL_BLOCK;
}

static void on_read(void *user, ssize_t n)
{
    struct tcp_end *t = user;
    if (n < 0) {
        break_off(t, (int)n);
        return;
    }
    t->in_at = 0;
    t->in_len = (size_t)n;
    t->in_fin = n == 0;
    if (n == 0) {
        give_back(t);
    } else {
        tcp_pause(t->tcp); /* until it is consumed, which may be at once */
    }
    t->base.on->readable(t->base.user);
}

static void on_sent(void *user, int status)
{
    struct tcp_end *t = user;
    if (status < 0) {
        break_off(t, status);
    } else if (t->base.on && !t->out_fin) {
        t->base.on->writable(t->base.user);
    }
}

static void on_finished(void *user, int status)
{
    struct tcp_end *t = user;
    t->out_done = true;
    if (status < 0) {
        break_off(t, status);
    } else if (!t->base.on) {
        free_end(t, tcp_close);
    }
}

static const struct tcp_ops tcp_ops = {
    .room = on_room,
    .read = on_read,
    .sent = on_sent,
    .finished = on_finished,
};

/* --- what the user asks ---------------------------------------------------------------------- */

static size_t space(struct endpoint *e, size_t want, uint8_t **at)
{
    struct tcp_end *t = of(e);
    if (t->broken || t->out_fin || tcp_busy(t->tcp)) {
        return 0;
    }
    *at = t->tcp->pool->scratch;
    return want < POOL_BLOCK ? want : POOL_BLOCK;
}

static int wrote(struct endpoint *e, size_t len)
{
    struct tcp_end *t = of(e);
    ssize_t n = tcp_send(t->tcp, t->tcp->pool->scratch, len);
    CHECK(n < 0 || (size_t)n == len);
    return n < 0 ? (int)n : 0;
}

static void finish(struct endpoint *e)
{
    struct tcp_end *t = of(e);
    if (!t->out_fin && !t->broken) {
        t->out_fin = true;
        t->out_done = tcp_finish(t->tcp) != 0; /* broken already: reading will tell */
    }
}

static size_t peek(struct endpoint *e, const uint8_t **at, bool *fin)
{
    struct tcp_end *t = of(e);
    *at = t->in ? t->in + t->in_at : NULL;
    *fin = t->in_fin;
    if (!t->in_fin && t->in_len == 0 && !t->broken) {
        tcp_resume(t->tcp);
    }
    return t->in_len;
}

static void consume(struct endpoint *e, size_t len)
{
    struct tcp_end *t = of(e);
    CHECK(len <= t->in_len);
    t->in_at += len;
    t->in_len -= len;
    if (t->in_len == 0) {
        give_back(t);
    }
}

static void release(struct endpoint *e)
{
    struct tcp_end *t = of(e);
    if (t->broken || t->out_done) {
        free_end(t, tcp_close);
        return;
    }
    CHECK(t->out_fin);
    t->base.on = NULL;
}

static void abort_tcp(struct endpoint *e, enum cause cause)
{
    (void)cause; /* TCP carries none */
    free_end(of(e), tcp_reset);
}

static void break_tcp(struct endpoint *e, enum cause cause)
{
    (void)cause;
    free_end(of(e), tcp_reset_late);
}

static const struct endpoint_ops ops = {
    .space = space,
    .wrote = wrote,
    .finish = finish,
    .peek = peek,
    .consume = consume,
    .release = release,
    .abort = abort_tcp,
    .break_off = break_tcp,
};

struct endpoint *endpoint_of_tcp(struct tcp *tcp)
{
    struct tcp_end *t = mem_new(1, sizeof(*t));
    if (!t) {
        return NULL;
    }
    t->base.ops = &ops;
    t->tcp = tcp;
    tcp_attach(tcp, &tcp_ops, t);
    return &t->base;
}
