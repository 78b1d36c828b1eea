#include "transport/ring.h"

#include <base/check.h>
#include <base/err.h>
#include <base/mem.h>

#include <string.h>

static size_t size_for(size_t len)
{
    size_t size = RING_MIN;
    while (size < len) {
        size *= 2;
    }
    return size;
}

/* --- spares --- */

static void spares_remove(struct ring_spares *s, size_t i)
{
    s->bytes -= s->list[i].size;
    s->list[i] = s->list[--s->count];
}

/* The smallest one of at least `size` bytes, of these the last: the caches may still know it. */
static bool spares_take(struct ring_spares *s, size_t size, struct ring *out)
{
    size_t best = RING_SPARES_MAX;
    for (size_t i = 0; s && i < s->count; i++) {
        if (s->list[i].size >= size &&
            (best == RING_SPARES_MAX || s->list[i].size <= s->list[best].size)) {
            best = i;
        }
    }
    if (best == RING_SPARES_MAX) {
        return false;
    }
    out->data = s->list[best].data;
    out->size = s->list[best].size;
    spares_remove(s, best);
    s->used = true;
    return true;
}

static bool spares_give(struct ring_spares *s, uint8_t *data, size_t size)
{
    if (!s || !data || s->count == RING_SPARES_MAX || s->bytes + size > RING_SPARE_BYTES) {
        return false;
    }
    s->list[s->count++] = (struct ring_spare){data, size};
    s->bytes += size;
    s->used = true;
    return true;
}

void ring_spares_free(struct ring_spares *s)
{
    while (s->count > 0) {
        mem_free(s->list[s->count - 1].data);
        spares_remove(s, s->count - 1);
    }
}

void ring_spares_age(struct ring_spares *s)
{
    if (!s->used) {
        ring_spares_free(s);
    }
    s->used = false;
}

/* --- the ring --- */

/* Memory of at least `least` bytes. New memory is asked for more modestly than a spare one. */
static int obtain(struct ring *r, size_t least)
{
    if (spares_take(r->spares, least > r->hint ? least : r->hint, r)) {
        return 0;
    }
    size_t hint = r->hint < RING_HINT_MAX ? r->hint : RING_HINT_MAX;
    size_t size = size_for(least > hint ? least : hint);
    r->data = mem_new(size, 1);
    r->size = r->data ? size : 0;
    return r->data ? 0 : ERR_NO_MEMORY;
}

int ring_reserve(struct ring *r, uint64_t from, uint64_t to, uint64_t until)
{
    CHECK(from <= to && to <= until);
    r->top = until - from > r->top ? (size_t)(until - from) : r->top;
    if (until - from <= r->size) {
        return 0;
    }
    struct ring bigger = {.hint = r->hint, .top = r->top, .spares = r->spares, .origin = from};
    if (obtain(&bigger, (size_t)(until - from)) < 0) {
        return ERR_NO_MEMORY;
    }
    for (uint64_t at = from; at < to;) {
        size_t len = (size_t)(to - at);
        const uint8_t *piece = ring_at(r, at, &len);
        ring_put(&bigger, at, piece, len);
        at += len;
    }
    ring_release(r);
    bigger.hint = 0;
    *r = bigger;
    return 0;
}

void ring_release(struct ring *r)
{
    if (!spares_give(r->spares, r->data, r->size)) {
        mem_free(r->data);
    }
    size_t hint = r->top > r->size / 2 ? r->size : r->size / 2;
    *r = (struct ring){.hint = hint, .spares = r->spares};
}

uint8_t *ring_at(const struct ring *r, uint64_t at, size_t *len)
{
    CHECK(r->size > 0);
    size_t slot = (size_t)((at - r->origin) & (r->size - 1));
    if (*len > r->size - slot) {
        *len = r->size - slot;
    }
    return r->data + slot;
}

void ring_put(struct ring *r, uint64_t at, const uint8_t *data, size_t len)
{
    while (len > 0) {
        size_t piece = len;
        uint8_t *to = ring_at(r, at, &piece);
        memcpy(to, data, piece);
        data += piece;
        at += piece;
        len -= piece;
    }
}

void ring_get(const struct ring *r, uint64_t at, uint8_t *out, size_t len)
{
    while (len > 0) {
        size_t piece = len;
        const uint8_t *from = ring_at(r, at, &piece);
        memcpy(out, from, piece);
        out += piece;
        at += piece;
        len -= piece;
    }
}
