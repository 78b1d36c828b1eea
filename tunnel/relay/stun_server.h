/* A STUN server (RFC 8489, Binding only): tells who asks under which address it is seen.
 *
 * Answers plain clients and DERP clients alike. An answer is never much larger than the request
 * (no amplification), and one address (IPv6: one /64) gets at most STUN_SERVER_PER_S answers a
 * second; what is over that, and what is no request, is dropped and counted. No memory per client:
 * addresses share a table of counters by hash, so that a flood can only silence itself and the few
 * that share its slot.
 */
#ifndef RELAY_STUN_SERVER_H
#define RELAY_STUN_SERVER_H

#include <base/addr.h>
#include <base/clock.h>
#include <base/rng.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    STUN_SERVER_SLOTS = 4096,
    STUN_SERVER_PER_S = 20,
    STUN_SERVER_REPLY_MAX = 128,
};

struct stun_server {
    uint64_t hash_key;
    uint64_t second; /* the one that the counters are of */
    uint8_t counts[STUN_SERVER_SLOTS];
    uint64_t answered, refused, limited, ignored;
};

void stun_server_init(struct stun_server *s, struct rng rng);
/* The answer's length, or 0 for none. */
size_t stun_server_input(struct stun_server *s, const struct addr *from, const void *data,
                         size_t len, uint8_t reply[STUN_SERVER_REPLY_MAX], uint64_t now);

#endif
