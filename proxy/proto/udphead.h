/* The head of a datagram between a SOCKS5 client and its proxy (RFC 1928 section 7).
 *
 *     RSV 2 (zero) | FRAG 1 | ATYP 1, address, port 2 | data
 *
 * Between two nodes a datagram of a flow has the same head without RSV and FRAG: toward the exit it
 * names the target, from there it names who answered, always by its address.
 */
#ifndef PROTO_UDPHEAD_H
#define PROTO_UDPHEAD_H

#include "proto/socksaddr.h"

enum {
    UDPHEAD_PREFIX = 3, /* RSV and FRAG */
    UDPHEAD_MAX = UDPHEAD_PREFIX + SOCKSADDR_MAX,
};

struct udphead {
    uint8_t frag; /* 0: a whole datagram */
    struct target target;
    size_t len; /* of the head: the data follows */
};

/* `socks`: with RSV and FRAG. 0, or ERR_MALFORMED; *out untouched then. */
int udphead_read(struct udphead *out, bool socks, const void *data, size_t len);
/* Writes a head that ends right before `data`, where there must be room for UDPHEAD_MAX bytes.
 * Returns where it begins. */
uint8_t *udphead_put(uint8_t *data, bool socks, const struct target *t);

#endif
