#include "crypto/keys.h"

#include <base/err.h>

#include <string.h>

#include "crypto/aead.h"

#include <sodium.h>

enum { KEY_BASE64 = sodium_base64_VARIANT_URLSAFE_NO_PADDING };

_Static_assert(sodium_base64_ENCODED_LEN(KEY_LEN, sodium_base64_VARIANT_URLSAFE_NO_PADDING) ==
                   KEY_TEXT_MAX,
               "length of a key's text");

int crypto_init(void)
{
    if (sodium_init() < 0) {
        return ERR_CRYPTO;
    }
    aead_init();
    return 0;
}

void key_generate(struct secret_key *out, struct rng rng)
{
    rng_fill(rng, out->bytes, sizeof(out->bytes)); /* clamping is X25519's own business */
}

int key_public(struct public_key *out, const struct secret_key *secret)
{
    struct public_key public;
    if (crypto_scalarmult_base(public.bytes, secret->bytes) != 0) {
        return ERR_CRYPTO;
    }
    *out = public;
    return 0;
}

int key_pair_generate(struct key_pair *out, struct rng rng)
{
    struct secret_key secret;
    key_generate(&secret, rng);
    int err = key_pair_of(out, &secret);
    secret_key_wipe(&secret);
    return err;
}

int key_pair_of(struct key_pair *out, const struct secret_key *secret)
{
    int err = key_public(&out->public, secret);
    if (err) {
        key_pair_wipe(out);
        return err;
    }
    out->secret = *secret;
    return 0;
}

void key_pair_wipe(struct key_pair *pair)
{
    sodium_memzero(pair, sizeof(*pair));
}

const char *public_key_format(const struct public_key *key, char out[KEY_TEXT_MAX])
{
    return sodium_bin2base64(out, KEY_TEXT_MAX, key->bytes, KEY_LEN, KEY_BASE64);
}

bool public_key_equal(const struct public_key *a, const struct public_key *b)
{
    return sodium_memcmp(a->bytes, b->bytes, KEY_LEN) == 0;
}

/* Both directions are libsodium's, because they take the same time for every secret. */
int secret_key_parse(struct secret_key *out, const char *text)
{
    uint8_t bytes[KEY_LEN];
    size_t len = 0;
    const char *end = NULL;
    int err = ERR_MALFORMED;
    if (strnlen(text, KEY_TEXT_MAX) == KEY_TEXT_LEN &&
        sodium_base642bin(bytes, sizeof(bytes), text, KEY_TEXT_LEN, NULL, &len, &end, KEY_BASE64) ==
            0 &&
        end == text + KEY_TEXT_LEN && len == KEY_LEN && !sodium_is_zero(bytes, sizeof(bytes))) {
        memcpy(out->bytes, bytes, KEY_LEN);
        err = 0;
    }
    sodium_memzero(bytes, sizeof(bytes));
    return err;
}

void secret_key_wipe(struct secret_key *key)
{
    sodium_memzero(key, sizeof(*key));
}
