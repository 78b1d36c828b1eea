/* Reassembly of what a stream receives (RFC 9000 section 2.2), with its final size (4.5).
 *
 *        read           ready              top
 *   taken | can be read | holes and pieces |
 *
 * The ring grows on demand, at most to the credit that was given (the caller checks it), and is
 * released when nothing waits in it.
 */
#ifndef TRANSPORT_RECVBUF_H
#define TRANSPORT_RECVBUF_H

#include <stdbool.h>

#include "transport/ranges.h"
#include "transport/ring.h"

#define RECVBUF_FINAL_UNKNOWN UINT64_MAX

enum { RECVBUF_RANGES_MAX = 1024 };

struct recvbuf {
    struct ring ring;
    uint64_t read;
    uint64_t ready;
    uint64_t top;         /* one past the highest byte that came: what flow control counts */
    uint64_t final;       /* RECVBUF_FINAL_UNKNOWN until told */
    struct ranges pieces; /* received above ready */
};

void recvbuf_init(struct recvbuf *b);
/* Forgets the bytes; the offsets stay readable. */
void recvbuf_deinit(struct recvbuf *b);

/* 0 or ERR_PROTOCOL: bytes past the final size, or a final size that changes or lies below
 * bytes that came. */
int recvbuf_check(const struct recvbuf *b, uint64_t end, bool fin);
/* After check(). 0, or ERR_NO_MEMORY / ERR_NO_ROOM: nothing was taken. */
int recvbuf_insert(struct recvbuf *b, uint64_t offset, const uint8_t *data, size_t len, bool fin);
/* Bytes that nobody will read: moves the offsets only. After check(). */
void recvbuf_skip(struct recvbuf *b, uint64_t end, bool fin);

/* Next bytes in order, in place; *fin = the end follows them. */
size_t recvbuf_peek(const struct recvbuf *b, const uint8_t **at, bool *fin);
void recvbuf_consume(struct recvbuf *b, size_t len);

static inline bool recvbuf_is_complete(const struct recvbuf *b)
{
    return b->ready == b->final;
}

/* Bytes, or the end and nothing before it. */
static inline bool recvbuf_is_readable(const struct recvbuf *b)
{
    return b->read < b->ready || b->read == b->final;
}

#endif
