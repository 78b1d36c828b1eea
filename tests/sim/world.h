/* Virtual time: a clock that jumps from event to event, and the one source of chance.
 *
 * A world is wholly determined by its seed. Each prints, when it is made, the command that makes
 * it again, so that the last line before a failure says how to replay it.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <base/clock.h>
#include <base/heap.h>
#include <base/rng.h>

#include <stdbool.h>

enum { WORLD_EVENTS_MAX = 1 << 16 };

/* Embedded by whoever wants to be called; not to be copied while set. */
struct world_event {
    struct heap_node node;
    void (*fire)(struct world_event *event);
};

struct world {
    uint64_t now;
    uint64_t seed;
    struct heap heap;
    struct pcg pcg;
    struct rng rng;
    uint64_t fired;
};

/* `name`: the program. */
void world_init(struct world *w, const char *name, uint64_t seed);
void world_deinit(struct world *w);

/* Sets or moves; TIME_NEVER takes it back. A time that has passed means at once. */
void world_at(struct world *w, struct world_event *event, uint64_t at);
/* Goes to the next event if that lies before `until` and fires it; else goes to `until`, false. */
bool world_step(struct world *w, uint64_t until);

/* True with a chance of ppm in a million. */
bool world_chance(struct world *w, uint32_t ppm);
/* A number from the environment, or `fallback`. */
uint64_t world_setting(const char *name, uint64_t fallback);

#endif
