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

struct cc_ops {
    const char *name;
    void (*init)(struct cc *cc, size_t mtu);
    void (*on_sent)(struct cc *cc, uint64_t number, size_t bytes, uint64_t now);
    void (*on_ack)(struct cc *cc, const struct cc_ack *ack, const struct rtt *rtt, uint64_t now);
    /* Packet(s) sent at sent_ns were lost; one reduction per round trip is the controller's job. */
    void (*on_loss)(struct cc *cc, uint64_t number, uint64_t sent_ns, uint64_t now);
    /* RFC 9002 7.6.2 */
    void (*on_persistent)(struct cc *cc, uint64_t now);
    /* A packet declared lost was acknowledged after all; may undo the reduction. */
    void (*on_spurious)(struct cc *cc, uint64_t number, uint64_t sent_ns, uint64_t now);
    void (*on_mtu)(struct cc *cc, size_t mtu);
};

extern const struct cc_ops cc_cubic;

struct cc {
    const struct cc_ops *ops;
    size_t mtu;
    uint64_t cwnd;
    uint64_t ssthresh; /* UINT64_MAX in initial slow start */
    uint64_t recovery_start_ns;
    bool in_recovery;
    /* CUBIC (RFC 9438), windows in bytes */
    struct {
        uint64_t w_max, w_est, cwnd_prior, cwnd_epoch;
        uint64_t epoch_ns; /* 0 = no epoch yet */
        uint64_t k_ns;
        uint64_t idle_from_ns; /* growth frozen since; 0 = not frozen */
        struct {
            bool valid;
            uint64_t cwnd, ssthresh, w_max, k_ns, epoch_ns, w_est, cwnd_epoch, cwnd_prior;
            uint64_t at_ns; /* when the reduction happened */
            uint64_t lost;  /* packets of the episode not yet proven spurious */
        } undo;
    } cubic;
    /* HyStart++ (RFC 9406) */
    struct {
        uint64_t round_end; /* packet number that ends the round */
        uint64_t last_sent;
        uint64_t last_min_rtt, current_min_rtt, css_baseline;
        uint32_t samples;
        uint32_t css_rounds;
        bool in_css;
        bool done;
    } hystart;
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
