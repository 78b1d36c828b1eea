/* One direction of a network path: a queue before a wire, with all the ways in which networks
 * spoil packets. Sizes are those of datagrams, without the headers below them but for `extra`.
 */
#ifndef SIM_LINK_H
#define SIM_LINK_H

#include <stddef.h>

#include "sim/world.h"

struct link_config {
    uint64_t rate_bps; /* bits per second */
    uint64_t delay_ns;
    uint64_t jitter_ns;       /* up to this much more delay for each packet: reorders */
    uint32_t reorder_ppm;     /* chance that a packet is overtaken */
    uint64_t reorder_packets; /* by this many full ones, at most */
    size_t queue_bytes;       /* what may wait for the wire; the rest is dropped */
    size_t mtu;               /* larger datagrams vanish */
    size_t extra;             /* what the headers below each datagram take of wire and queue */
    uint32_t loss_ppm;        /* each packet by itself */
    uint32_t burst_ppm;       /* chance that a burst of loss begins with this packet */
    uint64_t burst_ns;        /* how long it lasts, on average */
    uint32_t duplicate_ppm;
    uint32_t corrupt_ppm; /* one bit is flipped */
};

struct link_stats {
    uint64_t sent, bytes, delivered;
    uint64_t lost, overflowed, too_large, while_down, duplicated, corrupted, reordered;
    size_t queue_peak;
};

struct link_packet;

struct link {
    struct world *world;
    struct link_config config;
    bool up;
    uint64_t burst_end_ns;
    struct link *wire; /* the link whose wire and queue are used: itself, unless it is shared */
    uint64_t free_ns;  /* when the wire has sent all that waits */
    struct link_packet *flying;
    void (*deliver)(void *user, const uint8_t *data, size_t len);
    void *user;
    struct link_stats stats;
};

void link_init(struct link *l, struct world *world, const struct link_config *config);
/* What is on its way vanishes. */
void link_deinit(struct link *l);
void link_send(struct link *l, const uint8_t *data, size_t len);
/* Packets sent while it is down vanish without a word; those on their way arrive. */
void link_set_up(struct link *l, bool up);
/* Bytes that wait for the wire. */
size_t link_queued(const struct link *l);

#endif
