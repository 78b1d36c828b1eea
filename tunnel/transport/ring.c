#include "transport/ring.h"

#include <base/check.h>
#include <base/err.h>
#include <base/mem.h>

#include <string.h>

static size_t size_for(uint64_t len)
{
    size_t size = RING_MIN;
    while (size < len) {
        size *= 2;
    }
    return size;
}

int ring_reserve(struct ring *r, uint64_t from, uint64_t to, uint64_t until)
{
    CHECK(from <= to && to <= until);
    if (until - from <= r->size) {
        return 0;
    }
    uint64_t least = until - from > r->hint ? until - from : r->hint;
    struct ring bigger = {.size = size_for(least)};
    bigger.data = mem_new(bigger.size, 1);
    if (!bigger.data) {
        return ERR_NO_MEMORY;
    }
    for (uint64_t at = from; at < to;) {
        size_t len = (size_t)(to - at);
        const uint8_t *piece = ring_at(r, at, &len);
        ring_put(&bigger, at, piece, len);
        at += len;
    }
    ring_release(r);
    *r = bigger;
    return 0;
}

void ring_release(struct ring *r)
{
    size_t hint = r->size / 2 < RING_HINT_MAX ? r->size / 2 : RING_HINT_MAX;
    mem_free(r->data);
    *r = (struct ring){.hint = hint};
}

uint8_t *ring_at(const struct ring *r, uint64_t at, size_t *len)
{
    CHECK(r->size > 0);
    size_t slot = (size_t)(at & (r->size - 1));
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
