#include "os/udp_watch.h"

static void turn(struct udp_watch *w, bool without)
{
    w->without = without;
    w->fresh = true;
}

/* The loss has other reasons. */
static void acquit(struct udp_watch *w, uint64_t now)
{
    w->helped = 0;
    w->wait_ns = w->wait_ns == 0 ? UDP_WATCH_WAIT_NS : 2 * w->wait_ns;
    w->wait_ns = w->wait_ns < UDP_WATCH_WAIT_MAX_NS ? w->wait_ns : UDP_WATCH_WAIT_MAX_NS;
    w->not_before_ns = now + w->wait_ns;
}

static void judge_with(struct udp_watch *w, uint64_t batched, uint64_t percent, uint64_t now)
{
    if (2 * batched < UDP_WATCH_LEAST) {
        return; /* what was lost was not in batches */
    }
    if (percent < UDP_WATCH_PERCENT) {
        w->helped = 0;
    } else if (w->helped > 0 || now >= w->not_before_ns) {
        w->percent = percent;
        turn(w, true);
    }
}

static void judge_without(struct udp_watch *w, uint64_t percent, uint64_t now)
{
    if (percent * UDP_WATCH_BETTER >= w->percent) {
        acquit(w, now);
        turn(w, false);
    } else if (++w->helped == UDP_WATCH_TRIALS) {
        w->over = true;
    } else {
        turn(w, false);
    }
}

bool udp_watch_look(struct udp_watch *w, const struct udp_watch_totals *totals, uint64_t now)
{
    uint64_t sent = totals->sent - w->from.sent;
    if (w->over || (!w->fresh && sent < UDP_WATCH_LEAST)) {
        return !w->over && !w->without; /* goes on counting */
    }
    uint64_t lost = totals->lost - w->from.lost;
    uint64_t batched = totals->batched - w->from.batched;
    bool fresh = w->fresh;
    w->fresh = false;
    w->from = *totals;
    if (!fresh && w->without) {
        judge_without(w, 100 * lost / sent, now);
    } else if (!fresh) {
        judge_with(w, batched, 100 * lost / sent, now);
    }
    return !w->over && !w->without;
}
