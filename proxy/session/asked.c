#include "session/asked.h"

#include <base/err.h>
#include <base/mem.h>

#include <string.h>

/* Without padding, so that it can be compared as bytes. */
struct asked_key {
    uint8_t ip[16];
    uint32_t scope;
    uint16_t port;
    uint16_t family;
};

/* A table has ASKED_MAX entries at most: collisions that somebody seeks cost little. */
static unsigned hash_of(const void *key)
{
    uint64_t words[sizeof(struct asked_key) / sizeof(uint64_t)];
    uint64_t hash = 0;
    memcpy(words, key, sizeof(words));
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        hash = (hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    return (unsigned)hash;
}

#define uthash_malloc(size) mem_new(1, size)
#define uthash_free(p, size) mem_free(p)
#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION(key, len, hash) ((hash) = hash_of(key))
#include <uthash.h>

struct asked_entry {
    struct asked_key key;
    uint64_t used_ns;
    TAILQ_ENTRY(asked_entry) link;
    UT_hash_handle hh;
};

static struct asked_key key_of(const struct addr *a)
{
    struct asked_key k;
    memset(&k, 0, sizeof(k));
    memcpy(k.ip, a->ip, sizeof(k.ip));
    k.scope = a->scope;
    k.port = a->port;
    k.family = a->family;
    return k;
}

void asked_init(struct asked *a, uint64_t now)
{
    *a = (struct asked){.tokens = ASKED_NEW_BURST, .filled_ns = now};
    TAILQ_INIT(&a->old);
}

static void drop(struct asked *a, struct asked_entry *e)
{
    TAILQ_REMOVE(&a->old, e, link);
    HASH_DEL(a->table, e);
    a->count--;
    mem_free(e);
}

void asked_deinit(struct asked *a)
{
    struct asked_entry *e;
    while ((e = TAILQ_FIRST(&a->old)) != NULL) {
        drop(a, e);
    }
}

static void forget_silent(struct asked *a, uint64_t now)
{
    struct asked_entry *e;
    while ((e = TAILQ_FIRST(&a->old)) != NULL && time_since(e->used_ns, now) > ASKED_NS) {
        drop(a, e);
    }
}

static struct asked_entry *find(struct asked *a, const struct addr *at, uint64_t now)
{
    struct asked_entry *e;
    struct asked_key key = key_of(at);
    forget_silent(a, now);
    HASH_FIND(hh, a->table, &key, sizeof(key), e);
    return e;
}

/* Used now: it is the last that will be forgotten. */
static void touch(struct asked *a, struct asked_entry *e, uint64_t now)
{
    e->used_ns = now;
    TAILQ_REMOVE(&a->old, e, link);
    TAILQ_INSERT_TAIL(&a->old, e, link);
}

static bool take_token(struct asked *a, uint64_t now)
{
    const uint64_t each_ns = NS_PER_S / ASKED_NEW_PER_S;
    uint64_t more = time_since(a->filled_ns, now) / each_ns;
    if (more > 0) {
        a->tokens = more < ASKED_NEW_BURST - a->tokens ? a->tokens + more : ASKED_NEW_BURST;
        a->filled_ns += more * each_ns;
    }
    if (a->tokens == 0) {
        return false;
    }
    a->tokens--;
    return true;
}

static int add_new(struct asked *a, const struct addr *to, uint64_t now)
{
    struct asked_entry *e = mem_new(1, sizeof(*e));
    if (!e) {
        return ERR_NO_MEMORY;
    }
    e->key = key_of(to);
    e->used_ns = now;
    HASH_ADD(hh, a->table, key, sizeof(e->key), e);
    if (!e->hh.tbl) { /* no memory for the table */
        mem_free(e);
        return ERR_NO_MEMORY;
    }
    TAILQ_INSERT_TAIL(&a->old, e, link);
    a->count++;
    return 0;
}

int asked_add(struct asked *a, const struct addr *to, uint64_t now)
{
    struct asked_entry *e = find(a, to, now);
    if (e) {
        touch(a, e, now);
        return 0;
    }
    if (a->count >= ASKED_MAX || !take_token(a, now)) {
        return ERR_NO_ROOM;
    }
    return add_new(a, to, now);
}

bool asked_has(struct asked *a, const struct addr *from, uint64_t now)
{
    struct asked_entry *e = find(a, from, now);
    if (e) {
        touch(a, e, now);
    }
    return e != NULL;
}
