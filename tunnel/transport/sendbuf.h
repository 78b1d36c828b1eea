/* What a stream has to send: bytes written, on their way, lost, acknowledged.
 *
 *        base            sent            end
 *   acked | in flight, lost | not yet sent | room
 *
 * Holds no memory while everything written is acknowledged. When a set of ranges cannot grow, the
 * buffer falls back to sending again from there on: slower, never wrong, because a receiver takes
 * every byte as often as it comes.
 */
#ifndef TRANSPORT_SENDBUF_H
#define TRANSPORT_SENDBUF_H

#include <stdbool.h>

#include "transport/ranges.h"
#include "transport/ring.h"

enum { SENDBUF_RANGES_MAX = 1024 };

struct sendbuf {
    struct ring ring;
    size_t max;          /* bytes held at most */
    size_t fit;          /* as many are wanted now; the owner sets it, at first = max */
    uint64_t base;       /* everything below is acknowledged */
    uint64_t sent;       /* next byte to send that was not sent, or has to be again */
    uint64_t high;       /* one past the highest byte ever sent: what flow control counts */
    uint64_t end;        /* one past the last byte written */
    struct ranges lost;  /* below sent, to be sent again first */
    struct ranges acked; /* above base */
};

void sendbuf_init(struct sendbuf *b, size_t max);
/* Forgets the bytes; the offsets stay readable. */
void sendbuf_deinit(struct sendbuf *b);

/* Room in place, without a break, at most min(max, fit) - held; 0 = full or out of memory. */
size_t sendbuf_space(struct sendbuf *b, size_t want, uint8_t **at);
void sendbuf_wrote(struct sendbuf *b, size_t len);
/* Copies in what fits. */
size_t sendbuf_write(struct sendbuf *b, const uint8_t *data, size_t len);
size_t sendbuf_room(const struct sendbuf *b);

/* The bytes to send next: lost ones first, then new ones below `limit`. False if there are none. */
bool sendbuf_next(const struct sendbuf *b, uint64_t limit, struct range *out);
void sendbuf_read(const struct sendbuf *b, uint64_t at, uint8_t *out, size_t len);
/* [start, end), the front of what next() gave, is on its way. */
void sendbuf_on_sent(struct sendbuf *b, uint64_t start, uint64_t end);
void sendbuf_on_acked(struct sendbuf *b, uint64_t start, uint64_t end);
void sendbuf_on_lost(struct sendbuf *b, uint64_t start, uint64_t end);

static inline size_t sendbuf_held(const struct sendbuf *b)
{
    return (size_t)(b->end - b->base);
}

static inline bool sendbuf_is_empty(const struct sendbuf *b)
{
    return b->base == b->end;
}

#endif
