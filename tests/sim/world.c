#include "sim/world.h"

#include <base/check.h>

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* Not 0, so that a time that was never set is not taken for one. */
#define START_NS (1000 * NS_PER_S)

uint64_t world_setting(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : fallback;
}

void world_init(struct world *w, const char *name, uint64_t seed)
{
    *w = (struct world){.now = START_NS, .seed = seed};
    w->rng = pcg_rng(&w->pcg, w->seed);
    CHECK(heap_init(&w->heap, WORLD_EVENTS_MAX) == 0);
    print_message("             ADIT_SEED=%" PRIu64 " build-dev/tests/%s\n", w->seed, name);
}

void world_deinit(struct world *w)
{
    heap_deinit(&w->heap);
}

void world_at(struct world *w, struct world_event *event, uint64_t at)
{
    CHECK(heap_set(&w->heap, &event->node, at > w->now ? at : w->now) == 0);
}

bool world_step(struct world *w, uint64_t until)
{
    struct heap_node *first = heap_first(&w->heap);
    if (!first || first->at > until) {
        w->now = until;
        return false;
    }
    CHECK(first->at >= w->now);
    w->now = first->at;
    w->fired++;
    heap_remove(&w->heap, first);
    struct world_event *event = container_of(first, struct world_event, node);
    event->fire(event);
    return true;
}

bool world_chance(struct world *w, uint32_t ppm)
{
    return ppm > 0 && rng_below(w->rng, 1000000) < ppm;
}
