#include "crypto/cookie.h"

#include <base/bytes.h>
#include <base/check.h>
#include <base/err.h>

#include <string.h>

#include <sodium.h>

enum { LABEL_LEN = 8 };

_Static_assert(COOKIE_NONCE_LEN == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES &&
                   COOKIE_SEALED_LEN == COOKIE_LEN + crypto_aead_xchacha20poly1305_ietf_ABYTES,
               "sizes of a sealed cookie");

static void derive(uint8_t out[COOKIE_KEY_LEN], const char label[LABEL_LEN + 1],
                   const struct public_key *key)
{
    uint8_t input[LABEL_LEN + KEY_LEN];
    memcpy(input, label, LABEL_LEN);
    memcpy(input + LABEL_LEN, key->bytes, KEY_LEN);
    crypto_generichash(out, COOKIE_KEY_LEN, input, sizeof(input), NULL, 0);
}

static void keys_init(struct cookie_keys *keys, const struct public_key *key)
{
    derive(keys->mac1, "mac1----", key);
    derive(keys->seal, "cookie--", key);
}

static void mac(uint8_t out[COOKIE_MAC_LEN], const void *data, size_t len, const uint8_t *key,
                size_t key_len)
{
    crypto_generichash(out, COOKIE_MAC_LEN, data, len, key, key_len);
}

/* ---- Sources ---- */

/* The first byte keeps addresses and keys apart. */
struct cookie_source cookie_source_addr(const struct addr *addr)
{
    struct cookie_source s = {0};
    struct writer w = writer_of(s.bytes, sizeof(s.bytes));
    write_u8(&w, addr->family);
    write_bytes(&w, addr->ip, sizeof(addr->ip));
    write_u16(&w, addr->port);
    s.len = (uint8_t)writer_len(&w);
    return s;
}

struct cookie_source cookie_source_key(const struct public_key *key)
{
    struct cookie_source s = {0};
    struct writer w = writer_of(s.bytes, sizeof(s.bytes));
    write_u8(&w, 'k');
    write_bytes(&w, key->bytes, KEY_LEN);
    s.len = (uint8_t)writer_len(&w);
    return s;
}

size_t cookie_source_host(const struct cookie_source *source)
{
    switch (source->bytes[0]) {
    case ADDR_IPV4:
        return 1 + 4;
    case ADDR_IPV6:
        return 1 + 8;
    default:
        return source->len;
    }
}

/* ---- The receiver's side ---- */

void cookie_checker_init(struct cookie_checker *c, const struct public_key *self)
{
    *c = (struct cookie_checker){0};
    keys_init(&c->keys, self);
}

void cookie_checker_wipe(struct cookie_checker *c)
{
    sodium_memzero(c, sizeof(*c));
}

static void make_cookie(uint8_t out[COOKIE_LEN], const struct cookie_secret *secret,
                        const struct cookie_source *source)
{
    mac(out, source->bytes, source->len, secret->bytes, sizeof(secret->bytes));
}

static bool mac2_matches(const struct cookie_secret *secret, const uint8_t *data, size_t len,
                         const struct cookie_source *source, uint64_t now)
{
    uint8_t cookie[COOKIE_LEN];
    uint8_t mac2[COOKIE_MAC_LEN];
    if (!secret->valid || time_since(secret->born_ns, now) >= 2 * COOKIE_LIFETIME_NS) {
        return false;
    }
    make_cookie(cookie, secret, source);
    mac(mac2, data, len - COOKIE_MAC_LEN, cookie, sizeof(cookie));
    bool same = sodium_memcmp(mac2, data + len - COOKIE_MAC_LEN, COOKIE_MAC_LEN) == 0;
    sodium_memzero(cookie, sizeof(cookie));
    return same;
}

enum cookie_verdict cookie_check(const struct cookie_checker *c, const uint8_t *data, size_t len,
                                 const struct cookie_source *source, uint64_t now)
{
    uint8_t mac1[COOKIE_MAC_LEN];
    if (len < COOKIE_MACS_LEN) {
        return COOKIE_BAD;
    }
    mac(mac1, data, len - COOKIE_MACS_LEN, c->keys.mac1, COOKIE_KEY_LEN);
    if (sodium_memcmp(mac1, data + len - COOKIE_MACS_LEN, COOKIE_MAC_LEN) != 0) {
        return COOKIE_BAD;
    }
    return mac2_matches(&c->current, data, len, source, now) ||
                   mac2_matches(&c->last, data, len, source, now)
               ? COOKIE_MAC2
               : COOKIE_MAC1;
}

static void renew_secret(struct cookie_checker *c, struct rng rng, uint64_t now)
{
    if (c->current.valid && time_since(c->current.born_ns, now) < COOKIE_LIFETIME_NS) {
        return;
    }
    c->last = c->current;
    c->current.valid = true;
    c->current.born_ns = now;
    rng_fill(rng, c->current.bytes, sizeof(c->current.bytes));
}

void cookie_bake(struct cookie_checker *c, struct cookie_reply *out,
                 const uint8_t mac1[COOKIE_MAC_LEN], const struct cookie_source *source,
                 struct rng rng, uint64_t now)
{
    uint8_t cookie[COOKIE_LEN];
    renew_secret(c, rng, now);
    make_cookie(cookie, &c->current, source);
    rng_fill(rng, out->nonce, sizeof(out->nonce));
    crypto_aead_xchacha20poly1305_ietf_encrypt(out->sealed, NULL, cookie, sizeof(cookie), mac1,
                                               COOKIE_MAC_LEN, NULL, out->nonce, c->keys.seal);
    sodium_memzero(cookie, sizeof(cookie));
}

/* ---- The sender's side ---- */

void cookie_jar_init(struct cookie_jar *j, const struct public_key *peer)
{
    *j = (struct cookie_jar){0};
    keys_init(&j->keys, peer);
}

void cookie_jar_wipe(struct cookie_jar *j)
{
    sodium_memzero(j, sizeof(*j));
}

bool cookie_jar_is_full(const struct cookie_jar *j, uint64_t now)
{
    return j->has_cookie && time_since(j->cookie_ns, now) < COOKIE_LIFETIME_NS;
}

void cookie_jar_stamp(struct cookie_jar *j, uint8_t *data, size_t len, uint64_t now)
{
    CHECK(len >= COOKIE_MACS_LEN);
    uint8_t *mac1 = data + len - COOKIE_MACS_LEN;
    uint8_t *mac2 = data + len - COOKIE_MAC_LEN;
    mac(mac1, data, len - COOKIE_MACS_LEN, j->keys.mac1, COOKIE_KEY_LEN);
    memcpy(j->mac1, mac1, COOKIE_MAC_LEN);
    j->has_mac1 = true;
    if (cookie_jar_is_full(j, now)) {
        mac(mac2, data, len - COOKIE_MAC_LEN, j->cookie, COOKIE_LEN);
    } else {
        memset(mac2, 0, COOKIE_MAC_LEN);
    }
}

int cookie_jar_accept(struct cookie_jar *j, const struct cookie_reply *reply, uint64_t now)
{
    uint8_t cookie[COOKIE_LEN];
    if (!j->has_mac1) {
        return ERR_STATE;
    }
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(cookie, NULL, NULL, reply->sealed,
                                                   COOKIE_SEALED_LEN, j->mac1, COOKIE_MAC_LEN,
                                                   reply->nonce, j->keys.seal) != 0) {
        return ERR_CRYPTO;
    }
    memcpy(j->cookie, cookie, COOKIE_LEN);
    sodium_memzero(cookie, sizeof(cookie));
    j->cookie_ns = now;
    j->has_cookie = true;
    j->has_mac1 = false; /* the same answer is not taken twice */
    return 0;
}
