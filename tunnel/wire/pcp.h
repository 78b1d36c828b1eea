/* Port mapping requests to the router: PCP (RFC 6887: MAP, ANNOUNCE) and its elder NAT-PMP
 * (RFC 6886). bytes <-> structs, no state, no memory. Both speak on the same port of the gateway
 * and are told apart by the first byte: 2 = PCP, 0 = NAT-PMP.
 *
 *   PCP        request   02 op 0000 lifetime 4, client ip 16            | MAP: 36 bytes, below
 *              answer    02 op|80 00 result lifetime 4, epoch 4, 0 x 12 | MAP: 36 bytes
 *              MAP       nonce 12, protocol, 000000, internal port 2, external port 2, external ip
 * 16 NAT-PMP    address   00 00                answer 00 80 result 2, epoch 4, ip 4 map       00 op
 * 0000 internal port 2, external port 2, lifetime 4 answer    00 op|80 result 2, epoch 4, internal
 * 2, external 2, lifetime 4
 *
 * Lifetimes and epochs are seconds. Only UDP is mapped here.
 */
#ifndef WIRE_PCP_H
#define WIRE_PCP_H

#include <base/addr.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PCP_PORT = 5351,        /* of the gateway */
    PCP_CLIENT_PORT = 5350, /* to which a gateway multicasts announcements (224.0.0.1) */
    PCP_NONCE_LEN = 12,
    PCP_REQUEST_MAX = 60, /* the longest that is written here */
    PCP_MESSAGE_MAX = 1100,
};

enum pcp_op {
    PCP_ANNOUNCE = 0,
    PCP_MAP = 1,
};

enum pcp_result {
    PCP_SUCCESS = 0,
    PCP_UNSUPP_VERSION = 1,
    PCP_NOT_AUTHORIZED = 2,
    PCP_MALFORMED_REQUEST = 3,
    PCP_UNSUPP_OPCODE = 4,
    PCP_NETWORK_FAILURE = 7,
    PCP_NO_RESOURCES = 8,
    PCP_CANNOT_PROVIDE_EXTERNAL = 11,
    PCP_ADDRESS_MISMATCH = 12,
};

enum natpmp_op {
    NATPMP_ADDRESS = 0,
    NATPMP_MAP_UDP = 1,
};

enum natpmp_result {
    NATPMP_SUCCESS = 0,
    NATPMP_UNSUPP_VERSION = 1,
    NATPMP_NETWORK_FAILURE = 3, /* the router has no address outside */
};

struct pcp_map {
    uint8_t nonce[PCP_NONCE_LEN]; /* one for each mapping, kept for renewal and removal */
    uint16_t internal_port;
    struct addr external; /* request: suggestion, may be ADDR_NONE; answer: what was assigned */
};

struct pcp_answer {
    uint8_t op;
    uint8_t result;
    uint32_t lifetime_s; /* of the mapping, or how long this error will last */
    uint32_t epoch_s;
    bool has_map; /* always with PCP_MAP and success */
    struct pcp_map map;
};

struct natpmp_answer {
    uint8_t op;
    uint16_t result;
    uint32_t epoch_s;
    struct addr external;   /* NATPMP_ADDRESS and success, port 0 */
    uint16_t internal_port; /* NATPMP_MAP_UDP and success, with the following */
    uint16_t external_port;
    uint32_t lifetime_s;
};

/* Writers: the length, or 0 if `cap` is too small. client: the address that the request leaves
 * from, port ignored. A lifetime of 0 removes the mapping: suggest no external address then. */
size_t pcp_write_map(void *out, size_t cap, const struct addr *client, const struct pcp_map *map,
                     uint32_t lifetime_s);
size_t pcp_write_announce(void *out, size_t cap, const struct addr *client);
size_t natpmp_write_address(void *out, size_t cap);
size_t natpmp_write_map(void *out, size_t cap, uint16_t internal_port, uint16_t external_port,
                        uint32_t lifetime_s);

/* 0, ERR_VERSION (the other protocol, or one that we do not know), or ERR_MALFORMED (a request, cut
 * short, or options that run past the end). *out is untouched on failure. */
int pcp_read_answer(struct pcp_answer *out, const void *data, size_t len);
int natpmp_read_answer(struct natpmp_answer *out, const void *data, size_t len);

#endif
