/* Delivery rate of one path: how fast acknowledgements say that bytes arrive (draft-ietf-ccwg-bbr
 * section 4.1, once draft-cheng-iccrg-delivery-rate-estimation).
 *
 * Each packet carries a stamp of what had been delivered when it left. An acknowledgement makes one
 * sample, from the newest packet that it names: bytes delivered since that packet left, over the
 * longer of the time in which they were sent and the time in which they were acknowledged. So
 * neither a burst of packets nor one of acknowledgements makes the path look faster than it is.
 * A sample is `limited` if the sender had nothing to send meanwhile: then it says only that the
 * path is at least so fast.
 */
#ifndef TRANSPORT_RATE_H
#define TRANSPORT_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a packet remembers of the moment it left. */
struct rate_stamp {
    uint64_t delivered;
    uint64_t delivered_ns;
    uint64_t first_sent_ns;
    uint64_t lost;
    uint32_t in_flight; /* bytes, this packet included */
    bool limited;
};

struct rate_sample {
    uint64_t bw; /* bytes per second; 0 = this acknowledgement gave no sample */
    uint64_t rtt_ns;
    uint64_t delivered;       /* bytes, between the sending of the packet and now */
    uint64_t prior_delivered; /* in all, when the packet left */
    uint64_t lost;            /* bytes called lost since the packet left */
    uint64_t newly_acked, newly_lost;
    uint64_t tx_in_flight; /* when the packet left */
    uint64_t in_flight;    /* now */
    uint64_t total;        /* delivered in all */
    bool limited;
};

struct rate {
    uint64_t delivered;     /* bytes acknowledged in all */
    uint64_t delivered_ns;  /* when it last grew */
    uint64_t first_sent_ns; /* when the packet left that was acknowledged last */
    uint64_t lost;          /* bytes called lost in all, and not taken back */
    uint64_t limited_until; /* 0, or what has to be delivered until samples are whole again */
    /* the sample that is being made */
    struct rate_stamp newest;
    uint64_t newest_sent_ns;
    uint64_t newly_acked, newly_lost;
    bool any;
};

void rate_init(struct rate *r);
/* A packet leaves; `in_flight` without it. */
void rate_on_sent(struct rate *r, struct rate_stamp *stamp, uint64_t in_flight, size_t bytes,
                  uint64_t now);
void rate_on_acked(struct rate *r, const struct rate_stamp *stamp, uint64_t sent_ns, size_t bytes,
                   uint64_t now);
void rate_on_lost(struct rate *r, size_t bytes);
/* One that was called lost came after all. */
void rate_on_spurious(struct rate *r, size_t bytes);
/* There was nothing to send while the window had room. */
void rate_mark_limited(struct rate *r, uint64_t in_flight);
/* The sample of one acknowledgement, after all of its packets; false if it brought nothing new. */
bool rate_take(struct rate *r, struct rate_sample *out, uint64_t in_flight, uint64_t min_rtt_ns,
               uint64_t now);

#endif
