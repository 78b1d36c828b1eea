/* Noise_IK and Noise_IKpsk2 with 25519, ChaChaPoly, BLAKE2b (Noise Protocol Framework, rev. 34).
 *
 *     <- s                          the initiator knows the responder's static key
 *     -> e, es, s, ss, payload      first message: 96 bytes and the payload
 *     <- e, ee, se, psk, payload    second: 48 bytes and the payload; IK leaves the psk out
 *
 * A handshake is a list of tokens. noise_write and noise_read work them off up to the one that is
 * named, so a message can be stopped in the middle: a responder that stops after `s` knows who is
 * asking for the price of one DH. The same stepping lets a test look at the state after each token.
 *
 * After an error the state has been wiped: who wants to try again works on a copy. A public key of
 * low order, whose shared secret would be known to everybody, is ERR_CRYPTO.
 */
#ifndef CRYPTO_NOISE_H
#define CRYPTO_NOISE_H

#include "crypto/keys.h"

#include <base/bytes.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    NOISE_KEY_LEN = 32,
    NOISE_HASH_LEN = 64,
    NOISE_TAG_LEN = 16,
    NOISE_PSK_LEN = 32,
};

enum noise_pattern {
    NOISE_IK,
    NOISE_IKPSK2,
};

enum noise_token {
    NOISE_E,
    NOISE_S,
    NOISE_EE,
    NOISE_ES,
    NOISE_SE,
    NOISE_SS,
    NOISE_PSK,
    NOISE_PAYLOAD, /* ends a message */
    NOISE_DONE,    /* nothing left but noise_split */
};

/* Embedded by its user; noise_init fills it, noise_wipe ends it. To be copied freely. */
struct noise {
    enum noise_pattern pattern;
    bool initiator;
    bool has_ephemeral;
    uint8_t at; /* tokens done */

    uint8_t h[NOISE_HASH_LEN];  /* hash of the transcript; at the end the handshake hash */
    uint8_t ck[NOISE_HASH_LEN]; /* chaining key */
    uint8_t k[NOISE_KEY_LEN];   /* cipher key, set by the first DH */
    uint64_t n;                 /* its next nonce */

    const struct key_pair *s;   /* our static keys; outlive the handshake */
    struct key_pair e;          /* our ephemeral keys */
    struct public_key rs, re;   /* theirs */
    uint8_t psk[NOISE_PSK_LEN]; /* zeros unless noise_set_psk */
};

struct noise_setup {
    enum noise_pattern pattern;
    const struct key_pair *self;
    const struct public_key *peer; /* set = we are the initiator; NULL = the responder */
    const void *prologue;
    size_t prologue_len;
};

void noise_init(struct noise *n, const struct noise_setup *setup);
/* Needed before the token `e` is written: a fresh pair each time, or a fixed one in a test. */
void noise_set_ephemeral(struct noise *n, const struct key_pair *e);
/* Needed before the token `psk`. */
void noise_set_psk(struct noise *n, const uint8_t psk[NOISE_PSK_LEN]);

/* The next token; NOISE_PAYLOAD wants one of the payload calls. */
enum noise_token noise_next(const struct noise *n);

/* All tokens up to `last`, which must come before the payload. 0, ERR_CRYPTO, and for lack of bytes
 * ERR_NO_ROOM (write) or ERR_TRUNCATED (read). */
int noise_write(struct noise *n, enum noise_token last, struct writer *out);
int noise_read(struct noise *n, enum noise_token last, struct reader *in);

/* Seals `len` bytes into len + NOISE_TAG_LEN. 0 or ERR_NO_ROOM. */
int noise_write_payload(struct noise *n, const void *payload, size_t len, struct writer *out);
/* Opens all that is left of `in` into `payload`, which has room for that less NOISE_TAG_LEN.
 * 0, ERR_TRUNCATED or ERR_CRYPTO. */
int noise_read_payload(struct noise *n, struct reader *in, void *payload);

/* The keys of the session, once the tokens are DONE. The caller wipes them and the state. */
void noise_split(const struct noise *n, uint8_t send[NOISE_KEY_LEN], uint8_t recv[NOISE_KEY_LEN]);

void noise_wipe(struct noise *n);

#endif
