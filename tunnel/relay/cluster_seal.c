#include "relay/cluster_seal.h"

#include <base/check.h>

#include <sodium.h>

void cluster_seal_init(struct cluster_seal *s, const uint8_t secret[CLUSTER_SEAL_SECRET])
{
    static const uint8_t use[] = "adit relay cluster 1";
    CHECK(crypto_generichash(s->key, sizeof(s->key), use, sizeof(use) - 1, secret,
                             CLUSTER_SEAL_SECRET) == 0);
}

void cluster_seal_deinit(struct cluster_seal *s)
{
    sodium_memzero(s, sizeof(*s));
}

static void make_tag(const struct cluster_seal *s, uint8_t out[CLUSTER_SEAL_TAG],
                     const uint8_t *message, size_t len)
{
    CHECK(crypto_generichash(out, CLUSTER_SEAL_TAG, message, len, s->key, sizeof(s->key)) == 0);
}

void cluster_seal_close(const struct cluster_seal *s, uint8_t *message, size_t len)
{
    CHECK(len >= CLUSTER_SEAL_TAG);
    make_tag(s, message, message + CLUSTER_SEAL_TAG, len - CLUSTER_SEAL_TAG);
}

bool cluster_seal_opens(const struct cluster_seal *s, const uint8_t *message, size_t len)
{
    uint8_t tag[CLUSTER_SEAL_TAG];
    if (len < sizeof(tag)) {
        return false;
    }
    make_tag(s, tag, message + sizeof(tag), len - sizeof(tag));
    return sodium_memcmp(tag, message, sizeof(tag)) == 0;
}
