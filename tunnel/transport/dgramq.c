#include "transport/dgramq.h"

#include <base/check.h>
#include <base/err.h>
#include <base/mem.h>

#include <string.h>

enum { FIRST_SIZE = 1 << 14, ALIGN = 8 };

#define LEN_SKIP UINT64_MAX /* nothing more before the end of the ring */

struct head {
    uint64_t stream, at_ns, len, spare;
};

_Static_assert(sizeof(struct head) == DGRAMQ_HEAD, "the header tells what one takes");

void dgramq_init(struct dgramq *q, size_t max)
{
    *q = (struct dgramq){.max = max / ALIGN * ALIGN};
}

void dgramq_clear(struct dgramq *q)
{
    mem_free(q->data);
    dgramq_init(q, q->max);
}

static size_t room_of(uint64_t len)
{
    return sizeof(struct head) + ((size_t)len + ALIGN - 1) / ALIGN * ALIGN;
}

static struct head head_at(const struct dgramq *q, size_t at)
{
    struct head h;
    memcpy(&h, q->data + at, sizeof(h));
    return h;
}

/* How far it is from the end of the last one to where one of `need` bytes can lie: 0, or what is
 * left free at the end of the ring. */
static size_t gap_before(const struct dgramq *q, size_t need)
{
    return q->size - q->tail < need ? q->size - q->tail : 0;
}

static bool fits(const struct dgramq *q, size_t need)
{
    if (q->size < need) {
        return false;
    }
    size_t gap = gap_before(q, need);
    return gap + need <= q->size - q->used;
}

/* Moves everything into a block of `size` bytes, in order from its start. */
static int move_to(struct dgramq *q, size_t size)
{
    struct dgramq to = {.size = size, .max = q->max, .data = mem_new(1, size)};
    if (!to.data) {
        return ERR_NO_MEMORY;
    }
    while (q->count > 0) {
        size_t len = room_of(head_at(q, q->head).len);
        memcpy(to.data + to.tail, q->data + q->head, len);
        to.tail += len;
        to.count++;
        dgramq_pop(q);
    }
    to.used = to.tail;
    to.tail = to.tail == size ? 0 : to.tail;
    mem_free(q->data);
    *q = to;
    return 0;
}

static int grow(struct dgramq *q, size_t need)
{
    size_t size = q->size > 0 ? q->size : FIRST_SIZE;
    while (size < q->max && (size < q->used + need || size == q->size)) {
        size *= 2;
    }
    size = size < q->max ? size : q->max;
    return size <= q->size || size < need ? ERR_NO_ROOM : move_to(q, size);
}

static void leave_gap(struct dgramq *q, size_t gap)
{
    static const struct head skip = {.len = LEN_SKIP};
    if (gap == 0) {
        return;
    }
    if (gap >= sizeof(skip)) {
        memcpy(q->data + q->tail, &skip, sizeof(skip));
    }
    q->used += gap;
    q->tail = 0;
}

int dgramq_push(struct dgramq *q, const struct dgram *d)
{
    size_t need = room_of(d->len);
    while (!fits(q, need)) {
        int err = grow(q, need);
        if (err < 0) {
            return err;
        }
    }
    leave_gap(q, gap_before(q, need));
    const struct head h = {.stream = d->stream, .at_ns = d->at_ns, .len = d->len};
    memcpy(q->data + q->tail, &h, sizeof(h));
    if (d->len > 0) {
        memcpy(q->data + q->tail + sizeof(h), d->data, d->len);
    }
    q->tail = (q->tail + need) % q->size;
    q->used += need;
    q->count++;
    return 0;
}

bool dgramq_first(const struct dgramq *q, struct dgram *out)
{
    if (q->count == 0) {
        return false;
    }
    struct head h = head_at(q, q->head);
    *out = (struct dgram){.stream = h.stream,
                          .at_ns = h.at_ns,
                          .data = q->data + q->head + sizeof(h),
                          .len = (size_t)h.len};
    return true;
}

/* Past what was left free at the end of the ring. */
static void skip_gap(struct dgramq *q)
{
    size_t left = q->size - q->head;
    if (left < sizeof(struct head) || head_at(q, q->head).len == LEN_SKIP) {
        q->used -= left;
        q->head = 0;
    }
}

void dgramq_pop(struct dgramq *q)
{
    CHECK(q->count > 0);
    size_t len = room_of(head_at(q, q->head).len);
    q->used -= len;
    q->head = (q->head + len) % q->size;
    q->count--;
    if (q->count > 0) {
        skip_gap(q);
    } else {
        q->head = q->tail = q->used = 0;
    }
}
