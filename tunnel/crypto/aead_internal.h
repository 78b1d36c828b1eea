/* The AEADs of crypto/aead.h by OpenSSL, which is faster than libsodium: on processors of this
 * decade two to three times for AES-256-GCM at the size of a packet. Where it is not built in, or
 * has no memory, libsodium does the work; the bytes are the same.
 *
 * One table of functions in two bodies: aead_openssl.c and aead_none.c.
 */
#ifndef CRYPTO_AEAD_INTERNAL_H
#define CRYPTO_AEAD_INTERNAL_H

#include "crypto/aead.h"

/* A keyed context for both directions, or NULL. */
struct evp_cipher_ctx_st *aead_fast_new(enum aead_kind kind, const uint8_t bytes[AEAD_KEY_LEN]);
/* Wipes it; NULL is nothing. */
void aead_fast_free(struct evp_cipher_ctx_st *fast);

/* What one packet is sealed or opened with; `data` holds `len` bytes of text and then the tag. */
struct aead_job {
    const uint8_t *nonce;
    const uint8_t *ad;
    size_t ad_len;
    uint8_t *data;
    size_t len;
};

/* False only if OpenSSL fails where it cannot; then `data` is spoiled. */
bool aead_fast_seal(struct evp_cipher_ctx_st *fast, const struct aead_job *job);
/* False if it is not authentic. */
bool aead_fast_open(struct evp_cipher_ctx_st *fast, const struct aead_job *job);

#endif
