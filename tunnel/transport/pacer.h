/* Spreads a congestion window over the round trip: RFC 9002 section 7.7.
 *
 * A token bucket in bytes. Rate = gain * cwnd / srtt, gain 1.25 in avoidance and 2 in slow start.
 * The bucket holds what the rate gives in PACER_LATE_NS (timers tick by the millisecond, and a busy
 * machine lets one wait; less could not keep the rate), at least 10 packets. After silence it holds
 * no more than PACER_QUANTUM_NS give.
 *
 * Guarantee: if packets leave only when pacer_next() allows, then over any interval T no more than
 * burst + rate * T bytes leave (the largest burst and rate that held in it). Probes may leave at
 * any time; what they take beyond the bucket is not owed.
 */
#ifndef TRANSPORT_PACER_H
#define TRANSPORT_PACER_H

#include <base/clock.h>

#include <stdbool.h>
#include <stddef.h>

#define PACER_QUANTUM_NS (2 * NS_PER_MS)
#define PACER_LATE_NS (5 * NS_PER_MS)

struct pacer {
    uint64_t tokens; /* bytes that may leave now */
    uint64_t burst;  /* size of the bucket */
    uint64_t rate;   /* bytes per second; 0 = no limit yet (no RTT sample) */
    uint64_t last_ns;
    size_t mtu; /* the caller sets it anew when the path's changes */
};

void pacer_init(struct pacer *p, size_t mtu, uint64_t now);
/* Sets rate and burst anew after the window or the RTT changed. */
void pacer_update(struct pacer *p, uint64_t cwnd, uint64_t srtt_ns, bool slow_start, uint64_t now);
/* The same for a rate, in bytes per second. */
void pacer_set_rate(struct pacer *p, uint64_t rate, uint64_t now);
/* When the next packet of a full MTU may leave; <= now means at once. */
uint64_t pacer_next(const struct pacer *p, uint64_t now);
void pacer_sent(struct pacer *p, size_t bytes, uint64_t now);
/* Nothing is in flight: what follows is a burst, not the rest of one that was late. */
void pacer_rest(struct pacer *p, uint64_t now);

#endif
