/* Looks once a second, while batches go out, whether they get lost (os/udp_watch.h). */
#include "loop/tunnel_internal.h"

#include <inttypes.h>

#include "os/sysclock.h"

static uint64_t lost_so_far(const struct adit *a, uint64_t now)
{
    uint64_t lost = 0;
    for (size_t i = 0; i < a->peer_count; i++) {
        struct adit_peer_stats peer;
        node_peer_stats(a->node, i, &peer, now);
        lost += peer.packets_lost;
    }
    return lost;
}

static void tell(const struct adit *a, bool on)
{
    if (a->watch.over) {
        LOG_AT(a->log, LOG_WARN, "udp", "batches_lost",
               "percent=%" PRIu64 " hint=\"the system spoils UDP_SEGMENT: not used any more\"",
               a->watch.percent);
    } else if (on) {
        LOG_AT(a->log, LOG_INFO, "udp", "batches_on", "trials_helped=%u", a->watch.helped);
    } else {
        LOG_AT(a->log, LOG_INFO, "udp", "batches_off", "lost_percent=%" PRIu64, a->watch.percent);
    }
}

static void on_watch(uv_timer_t *timer)
{
    struct adit *a = timer->data;
    uint64_t now = sys_now_ns();
    if (a->stopping || !a->sockets[0].udp) {
        return;
    }
    const struct udp_stats *st = &udp_uv_socket(a->sockets[0].udp)->stats;
    const struct udp_watch_totals totals = {st->datagrams_out, st->datagrams_batched,
                                            lost_so_far(a, now)};
    bool was = !a->watch.without;
    bool on = udp_watch_look(&a->watch, &totals, now);
    if (a->watch.over || was != on) {
        tell(a, on);
        udp_uv_batch_sends(a->sockets[0].udp, on);
    }
    a->offload = a->offload && !a->watch.over; /* also of sockets to come */
}

void tunnel_watch_batches(struct adit *a)
{
    if (a->offload && !a->stopping && !uv_is_active((const uv_handle_t *)&a->watching)) {
        (void)uv_timer_start(&a->watching, on_watch, UDP_WATCH_EVERY_MS, 0);
    }
}
