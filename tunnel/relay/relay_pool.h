/* Packet buffers of a relay, of a few sizes, kept for reuse: no allocation per packet once warm.
 *
 * A buffer holds one whole frame. All buffers together stay under bytes_max. A frame that comes in
 * as SendPacket leaves as RecvPacket from the same buffer: both have the same layout.
 */
#ifndef RELAY_RELAY_POOL_H
#define RELAY_RELAY_POOL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

enum { RELAY_POOL_CLASSES = 4 };

struct relay_packet {
    STAILQ_ENTRY(relay_packet) link;
    uint32_t len;  /* bytes that the frame will have or has */
    uint32_t done; /* of them received, later of them sent */
    uint8_t size_class;
    uint8_t kind;  /* the owner's */
    uint64_t from; /* the owner's */
    uint8_t data[];
};

STAILQ_HEAD(relay_packets, relay_packet);

struct relay_pool {
    struct relay_packets spare[RELAY_POOL_CLASSES];
    size_t spare_count[RELAY_POOL_CLASSES];
    size_t bytes; /* allocated, spare ones included */
    size_t bytes_max;
    size_t used; /* buffers that are out */
};

void relay_pool_init(struct relay_pool *p, size_t bytes_max);
/* All buffers must have been given back. */
void relay_pool_deinit(struct relay_pool *p);

/* A buffer for a frame of `len` bytes, done = 0; NULL at the ceiling, when out of memory, or when
 * len is beyond the largest legal packet. */
struct relay_packet *relay_pool_take(struct relay_pool *p, size_t len);
void relay_pool_give(struct relay_pool *p, struct relay_packet *packet);

#endif
