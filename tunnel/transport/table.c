#include "transport/table.h"

#include <base/check.h>
#include <base/err.h>
#include <base/mem.h>

#include "transport/stream.h"

enum { SIZE_MIN = 16 };

/* Fibonacci hashing spreads ids, which count upwards. */
static size_t home(const struct table *t, uint64_t id)
{
    return (size_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (t->size - 1);
}

/* The slot of the id, or the free one where it belongs. */
static size_t slot_of(const struct table *t, uint64_t id)
{
    size_t i = home(t, id);
    while (t->slots[i] && t->slots[i]->id != id) {
        i = (i + 1) & (t->size - 1);
    }
    return i;
}

void table_deinit(struct table *t)
{
    mem_free(t->slots);
    *t = (struct table){0};
}

struct stream *table_find(const struct table *t, uint64_t id)
{
    return t->count > 0 ? t->slots[slot_of(t, id)] : NULL;
}

static int grow(struct table *t)
{
    struct table bigger = {.size = t->size > 0 ? 2 * t->size : SIZE_MIN, .count = t->count};
    bigger.slots = mem_new(bigger.size, sizeof(struct stream *));
    if (!bigger.slots) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < t->size; i++) {
        if (t->slots[i]) {
            bigger.slots[slot_of(&bigger, t->slots[i]->id)] = t->slots[i];
        }
    }
    mem_free(t->slots);
    *t = bigger;
    return 0;
}

int table_add(struct table *t, struct stream *s)
{
    if (2 * (t->count + 1) > t->size) {
        int err = grow(t);
        if (err < 0) {
            return err;
        }
    }
    size_t i = slot_of(t, s->id);
    CHECK(!t->slots[i]);
    t->slots[i] = s;
    t->count++;
    return 0;
}

void table_remove(struct table *t, uint64_t id)
{
    if (t->count == 0) {
        return;
    }
    size_t hole = slot_of(t, id);
    if (!t->slots[hole]) {
        return;
    }
    t->slots[hole] = NULL;
    t->count--;
    /* What stands behind the hole moves up, unless it would come to stand before its home. */
    for (size_t i = (hole + 1) & (t->size - 1); t->slots[i]; i = (i + 1) & (t->size - 1)) {
        size_t from_home = (i - home(t, t->slots[i]->id)) & (t->size - 1);
        size_t from_hole = (i - hole) & (t->size - 1);
        if (from_home >= from_hole) {
            t->slots[hole] = t->slots[i];
            t->slots[i] = NULL;
            hole = i;
        }
    }
}

struct stream *table_next(const struct table *t, size_t *at)
{
    while (*at < t->size) {
        struct stream *s = t->slots[(*at)++];
        if (s) {
            return s;
        }
    }
    return NULL;
}
