/* Recipes: how a peer was reached from a network before, so that the same is tried first.
 *
 * A network is named by a hash of its router's address and our public address: enough to know it
 * again, not enough to read it out of the file. Of a peer only a hash is kept, too.
 *
 * Only what is out of the ordinary is kept: that nothing but birthday probing did it, so that it
 * need not wait for candidates which will not answer.
 *
 * The newest recipes are kept, RECIPES_MAX of them. What is written down is bytes with a version;
 * a file that cannot be read is an empty one.
 *
 *     "adit recipes" | version 1 | count 1 | { network 16 | peer 8 | kind 1 }*  newest first
 */
#ifndef PATH_RECIPE_H
#define PATH_RECIPE_H

#include <base/addr.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RECIPES_MAX = 64,
    RECIPE_NETWORK_LEN = 16,
    RECIPE_PEER_LEN = 8,
    RECIPE_VERSION = 1,
    RECIPES_LEN_MAX = 12 + 2 + RECIPES_MAX * (RECIPE_NETWORK_LEN + RECIPE_PEER_LEN + 1),
};

enum recipe_kind {
    RECIPE_NONE,
    RECIPE_BIRTHDAY = 1, /* on the wire of the file: do not renumber */
};

struct recipe {
    uint8_t network[RECIPE_NETWORK_LEN];
    uint8_t peer[RECIPE_PEER_LEN];
    enum recipe_kind kind;
};

struct recipes {
    size_t count;
    struct recipe list[RECIPES_MAX]; /* newest first */
    uint64_t version;                /* changes with the list */
    uint64_t forgotten;              /* at the ceiling */
};

/* The network of this router (may be ADDR_NONE) and public address (its port does not matter), and
 * the peer of this public key, as they are named here. */
void recipe_name_network(uint8_t out[RECIPE_NETWORK_LEN], const struct addr *router,
                         const struct addr *public);
void recipe_name_peer(uint8_t out[RECIPE_PEER_LEN], const uint8_t key[32]);

void recipes_init(struct recipes *r);
/* What worked just now; NONE: nothing out of the ordinary, which forgets what was known. */
void recipes_note(struct recipes *r, const uint8_t network[RECIPE_NETWORK_LEN],
                  const uint8_t peer[RECIPE_PEER_LEN], enum recipe_kind kind);
enum recipe_kind recipes_find(const struct recipes *r, const uint8_t network[RECIPE_NETWORK_LEN],
                              const uint8_t peer[RECIPE_PEER_LEN]);

size_t recipes_export(const struct recipes *r, uint8_t out[RECIPES_LEN_MAX]);
/* 0, or ERR_MALFORMED or ERR_VERSION: then there are none. */
int recipes_import(struct recipes *r, const uint8_t *data, size_t len);

#endif
