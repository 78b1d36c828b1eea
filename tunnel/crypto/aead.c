#include "crypto/aead.h"

#include <base/bytes.h>
#include <base/check.h>
#include <base/err.h>

#include <limits.h>
#include <string.h>

#include "crypto/aead_internal.h"

_Static_assert(AEAD_KEY_LEN == crypto_aead_chacha20poly1305_ietf_KEYBYTES &&
                   AEAD_KEY_LEN == crypto_aead_aes256gcm_KEYBYTES &&
                   AEAD_NONCE_LEN == crypto_aead_chacha20poly1305_ietf_NPUBBYTES &&
                   AEAD_NONCE_LEN == crypto_aead_aes256gcm_NPUBBYTES &&
                   AEAD_TAG_LEN == crypto_aead_chacha20poly1305_ietf_ABYTES &&
                   AEAD_TAG_LEN == crypto_aead_aes256gcm_ABYTES,
               "both AEADs have the same sizes");

bool aead_available(enum aead_kind kind)
{
    return kind == AEAD_CHACHA20POLY1305 ||
           (kind == AEAD_AES256GCM && crypto_aead_aes256gcm_is_available());
}

static void choose_library(struct aead_key *key, enum aead_kind kind,
                           const uint8_t bytes[AEAD_KEY_LEN])
{
    static const struct aead_library *const libraries[] = {&aead_ipsecmb, &aead_openssl};
    for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++) {
        key->context = libraries[i]->make(kind, bytes);
        if (key->context) {
            key->by = libraries[i];
            return;
        }
    }
}

void aead_init(void)
{
    aead_ipsecmb_init();
}

int aead_key_init(struct aead_key *key, enum aead_kind kind, const uint8_t bytes[AEAD_KEY_LEN])
{
    *key = (struct aead_key){.kind = AEAD_NONE};
    if (!aead_available(kind)) {
        return ERR_VERSION;
    }
    if (kind == AEAD_AES256GCM) {
        (void)crypto_aead_aes256gcm_beforenm(&key->aes, bytes);
    } else {
        memcpy(key->chacha, bytes, AEAD_KEY_LEN);
    }
    choose_library(key, kind, bytes);
    key->kind = kind;
    return 0;
}

void aead_key_wipe(struct aead_key *key)
{
    if (key->by) {
        key->by->drop(key->context);
    }
    sodium_memzero(key, sizeof(*key));
}

static void make_nonce(uint8_t out[AEAD_NONCE_LEN], uint8_t path, uint64_t number)
{
    struct writer w = writer_of(out, AEAD_NONCE_LEN);
    write_u32(&w, path);
    write_u64(&w, number);
}

static void seal_plainly(const struct aead_key *key, const struct aead_job *j)
{
    if (key->kind == AEAD_AES256GCM) {
        (void)crypto_aead_aes256gcm_encrypt_afternm(j->data, NULL, j->data, j->len, j->ad,
                                                    j->ad_len, NULL, j->nonce, &key->aes);
    } else {
        (void)crypto_aead_chacha20poly1305_ietf_encrypt(j->data, NULL, j->data, j->len, j->ad,
                                                        j->ad_len, NULL, j->nonce, key->chacha);
    }
}

static bool open_plainly(const struct aead_key *key, const struct aead_job *j)
{
    size_t len = j->len + AEAD_TAG_LEN;
    int err;
    if (key->kind == AEAD_AES256GCM) {
        err = crypto_aead_aes256gcm_decrypt_afternm(j->data, NULL, NULL, j->data, len, j->ad,
                                                    j->ad_len, j->nonce, &key->aes);
    } else {
        err = crypto_aead_chacha20poly1305_ietf_decrypt(j->data, NULL, NULL, j->data, len, j->ad,
                                                        j->ad_len, j->nonce, key->chacha);
    }
    return err == 0;
}

size_t aead_seal(const struct aead_key *key, uint8_t path, uint64_t number, const uint8_t *ad,
                 size_t ad_len, uint8_t *data, size_t len)
{
    uint8_t nonce[AEAD_NONCE_LEN];
    CHECK(key->kind != AEAD_NONE && len <= INT_MAX - AEAD_TAG_LEN);
    make_nonce(nonce, path, number);
    const struct aead_job job = {nonce, ad, ad_len, data, len};
    if (!key->by) {
        seal_plainly(key, &job);
    } else {
        CHECK(key->by->seal(key->context, &job));
    }
    return len + AEAD_TAG_LEN;
}

int aead_open(const struct aead_key *key, uint8_t path, uint64_t number, const uint8_t *ad,
              size_t ad_len, uint8_t *data, size_t len)
{
    uint8_t nonce[AEAD_NONCE_LEN];
    CHECK(key->kind != AEAD_NONE && len <= INT_MAX);
    if (len < AEAD_TAG_LEN) {
        return ERR_CRYPTO;
    }
    make_nonce(nonce, path, number);
    const struct aead_job job = {nonce, ad, ad_len, data, len - AEAD_TAG_LEN};
    bool good = key->by ? key->by->open(key->context, &job) : open_plainly(key, &job);
    return good ? (int)job.len : ERR_CRYPTO;
}
