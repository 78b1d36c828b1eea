/* The loop's waits: asleep, or looking again for a moment (loop/spin.h). */
#include "loop/tunnel_internal.h"

#include <base/clock.h>

#include "os/sysclock.h"
#include "os/yield.h"

/* While this is active libuv polls without waiting. */
static void on_idle(uv_idle_t *idle)
{
    struct adit *a = idle->data;
    uint64_t from = sys_now_ns();
    sys_yield();
    uint64_t now = sys_now_ns();
    spin_yielded(&a->spin, from, now);
    if (!spin_pays(&a->spin, now)) {
        (void)uv_idle_stop(idle);
    }
}

void tunnel_open_spin(struct adit *a, uint64_t limit_ns)
{
    (void)uv_idle_init(a->loop, &a->idle);
    a->idle.data = a;
    spin_init(&a->spin, limit_ns);
}

void tunnel_wait(struct adit *a)
{
    if (a->spin.limit_ns == 0 || a->spin.since_ns != TIME_NEVER) {
        return;
    }
    uint64_t now = sys_now_ns();
    spin_wait(&a->spin, &a->round, now);
    a->round = (struct spin_round){0};
    if (spin_pays(&a->spin, now)) {
        a->waits_polled++;
        (void)uv_idle_start(&a->idle, on_idle);
    }
}

void adit_stir(struct adit *a)
{
    if (a->spin.limit_ns != 0 && a->spin.since_ns != TIME_NEVER) {
        spin_wake(&a->spin, sys_now_ns());
    }
}
