#include "relay/cluster_seal.h"

#include <base/check.h>

#include <sodium.h>
#include <string.h>

enum { NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES };

void cluster_seal_init(struct cluster_seal *s, const uint8_t secret[CLUSTER_SEAL_SECRET],
                       struct rng rng)
{
    static const uint8_t use[] = "adit relay cluster 1";
    _Static_assert(NONCE + crypto_aead_xchacha20poly1305_ietf_ABYTES == CLUSTER_SEAL_LEN, "a seal");
    _Static_assert(sizeof(s->key) == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "a key");
    _Static_assert(sizeof(s->writer) + sizeof(s->count) == NONCE, "a nonce");
    CHECK(crypto_generichash(s->key, sizeof(s->key), use, sizeof(use) - 1, secret,
                             CLUSTER_SEAL_SECRET) == 0);
    rng_fill(rng, s->writer, sizeof(s->writer));
    s->count = 0;
}

void cluster_seal_deinit(struct cluster_seal *s)
{
    sodium_memzero(s, sizeof(*s));
}

void cluster_seal_close(struct cluster_seal *s, uint8_t *message, size_t len)
{
    CHECK(len >= CLUSTER_SEAL_LEN);
    s->count++;
    memcpy(message, s->writer, sizeof(s->writer));
    memcpy(message + sizeof(s->writer), &s->count, sizeof(s->count));
    CHECK(crypto_aead_xchacha20poly1305_ietf_encrypt_detached(
              message, message + NONCE, NULL, NULL, 0, message + CLUSTER_SEAL_LEN,
              len - CLUSTER_SEAL_LEN, NULL, message, s->key) == 0);
}

bool cluster_seal_opens(const struct cluster_seal *s, const uint8_t *message, size_t len)
{
    static const uint8_t nothing[1];
    return len >= CLUSTER_SEAL_LEN &&
           crypto_aead_xchacha20poly1305_ietf_decrypt_detached(
               NULL, NULL, nothing, 0, message + NONCE, message + CLUSTER_SEAL_LEN,
               len - CLUSTER_SEAL_LEN, message, s->key) == 0;
}
