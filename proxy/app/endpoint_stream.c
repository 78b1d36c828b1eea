/* A stream of the tunnel as an endpoint: hardly more than a change of names. */
#include "app/endpoint.h"

#include <base/err.h>
#include <base/heap.h>
#include <base/mem.h>

#include <string.h>

struct stream_end {
    struct endpoint base;
    struct adit *node;
    uint64_t stream;
    bool gone; /* the id means nothing any more */
};

static struct stream_end *of(struct endpoint *e)
{
    return container_of(e, struct stream_end, base);
}

static size_t space(struct endpoint *e, size_t want, uint8_t **at)
{
    return of(e)->gone ? 0 : adit_space(of(e)->node, of(e)->stream, want, at);
}

static int wrote(struct endpoint *e, size_t len)
{
    adit_wrote(of(e)->node, of(e)->stream, len);
    return 0;
}

static void finish(struct endpoint *e)
{
    if (!of(e)->gone) {
        adit_finish(of(e)->node, of(e)->stream);
    }
}

static size_t peek(struct endpoint *e, const uint8_t **at, bool *fin)
{
    *fin = false;
    return of(e)->gone ? 0 : adit_peek(of(e)->node, of(e)->stream, at, fin);
}

static void consume(struct endpoint *e, size_t len)
{
    if (!of(e)->gone) {
        adit_consume(of(e)->node, of(e)->stream, len);
    }
}

/* The node sees to what is still under way. */
static void release(struct endpoint *e)
{
    if (!of(e)->gone) {
        adit_set_user(of(e)->node, of(e)->stream, NULL);
    }
    mem_free(of(e));
}

static void abort_stream(struct endpoint *e, enum cause cause)
{
    if (!of(e)->gone) {
        adit_abort(of(e)->node, of(e)->stream, cause);
    }
    mem_free(of(e));
}

static void break_stream(struct endpoint *e, enum cause cause)
{
    if (!of(e)->gone) {
        adit_break(of(e)->node, of(e)->stream, cause);
    }
    mem_free(of(e));
}

static const struct endpoint_ops ops = {
    .space = space,
    .wrote = wrote,
    .finish = finish,
    .peek = peek,
    .consume = consume,
    .release = release,
    .abort = abort_stream,
    .break_off = break_stream,
};

int endpoint_open(struct adit *node, size_t peer, const char *target,
                  const struct endpoint_events *on, void *user, struct endpoint **out)
{
    struct stream_end *s = mem_new(1, sizeof(*s));
    if (!s) {
        return ERR_NO_MEMORY;
    }
    s->base = (struct endpoint){&ops, on, user};
    s->node = node;
    int err = adit_open(node, peer, target, strlen(target), s, &s->stream);
    if (err != 0) {
        mem_free(s);
        return err;
    }
    *out = &s->base;
    return 0;
}

struct endpoint *endpoint_of_stream(struct adit *node, uint64_t stream)
{
    struct stream_end *s = mem_new(1, sizeof(*s));
    if (!s) {
        return NULL;
    }
    s->base.ops = &ops;
    s->node = node;
    s->stream = stream;
    adit_set_user(node, stream, s);
    return &s->base;
}

int endpoint_send_datagram(struct endpoint *e, const void *data, size_t len)
{
    return of(e)->gone ? ERR_NOT_FOUND : adit_datagram_send(of(e)->node, of(e)->stream, data, len);
}

uint64_t endpoint_stream(struct endpoint *e)
{
    return of(e)->stream;
}

void endpoint_event(const struct adit_event *ev)
{
    struct stream_end *s = ev->user;
    if (!s) {
        return;
    }
    const struct endpoint_events *on = s->base.on;
    switch (ev->type) {
    case ADIT_EVENT_ACCEPTED:
        if (on->accepted) {
            on->accepted(s->base.user, ev->data, ev->len);
        }
        break;
    case ADIT_EVENT_READABLE:
        on->readable(s->base.user);
        break;
    case ADIT_EVENT_WRITABLE:
        on->writable(s->base.user);
        break;
    case ADIT_EVENT_DATAGRAM:
        if (on->datagram) {
            on->datagram(s->base.user, ev->data, ev->len);
        }
        break;
    case ADIT_EVENT_RESET:
        s->gone = true;
        on->reset(s->base.user, ev->cause);
        break;
    case ADIT_EVENT_GONE:
        s->gone = true; /* the user lets go of it when its own side has ended */
        break;
    case ADIT_EVENT_OPENED:
    case ADIT_EVENT_PONG:
    case ADIT_EVENT_PEER:
        break;
    }
}
