#include <base/check.h>
#include <base/clock.h>
#include <base/err.h>
#include <base/heap.h>
#include <base/mem.h>

#include <stdbool.h>

static bool before(const struct heap_node *a, const struct heap_node *b)
{
    return a->at < b->at || (a->at == b->at && a->order < b->order);
}

static void place(struct heap *h, size_t i, struct heap_node *n)
{
    h->nodes[i] = n;
    n->slot = i + 1;
}

static void sift_up(struct heap *h, size_t i, struct heap_node *n)
{
    while (i > 0 && before(n, h->nodes[(i - 1) / 2])) {
        place(h, i, h->nodes[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(h, i, n);
}

static void sift_down(struct heap *h, size_t i, struct heap_node *n)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->count) {
            break;
        }
        if (child + 1 < h->count && before(h->nodes[child + 1], h->nodes[child])) {
            child++;
        }
        if (!before(h->nodes[child], n)) {
            break;
        }
        place(h, i, h->nodes[child]);
        i = child;
    }
    place(h, i, n);
}

int heap_init(struct heap *h, size_t cap)
{
    *h = (struct heap){.nodes = mem_new(cap, sizeof(struct heap_node *)), .cap = cap};
    return h->nodes ? 0 : ERR_NO_MEMORY;
}

int heap_grow(struct heap *h, size_t cap)
{
    CHECK(cap >= h->cap);
    struct heap_node **nodes = mem_new(cap, sizeof(struct heap_node *));
    if (!nodes) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < h->count; i++) {
        nodes[i] = h->nodes[i];
    }
    mem_free(h->nodes);
    h->nodes = nodes;
    h->cap = cap;
    return 0;
}

void heap_deinit(struct heap *h)
{
    mem_free(h->nodes);
    *h = (struct heap){0};
}

int heap_set(struct heap *h, struct heap_node *n, uint64_t at)
{
    if (at == TIME_NEVER) {
        heap_remove(h, n);
        return 0;
    }
    if (n->slot == 0) {
        if (h->count == h->cap) {
            return ERR_NO_ROOM;
        }
        n->slot = ++h->count;
    } else if (n->at == at) {
        return 0;
    }
    size_t i = n->slot - 1;
    n->at = at;
    n->order = h->next_order++;
    if (i > 0 && before(n, h->nodes[(i - 1) / 2])) {
        sift_up(h, i, n);
    } else {
        sift_down(h, i, n);
    }
    return 0;
}

void heap_remove(struct heap *h, struct heap_node *n)
{
    if (n->slot == 0) {
        return;
    }
    size_t i = n->slot - 1;
    CHECK(i < h->count && h->nodes[i] == n);
    struct heap_node *last = h->nodes[--h->count];
    n->slot = 0;
    if (last == n) {
        return;
    }
    if (i > 0 && before(last, h->nodes[(i - 1) / 2])) {
        sift_up(h, i, last);
    } else {
        sift_down(h, i, last);
    }
}

struct heap_node *heap_first(const struct heap *h)
{
    return h->count > 0 ? h->nodes[0] : NULL;
}

uint64_t heap_next(const struct heap *h)
{
    return h->count > 0 ? h->nodes[0]->at : TIME_NEVER;
}
