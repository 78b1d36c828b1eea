#include "crypto/aead_internal.h"

#include <openssl/err.h>
#include <openssl/evp.h>

enum { OPEN = 0, SEAL = 1 };

/* Nothing of ours stays in OpenSSL's queue of errors, where TLS would find it. */
static bool succeeded(bool good)
{
    if (!good) {
        ERR_clear_error();
    }
    return good;
}

static void *make(enum aead_kind kind, const uint8_t bytes[AEAD_KEY_LEN])
{
    const EVP_CIPHER *cipher = kind == AEAD_AES256GCM ? EVP_aes_256_gcm() : EVP_chacha20_poly1305();
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    if (!succeeded(c && EVP_CipherInit_ex(c, cipher, NULL, bytes, NULL, SEAL) == 1)) {
        EVP_CIPHER_CTX_free(c);
        return NULL;
    }
    return c;
}

static void drop(void *context)
{
    EVP_CIPHER_CTX_free(context);
}

/* The key stays, the nonce is new, the text is worked on in place. */
static bool run(EVP_CIPHER_CTX *c, const struct aead_job *j, int direction)
{
    int n;
    return EVP_CipherInit_ex(c, NULL, NULL, NULL, j->nonce, direction) == 1 &&
           (j->ad_len == 0 || EVP_CipherUpdate(c, NULL, &n, j->ad, (int)j->ad_len) == 1) &&
           (j->len == 0 || EVP_CipherUpdate(c, j->data, &n, j->data, (int)j->len) == 1);
}

/* Neither AEAD has anything left to write at the end; OpenSSL wants a place for it all the same. */
static bool finish(EVP_CIPHER_CTX *c)
{
    uint8_t nothing[AEAD_TAG_LEN];
    int n;
    return EVP_CipherFinal_ex(c, nothing, &n) == 1;
}

static bool seal(void *context, const struct aead_job *j)
{
    EVP_CIPHER_CTX *c = context;
    return succeeded(
        run(c, j, SEAL) && finish(c) &&
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_LEN, j->data + j->len) == 1);
}

static bool open(void *context, const struct aead_job *j)
{
    EVP_CIPHER_CTX *c = context;
    return succeeded(
        run(c, j, OPEN) &&
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_LEN, j->data + j->len) == 1 &&
        finish(c));
}

const struct aead_library aead_openssl = {make, drop, seal, open};
