#include "loop/msgring.h"

#include <base/check.h>
#include <base/err.h>
#include <base/mem.h>

#include <string.h>

enum { ALIGN = 16 };

/* Stands before each message. len SIZE_MAX: the rest up to the end of the memory is left out. */
struct record {
    size_t len;
    struct msgring_note note;
};

static size_t round_up(size_t n)
{
    return (n + ALIGN - 1) / ALIGN * ALIGN;
}

static size_t record_size(size_t len)
{
    return round_up(sizeof(struct record) + len);
}

int msgring_init(struct msgring *r, size_t cap)
{
    *r = (struct msgring){.cap = round_up(cap)};
    r->bytes = mem_new(1, r->cap);
    if (!r->bytes || uv_mutex_init(&r->lock)) {
        mem_free(r->bytes);
        r->bytes = NULL;
        return ERR_NO_MEMORY;
    }
    return 0;
}

void msgring_deinit(struct msgring *r)
{
    if (r->bytes) {
        uv_mutex_destroy(&r->lock);
        mem_free(r->bytes);
        r->bytes = NULL;
    }
}

/* Room in one piece; where it begins, or SIZE_MAX. */
static size_t reserve(struct msgring *r, size_t size)
{
    size_t at_end = r->cap - r->tail;
    size_t skipped = at_end < size ? at_end : 0;
    if (size > r->cap || r->used + skipped + size > r->cap) {
        return SIZE_MAX;
    }
    if (skipped > 0) {
        const size_t left_out = SIZE_MAX;
        memcpy(r->bytes + r->tail, &left_out, sizeof(left_out)); /* ALIGN is room for that */
        r->tail = 0;
    }
    r->used += skipped + size;
    size_t at = r->tail;
    r->tail = (r->tail + size) % r->cap;
    return at;
}

enum msgring_result msgring_put(struct msgring *r, const struct msgring_note *note,
                                const void *first, size_t first_len, const void *second,
                                size_t second_len)
{
    struct record head = {.len = first_len + second_len, .note = *note};
    uv_mutex_lock(&r->lock);
    enum msgring_result result = r->count == 0 ? MSGRING_FIRST : MSGRING_PUT;
    size_t at = reserve(r, record_size(head.len));
    if (at != SIZE_MAX) {
        uint8_t *to = r->bytes + at;
        memcpy(to, &head, sizeof(head));
        to += sizeof(head);
        if (first_len > 0) {
            memcpy(to, first, first_len);
        }
        if (second_len > 0) {
            memcpy(to + first_len, second, second_len);
        }
        r->count++;
    }
    uv_mutex_unlock(&r->lock);
    return at != SIZE_MAX ? result : MSGRING_FULL;
}

static void pass_gap(struct msgring *r)
{
    size_t len;
    memcpy(&len, r->bytes + r->head, sizeof(len));
    if (len == SIZE_MAX) {
        r->used -= r->cap - r->head;
        r->head = 0;
    }
}

bool msgring_peek(struct msgring *r, struct msgring_note *note, const uint8_t **data, size_t *len)
{
    struct record head;
    uv_mutex_lock(&r->lock);
    bool any = r->count > 0;
    if (any) {
        pass_gap(r);
        memcpy(&head, r->bytes + r->head, sizeof(head));
        *note = head.note;
        *data = r->bytes + r->head + sizeof(head);
        *len = head.len;
    }
    uv_mutex_unlock(&r->lock);
    return any;
}

void msgring_pop(struct msgring *r)
{
    size_t len;
    uv_mutex_lock(&r->lock);
    CHECK(r->count > 0);
    pass_gap(r);
    memcpy(&len, r->bytes + r->head, sizeof(len));
    size_t size = record_size(len);
    r->head = (r->head + size) % r->cap;
    r->used -= size;
    r->count--;
    if (r->count == 0) {
        r->head = r->tail = r->used = 0;
    }
    uv_mutex_unlock(&r->lock);
}

bool msgring_is_empty(struct msgring *r)
{
    uv_mutex_lock(&r->lock);
    bool empty = r->count == 0;
    uv_mutex_unlock(&r->lock);
    return empty;
}
