/* The two MACs behind every handshake message, and the cookies of a responder under load
 * (WireGuard paper, section 5.4.7; here with BLAKE2b).
 *
 * mac1 is keyed with the receiver's public key: who does not know that key gets no answer at all.
 * mac2 is keyed with a cookie that the receiver has sent to the address the message came from: who
 * forges addresses cannot have it. A receiver under load answers a message that lacks mac2 with a
 * cookie, which costs it no DH and no memory.
 *
 *     checker   the receiver's side, one for a node
 *     jar       the sender's side, one for each peer and path: a cookie is bound to the address
 *               from which the receiver sees us, and that differs from path to path
 *
 * A cookie is good for at least COOKIE_LIFETIME_NS after it was made, and at most twice as long:
 * the checker honours its last secret while it makes cookies with the current one.
 */
#ifndef CRYPTO_COOKIE_H
#define CRYPTO_COOKIE_H

#include "crypto/keys.h"

#include <base/addr.h>
#include <base/clock.h>
#include <base/rng.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    COOKIE_LEN = 16,
    COOKIE_KEY_LEN = 32,
    COOKIE_MAC_LEN = 16,
    COOKIE_MACS_LEN = 2 * COOKIE_MAC_LEN, /* what they take at the end of a message */
    COOKIE_NONCE_LEN = 24,
    COOKIE_SEALED_LEN = COOKIE_LEN + 16,
    COOKIE_SOURCE_MAX = 1 + KEY_LEN,
};

/* Secrets are renewed, and cookies are sent back, for this long. */
#define COOKIE_LIFETIME_NS (120 * NS_PER_S)

/* Where a message came from: an address and port, or over a relay the key that sent it. */
struct cookie_source {
    uint8_t len;
    uint8_t bytes[COOKIE_SOURCE_MAX];
};

struct cookie_source cookie_source_addr(const struct addr *addr);
struct cookie_source cookie_source_key(const struct public_key *key);
/* How many of its first bytes name the machine or its network: the port, and the half of an IPv6
 * address that anyone may choose for himself, stand behind them. */
size_t cookie_source_host(const struct cookie_source *source);

enum cookie_verdict {
    COOKIE_BAD,  /* wrong mac1: not a word to the sender */
    COOKIE_MAC1, /* knows our public key; under load answer with a cookie */
    COOKIE_MAC2, /* and receives what is sent to its address */
};

/* The keys that belong to one public key: of the receiver for MACs, of the sender for cookies. */
struct cookie_keys {
    uint8_t mac1[COOKIE_KEY_LEN];
    uint8_t seal[COOKIE_KEY_LEN];
};

struct cookie_secret {
    bool valid;
    uint64_t born_ns;
    uint8_t bytes[COOKIE_KEY_LEN];
};

struct cookie_checker {
    struct cookie_keys keys;
    struct cookie_secret current;
    struct cookie_secret last;
};

struct cookie_jar {
    struct cookie_keys keys;
    bool has_mac1; /* of the message to which a cookie may answer */
    bool has_cookie;
    uint8_t mac1[COOKIE_MAC_LEN];
    uint8_t cookie[COOKIE_LEN];
    uint64_t cookie_ns; /* when it came */
};

/* A cookie on its way. */
struct cookie_reply {
    uint8_t nonce[COOKIE_NONCE_LEN];
    uint8_t sealed[COOKIE_SEALED_LEN];
};

void cookie_checker_init(struct cookie_checker *c, const struct public_key *self);
void cookie_checker_wipe(struct cookie_checker *c);
/* Looks at the MACs that end `data`. */
enum cookie_verdict cookie_check(const struct cookie_checker *c, const uint8_t *data, size_t len,
                                 const struct cookie_source *source, uint64_t now);
/* A cookie for this source, readable only by who sent a message with this mac1. */
void cookie_bake(struct cookie_checker *c, struct cookie_reply *out,
                 const uint8_t mac1[COOKIE_MAC_LEN], const struct cookie_source *source,
                 struct rng rng, uint64_t now);

void cookie_jar_init(struct cookie_jar *j, const struct public_key *peer);
void cookie_jar_wipe(struct cookie_jar *j);
/* Fills in the last COOKIE_MACS_LEN bytes of a message: mac1, and mac2 or zeros without a cookie.
 * One message may go out on several paths: stamp it with the jar of each path before sending. */
void cookie_jar_stamp(struct cookie_jar *j, uint8_t *data, size_t len, uint64_t now);
/* It has a cookie that is still good. */
bool cookie_jar_is_full(const struct cookie_jar *j, uint64_t now);
/* Takes in the answer to the message last stamped, once: 0, ERR_STATE if nothing was asked, or
 * ERR_CRYPTO. */
int cookie_jar_accept(struct cookie_jar *j, const struct cookie_reply *reply, uint64_t now);

#endif
