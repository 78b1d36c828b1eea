/* A set of numbers as disjoint half-open ranges [start, end), sorted, never touching.
 *
 * Used for packet numbers to acknowledge and for bytes received, acknowledged or lost. Room for
 * `cap` ranges, given at init and grown to on demand; what a set does when that is not enough is
 * the caller's choice (see ranges_add and ranges_drop_lowest).
 */
#ifndef TRANSPORT_RANGES_H
#define TRANSPORT_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct range {
    uint64_t start;
    uint64_t end;
};

struct ranges {
    struct range *list; /* ascending */
    size_t count;
    size_t room;
    size_t cap;
};

void ranges_init(struct ranges *r, size_t cap);
void ranges_deinit(struct ranges *r);
void ranges_clear(struct ranges *r);

/* Adds [start, end), joining neighbours. ERR_NO_ROOM if one more range would pass the ceiling,
 * ERR_NO_MEMORY; the set is unchanged then. Appending at the end is O(1), else O(count). */
int ranges_add(struct ranges *r, uint64_t start, uint64_t end);
/* Takes [start, end) out; the same errors, as it may split a range. */
int ranges_remove(struct ranges *r, uint64_t start, uint64_t end);
/* Takes out everything below `limit`. Cannot fail. */
void ranges_remove_below(struct ranges *r, uint64_t limit);
/* Makes room by forgetting the lowest range. */
void ranges_drop_lowest(struct ranges *r);

bool ranges_contains(const struct ranges *r, uint64_t number);
/* True if all of [start, end) is in the set. */
bool ranges_covers(const struct ranges *r, uint64_t start, uint64_t end);

#endif
