/* Which packets of one of the peer's paths arrived, and when to tell it (RFC 9000 section 13.2).
 *
 * An acknowledgement is due after every second ack-eliciting packet; where more of them come in a
 * small part of the round trip, after as many as come in that, at most ACK_EVERY_MAX. Small
 * packets, which requests and answers are made of, count as TCP counts them, by their bytes (RFC
 * 5681 section 4.2): most get an answer that takes the acknowledgement along. It is due at once
 * when one came out of order, else max_ack_delay after the first, or sooner while many come. Due
 * does not mean sent: what arrives before the caller gets to send goes into the same one.
 *
 * A packet that needs no answer makes none due (13.2.1), also behind a gap. But who receives bulk
 * sends hardly anything else than such packets, and the one that is missing may be a request, which
 * its sender would miss after a probe timeout only. So behind a gap they are told along with data
 * that leaves anyway.
 */
#ifndef TRANSPORT_ACK_H
#define TRANSPORT_ACK_H

#include <base/clock.h>

#include <stdbool.h>

#include "transport/ranges.h"
#include "wire/frame.h"

enum {
    ACK_EVERY = 2,
    ACK_EVERY_MAX = 64,
    ACK_SMALL_MAX = 8,     /* so many small ones make one due, too */
    ACK_FULL_BYTES = 1000, /* what a packet has that is not small */
    ACK_GAP_NEAR = 4,      /* behind a gap the sender waits for the next numbers */
};
#define ACK_PERIOD_SHARE 8                /* of the round trip */
#define ACK_PERIOD_MAX_NS (2 * NS_PER_MS) /* timers tick by the millisecond */

struct ack {
    struct ranges got;
    uint64_t floor;      /* numbers below count as seen */
    uint64_t largest_ns; /* when the largest came */
    uint64_t due_ns;     /* TIME_NEVER = nothing to tell, 0 = now */
    uint32_t eliciting;  /* since the last acknowledgement */
    uint32_t every;      /* so many of them make one due */
    uint64_t bytes;      /* theirs */
    uint32_t counted;    /* since counted_ns */
    uint64_t counted_ns;
    uint32_t untold; /* the same, since the peer last confirmed one or was asked to */
    bool along;      /* tell if data leaves anyway: what came stands right behind a gap */
    uint8_t reply;   /* our path that answers; 0 = the used one */
};

void ack_init(struct ack *a);
void ack_deinit(struct ack *a);

bool ack_has_seen(const struct ack *a, uint64_t number);
/* How long an acknowledgement may wait where many packets come; `rtt_ns` 0 = not known. */
uint64_t ack_period(uint64_t rtt_ns);
/* 0 or ERR_NO_MEMORY: the packet then counts as not received. `eliciting`: its payload's bytes, 0
 * if it needs no acknowledgement. `delay_ns`: max_ack_delay. */
int ack_on_received(struct ack *a, uint64_t number, size_t eliciting, uint64_t delay_ns,
                    uint64_t period_ns, uint64_t now);
/* Fills in the frame; false if nothing ever came. */
bool ack_make(const struct ack *a, struct frame_ack *out, uint64_t now);
void ack_on_sent(struct ack *a);
/* True if so many ranges pile up that the peer should confirm an acknowledgement, so that they can
 * be forgotten. Needs many packets each time, or two idle ends would keep asking each other. */
bool ack_wants_confirmation(const struct ack *a);
void ack_on_asked(struct ack *a);
/* The peer has seen our acknowledgement up to `largest`: what lies well below is told for good. */
void ack_on_confirmed(struct ack *a, uint64_t largest);

#endif
