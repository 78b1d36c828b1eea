/* A node whose packets are opened elsewhere: what comes in is handed back later, in order. */
#include "sim/fleet.h"

#include <base/check.h>
#include <base/mem.h>

#include <stdlib.h>

#define AWAY_MAX_NS NS_PER_MS

struct fleet_opening {
    struct fleet_node *node;
    struct world_event event;
    struct node_opening opening;
};

static void free_copies(const struct node_opening *o, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(o->arrivals[i].data);
    }
}

static void hand_back(struct fleet_opening *f)
{
    struct fleet_node *n = f->node;
    size_t count = f->opening.count;
    heap_remove(&n->fleet->world.heap, &f->event.node);
    node_opening_open(&f->opening);
    if (n->asleep) {
        node_opening_drop(&f->opening);
    } else {
        node_opening_input(n->node, &f->opening, n->fleet->world.now);
    }
    free_copies(&f->opening, count);
    fleet_drive(n->fleet, n->index);
}

static void on_event(struct world_event *event)
{
    hand_back(container_of(event, struct fleet_opening, event));
}

struct fleet_opening *fleet_opening_new(struct fleet_node *n)
{
    struct fleet_opening *f = mem_new(1, sizeof(*f));
    CHECK(f);
    f->node = n;
    f->event.fire = on_event;
    return f;
}

void fleet_opening_free(struct fleet_opening *f)
{
    if (f) {
        heap_remove(&f->node->fleet->world.heap, &f->event.node);
        free_copies(&f->opening, f->opening.count);
        node_opening_drop(&f->opening);
        mem_free(f);
    }
}

void fleet_opening_take(struct fleet_opening *f, unsigned socket, const struct addr *from,
                        uint8_t *copy, size_t len)
{
    struct node_opening *o = &f->opening;
    struct world *w = &f->node->fleet->world;
    if (o->count > 0 && (o->count == NODE_OPENING_MAX || o->socket != socket)) {
        hand_back(f);
    }
    if (o->count == 0) {
        world_at(w, &f->event, w->now + 1 + rng_below(w->rng, AWAY_MAX_NS));
    }
    o->socket = socket;
    node_opening_add(f->node->node, o, from, copy, len, w->now);
}
