#include "transport/sendbuf.h"

#include <base/check.h>

#include <string.h>

void sendbuf_init(struct sendbuf *b, size_t max)
{
    *b = (struct sendbuf){.max = max, .fit = max};
    ranges_init(&b->lost, SENDBUF_RANGES_MAX);
    ranges_init(&b->acked, SENDBUF_RANGES_MAX);
}

void sendbuf_deinit(struct sendbuf *b)
{
    ring_release(&b->ring);
    ranges_deinit(&b->lost);
    ranges_deinit(&b->acked);
}

size_t sendbuf_room(const struct sendbuf *b)
{
    size_t held = sendbuf_held(b);
    size_t most = b->fit < b->max ? b->fit : b->max;
    return held < most ? most - held : 0;
}

size_t sendbuf_space(struct sendbuf *b, size_t want, uint8_t **at)
{
    size_t room = sendbuf_room(b);
    if (want > room) {
        want = room;
    }
    if (want == 0) {
        return 0;
    }
    if (ring_reserve(&b->ring, b->base, b->end, b->end + want) < 0) {
        size_t left = b->ring.size - (size_t)(b->end - b->base);
        room = left < room ? left : room;
        if (room == 0) {
            return 0;
        }
    }
    size_t free_bytes = b->ring.size - (size_t)(b->end - b->base);
    size_t len = room < free_bytes ? room : free_bytes;
    *at = ring_at(&b->ring, b->end, &len);
    return len;
}

void sendbuf_wrote(struct sendbuf *b, size_t len)
{
    CHECK(sendbuf_held(b) + len <= b->ring.size && sendbuf_held(b) + len <= b->max);
    b->end += len;
}

size_t sendbuf_write(struct sendbuf *b, const uint8_t *data, size_t len)
{
    size_t taken = 0;
    while (taken < len) {
        uint8_t *at;
        size_t room = sendbuf_space(b, len - taken, &at);
        size_t piece = room < len - taken ? room : len - taken;
        if (piece == 0) {
            break;
        }
        memcpy(at, data + taken, piece);
        sendbuf_wrote(b, piece);
        taken += piece;
    }
    return taken;
}

bool sendbuf_next(const struct sendbuf *b, uint64_t limit, struct range *out)
{
    if (b->lost.count > 0) {
        *out = b->lost.list[0];
        return true;
    }
    *out = (struct range){b->sent, b->end < limit ? b->end : limit};
    return out->start < out->end;
}

void sendbuf_read(const struct sendbuf *b, uint64_t at, uint8_t *out, size_t len)
{
    CHECK(at >= b->base && at + len <= b->end);
    ring_get(&b->ring, at, out, len);
}

void sendbuf_on_sent(struct sendbuf *b, uint64_t start, uint64_t end)
{
    if (b->lost.count > 0) {
        CHECK(start == b->lost.list[0].start && end <= b->lost.list[0].end);
        ranges_remove_below(&b->lost, end);
        return;
    }
    CHECK(start == b->sent && end <= b->end);
    b->sent = end;
    if (end > b->high) {
        b->high = end;
    }
}

/* Everything from `start` on counts as not sent. */
static void go_back(struct sendbuf *b, uint64_t start)
{
    if (start < b->base) {
        start = b->base;
    }
    if (start < b->sent) {
        b->sent = start;
    }
    while (b->lost.count > 0 && b->lost.list[b->lost.count - 1].end > b->sent) {
        struct range *last = &b->lost.list[b->lost.count - 1];
        if (last->start < b->sent) {
            last->end = b->sent;
        } else {
            b->lost.count--;
        }
    }
}

/* Base moves over what is acknowledged without a hole. */
static void advance(struct sendbuf *b, uint64_t to)
{
    b->base = to;
    ranges_remove_below(&b->acked, to);
    if (b->acked.count > 0 && b->acked.list[0].start == to) {
        b->base = b->acked.list[0].end;
        ranges_remove_below(&b->acked, b->base);
    }
    if (b->sent < b->base) {
        b->sent = b->base;
    }
    ranges_remove_below(&b->lost, b->base);
    if (sendbuf_is_empty(b)) {
        ring_release(&b->ring);
    }
}

void sendbuf_on_acked(struct sendbuf *b, uint64_t start, uint64_t end)
{
    CHECK(end <= b->high);
    if (end <= b->base) {
        return;
    }
    if (start <= b->base) {
        advance(b, end);
    } else if (ranges_add(&b->acked, start, end) < 0) {
        go_back(b, start);
        return;
    }
    if (b->lost.count > 0) {
        (void)ranges_remove(&b->lost, start, end); /* if it cannot split, they go out once more */
    }
}

void sendbuf_on_lost(struct sendbuf *b, uint64_t start, uint64_t end)
{
    if (start < b->base) {
        start = b->base;
    }
    if (end > b->sent) {
        end = b->sent;
    }
    for (size_t i = 0; i < b->acked.count && start < end; i++) {
        struct range got = b->acked.list[i];
        if (got.end <= start) {
            continue;
        }
        if (got.start >= end) {
            break;
        }
        if (got.start > start && ranges_add(&b->lost, start, got.start) < 0) {
            go_back(b, start);
            return;
        }
        start = got.end;
    }
    if (start < end && ranges_add(&b->lost, start, end) < 0) {
        go_back(b, start);
    }
}
