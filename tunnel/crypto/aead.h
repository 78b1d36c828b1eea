/* Sealing of data packets: ChaCha20-Poly1305 (RFC 8439) or AES-256-GCM (NIST SP 800-38D).
 *
 * The nonce is path id (u32) | packet number (u64), big-endian. Each path numbers its own packets
 * and no number is used twice on a path under one key, so no nonce is used twice under one key.
 * That is the sender's duty; breaking it gives away plaintext, and with GCM the key's authenticity.
 *
 * AES keys are expanded once, when the key is set; AES is there only where the processor has it. By
 * libipsec-mb or OpenSSL where these are built in, else by libsodium (crypto/aead_internal.h).
 */
#ifndef CRYPTO_AEAD_H
#define CRYPTO_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sodium.h>

enum {
    AEAD_KEY_LEN = 32,
    AEAD_NONCE_LEN = 12,
    AEAD_TAG_LEN = 16,
};

/* The numbers are on the wire, in the handshake's payload. */
enum aead_kind {
    AEAD_NONE = 0, /* no key set */
    AEAD_CHACHA20POLY1305 = 1,
    AEAD_AES256GCM = 2,
};

/* Embedded by its user; 16-aligned through its AES state. It may own a context: it is not copied,
 * and it ends with aead_key_wipe. */
struct aead_key {
    enum aead_kind kind;
    const struct aead_library *by; /* NULL = libsodium */
    void *context;                 /* that library's */
    union {
        uint8_t chacha[AEAD_KEY_LEN];
        crypto_aead_aes256gcm_state aes;
    };
};

struct aead_library;

/* Before the first key; crypto_init (crypto/keys.h) calls it. */
void aead_init(void);

/* Can this machine do it? False for numbers that are none of the above. */
bool aead_available(enum aead_kind kind);

/* 0, or ERR_VERSION if the kind is not available; the key is then not set. `key` holds none
 * before: one that does is wiped first. */
int aead_key_init(struct aead_key *key, enum aead_kind kind, const uint8_t bytes[AEAD_KEY_LEN]);
void aead_key_wipe(struct aead_key *key);

/* Seals `data` in place; it has room for len + AEAD_TAG_LEN, which is returned. */
size_t aead_seal(const struct aead_key *key, uint8_t path, uint64_t number, const uint8_t *ad,
                 size_t ad_len, uint8_t *data, size_t len);
/* Opens `data` in place, tag included in `len`; returns the length of the plaintext or ERR_CRYPTO.
 * After a failure `data` is spoiled: a packet has one receiver index and so one key to try. */
int aead_open(const struct aead_key *key, uint8_t path, uint64_t number, const uint8_t *ad,
              size_t ad_len, uint8_t *data, size_t len);

#endif
