/* What each packet of one path carried, by packet number, until nobody can ask any more.
 *
 * Packets [first, next) are in the map: a ring of packets, and a ring of the records of what they
 * carried, both in order of sending. A packet that was declared lost stays for a while, so that
 * its late acknowledgement is known for what it is.
 */
#ifndef TRANSPORT_SENTMAP_H
#define TRANSPORT_SENTMAP_H

#include <stdbool.h>

#include "transport/rate.h"

enum {
    SENTMAP_PACKETS_MAX = 1 << 18,
    SENTMAP_RECORDS_MAX = 1 << 20,
    SENTMAP_PER_PACKET_MAX = 32, /* records of one packet */
};

enum sent_state {
    SENT_FLYING,
    SENT_ACKED,
    SENT_LOST,
    SENT_MOVED, /* given up without a judgement on the path: sent again elsewhere */
};

enum sent_type {
    SENT_STREAM,          /* id, from, len, fin */
    SENT_HELLO,           /* id: open or accept */
    SENT_RESET,           /* id */
    SENT_STOP,            /* id */
    SENT_MAX_STREAM_DATA, /* id, from = limit */
    SENT_MAX_DATA,        /* from = limit */
    SENT_MAX_STREAMS,     /* from = limit */
    SENT_CANDIDATES,      /* from = version of the list */
    SENT_ACK,             /* id = path, from = largest */
};

struct sent_record {
    uint64_t id;
    uint64_t from;
    uint32_t len;
    uint8_t type; /* enum sent_type */
    bool fin;
};

struct sent_packet {
    uint64_t sent_ns;
    uint64_t records_at; /* index of the first record */
    uint32_t bytes;
    uint16_t records;
    uint8_t state; /* enum sent_state */
    bool eliciting;
    bool probe;              /* of the path MTU: set after commit */
    bool copy;               /* of a packet of another path: set after commit */
    uint32_t skip;           /* acknowledged: as are so many from here on, or more */
    struct rate_stamp stamp; /* set after commit if it is ack-eliciting */
};

struct sentmap {
    struct sent_packet *packets;
    size_t packets_size; /* power of two */
    uint64_t first;
    uint64_t next; /* the number of the packet being built; never goes back */
    struct sent_record *records;
    size_t records_size;
    uint64_t records_first;
    uint64_t records_next;
};

void sentmap_init(struct sentmap *m, uint64_t next);
/* Forgets all packets and gives the memory back; `next` stays. */
void sentmap_clear(struct sentmap *m);

/* Room for one more packet: 0, ERR_NO_MEMORY, ERR_NO_ROOM (the oldest is still in flight). */
int sentmap_reserve(struct sentmap *m);
/* Notes what the packet being built carries; at most SENTMAP_PER_PACKET_MAX times. */
void sentmap_note(struct sentmap *m, const struct sent_record *record);
/* How many records the packet being built has. */
size_t sentmap_noted(const struct sentmap *m);
/* The packet leaves: its number. */
uint64_t sentmap_commit(struct sentmap *m, size_t bytes, bool eliciting, uint64_t now);

/* NULL outside of [first, next). */
struct sent_packet *sentmap_find(const struct sentmap *m, uint64_t number);
const struct sent_record *sentmap_record(const struct sentmap *m, const struct sent_packet *p,
                                         size_t i);
void sentmap_set_acked(struct sent_packet *p);
/* The lowest number >= `number` that is not acknowledged, or outside of the map. A run of
 * acknowledged ones is walked once: then it takes a step or two, in whatever order they were
 * acknowledged. */
uint64_t sentmap_skip_acked(const struct sentmap *m, uint64_t number);
/* Drops the oldest packets: acknowledged ones, and those sent before `horizon_ns` on which nothing
 * depends any more (not in flight, or not ack-eliciting). */
void sentmap_trim(struct sentmap *m, uint64_t horizon_ns);

#endif
