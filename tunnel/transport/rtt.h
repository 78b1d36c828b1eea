/* Round-trip time of one path: RFC 9002 section 5. */
#ifndef TRANSPORT_RTT_H
#define TRANSPORT_RTT_H

#include <base/clock.h>

#include <stdbool.h>

#define RTT_INITIAL_NS (333 * NS_PER_MS)   /* kInitialRtt, 6.2.2 */
#define RTT_GRANULARITY_NS (1 * NS_PER_MS) /* kGranularity, 6.1.2 */

struct rtt {
    uint64_t latest;
    uint64_t smoothed;
    uint64_t variance;
    uint64_t min;
    bool sampled;
};

void rtt_init(struct rtt *r);
/* ack_delay is already limited to the peer's max_ack_delay by this function. */
void rtt_sample(struct rtt *r, uint64_t latest_ns, uint64_t ack_delay_ns,
                uint64_t max_ack_delay_ns);
/* smoothed + max(4 * variance, granularity) + max_ack_delay, before back-off (6.2.1). */
uint64_t rtt_pto(const struct rtt *r, uint64_t max_ack_delay_ns);
/* Time threshold of loss detection: max((1 + eighths / 8) * max(latest, smoothed), granularity)
 * (6.1.2, where it is 9/8). */
uint64_t rtt_loss_delay(const struct rtt *r, uint32_t eighths);

#endif
