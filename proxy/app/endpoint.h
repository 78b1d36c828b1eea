/* The far end of an application's connection behind one small interface: a stream of the tunnel
 * or a TCP connection dialled from here. Bytes are passed in place, as in adit/adit.h.
 *
 * The user is told through `on`, always from the loop and never from inside a call made here.
 * Each endpoint ends with exactly one endpoint_release, endpoint_abort or endpoint_break; nothing
 * comes after.
 */
#ifndef APP_ENDPOINT_H
#define APP_ENDPOINT_H

#include "app/tcp.h"

#include <adit/adit.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct endpoint;

struct endpoint_events {
    void (*readable)(void *user);                /* after peek gave none */
    void (*writable)(void *user);                /* after space gave none */
    void (*reset)(void *user, enum cause cause); /* broken both ways: release it */
    /* A stream opened from here is connected; `info` names the address that dialled. May be NULL
     * where no stream is opened. */
    void (*accepted)(void *user, const void *info, size_t len);
    /* Streams only: an unreliable message beside the bytes. May be NULL: they are dropped. */
    void (*datagram)(void *user, const void *data, size_t len);
};

struct endpoint_ops {
    size_t (*space)(struct endpoint *e, size_t want, uint8_t **at);
    int (*wrote)(struct endpoint *e, size_t len);
    void (*finish)(struct endpoint *e);
    size_t (*peek)(struct endpoint *e, const uint8_t **at, bool *fin);
    void (*consume)(struct endpoint *e, size_t len);
    void (*release)(struct endpoint *e);
    void (*abort)(struct endpoint *e, enum cause cause);
    void (*break_off)(struct endpoint *e, enum cause cause);
};

struct endpoint {
    const struct endpoint_ops *ops;
    const struct endpoint_events *on;
    void *user;
};

/* Takes a connected TCP connection over. NULL without memory (then it is still the caller's). */
struct endpoint *endpoint_of_tcp(struct tcp *tcp);

/* Opens a stream; `on` and `user` as in endpoint_attach. 0 or adit_open's errors. */
int endpoint_open(struct adit *node, size_t peer, const char *target,
                  const struct endpoint_events *on, void *user, struct endpoint **out);
/* Takes a stream over that a peer opened. NULL without memory. */
struct endpoint *endpoint_of_stream(struct adit *node, uint64_t stream);
/* Hands an event of the node to the endpoint that is its `user`; others are ignored. */
void endpoint_event(const struct adit_event *ev);
/* Sends a message beside the stream of an endpoint made by the two above: adit_datagram_send's
 * result, ERR_NOT_FOUND if it is over. */
int endpoint_send_datagram(struct endpoint *e, const void *data, size_t len);
/* The stream behind an endpoint made by the two above. */
uint64_t endpoint_stream(struct endpoint *e);

static inline void endpoint_attach(struct endpoint *e, const struct endpoint_events *on, void *user)
{
    e->on = on;
    e->user = user;
}

/* Room for at most `want` bytes until control returns to the loop; 0: `writable` follows. */
static inline size_t endpoint_space(struct endpoint *e, size_t want, uint8_t **at)
{
    return e->ops->space(e, want, at);
}

/* 0, or a negative system error: it is broken. */
static inline int endpoint_wrote(struct endpoint *e, size_t len)
{
    return e->ops->wrote(e, len);
}

static inline void endpoint_finish(struct endpoint *e)
{
    e->ops->finish(e);
}

static inline size_t endpoint_peek(struct endpoint *e, const uint8_t **at, bool *fin)
{
    return e->ops->peek(e, at, fin);
}

static inline void endpoint_consume(struct endpoint *e, size_t len)
{
    e->ops->consume(e, len);
}

/* Both directions have ended, or `reset` was told: lets it go. What was written still gets out. */
static inline void endpoint_release(struct endpoint *e)
{
    e->ops->release(e);
}

/* Breaks it off; the other end sees a reset with the cause where it can carry one. */
static inline void endpoint_abort(struct endpoint *e, enum cause cause)
{
    e->ops->abort(e, cause);
}

/* The same, but what was written still gets out before the reset. */
static inline void endpoint_break(struct endpoint *e, enum cause cause)
{
    e->ops->break_off(e, cause);
}

#endif
