/* Bytes of a window [from, to) of stream offsets, in a ring of a power of two that grows by
 * doubling. Offset n lives at n modulo the size, counted from where the window began when the ring
 * got its memory: so a window that moves up copies nothing, and one that is emptied before it has
 * moved far is never broken.
 *
 * The ring does not know its window: the owner (sendbuf, recvbuf) keeps it and never touches
 * bytes outside of it.
 */
#ifndef TRANSPORT_RING_H
#define TRANSPORT_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_MIN ((size_t)4096)

#define RING_HINT_MAX ((size_t)65536) /* of new memory */

enum { RING_SPARES_MAX = 128 };

#define RING_SPARE_BYTES ((size_t)8 << 20)

/* Memory that rings of one session hand on to each other: a stream that is read as fast as it comes
 * empties its ring with every batch, and asking the system for pages each time costs more than
 * what is done with them. At most RING_SPARES_MAX pieces of RING_SPARE_BYTES together. Zeroed
 * memory is an empty one. */
struct ring_spares {
    struct ring_spare {
        uint8_t *data;
        size_t size;
    } list[RING_SPARES_MAX];
    size_t count;
    size_t bytes;
    bool used; /* since ring_spares_age */
};

struct ring {
    uint8_t *data; /* NULL = no room held */
    size_t size;   /* power of two, or 0 */
    uint64_t origin;
    size_t hint; /* first size after a release: that of the last if it was needed, else half of
                  * it, so that bursts need not grow step by step each time, and one burst is
                  * forgotten soon */
    size_t top;  /* bytes that were asked for at once since the last release */
    struct ring_spares *spares; /* NULL = none; outlives the ring */
};

/* Called now and then: gives back what nobody has used since the last time. */
void ring_spares_age(struct ring_spares *s);
void ring_spares_free(struct ring_spares *s);

/* Makes room for [from, until), keeping the bytes of [from, to). 0 or ERR_NO_MEMORY: unchanged. */
int ring_reserve(struct ring *r, uint64_t from, uint64_t to, uint64_t until);
void ring_release(struct ring *r);

void ring_put(struct ring *r, uint64_t at, const uint8_t *data, size_t len);
void ring_get(const struct ring *r, uint64_t at, uint8_t *out, size_t len);
/* The bytes at `at` in place; *len is cut to what lies there without a break. */
uint8_t *ring_at(const struct ring *r, uint64_t at, size_t *len);

#endif
