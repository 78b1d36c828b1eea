/* AES-256-GCM by libipsec-mb. Of that library we take the three functions that fit this processor,
 * and leave its manager of jobs alone: they need none, and touch nothing but what they are given.
 */
#include "crypto/aead_internal.h"

#include <base/mem.h>

#include <intel-ipsec-mb.h>

_Static_assert(AEAD_TAG_LEN == crypto_verify_16_BYTES, "tags are compared in constant time");

enum { ALIGNMENT = 64 }; /* of the expanded key */

struct context {
    struct gcm_key_data *key; /* in the bytes behind this */
    struct gcm_context_data scratch;
};

/* Which ones depends on the processor alone, so that all keys of the process share them. */
static struct {
    aes_gcm_pre_t expand;
    aes_gcm_enc_dec_t seal;
    aes_gcm_enc_dec_t open;
} aes;

/* The manager has room for hundreds of jobs; it is asked and let go. */
void aead_ipsecmb_init(void)
{
    IMB_MGR *manager = aes.expand ? NULL : alloc_mb_mgr(0);
    if (!manager) {
        return;
    }
    init_mb_mgr_auto(manager, NULL);
    if (manager->features & IMB_FEATURE_AESNI) {
        aes.expand = manager->gcm256_pre;
        aes.seal = manager->gcm256_enc;
        aes.open = manager->gcm256_dec;
    }
    free_mb_mgr(manager);
}

static void *make(enum aead_kind kind, const uint8_t bytes[AEAD_KEY_LEN])
{
    struct context *c = NULL;
    if (kind == AEAD_AES256GCM && aes.expand && aes.seal && aes.open) {
        c = mem_new(1, sizeof(*c) + sizeof(*c->key) + ALIGNMENT);
    }
    if (c) {
        uintptr_t behind = (uintptr_t)(c + 1);
        size_t gap = (ALIGNMENT - behind % ALIGNMENT) % ALIGNMENT;
        c->key = (void *)((uint8_t *)(c + 1) + gap);
        aes.expand(bytes, c->key);
    }
    return c;
}

static void drop(void *context)
{
    struct context *c = context;
    sodium_memzero(c->key, sizeof(*c->key));
    sodium_memzero(c, sizeof(*c));
    mem_free(c);
}

static bool seal(void *context, const struct aead_job *j)
{
    struct context *c = context;
    aes.seal(c->key, &c->scratch, j->data, j->data, j->len, j->nonce, j->ad, j->ad_len,
             j->data + j->len, AEAD_TAG_LEN);
    return true;
}

/* The library says what the tag should have been; to compare is the caller's business. */
static bool open(void *context, const struct aead_job *j)
{
    struct context *c = context;
    uint8_t tag[AEAD_TAG_LEN];
    aes.open(c->key, &c->scratch, j->data, j->data, j->len, j->nonce, j->ad, j->ad_len, tag,
             AEAD_TAG_LEN);
    bool good = crypto_verify_16(tag, j->data + j->len) == 0;
    sodium_memzero(tag, sizeof(tag)); /* of a forgery it would be the right one */
    return good;
}

const struct aead_library aead_ipsecmb = {make, drop, seal, open};
