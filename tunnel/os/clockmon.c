#include "os/clockmon.h"

#include <base/clock.h>

void clockmon_init(struct clockmon *c, uint64_t now, uint64_t awake, uint64_t wall)
{
    c->slept_ns = now - awake;
    c->wall_ns = wall - now;
}

bool clockmon_jumped(struct clockmon *c, uint64_t now, uint64_t awake, uint64_t wall)
{
    uint64_t slept = now - awake - c->slept_ns;
    uint64_t step = wall - now - c->wall_ns;
    /* The clocks are read one after the other: a difference may be slightly negative. */
    bool sleep = slept >= CLOCKMON_SLEEP_MS * NS_PER_MS && slept < UINT64_MAX / 2;
    bool jump = step >= CLOCKMON_STEP_MS * NS_PER_MS && step < UINT64_MAX / 2;
    if (sleep || jump || step >= UINT64_MAX / 2) {
        clockmon_init(c, now, awake, wall);
    }
    return sleep || jump;
}
