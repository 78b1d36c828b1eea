/* Libraries that do the AEADs of crypto/aead.h faster than libsodium. The bytes are the same: the
 * first of them that is built in and takes the key does the work, else libsodium.
 *
 *   libipsec-mb   AES-256-GCM on x86: a quarter of OpenSSL 3.0's time at the size of a packet, for
 *                 it has the newest instructions, and one call is all that a packet takes.
 *   OpenSSL       both AEADs, AES-256-GCM two to three times as fast as libsodium's.
 *
 * Each has two bodies, aead_NAME.c and, where it is not built in, aead_NAME_none.c.
 */
#ifndef CRYPTO_AEAD_INTERNAL_H
#define CRYPTO_AEAD_INTERNAL_H

#include "crypto/aead.h"

/* What one packet is sealed or opened with; `data` holds `len` bytes of text and then the tag. */
struct aead_job {
    const uint8_t *nonce;
    const uint8_t *ad;
    size_t ad_len;
    uint8_t *data;
    size_t len;
};

struct aead_library {
    /* A keyed context for both directions, or NULL: not this kind, not here, no memory. */
    void *(*make)(enum aead_kind kind, const uint8_t bytes[AEAD_KEY_LEN]);
    /* Wipes it. */
    void (*drop)(void *context);
    /* False only if the library fails where it cannot; then `data` is spoiled. */
    bool (*seal)(void *context, const struct aead_job *job);
    /* False if it is not authentic. */
    bool (*open)(void *context, const struct aead_job *job);
};

extern const struct aead_library aead_ipsecmb;
extern const struct aead_library aead_openssl;

/* Looks at the processor, once, before the first key; without it libipsec-mb takes none. */
void aead_ipsecmb_init(void);

#endif
