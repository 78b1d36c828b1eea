/* Node keys: X25519 (RFC 7748). The public key is a node's identity and its address on relays. */
#ifndef ADIT_KEY_H
#define ADIT_KEY_H

#include <stdint.h>

#define ADIT_KEY_LEN 32
#define ADIT_KEY_TEXT_MAX 48 /* 43 characters of base64url and the end */

/* Once per process, before anything else of the library. 0 or ERR_CRYPTO. */
int adit_init(void);

/* A fresh secret key from the system's randomness. */
void adit_key_generate(uint8_t secret[ADIT_KEY_LEN]);
/* ERR_CRYPTO if the secret is unusable. */
int adit_key_public(uint8_t out[ADIT_KEY_LEN], const uint8_t secret[ADIT_KEY_LEN]);
/* Returns `out`. */
const char *adit_key_format(const uint8_t key[ADIT_KEY_LEN], char out[ADIT_KEY_TEXT_MAX]);
/* 0 or ERR_MALFORMED; surrounding white space is allowed. */
int adit_key_parse(uint8_t out[ADIT_KEY_LEN], const char *text);
void adit_key_wipe(void *key, uint64_t len);

#endif
