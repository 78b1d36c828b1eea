/* What the relays of a cluster say to each other, version 1. Integers are big-endian.
 *
 *     version 1 | type 1 | stamp 8 | process 8 | body
 *
 *     packet, asked packet   receiver's key 32 | sender's key 32 | payload
 *     here                   key 32: it is connected at the process that says so
 *     alive                  nothing
 *     claim                  {key 32, stamp 8}...: their newest connections are here, since then
 *     left                   key 32...: the last connection of each has ended
 *     bye                    nothing: the process ends
 *
 * `process` is a random number that a relay draws when it starts, `stamp` its clock (unix time in
 * ns, never behind what it has heard of others). A proof stands in front of them if the relays
 * have a secret (relay/cluster_seal.h). A receiver passes over versions and types that it does not
 * know.
 */
#ifndef WIRE_CLUSTERMSG_H
#define WIRE_CLUSTERMSG_H

#include <base/bytes.h>

#include <stddef.h>
#include <stdint.h>

#include "wire/derp.h"

enum clustermsg_type {
    CLUSTERMSG_PACKET = 1,
    CLUSTERMSG_ASKED_PACKET = 2, /* a packet whose sender wants to know whether it has arrived */
    CLUSTERMSG_HERE = 3,
    CLUSTERMSG_ALIVE = 4,
    CLUSTERMSG_CLAIM = 5,
    CLUSTERMSG_LEFT = 6,
    CLUSTERMSG_BYE = 7,
};

enum {
    CLUSTERMSG_VERSION = 1,
    CLUSTERMSG_KEY = 32,
    CLUSTERMSG_HEAD = 18,
    CLUSTERMSG_PACKET_HEAD = CLUSTERMSG_HEAD + 2 * CLUSTERMSG_KEY, /* what precedes a payload */
    CLUSTERMSG_MAX = CLUSTERMSG_PACKET_HEAD + DERP_PACKET_MAX,
    CLUSTERMSG_CLAIM_LEN = CLUSTERMSG_KEY + 8,
    CLUSTERMSG_KEYS_MAX = 100, /* in one message, of those that we write */
    CLUSTERMSG_LIST_MAX = CLUSTERMSG_HEAD + CLUSTERMSG_KEYS_MAX * CLUSTERMSG_CLAIM_LEN,
};

struct clustermsg {
    enum clustermsg_type type;
    uint64_t stamp;
    uint64_t process;
    const uint8_t *to, *from; /* packets: keys */
    const uint8_t *data;      /* packets: the payload; lists: the keys */
    size_t len;               /* of the payload */
    size_t count;             /* of the list; 1 for `here` */
};

struct clustermsg_claim {
    const uint8_t *key;
    uint64_t stamp;
};

/* 0; ERR_VERSION: not one that we know; ERR_MALFORMED. Points into `data`. */
int clustermsg_read(struct clustermsg *out, const uint8_t *data, size_t len);
/* The i-th key of a list; stamp is 0 unless it is one of claims. */
struct clustermsg_claim clustermsg_item(const struct clustermsg *m, size_t i);

void clustermsg_write_head(struct writer *w, enum clustermsg_type type, uint64_t stamp,
                           uint64_t process);

#endif
