#include "path/recipe.h"

#include <base/bytes.h>
#include <base/check.h>
#include <base/err.h>

#include <sodium.h>
#include <string.h>

#define MAGIC "adit recipes"
#define MAGIC_LEN (sizeof(MAGIC) - 1)

static void hash(uint8_t *out, size_t len, const char *what, const uint8_t *data, size_t data_len)
{
    crypto_generichash_state state;
    CHECK(crypto_generichash_init(&state, NULL, 0, len < 16 ? 16 : len) == 0);
    uint8_t digest[16];
    CHECK(len <= sizeof(digest));
    (void)crypto_generichash_update(&state, (const uint8_t *)what, strlen(what));
    (void)crypto_generichash_update(&state, data, data_len);
    (void)crypto_generichash_final(&state, digest, sizeof(digest));
    memcpy(out, digest, len);
}

void recipe_name_network(uint8_t out[RECIPE_NETWORK_LEN], const struct addr *router,
                         const struct addr *public)
{
    uint8_t data[2 * (1 + sizeof(router->ip))];
    struct writer w = writer_of(data, sizeof(data));
    write_u8(&w, (uint8_t)router->family);
    write_bytes(&w, router->ip, sizeof(router->ip));
    write_u8(&w, (uint8_t) public->family);
    write_bytes(&w, public->ip, sizeof(public->ip));
    CHECK(!w.failed);
    hash(out, RECIPE_NETWORK_LEN, "adit network", data, writer_len(&w));
}

void recipe_name_peer(uint8_t out[RECIPE_PEER_LEN], const uint8_t key[32])
{
    hash(out, RECIPE_PEER_LEN, "adit peer", key, 32);
}

void recipes_init(struct recipes *r)
{
    *r = (struct recipes){0};
}

static size_t index_of(const struct recipes *r, const uint8_t *network, const uint8_t *peer)
{
    size_t i = 0;
    while (i < r->count && (memcmp(r->list[i].network, network, RECIPE_NETWORK_LEN) != 0 ||
                            memcmp(r->list[i].peer, peer, RECIPE_PEER_LEN) != 0)) {
        i++;
    }
    return i;
}

enum recipe_kind recipes_find(const struct recipes *r, const uint8_t network[RECIPE_NETWORK_LEN],
                              const uint8_t peer[RECIPE_PEER_LEN])
{
    size_t i = index_of(r, network, peer);
    return i < r->count ? r->list[i].kind : RECIPE_NONE;
}

static void take_out(struct recipes *r, size_t i)
{
    memmove(&r->list[i], &r->list[i + 1], (r->count - i - 1) * sizeof(r->list[0]));
    r->count--;
}

void recipes_note(struct recipes *r, const uint8_t network[RECIPE_NETWORK_LEN],
                  const uint8_t peer[RECIPE_PEER_LEN], enum recipe_kind kind)
{
    size_t i = index_of(r, network, peer);
    enum recipe_kind known = i < r->count ? r->list[i].kind : RECIPE_NONE;
    if (known == kind && (kind == RECIPE_NONE || i == 0)) {
        return;
    }
    r->version++;
    if (i < r->count) {
        take_out(r, i);
    }
    if (kind == RECIPE_NONE) {
        return;
    }
    if (r->count == RECIPES_MAX) {
        r->forgotten++;
        r->count--;
    }
    memmove(&r->list[1], &r->list[0], r->count * sizeof(r->list[0]));
    memcpy(r->list[0].network, network, RECIPE_NETWORK_LEN);
    memcpy(r->list[0].peer, peer, RECIPE_PEER_LEN);
    r->list[0].kind = kind;
    r->count++;
}

/* --- bytes --- */

size_t recipes_export(const struct recipes *r, uint8_t out[RECIPES_LEN_MAX])
{
    struct writer w = writer_of(out, RECIPES_LEN_MAX);
    write_bytes(&w, MAGIC, MAGIC_LEN);
    write_u8(&w, RECIPE_VERSION);
    write_u8(&w, (uint8_t)r->count);
    for (size_t i = 0; i < r->count; i++) {
        write_bytes(&w, r->list[i].network, RECIPE_NETWORK_LEN);
        write_bytes(&w, r->list[i].peer, RECIPE_PEER_LEN);
        write_u8(&w, (uint8_t)r->list[i].kind);
    }
    CHECK(!w.failed);
    return writer_len(&w);
}

static void read_recipe(struct reader *in, struct recipe *out)
{
    const uint8_t *network = read_bytes(in, RECIPE_NETWORK_LEN);
    const uint8_t *peer = read_bytes(in, RECIPE_PEER_LEN);
    uint8_t kind = read_u8(in);
    if (!in->failed && kind == RECIPE_BIRTHDAY) {
        memcpy(out->network, network, RECIPE_NETWORK_LEN);
        memcpy(out->peer, peer, RECIPE_PEER_LEN);
        out->kind = RECIPE_BIRTHDAY;
    } else {
        in->failed = true;
    }
}

int recipes_import(struct recipes *r, const uint8_t *data, size_t len)
{
    struct recipes got = {.version = r->version + 1};
    struct reader in = reader_of(data, len);
    recipes_init(r);
    const uint8_t *magic = read_bytes(&in, MAGIC_LEN);
    uint8_t version = read_u8(&in);
    uint8_t count = read_u8(&in);
    if (in.failed || memcmp(magic, MAGIC, MAGIC_LEN) != 0) {
        return ERR_MALFORMED;
    }
    if (version != RECIPE_VERSION) {
        return ERR_VERSION;
    }
    for (size_t i = 0; i < count && i < RECIPES_MAX && !in.failed; i++) {
        read_recipe(&in, &got.list[got.count++]);
    }
    if (in.failed || count > RECIPES_MAX || reader_left(&in) > 0) {
        return ERR_MALFORMED;
    }
    *r = got;
    return 0;
}
