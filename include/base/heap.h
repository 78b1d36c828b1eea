/* Min-heap of deadlines, intrusive: the owner embeds a heap_node and finds itself again with
 * container_of. Equal deadlines leave in the order in which they were set.
 *
 * All calls are O(log n), but for heap_grow; the heap itself has room for `cap` nodes.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

struct heap_node {
    uint64_t at;    /* deadline, ns */
    uint64_t order; /* when it was set */
    size_t slot;    /* index + 1, 0 = not in the heap */
};

struct heap {
    struct heap_node **nodes;
    size_t count;
    size_t cap;
    uint64_t next_order;
};

/* 0 or ERR_NO_MEMORY. */
int heap_init(struct heap *h, size_t cap);
/* Room for `cap` nodes, not less than before. 0, or ERR_NO_MEMORY: then all is as it was. */
int heap_grow(struct heap *h, size_t cap);
void heap_deinit(struct heap *h);

/* Inserts or moves; TIME_NEVER removes. ERR_NO_ROOM when full. */
int heap_set(struct heap *h, struct heap_node *n, uint64_t at);
void heap_remove(struct heap *h, struct heap_node *n);
/* The earliest node or NULL; its deadline or TIME_NEVER. */
struct heap_node *heap_first(const struct heap *h);
uint64_t heap_next(const struct heap *h);

#endif
