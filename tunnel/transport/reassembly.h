/* Datagrams that came in parts, until all of one are there.
 *
 * A few at a time: parts are sent one behind the other, so a datagram of which a part is missing
 * while REASSEMBLY_SLOTS newer ones are under way will never be whole. What is not whole after
 * REASSEMBLY_NS is forgotten. Buffers are kept from one datagram to the next.
 */
#ifndef TRANSPORT_REASSEMBLY_H
#define TRANSPORT_REASSEMBLY_H

#include <base/clock.h>

#include <stdbool.h>

#include "transport/ranges.h"

enum { REASSEMBLY_SLOTS = 16, REASSEMBLY_RANGES_MAX = 64 };

#define REASSEMBLY_NS (1 * NS_PER_S)

struct reassembly_slot {
    bool used;
    uint64_t stream, number;
    uint64_t since_ns; /* when its first part came */
    size_t total;
    uint8_t *data;
    size_t size; /* room at data */
    struct ranges got;
};

struct reassembly {
    struct reassembly_slot slots[REASSEMBLY_SLOTS];
    uint64_t lost; /* datagrams given up */
};

struct reassembly_part {
    uint64_t stream, number;
    size_t total, offset; /* offset + len <= total */
    const uint8_t *data;
    size_t len;
};

void reassembly_init(struct reassembly *r);
/* Forgets all of them and gives the memory back; `lost` stays. */
void reassembly_clear(struct reassembly *r);

/* Takes a part. The datagram's bytes, valid until the next call, if it is whole now; else NULL. Two
 * parts that cannot be of one datagram give it up. */
const uint8_t *reassembly_add(struct reassembly *r, const struct reassembly_part *part,
                              uint64_t now);

#endif
