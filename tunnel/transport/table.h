/* Streams by id: open addressing, at most half full, so that a look-up is O(1). */
#ifndef TRANSPORT_TABLE_H
#define TRANSPORT_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct stream;

struct table {
    struct stream **slots;
    size_t size; /* power of two, or 0 */
    size_t count;
};

void table_deinit(struct table *t); /* not the streams */
struct stream *table_find(const struct table *t, uint64_t id);
/* 0 or ERR_NO_MEMORY. The id must not be in the table. */
int table_add(struct table *t, struct stream *s);
void table_remove(struct table *t, uint64_t id);
/* Any of the streams from slot *at on, which moves past it; NULL at the end. */
struct stream *table_next(const struct table *t, size_t *at);

#endif
