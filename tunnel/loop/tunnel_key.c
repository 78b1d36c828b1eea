/* Keys for the program (include/adit/key.h): crypto/keys.h with the system's randomness. */
#include <adit/key.h>

#include <base/err.h>

#include <sodium.h>
#include <string.h>

#include "crypto/keys.h"
#include "os/sysrng.h"

int adit_init(void)
{
    return crypto_init();
}

void adit_key_generate(uint8_t secret[ADIT_KEY_LEN])
{
    struct secret_key key;
    key_generate(&key, sys_rng());
    memcpy(secret, key.bytes, ADIT_KEY_LEN);
    secret_key_wipe(&key);
}

int adit_key_public(uint8_t out[ADIT_KEY_LEN], const uint8_t secret[ADIT_KEY_LEN])
{
    struct secret_key key;
    struct public_key public;
    memcpy(key.bytes, secret, ADIT_KEY_LEN);
    int err = key_public(&public, &key);
    secret_key_wipe(&key);
    if (err == 0) {
        memcpy(out, public.bytes, ADIT_KEY_LEN);
    }
    return err;
}

/* Secret and public keys have the same text form. */
const char *adit_key_format(const uint8_t key[ADIT_KEY_LEN], char out[ADIT_KEY_TEXT_MAX])
{
    struct public_key copy;
    memcpy(copy.bytes, key, ADIT_KEY_LEN);
    public_key_format(&copy, out);
    sodium_memzero(&copy, sizeof(copy));
    return out;
}

int adit_key_parse(uint8_t out[ADIT_KEY_LEN], const char *text)
{
    static const char space[] = " \t\r\n";
    struct secret_key key;
    char trimmed[KEY_TEXT_MAX];
    text += strspn(text, space);
    size_t len = strcspn(text, space);
    if (len != KEY_TEXT_LEN || text[len + strspn(text + len, space)] != '\0') {
        return ERR_MALFORMED;
    }
    memcpy(trimmed, text, len);
    trimmed[len] = '\0';
    int err = secret_key_parse(&key, trimmed);
    if (err == 0) {
        memcpy(out, key.bytes, ADIT_KEY_LEN);
    }
    secret_key_wipe(&key);
    sodium_memzero(trimmed, sizeof(trimmed));
    return err;
}

void adit_key_wipe(void *key, uint64_t len)
{
    sodium_memzero(key, (size_t)len);
}
