/* While small streams talk beside bulk, this process lets others run.
 *
 * One that never sleeps keeps whoever waits for its processor waiting until the system's next tick,
 * milliseconds later: the program that is asked, the one that asked, or the other end of the tunnel
 * where it is on the same machine. So it gives way each 100 us, and at once when words of a small
 * stream have left. It also asks for short turns, or each time that it gives way to somebody who
 * computes for ever would cost a turn of milliseconds: a third of the bulk would be left, and those
 * who talk would be worse off than without. Where turns cannot be short, one that took so long is
 * followed by a long rest.
 */
#include "loop/tunnel_internal.h"

#include <base/clock.h>

#include "os/sysclock.h"
#include "os/turns.h"
#include "os/yield.h"

enum { HASTY_READ_BYTES = 163840, RESTS = 10 };

#define YIELD_NS (100 * NS_PER_US)
#define LONG_NS (2 * NS_PER_MS)
/* Batches of several peers, some of whom talk, take turns. */
#define KEEP_NS (20 * NS_PER_MS)

static void set_on(struct adit *a, bool on)
{
    struct tunnel_haste *h = &a->haste;
    if (h->on != on) {
        h->on = on;
        h->short_turns = turns_shorten(on);
        udp_batch_limit(&a->batch, on ? HASTY_READ_BYTES : 0);
    }
}

static void give_way(struct tunnel_haste *h)
{
    uint64_t from = sys_now_ns();
    sys_yield();
    uint64_t now = sys_now_ns();
    uint64_t took = time_since(from, now);
    h->yield_ns = now + YIELD_NS;
    h->rest_ns = took >= LONG_NS && !h->short_turns ? now + RESTS * took : now;
}

void tunnel_note_haste(struct adit *a, bool hasty, bool said, uint64_t now)
{
    struct tunnel_haste *h = &a->haste;
    h->said = h->said || said;
    if (hasty) {
        h->until_ns = now + KEEP_NS;
        set_on(a, true);
    }
}

void tunnel_make_haste(struct adit *a, uint64_t now)
{
    struct tunnel_haste *h = &a->haste;
    set_on(a, now < h->until_ns);
    if (h->on && now >= h->rest_ns && (h->said || now >= h->yield_ns)) {
        give_way(h);
    }
    h->said = false;
}

void tunnel_end_haste(struct adit *a)
{
    set_on(a, false);
}
