/* Datagrams that wait, first in first out: to be sent, or to be fetched by the application.
 *
 * A ring of bytes in which each datagram lies in one piece behind a small head, so that it can be
 * read in place. It grows by doubling up to its ceiling and holds no memory before the first
 * datagram; pushing allocates nothing otherwise.
 */
#ifndef TRANSPORT_DGRAMQ_H
#define TRANSPORT_DGRAMQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DGRAMQ_HEAD = 32 }; /* what a datagram takes besides its bytes, at most 7 more to fill up */

struct dgramq {
    uint8_t *data;
    size_t size; /* 0 = none held; else a power of two, or max */
    size_t max;
    size_t head;  /* where the first one lies */
    size_t tail;  /* where the next one goes */
    size_t used;  /* bytes from head to tail, with what was left free at the end of the ring */
    size_t count; /* datagrams */
};

struct dgram {
    uint64_t stream;
    uint64_t at_ns; /* when it was pushed */
    const uint8_t *data;
    size_t len;
};

/* `max` bytes at most, with the heads. */
void dgramq_init(struct dgramq *q, size_t max);
/* Forgets all of them and gives the memory back. */
void dgramq_clear(struct dgramq *q);

/* Copies. 0, ERR_NO_ROOM (the ceiling), ERR_NO_MEMORY: nothing was taken. */
int dgramq_push(struct dgramq *q, const struct dgram *d);
/* The first one, in place until the next push or clear (pop leaves the bytes alone); false if there
 * is none. */
bool dgramq_first(const struct dgramq *q, struct dgram *out);
void dgramq_pop(struct dgramq *q);

static inline bool dgramq_is_empty(const struct dgramq *q)
{
    return q->count == 0;
}

#endif
