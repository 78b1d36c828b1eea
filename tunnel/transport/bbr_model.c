/* What the path is: draft-ietf-ccwg-bbr section 5.5. */
#include "transport/bbr.h"

#include <base/check.h>

/* Enough in flight for timers that tick by the millisecond: what the rate gives in this time. */
#define QUANTUM_NS (1 * NS_PER_MS)
#define EXTRA_MAX_NS (100 * NS_PER_MS)
#define BW_MAX (UINT64_C(1) << 37)    /* bytes per second */
#define BYTES_MAX (UINT64_C(1) << 31) /* in flight */
#define RTT_MAX_NS (60 * NS_PER_S)

enum { QUANTUM_PACKETS = 2, QUANTUM_BYTES = 65536, QUANTA = 3, BASELINE_SHIFT = 10 };

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void bbr_init(struct bbr *b, size_t mtu)
{
    *b = (struct bbr){.mtu = mtu,
                      .state = BBR_STARTUP,
                      .bw_lo = BBR_UNLIMITED,
                      .inflight_hi = BBR_UNLIMITED,
                      .inflight_lo = BBR_UNLIMITED,
                      .min_rtt = TIME_NEVER,
                      .probe_rtt_min = TIME_NEVER,
                      .round_rtt = TIME_NEVER,
                      .last_round_rtt = TIME_NEVER};
}

/* --- what fits --- */

/* a ns at `bw` bytes per second. */
static uint64_t bytes_in(uint64_t bw, uint64_t ns)
{
    uint64_t us = least(ns, RTT_MAX_NS) / NS_PER_US;
    return least(least(bw, BW_MAX) * us / (NS_PER_S / NS_PER_US), BYTES_MAX);
}

uint64_t bbr_bdp(const struct bbr *b, uint64_t bw, uint32_t gain)
{
    if (b->min_rtt == TIME_NEVER) {
        return 10 * (uint64_t)b->mtu;
    }
    return bytes_in(bw, b->min_rtt) * gain >> 8;
}

uint64_t bbr_min_pipe(const struct bbr *b)
{
    return BBR_MIN_PIPE_PACKETS * (uint64_t)b->mtu;
}

uint64_t bbr_inflight(const struct bbr *b, uint64_t bw, uint32_t gain)
{
    uint64_t quantum = least(bytes_in(bbr_max_bw(b), QUANTUM_NS), QUANTUM_BYTES);
    quantum = QUANTA * most(quantum, QUANTUM_PACKETS * (uint64_t)b->mtu);
    uint64_t bytes = most(bbr_bdp(b, bw, gain), quantum);
    return most(bytes, bbr_min_pipe(b)) + (b->state == BBR_UP ? 2 * b->mtu : 0);
}

uint64_t bbr_with_headroom(const struct bbr *b)
{
    if (b->inflight_hi == BBR_UNLIMITED) {
        return BBR_UNLIMITED;
    }
    uint64_t headroom = most(b->mtu, b->inflight_hi * BBR_HEADROOM_PERCENT / 100);
    return most(b->inflight_hi > headroom ? b->inflight_hi - headroom : 0, bbr_min_pipe(b));
}

uint64_t bbr_cruise_limit(const struct bbr *b)
{
    uint64_t limit = bbr_with_headroom(b);
    bool lossy = b->baseline >= (uint64_t)BBR_LOSSY_PERMILLE << BASELINE_SHIFT;
    return bbr_has_queue(b) || !lossy ? limit : most(limit, bbr_inflight(b, b->bw, BBR_GAIN(115)));
}

uint64_t bbr_extra(const struct bbr *b)
{
    uint64_t extra = most(b->extra[0], b->extra[1]);
    return least(extra, bytes_in(b->bw, EXTRA_MAX_NS));
}

/* --- loss and queue --- */

static bool is_slow(const struct bbr *b, uint64_t rtt)
{
    return rtt != TIME_NEVER && b->min_rtt != TIME_NEVER &&
           rtt > b->min_rtt + b->min_rtt / BBR_QUEUE_SHARE + BBR_QUEUE_NS;
}

bool bbr_had_queue(const struct bbr *b)
{
    return is_slow(b, b->last_round_rtt);
}

bool bbr_has_queue(const struct bbr *b)
{
    return is_slow(b, b->last_round_rtt) || is_slow(b, b->round_rtt);
}

uint32_t bbr_loss_limit(const struct bbr *b)
{
    if (!bbr_has_queue(b)) {
        return BBR_LOSS_ALONE_PERMILLE;
    }
    return BBR_LOSS_PERMILLE + (uint32_t)(2 * b->baseline >> BASELINE_SHIFT);
}

bool bbr_is_too_much(const struct bbr *b, uint64_t lost, uint64_t in_flight)
{
    return lost * 1000 > in_flight * bbr_loss_limit(b) && lost > b->mtu;
}

void bbr_note_loss(struct bbr *b, uint64_t delivered, uint64_t bytes, uint64_t sent_ns)
{
    b->round_lost += bytes;
    b->undo.lost++;
    if (b->loss_in_round) {
        return;
    }
    b->undo = (struct bbr_undo){.valid = true,
                                .sent_ns = sent_ns,
                                .lost = 1,
                                .state = b->state,
                                .bw_lo = b->bw_lo,
                                .inflight_lo = b->inflight_lo,
                                .inflight_hi = b->inflight_hi};
    b->loss_round_end = delivered;
    b->loss_in_round = true;
}

/* How much of the round's bytes were lost, and what of that the path does by itself. */
static void end_round_of_loss(struct bbr *b, uint64_t total)
{
    uint64_t delivered = total - b->round_delivered;
    uint64_t sum = delivered + b->round_lost;
    b->last_lost = sum > 0 ? (uint32_t)(b->round_lost * 1000 / sum) : 0;
    b->last_events = b->loss_events;
    if (!bbr_has_queue(b) && sum >= bbr_min_pipe(b)) {
        uint64_t now = (uint64_t)b->last_lost << BASELINE_SHIFT;
        b->baseline = b->baseline - b->baseline / 16 + now / 16;
        b->baseline = least(b->baseline, (uint64_t)BBR_BASELINE_MAX_PERMILLE << BASELINE_SHIFT);
    }
    b->round_lost = 0;
    b->loss_events = 0;
    b->round_delivered = total;
}

/* --- bandwidth --- */

static void update_round(struct bbr *b, const struct rate_sample *rs)
{
    b->round_start = rs->prior_delivered >= b->round_end;
    if (!b->round_start) {
        return;
    }
    b->round_end = rs->total;
    b->rounds++;
    end_round_of_loss(b, rs->total);
    b->last_round_rtt = b->round_rtt;
    b->round_rtt = TIME_NEVER;
    b->quiet_rounds = is_slow(b, b->last_round_rtt) ? 0 : b->quiet_rounds + 1;
    if (b->state == BBR_CRUISE && b->quiet_rounds >= BBR_QUIET_ROUNDS) {
        bbr_reset_lower(b); /* those who made the queue have gone */
    }
}

/* After a probe: what is lost now was sent in it, and what arrives now says how slowly the queue is
 * being emptied, not what the path can do. */
static bool is_settling(const struct bbr *b)
{
    bool fresh = b->state == BBR_CRUISE && b->rounds - b->state_round < BBR_SETTLE_ROUNDS;
    return b->state == BBR_DOWN || fresh;
}

/* Loss is a reason to slow down until the next probe if it came with a queue (5.5.10.3). */
static void adapt_lower(struct bbr *b)
{
    bool probing = b->state == BBR_STARTUP || b->state == BBR_REFILL || b->state == BBR_UP;
    uint32_t limit =
        bbr_has_queue(b) ? (uint32_t)(2 * b->baseline >> BASELINE_SHIFT) : BBR_LOSS_ALONE_PERMILLE;
    if (probing || is_settling(b) || !b->loss_in_round || b->last_lost <= limit) {
        return;
    }
    uint64_t keep = b->state == BBR_CRUISE ? BBR_YIELD_PERCENT : 100;
    uint64_t bw = b->bw_lo == BBR_UNLIMITED ? bbr_max_bw(b) : b->bw_lo;
    uint64_t lo = b->inflight_lo == BBR_UNLIMITED ? bbr_bdp(b, bw, BBR_GAIN(200)) : b->inflight_lo;
    b->bw_lo = most(b->bw_latest * keep / 100, bw * BBR_BETA_PERCENT / 100);
    b->inflight_lo = most(b->inflight_latest * keep / 100, lo * BBR_BETA_PERCENT / 100);
}

void bbr_reset_lower(struct bbr *b)
{
    b->bw_lo = BBR_UNLIMITED;
    b->inflight_lo = BBR_UNLIMITED;
}

void bbr_reset_full_bw(struct bbr *b)
{
    b->full_bw = 0;
    b->full_bw_rounds = 0;
    b->full_bw_now = false;
}

bool bbr_is_overfull(const struct bbr *b, const struct rate_sample *rs)
{
    return bbr_has_queue(b) && rs->tx_in_flight > bbr_bdp(b, bbr_max_bw(b), BBR_GAIN(125));
}

/* 5.3.1.2: three rounds without a quarter more. */
static void check_full_bw(struct bbr *b, const struct rate_sample *rs)
{
    if (b->full_bw_now || (rs->limited && !bbr_is_overfull(b, rs))) {
        return;
    }
    if (rs->bw >= b->full_bw + b->full_bw / 4) {
        bbr_reset_full_bw(b);
        b->full_bw = rs->bw;
        return;
    }
    if (!b->round_start) {
        return;
    }
    b->full_bw_now = ++b->full_bw_rounds >= BBR_FULL_BW_ROUNDS;
    b->full_bw_reached = b->full_bw_reached || b->full_bw_now;
}

/* What came beyond the bandwidth: acknowledgements travel in lumps (5.5.9). */
static void update_extra(struct bbr *b, const struct rate_sample *rs, uint64_t cwnd, uint64_t now)
{
    uint64_t expected = bytes_in(b->bw, time_since(b->extra_from_ns, now));
    if (b->extra_delivered <= expected) {
        b->extra_delivered = 0;
        b->extra_from_ns = now;
        expected = 0;
    }
    b->extra_delivered += rs->newly_acked;
    uint64_t extra = least(b->extra_delivered - expected, cwnd);
    uint64_t rounds = b->full_bw_reached ? BBR_AGGREGATION_ROUNDS / 2 : 1;
    if (b->rounds >= b->extra_round + rounds) {
        b->extra_round = b->rounds;
        b->extra[0] = b->extra[1];
        b->extra[1] = 0;
    }
    b->extra[1] = most(b->extra[1], extra);
}

void bbr_model_update(struct bbr *b, const struct rate_sample *rs, uint64_t cwnd, uint64_t now)
{
    b->loss_events += rs->newly_lost > 0;
    b->bw_latest = most(b->bw_latest, rs->bw);
    b->inflight_latest = most(b->inflight_latest, rs->delivered);
    b->loss_round_start = rs->prior_delivered >= b->loss_round_end;
    update_round(b, rs);
    b->round_rtt = least(b->round_rtt, rs->rtt_ns);
    if (rs->bw >= bbr_max_bw(b) || !rs->limited) {
        b->max_bw[1] = most(b->max_bw[1], rs->bw);
    }
    if (b->loss_round_start) {
        b->loss_round_end = rs->total;
        adapt_lower(b);
        b->loss_in_round = false;
    }
    update_extra(b, rs, cwnd, now);
    check_full_bw(b, rs);
}

void bbr_model_advance(struct bbr *b, const struct rate_sample *rs)
{
    if (b->loss_round_start) {
        b->bw_latest = rs->bw;
        b->inflight_latest = rs->delivered;
    }
    b->bw = least(bbr_max_bw(b), b->bw_lo);
}

/* --- the least round trip (5.3.4.3) --- */

void bbr_update_min_rtt(struct bbr *b, const struct rate_sample *rs, uint64_t now)
{
    b->probe_rtt_expired =
        b->probe_rtt_min != TIME_NEVER && time_since(b->probe_rtt_at, now) > BBR_PROBE_RTT_EVERY_NS;
    /* One that is as good shows as well that no queue of ours hides the path. */
    bool as_good =
        b->probe_rtt_min != TIME_NEVER && rs->rtt_ns <= b->probe_rtt_min + b->probe_rtt_min / 64;
    if (rs->rtt_ns < b->probe_rtt_min || b->probe_rtt_expired) {
        b->probe_rtt_min = rs->rtt_ns;
        b->probe_rtt_at = now;
    } else if (as_good) {
        b->probe_rtt_at = now;
    }
    bool expired =
        b->min_rtt != TIME_NEVER && time_since(b->min_rtt_at, now) > BBR_MIN_RTT_FILTER_NS;
    if (b->probe_rtt_min <= b->min_rtt || expired) {
        b->min_rtt = b->probe_rtt_min;
        b->min_rtt_at = b->probe_rtt_at;
    }
}
