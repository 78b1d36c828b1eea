/* Congestion control of one path: one interface, several algorithms.
 *
 * Windows and acknowledgements are counted in bytes; times are ns. The caller keeps bytes in
 * flight and tells what happened; the controller answers with a window and, through the pacer, a
 * rate. No controller is told of packets that carry acknowledgements only.
 */
#ifndef TRANSPORT_CC_H
#define TRANSPORT_CC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/bbr.h"
#include "transport/hystart.h"
#include "transport/rate.h"
#include "transport/rtt.h"

struct cc;

/* One acknowledged packet. */
struct cc_ack {
    uint64_t number;
    uint64_t sent_ns;
    size_t bytes;
    uint64_t in_flight; /* before this acknowledgement */
    bool app_limited;   /* the window was not used up when it was sent: no growth (RFC 9002 7.8) */
};

/* One that leaves. */
struct cc_sent {
    uint64_t number;
    size_t bytes;
    uint64_t in_flight; /* with it */
    uint64_t delivered; /* bytes acknowledged in all, so far */
    bool limited;       /* the window was not used up before */
};

/* One that was lost, or came after it had been called lost. */
struct cc_loss {
    uint64_t number;
    uint64_t sent_ns;
    size_t bytes;
    uint64_t tx_in_flight; /* when it left, itself included */
    uint64_t lost;         /* bytes called lost since it left, itself included */
    uint64_t delivered;    /* in all, so far */
    bool limited;
};

struct cc_ops {
    const char *name;
    void (*init)(struct cc *cc, size_t mtu);
    void (*on_sent)(struct cc *cc, const struct cc_sent *sent, uint64_t now);
    void (*on_ack)(struct cc *cc, const struct cc_ack *ack, const struct rtt *rtt, uint64_t now);
    /* Once for each acknowledgement, after its packets and the losses that it showed. May be NULL.
     */
    void (*on_acks)(struct cc *cc, const struct rate_sample *rs, const struct rtt *rtt,
                    uint64_t now);
    /* Once for each lost packet; one reduction per round trip is the controller's job. */
    void (*on_loss)(struct cc *cc, const struct cc_loss *loss, uint64_t now);
    /* RFC 9002 7.6.2; told after the losses themselves. */
    void (*on_persistent)(struct cc *cc, uint64_t now);
    /* A packet declared lost was acknowledged after all; may undo the reduction. */
    void (*on_spurious)(struct cc *cc, const struct cc_loss *loss, uint64_t now);
    void (*on_mtu)(struct cc *cc, size_t mtu);
};

extern const struct cc_ops cc_cubic;
extern const struct cc_ops cc_bbr;

/* No window grows past this: 10 Gbit/s over 800 ms. Keeps the arithmetic within 64 bits. */
#define CC_WINDOW_MAX (UINT64_C(1) << 30)

/* CUBIC's curve (RFC 9438 section 4.2), windows in bytes. */
struct cubic_curve {
    uint64_t w_max;
    uint64_t w_est;      /* what Reno would have (4.3) */
    uint64_t cwnd_prior; /* window before the last reduction */
    uint64_t epoch_ns;   /* when avoidance began */
    uint64_t k_ns;       /* from there to w_max */
    bool running;        /* false: the next acknowledgement in avoidance begins the epoch */
};

/* State before a reduction, to be restored if every loss of the episode proves spurious. */
struct cubic_undo {
    bool valid;
    uint64_t from; /* the episode's packets are those in [from, cc.recovery_end) */
    uint64_t lost; /* of the episode, not yet proven spurious */
    uint64_t cwnd, ssthresh;
    struct cubic_curve curve;
    struct hystart hystart;
};

struct cc {
    const struct cc_ops *ops;
    size_t mtu;
    uint64_t cwnd;
    uint64_t ssthresh;     /* UINT64_MAX in initial slow start */
    uint64_t last_sent;    /* newest packet number out */
    uint64_t recovery_end; /* losses below this number belong to the last reduction */
    bool in_recovery;
    uint64_t pacing_rate; /* bytes per second; 0 = what the window gives in a round trip */
    struct {
        struct cubic_curve curve;
        struct cubic_undo undo;
        uint64_t busy_ns;   /* until when the window is known to have been in use */
        uint64_t cwnd_rest; /* remainders of the divisions that grow cwnd and w_est */
        uint64_t w_est_rest;
    } cubic;
    struct hystart hystart;
    struct bbr bbr;
};

static inline void cc_init(struct cc *cc, const struct cc_ops *ops, size_t mtu)
{
    *cc = (struct cc){.ops = ops};
    ops->init(cc, mtu);
}

/* RFC 9002 7.2: min(10 * mtu, max(2 * mtu, 14720)); and 2 * mtu. */
uint64_t cc_initial_window(size_t mtu);
uint64_t cc_minimum_window(size_t mtu);
static inline bool cc_in_slow_start(const struct cc *cc)
{
    return cc->cwnd < cc->ssthresh;
}

#endif
