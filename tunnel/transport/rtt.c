#include "transport/rtt.h"

void rtt_init(struct rtt *r)
{
    *r = (struct rtt){.smoothed = RTT_INITIAL_NS, .variance = RTT_INITIAL_NS / 2};
}

void rtt_sample(struct rtt *r, uint64_t latest_ns, uint64_t ack_delay_ns, uint64_t max_ack_delay_ns)
{
    r->latest = latest_ns;
    if (!r->sampled) {
        r->sampled = true;
        r->min = latest_ns;
        r->smoothed = latest_ns;
        r->variance = latest_ns / 2;
        return;
    }
    r->min = time_min(r->min, latest_ns);
    uint64_t delay = time_min(ack_delay_ns, max_ack_delay_ns);
    /* A delay that would bring the sample below the minimum is not believed. */
    uint64_t adjusted = latest_ns - r->min >= delay ? latest_ns - delay : latest_ns;
    uint64_t off = adjusted > r->smoothed ? adjusted - r->smoothed : r->smoothed - adjusted;
    r->variance = r->variance - r->variance / 4 + off / 4;
    r->smoothed = r->smoothed - r->smoothed / 8 + adjusted / 8;
}

uint64_t rtt_pto(const struct rtt *r, uint64_t max_ack_delay_ns)
{
    uint64_t spread = 4 * r->variance;
    spread = spread > RTT_GRANULARITY_NS ? spread : RTT_GRANULARITY_NS;
    return r->smoothed + spread + max_ack_delay_ns;
}

uint64_t rtt_loss_delay(const struct rtt *r, uint32_t eighths)
{
    uint64_t base = r->latest > r->smoothed ? r->latest : r->smoothed;
    uint64_t delay = base + base / 8 * eighths;
    return delay > RTT_GRANULARITY_NS ? delay : RTT_GRANULARITY_NS;
}
