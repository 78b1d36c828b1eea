#include "transport/ranges.h"

#include <base/check.h>
#include <base/err.h>
#include <base/mem.h>

#include <string.h>

enum { ROOM_FIRST = 8 };

void ranges_init(struct ranges *r, size_t cap)
{
    CHECK(cap > 0);
    *r = (struct ranges){.cap = cap};
}

void ranges_deinit(struct ranges *r)
{
    mem_free(r->list);
    *r = (struct ranges){.cap = r->cap};
}

void ranges_clear(struct ranges *r)
{
    r->count = 0;
}

/* Index of the first range that ends at or after `number`; count if there is none. The end is
 * looked at first, because numbers mostly come in ascending order. */
static size_t find(const struct ranges *r, uint64_t number)
{
    if (r->count == 0 || r->list[r->count - 1].end < number) {
        return r->count;
    }
    size_t low = 0;
    size_t high = r->count - 1;
    if (high > 0 && r->list[high - 1].end < number) {
        return high;
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (r->list[middle].end < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static int make_room(struct ranges *r)
{
    if (r->count < r->room) {
        return 0;
    }
    if (r->count >= r->cap) {
        return ERR_NO_ROOM;
    }
    size_t room = r->room > 0 ? 2 * r->room : ROOM_FIRST;
    room = room < r->cap ? room : r->cap;
    struct range *list = mem_resize(r->list, room * sizeof(*list));
    if (!list) {
        return ERR_NO_MEMORY;
    }
    r->list = list;
    r->room = room;
    return 0;
}

static int insert_at(struct ranges *r, size_t i, struct range range)
{
    int err = make_room(r);
    if (err) {
        return err;
    }
    memmove(&r->list[i + 1], &r->list[i], (r->count - i) * sizeof(r->list[0]));
    r->list[i] = range;
    r->count++;
    return 0;
}

/* Takes the ranges with index in [from, to) out of the list. */
static void drop(struct ranges *r, size_t from, size_t to)
{
    if (to > from) {
        memmove(&r->list[from], &r->list[to], (r->count - to) * sizeof(r->list[0]));
        r->count -= to - from;
    }
}

int ranges_add(struct ranges *r, uint64_t start, uint64_t end)
{
    CHECK(start <= end);
    if (start == end) {
        return 0;
    }
    size_t i = find(r, start);
    if (i == r->count || r->list[i].start > end) {
        return insert_at(r, i, (struct range){start, end});
    }
    /* Overlaps or touches: widen this one and swallow those that it now reaches. */
    struct range *range = &r->list[i];
    range->start = start < range->start ? start : range->start;
    size_t next = i + 1;
    while (next < r->count && r->list[next].start <= end) {
        next++;
    }
    uint64_t last = r->list[next - 1].end;
    range->end = last > end ? last : end;
    drop(r, i + 1, next);
    return 0;
}

int ranges_remove(struct ranges *r, uint64_t start, uint64_t end)
{
    CHECK(start <= end);
    size_t i = find(r, start);
    if (start == end || i == r->count) {
        return 0;
    }
    if (r->list[i].start < start) {
        uint64_t old_end = r->list[i].end;
        if (old_end > end) {
            int err = insert_at(r, i + 1, (struct range){end, old_end});
            if (err) {
                return err;
            }
        }
        r->list[i].end = start < old_end ? start : old_end;
        i++;
    }
    size_t next = i;
    while (next < r->count && r->list[next].end <= end) {
        next++;
    }
    if (next < r->count && r->list[next].start < end) {
        r->list[next].start = end;
    }
    drop(r, i, next);
    return 0;
}

void ranges_remove_below(struct ranges *r, uint64_t limit)
{
    /* Takes from the lower end only, so nothing is split and nothing can fail. */
    (void)ranges_remove(r, 0, limit);
}

void ranges_drop_lowest(struct ranges *r)
{
    CHECK(r->count > 0);
    drop(r, 0, 1);
}

bool ranges_contains(const struct ranges *r, uint64_t number)
{
    return number < UINT64_MAX && ranges_covers(r, number, number + 1);
}

bool ranges_covers(const struct ranges *r, uint64_t start, uint64_t end)
{
    if (start >= end) {
        return true;
    }
    size_t i = find(r, end);
    return i < r->count && r->list[i].start <= start;
}
