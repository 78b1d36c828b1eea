/* Loss detection and probe timeout of one path: RFC 9002 section 6, and 7.6 for persistent
 * congestion. Knows numbers and times only; what was lost is the caller's to send again.
 */
#ifndef TRANSPORT_LOSS_H
#define TRANSPORT_LOSS_H

#include "transport/rtt.h"
#include "transport/sentmap.h"

enum {
    LOSS_PACKET_THRESHOLD = 3,      /* kPacketThreshold, 6.1.1 */
    LOSS_PACKET_THRESHOLD_MAX = 64, /* as far as reordering that was seen may raise it */
    LOSS_PATIENCE = 1,
    LOSS_PATIENCE_MAX = 4,
    LOSS_PERSISTENT_PTOS = 3, /* kPersistentCongestionThreshold, 7.6.1 */
};
#define LOSS_PTO_MAX_NS (10 * NS_PER_S) /* back-off ends here: a peer may come back any time */

struct loss {
    uint64_t scan;        /* no packet below is in flight */
    uint64_t acked_end;   /* one past the largest acknowledged number */
    uint64_t loss_ns;     /* when the oldest outstanding packet is late; TIME_NEVER */
    uint64_t pto_from_ns; /* last ack-eliciting packet sent, or last timeout */
    uint32_t pto_count;
    uint32_t eliciting; /* ack-eliciting packets in flight */
    uint64_t packet_threshold;
    uint32_t patience;   /* time threshold: 1 + patience / 8 round trips (kTimeThreshold, 6.1.2) */
    uint64_t sampled_ns; /* when the first RTT sample came; TIME_NEVER */
    /* an unbroken run of losses */
    uint64_t run_from_ns; /* when its first packet was sent */
    uint64_t run_end;     /* one past its last number; 0 = no run */
};

void loss_init(struct loss *l, uint64_t next);

void loss_on_sent(struct loss *l, bool eliciting, uint64_t now);
/* A packet left flight, in whatever way. */
void loss_on_settled(struct loss *l, bool eliciting);
void loss_on_acked(struct loss *l, uint64_t number);
/* A packet that was declared lost was only late: be more patient. */
void loss_on_spurious(struct loss *l, uint64_t number);

/* The next packet that is lost by now, lowest first; the caller changes its state before it asks
 * again. False when there is none; loss_ns is then set anew. */
bool loss_next(struct loss *l, const struct sentmap *m, const struct rtt *rtt, uint64_t now,
               uint64_t *number);
/* After an ack-eliciting packet was declared lost: true if that makes the congestion persistent. */
bool loss_is_persistent(struct loss *l, const struct sentmap *m, uint64_t number, uint64_t pto_ns);

/* Probe timeout deadline, or TIME_NEVER; `pto_ns` before back-off. */
uint64_t loss_pto_ns(const struct loss *l, uint64_t pto_ns);
void loss_on_pto(struct loss *l, uint64_t now);

#endif
