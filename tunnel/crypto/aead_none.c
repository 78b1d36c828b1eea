/* Without OpenSSL: there never is a context, so that nothing else is ever called. */
#include "crypto/aead_internal.h"

#include <base/check.h>

struct evp_cipher_ctx_st *aead_fast_new(enum aead_kind kind, const uint8_t bytes[AEAD_KEY_LEN])
{
    (void)kind;
    (void)bytes;
    return NULL;
}

void aead_fast_free(struct evp_cipher_ctx_st *fast)
{
    CHECK(!fast);
}

bool aead_fast_seal(struct evp_cipher_ctx_st *fast, const struct aead_job *job)
{
    (void)fast;
    (void)job;
    NEVER();
}

bool aead_fast_open(struct evp_cipher_ctx_st *fast, const struct aead_job *job)
{
    (void)fast;
    (void)job;
    NEVER();
}
