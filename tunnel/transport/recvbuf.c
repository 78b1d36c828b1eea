#include "transport/recvbuf.h"

#include <base/check.h>
#include <base/err.h>

void recvbuf_init(struct recvbuf *b)
{
    *b = (struct recvbuf){.final = RECVBUF_FINAL_UNKNOWN};
    ranges_init(&b->pieces, RECVBUF_RANGES_MAX);
}

void recvbuf_deinit(struct recvbuf *b)
{
    ring_release(&b->ring);
    ranges_deinit(&b->pieces);
}

int recvbuf_check(const struct recvbuf *b, uint64_t end, bool fin)
{
    if (b->final != RECVBUF_FINAL_UNKNOWN && (end > b->final || (fin && end != b->final))) {
        return ERR_PROTOCOL;
    }
    return fin && end < b->top ? ERR_PROTOCOL : 0;
}

static void note_end(struct recvbuf *b, uint64_t end, bool fin)
{
    if (end > b->top) {
        b->top = end;
    }
    if (fin) {
        b->final = end;
    }
}

/* Ready moves over what is there without a hole. */
static void advance(struct recvbuf *b, uint64_t to)
{
    b->ready = to;
    ranges_remove_below(&b->pieces, to);
    if (b->pieces.count > 0 && b->pieces.list[0].start == to) {
        b->ready = b->pieces.list[0].end;
        ranges_remove_below(&b->pieces, b->ready);
    }
}

int recvbuf_insert(struct recvbuf *b, uint64_t offset, const uint8_t *data, size_t len, bool fin)
{
    uint64_t end = offset + len;
    uint64_t start = offset > b->ready ? offset : b->ready;
    if (start < end) {
        size_t count = b->pieces.count;
        uint64_t held = count > 0 ? b->pieces.list[count - 1].end : b->ready;
        int err = ring_reserve(&b->ring, b->read, held, end > held ? end : held);
        if (err == 0 && start > b->ready) {
            err = ranges_add(&b->pieces, start, end);
        }
        if (err < 0) {
            return err;
        }
        ring_put(&b->ring, start, data + (start - offset), (size_t)(end - start));
        if (start == b->ready) {
            advance(b, end);
        }
    }
    note_end(b, end, fin);
    return 0;
}

void recvbuf_skip(struct recvbuf *b, uint64_t end, bool fin)
{
    note_end(b, end, fin);
    b->read = b->ready = b->top;
}

size_t recvbuf_peek(const struct recvbuf *b, const uint8_t **at, bool *fin)
{
    size_t len = (size_t)(b->ready - b->read);
    if (len > 0) {
        *at = ring_at(&b->ring, b->read, &len);
    }
    *fin = b->read + len == b->final;
    return len;
}

void recvbuf_consume(struct recvbuf *b, size_t len)
{
    CHECK(len <= b->ready - b->read);
    b->read += len;
    if (b->read == b->ready && b->pieces.count == 0) {
        ring_release(&b->ring);
    }
}
