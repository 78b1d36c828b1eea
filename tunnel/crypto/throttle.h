/* How many handshakes one source may cost us while there are too many.
 *
 * A cookie proves that who asks receives at its address, and no more: whoever has a true address
 * and knows our public key could have us compute DHs without end. So under load each source has a
 * rate (WireGuard paper, section 5.3, leaves that to the firewall; its kernel module does the
 * same). Sources are counted in a table of fixed size by a keyed hash, of an IPv6 address its first
 * half: those that share a place share its rate, and nobody can choose whom he shares with.
 */
#ifndef CRYPTO_THROTTLE_H
#define CRYPTO_THROTTLE_H

#include "crypto/cookie.h"

enum {
    THROTTLE_SLOTS = 1024,
    THROTTLE_PER_S = 20,
    THROTTLE_BURST = 20,
    THROTTLE_KEY_LEN = 16,
};

struct throttle {
    uint8_t key[THROTTLE_KEY_LEN];
    uint64_t due_ns[THROTTLE_SLOTS]; /* when all that was allowed there has had its share of time */
};

void throttle_init(struct throttle *t, struct rng rng);
/* False: this source has had its share. */
bool throttle_allow(struct throttle *t, const struct cookie_source *source, uint64_t now);

#endif
