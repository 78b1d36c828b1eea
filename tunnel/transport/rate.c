#include "transport/rate.h"

#include <base/clock.h>

#define BYTES_MAX (UINT64_C(1) << 34) /* of one sample: keeps the product within 64 bits */

void rate_init(struct rate *r)
{
    *r = (struct rate){0};
}

void rate_on_sent(struct rate *r, struct rate_stamp *stamp, uint64_t in_flight, size_t bytes,
                  uint64_t now)
{
    if (in_flight == 0) {
        r->first_sent_ns = r->delivered_ns = now; /* silence is no part of any interval */
    }
    *stamp = (struct rate_stamp){.delivered = r->delivered,
                                 .delivered_ns = r->delivered_ns,
                                 .first_sent_ns = r->first_sent_ns,
                                 .lost = r->lost,
                                 .in_flight = (uint32_t)(in_flight + bytes),
                                 .limited = r->limited_until > 0};
}

void rate_on_acked(struct rate *r, const struct rate_stamp *stamp, uint64_t sent_ns, size_t bytes,
                   uint64_t now)
{
    r->delivered += bytes;
    r->delivered_ns = now;
    r->newly_acked += bytes;
    bool newer = !r->any || stamp->delivered > r->newest.delivered ||
                 (stamp->delivered == r->newest.delivered && sent_ns >= r->newest_sent_ns);
    if (newer) {
        r->newest = *stamp;
        r->newest_sent_ns = sent_ns;
        r->first_sent_ns = sent_ns;
        r->any = true;
    }
}

void rate_on_lost(struct rate *r, size_t bytes)
{
    r->lost += bytes;
    r->newly_lost += bytes;
}

void rate_on_spurious(struct rate *r, size_t bytes)
{
    r->lost -= bytes < r->lost ? bytes : r->lost;
    r->delivered += bytes;
}

void rate_mark_limited(struct rate *r, uint64_t in_flight)
{
    uint64_t until = r->delivered + in_flight;
    r->limited_until = until > 0 ? until : 1;
}

/* Over less than the least round trip a rate says more about timers than about the path. */
static uint64_t rate_of(const struct rate *r, uint64_t delivered, uint64_t min_rtt_ns)
{
    uint64_t sent_ns = time_since(r->newest.first_sent_ns, r->newest_sent_ns);
    uint64_t acked_ns = time_since(r->newest.delivered_ns, r->delivered_ns);
    uint64_t ns = sent_ns > acked_ns ? sent_ns : acked_ns;
    if (ns < min_rtt_ns || ns == 0) {
        return 0;
    }
    return (delivered < BYTES_MAX ? delivered : BYTES_MAX) * NS_PER_S / ns;
}

bool rate_take(struct rate *r, struct rate_sample *out, uint64_t in_flight, uint64_t min_rtt_ns,
               uint64_t now)
{
    *out = (struct rate_sample){
        .newly_acked = r->newly_acked,
        .newly_lost = r->newly_lost,
        .in_flight = in_flight,
        .total = r->delivered,
    };
    if (r->limited_until > 0 && r->delivered > r->limited_until) {
        r->limited_until = 0;
    }
    bool any = r->any;
    if (any) {
        out->delivered = r->delivered - r->newest.delivered;
        out->prior_delivered = r->newest.delivered;
        out->lost = r->lost > r->newest.lost ? r->lost - r->newest.lost : 0;
        out->tx_in_flight = r->newest.in_flight;
        out->limited = r->newest.limited;
        out->rtt_ns = time_since(r->newest_sent_ns, now);
        out->bw = rate_of(r, out->delivered, min_rtt_ns);
    }
    r->newly_acked = r->newly_lost = 0;
    r->any = false;
    return any;
}
