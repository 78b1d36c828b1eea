/* The file of recipes, as it may have become on a disk: any bytes are a list or none, what was read
 * is written the same, and what is noted afterwards is found. */
#include "path/recipe.h"

#include <base/check.h>
#include <base/err.h>

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void note_more(struct recipes *r, const uint8_t *data, size_t len)
{
    static const uint8_t peer[RECIPE_PEER_LEN] = {1};
    for (size_t i = 0; i < len && i < 2 * RECIPES_MAX; i++) {
        const uint8_t network[RECIPE_NETWORK_LEN] = {data[i]};
        enum recipe_kind kind = data[i] & 1 ? RECIPE_BIRTHDAY : RECIPE_NONE;
        recipes_note(r, network, peer, kind);
        CHECK(recipes_find(r, network, peer) == kind && r->count <= RECIPES_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct recipes r = {.version = 7}, again = {.count = 0};
    uint8_t out[RECIPES_LEN_MAX];
    int err = recipes_import(&r, data, len);
    if (err) {
        CHECK((err == ERR_MALFORMED || err == ERR_VERSION) && r.count == 0);
    } else {
        CHECK(recipes_export(&r, out) == len && memcmp(out, data, len) == 0);
        for (size_t i = 0; i < r.count; i++) {
            CHECK(recipes_find(&r, r.list[i].network, r.list[i].peer) == RECIPE_BIRTHDAY);
        }
    }
    note_more(&r, data, len);
    CHECK(recipes_import(&again, out, recipes_export(&r, out)) == 0);
    CHECK(again.count == r.count && memcmp(again.list, r.list, r.count * sizeof(r.list[0])) == 0);
    return 0;
}
