/* X25519 keys (RFC 7748): a node's identity, and the ephemeral keys of a handshake.
 *
 * Text form: base64url without padding (RFC 4648 section 5), 43 characters. It is canonical: each
 * key has one text, every other text is refused. An all-zero key is refused too, since it is what
 * forgotten memory looks like.
 *
 * Secrets are wiped by who holds them: secret_key_wipe, key_pair_wipe.
 */
#ifndef CRYPTO_KEYS_H
#define CRYPTO_KEYS_H

#include <base/rng.h>

#include <stdbool.h>
#include <stdint.h>

enum {
    KEY_LEN = 32,
    KEY_TEXT_LEN = 43,
    KEY_TEXT_MAX = KEY_TEXT_LEN + 1,
};

struct public_key {
    uint8_t bytes[KEY_LEN];
};

struct secret_key {
    uint8_t bytes[KEY_LEN];
};

struct key_pair {
    struct secret_key secret;
    struct public_key public;
};

/* Prepares libsodium; once per process, before anything else of crypto/. 0 or ERR_CRYPTO. */
int crypto_init(void);

void key_generate(struct secret_key *out, struct rng rng);
/* The public half. 0, or ERR_CRYPTO with *out untouched. */
int key_public(struct public_key *out, const struct secret_key *secret);

/* Both halves; from a fresh secret or from one that is given. 0, or ERR_CRYPTO with *out wiped. */
int key_pair_generate(struct key_pair *out, struct rng rng);
int key_pair_of(struct key_pair *out, const struct secret_key *secret);
void key_pair_wipe(struct key_pair *pair);

const char *public_key_format(const struct public_key *key, char out[KEY_TEXT_MAX]);
bool public_key_equal(const struct public_key *a, const struct public_key *b);

/* Either key has the same text form. 0, or ERR_MALFORMED with *out untouched. */
int secret_key_parse(struct secret_key *out, const char *text);
void secret_key_wipe(struct secret_key *key);

#endif
