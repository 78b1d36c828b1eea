#include "policy/auth.h"

#include <base/err.h>
#include <base/mem.h>

#include <sodium.h>
#include <string.h>

/* The length in front parts name and password: "a" + "bc" is not "ab" + "c". */
static void hash(const struct auth *a, const char *user, size_t user_len, const char *password,
                 size_t password_len, uint8_t out[AUTH_HASH_LEN])
{
    crypto_generichash_state state;
    const uint8_t len[] = {(uint8_t)(user_len >> 8), (uint8_t)user_len};
    (void)crypto_generichash_init(&state, a->key, AUTH_KEY_LEN, AUTH_HASH_LEN);
    (void)crypto_generichash_update(&state, len, sizeof(len));
    (void)crypto_generichash_update(&state, (const unsigned char *)user, user_len);
    (void)crypto_generichash_update(&state, (const unsigned char *)password, password_len);
    (void)crypto_generichash_final(&state, out, AUTH_HASH_LEN);
    sodium_memzero(&state, sizeof(state));
}

static int add(struct auth *a, const char *line, size_t len, const char **why)
{
    const char *colon = memchr(line, ':', len);
    if (!colon || colon == line) {
        *why = "a line is NAME:PASSWORD";
        return ERR_MALFORMED;
    }
    size_t user_len = (size_t)(colon - line);
    size_t password_len = len - user_len - 1;
    if (user_len > AUTH_PART_MAX || password_len > AUTH_PART_MAX) {
        *why = "a name or password is longer than 255 bytes";
        return ERR_MALFORMED;
    }
    if (password_len == 0 || memchr(line, '\0', len)) {
        *why = password_len == 0 ? "there is no password" : "there is a NUL byte";
        return ERR_MALFORMED;
    }
    if (a->count == AUTH_USERS_MAX) {
        *why = "there are more than 1024 users";
        return ERR_MALFORMED;
    }
    uint8_t(*more)[AUTH_HASH_LEN] = mem_resize(a->hashes, (a->count + 1) * sizeof(*more));
    if (!more) {
        return ERR_NO_MEMORY;
    }
    a->hashes = more;
    hash(a, line, user_len, colon + 1, password_len, a->hashes[a->count++]);
    return 0;
}

int auth_init(struct auth *a, const char *text, size_t len, const uint8_t key[AUTH_KEY_LEN],
              struct auth_error *error)
{
    const char *end = text + len;
    *a = (struct auth){0};
    *error = (struct auth_error){0};
    memcpy(a->key, key, AUTH_KEY_LEN);
    while (text < end) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        const char *to = stop ? stop : end;
        size_t line_len = (size_t)(to - text);
        error->line++;
        line_len -= line_len > 0 && text[line_len - 1] == '\r';
        int err = line_len > 0 && text[0] != '#' ? add(a, text, line_len, &error->why) : 0;
        if (err != 0) {
            return err;
        }
        text = stop ? stop + 1 : end;
    }
    error->line = 0;
    error->why = a->count > 0 ? NULL : "there is no user in it: write NAME:PASSWORD";
    return a->count > 0 ? 0 : ERR_MALFORMED;
}

void auth_deinit(struct auth *a)
{
    mem_free(a->hashes);
    sodium_memzero(a, sizeof(*a));
}

/* Looks at all of them, so that the time says nothing about which one it was. */
bool auth_check(const struct auth *a, const char *user, size_t user_len, const char *password,
                size_t password_len)
{
    uint8_t own[AUTH_HASH_LEN];
    unsigned found = 0;
    hash(a, user, user_len, password, password_len, own);
    for (size_t i = 0; i < a->count; i++) {
        found |= sodium_memcmp(own, a->hashes[i], sizeof(own)) == 0 ? 1U : 0U;
    }
    sodium_memzero(own, sizeof(own));
    return found != 0;
}
