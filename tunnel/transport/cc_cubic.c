/* CUBIC, RFC 9438. Windows in bytes, times in ns, no floating point.
 *
 * beta = 0.7, C = 0.4 segments/s^3, alpha = 3 (1 - beta) / (1 + beta) = 9/17.
 * Products stay within 64 bits because windows end at CC_WINDOW_MAX (2^30), an MTU is below 2^14
 * and the curve's clock at CLOCK_MAX_NS.
 */
#include <base/check.h>

#include "transport/cc.h"

enum {
    ALPHA_NUMERATOR = 9,
    ALPHA_DENOMINATOR = 17,
    ROOT_BITS = 60,
};

/* Past this the curve is far above 1.5 windows, whatever K is (130 s at most). */
#define CLOCK_MAX_NS (1024 * NS_PER_S)

static uint64_t at_least(uint64_t v, uint64_t least)
{
    return v > least ? v : least;
}

static uint64_t at_most(uint64_t v, uint64_t most)
{
    return v < most ? v : most;
}

/* Largest r with r^3 <= v, bit by bit. v < 2^63. */
static uint64_t cube_root(uint64_t v)
{
    uint64_t root = 0;
    for (uint64_t bit = UINT64_C(1) << 20; bit > 0; bit >>= 1) {
        uint64_t r = root | bit;
        if (r * r * r <= v) {
            root = r;
        }
    }
    return root;
}

/* K = cbrt((W_max - cwnd_epoch) / C) in ns, windows in segments (equation 2). The argument is
 * scaled by 2^(3 * shift) to keep as many digits as fit. */
static uint64_t time_to_w_max(uint64_t below, size_t mtu)
{
    uint64_t v = (at_most(below, CC_WINDOW_MAX) * 5 << 29) / mtu; /* 2.5 segments * 2^30 */
    uint32_t shift = 10;
    while (v > 0 && v < UINT64_C(1) << (ROOT_BITS - 1)) {
        v <<= 3;
        shift++;
    }
    return cube_root(v) * NS_PER_S >> shift;
}

/* C * t^3 in bytes. */
static uint64_t cube(uint64_t t_ns, size_t mtu)
{
    uint64_t t = (at_most(t_ns, CLOCK_MAX_NS) << 16) / NS_PER_S; /* 2^-16 s, < 2^26 + 1 */
    uint64_t t3 = (t * t >> 16) * t >> 16;                       /* 2^-16 s^3 */
    return t3 * 2 / 5 * mtu >> 16;
}

/* W_cubic(t), equation 1. */
static uint64_t curve_at(const struct cubic_curve *v, uint64_t t_ns, size_t mtu)
{
    if (t_ns >= v->k_ns) {
        return v->w_max + cube(t_ns - v->k_ns, mtu);
    }
    uint64_t below = cube(v->k_ns - t_ns, mtu);
    return v->w_max > below ? v->w_max - below : 0;
}

static void begin_epoch(struct cc *cc, uint64_t now)
{
    struct cubic_curve *v = &cc->cubic.curve;
    if (cc->cwnd >= v->w_max) {
        v->w_max = cc->cwnd;
        v->k_ns = 0;
    } else {
        v->k_ns = time_to_w_max(v->w_max - cc->cwnd, cc->mtu);
    }
    v->w_est = cc->cwnd;
    v->epoch_ns = now;
    v->running = true;
    cc->cubic.busy_ns = now;
    cc->cubic.cwnd_rest = 0;
    cc->cubic.w_est_rest = 0;
}

/* The curve's clock stands still while the window is not in use (4.2, 5.8), else an idle hour
 * would let the cube explode. The window was in use from the sending of an acknowledged packet
 * until now; what lies between the last such span and this one was idle. */
static void skip_idle(struct cc *cc, uint64_t sent_ns, uint64_t now)
{
    cc->cubic.curve.epoch_ns += time_since(cc->cubic.busy_ns, sent_ns);
    cc->cubic.busy_ns = at_least(cc->cubic.busy_ns, now);
}

/* W_est += alpha * segments acked / cwnd, alpha = 1 once the prior window is reached (4.3). */
static void grow_reno(struct cc *cc, size_t bytes)
{
    struct cubic_curve *v = &cc->cubic.curve;
    uint64_t alpha = v->w_est < v->cwnd_prior ? ALPHA_NUMERATOR : ALPHA_DENOMINATOR;
    uint64_t sum = cc->cubic.w_est_rest + alpha * bytes * cc->mtu;
    uint64_t unit = ALPHA_DENOMINATOR * cc->cwnd;
    v->w_est = at_most(v->w_est + sum / unit, CC_WINDOW_MAX);
    cc->cubic.w_est_rest = sum % unit;
}

/* 4.4 and 4.5: towards the target one round trip ahead, at most 1.5 windows per round trip. */
static void grow_cubic(struct cc *cc, size_t bytes, uint64_t ahead_ns)
{
    uint64_t target = curve_at(&cc->cubic.curve, ahead_ns, cc->mtu);
    target = at_least(at_most(target, cc->cwnd + cc->cwnd / 2), cc->cwnd);
    uint64_t sum = cc->cubic.cwnd_rest + (target - cc->cwnd) * bytes;
    cc->cubic.cwnd_rest = sum % cc->cwnd;
    cc->cwnd += sum / cc->cwnd;
}

static void grow_in_avoidance(struct cc *cc, const struct cc_ack *ack, const struct rtt *rtt,
                              uint64_t now)
{
    struct cubic_curve *v = &cc->cubic.curve;
    if (!v->running) {
        begin_epoch(cc, now);
    }
    skip_idle(cc, ack->sent_ns, now);
    uint64_t elapsed = time_since(v->epoch_ns, now);
    grow_reno(cc, ack->bytes);
    if (curve_at(v, elapsed, cc->mtu) < v->w_est) {
        cc->cwnd = at_least(cc->cwnd, v->w_est);
    } else {
        grow_cubic(cc, ack->bytes, time_add(elapsed, rtt->min));
    }
}

static void cubic_init(struct cc *cc, size_t mtu)
{
    CHECK(mtu > 0 && mtu <= UINT64_C(1) << 14);
    cc->mtu = mtu;
    cc->cwnd = cc_initial_window(mtu);
    cc->ssthresh = UINT64_MAX;
    hystart_init(&cc->hystart);
}

static void cubic_on_sent(struct cc *cc, const struct cc_sent *sent, uint64_t now)
{
    (void)now;
    cc->last_sent = at_least(cc->last_sent, sent->number);
}

static void cubic_on_ack(struct cc *cc, const struct cc_ack *ack, const struct rtt *rtt,
                         uint64_t now)
{
    /* The RTT sample of an acknowledgement is that of its newest packet. */
    if (rtt->sampled && time_since(ack->sent_ns, now) == rtt->latest) {
        hystart_sample(&cc->hystart, rtt->latest, now);
    }
    if (hystart_acked(&cc->hystart, ack->number, cc->last_sent)) {
        cc->ssthresh = cc->cwnd;
    }
    if (cc->in_recovery) {
        if (ack->number < cc->recovery_end) {
            return;
        }
        cc->in_recovery = false;
    }
    if (ack->app_limited) {
        return;
    }
    if (cc_in_slow_start(cc)) {
        cc->cwnd += hystart_growth(&cc->hystart, ack->bytes);
    } else {
        grow_in_avoidance(cc, ack, rtt, now);
    }
    cc->cwnd = at_most(cc->cwnd, CC_WINDOW_MAX);
}

/* 4.6 and, for W_max, 4.7 (fast convergence). */
static void reduce(struct cc *cc, uint64_t number)
{
    struct cubic_curve *v = &cc->cubic.curve;
    cc->cubic.undo = (struct cubic_undo){
        .valid = true,
        .from = cc->recovery_end,
        .cwnd = cc->cwnd,
        .ssthresh = cc->ssthresh,
        .curve = *v,
        .hystart = cc->hystart,
    };
    v->cwnd_prior = cc->cwnd;
    v->w_max = cc->cwnd < v->w_max ? cc->cwnd * 17 / 20 : cc->cwnd;
    v->running = false;
    cc->ssthresh = at_least(cc->cwnd * 7 / 10, cc_minimum_window(cc->mtu));
    cc->cwnd = cc->ssthresh;
    cc->in_recovery = true;
    cc->recovery_end = at_least(cc->last_sent, number) + 1;
    hystart_stop(&cc->hystart);
}

static void cubic_on_loss(struct cc *cc, const struct cc_loss *loss, uint64_t now)
{
    (void)now;
    if (loss->number >= cc->recovery_end) {
        reduce(cc, loss->number);
    }
    if (loss->number >= cc->cubic.undo.from) {
        cc->cubic.undo.lost++;
    }
}

static void cubic_on_persistent(struct cc *cc, uint64_t now)
{
    (void)now;
    cc->cwnd = cc_minimum_window(cc->mtu);
    cc->in_recovery = false;
    cc->cubic.curve = (struct cubic_curve){0};
    cc->cubic.undo.valid = false;
}

/* 4.9.2: the reduction is taken back when no packet of the episode was lost in truth. */
static void cubic_on_spurious(struct cc *cc, const struct cc_loss *loss, uint64_t now)
{
    (void)now;
    struct cubic_undo *undo = &cc->cubic.undo;
    bool of_episode = loss->number >= undo->from && loss->number < cc->recovery_end;
    if (!undo->valid || !of_episode || --undo->lost > 0) {
        return;
    }
    undo->valid = false;
    cc->in_recovery = false;
    cc->cwnd = at_least(cc->cwnd, undo->cwnd);
    cc->ssthresh = undo->ssthresh;
    cc->cubic.curve = undo->curve;
    cc->hystart = undo->hystart;
}

static void cubic_on_mtu(struct cc *cc, size_t mtu)
{
    bool untouched = cc->ssthresh == UINT64_MAX && cc->cwnd == cc_initial_window(cc->mtu);
    cc->mtu = mtu;
    cc->cwnd = at_least(cc->cwnd, untouched ? cc_initial_window(mtu) : cc_minimum_window(mtu));
}

const struct cc_ops cc_cubic = {
    .name = "cubic",
    .init = cubic_init,
    .on_sent = cubic_on_sent,
    .on_ack = cubic_on_ack,
    .on_loss = cubic_on_loss,
    .on_persistent = cubic_on_persistent,
    .on_spurious = cubic_on_spurious,
    .on_mtu = cubic_on_mtu,
};
