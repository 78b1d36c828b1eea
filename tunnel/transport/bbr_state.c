/* What is tried next: draft-ietf-ccwg-bbr section 5.3. */
#include "transport/bbr.h"

#include <base/check.h>

enum { UP_ROUNDS_MAX = 30 };

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Gains: 5.6.1, and the table in 5.1. Startup's is 4 ln 2. */
uint32_t bbr_pacing_gain(const struct bbr *b)
{
    switch ((enum bbr_state)b->state) {
    case BBR_STARTUP:
        return BBR_GAIN(277);
    case BBR_DRAIN:
        return BBR_GAIN(50);
    case BBR_DOWN:
        return BBR_GAIN(75);
    case BBR_UP:
        return BBR_GAIN(125);
    case BBR_CRUISE:
    case BBR_REFILL:
    case BBR_PROBE_RTT:
        break;
    }
    return BBR_GAIN(100);
}

uint32_t bbr_cwnd_gain(const struct bbr *b)
{
    if (b->state == BBR_PROBE_RTT) {
        return BBR_GAIN(50);
    }
    if (b->state == BBR_CRUISE && bbr_has_queue(b)) {
        return BBR_GAIN(BBR_QUEUE_GAIN);
    }
    return b->state == BBR_UP ? BBR_GAIN(225) : BBR_GAIN(200);
}

/* --- the cycle (5.3.3) --- */

static void set_state(struct bbr *b, enum bbr_state to, uint64_t now)
{
    b->state = (uint8_t)to;
    b->cycle_ns = now;
    b->state_round = b->rounds;
}

/* 5.3.3.5.3: senders that began together do not probe together. */
static void pick_wait(struct bbr *b, uint64_t now)
{
    b->entropy = (b->entropy + now) * UINT64_C(0x9e3779b97f4a7c15);
    b->wait_ns = BBR_WAIT_NS + (b->entropy >> 32) % BBR_WAIT_MORE_NS;
    if (b->in_doubt) {
        b->wait_ns = BBR_DOUBT_ROUNDS * least(b->min_rtt, BBR_WAIT_NS / BBR_DOUBT_ROUNDS);
        b->in_doubt = false;
    }
    b->probed_round = b->rounds - (b->entropy >> 31) % 2;
}

static void start_down(struct bbr *b, uint64_t delivered, uint64_t now)
{
    b->up_bytes = BBR_UNLIMITED;
    b->probing = false;
    pick_wait(b, now);
    b->acks = BBR_ACKS_STOPPING;
    b->round_end = delivered;
    set_state(b, BBR_DOWN, now);
}

static void start_refill(struct bbr *b, uint64_t delivered, uint64_t now)
{
    bbr_reset_lower(b);
    b->up_rounds = 0;
    b->up_acked = 0;
    b->acks = BBR_ACKS_OTHER;
    b->probing = false;
    b->round_end = delivered;
    set_state(b, BBR_REFILL, now);
}

/* The longer it goes well, the faster: one packet a round, then two, four ... (5.3.3.6). */
static void raise_slope(struct bbr *b, uint64_t cwnd)
{
    uint64_t growth = (uint64_t)b->mtu << b->up_rounds;
    b->up_rounds += b->up_rounds < UP_ROUNDS_MAX;
    b->up_bytes = most(cwnd / growth, 1) * b->mtu;
}

static void start_up(struct bbr *b, const struct rate_sample *rs, uint64_t cwnd, uint64_t now)
{
    b->acks = BBR_ACKS_STARTING;
    b->probing = true;
    b->round_end = rs->total;
    bbr_reset_full_bw(b);
    b->full_bw = rs->bw;
    set_state(b, BBR_UP, now);
    raise_slope(b, cwnd);
}

static bool is_window_full(const struct bbr *b, uint64_t delivered)
{
    return delivered <= b->window_full;
}

static void raise_inflight(struct bbr *b, const struct rate_sample *rs, uint64_t cwnd)
{
    if (!is_window_full(b, rs->total) || cwnd < b->inflight_hi || b->up_bytes == BBR_UNLIMITED) {
        return;
    }
    b->up_acked += rs->newly_acked * b->mtu;
    if (b->up_acked >= b->up_bytes * b->mtu) {
        uint64_t packets = b->up_acked / b->up_bytes / b->mtu;
        b->up_acked -= packets * b->up_bytes * b->mtu;
        b->inflight_hi += packets * b->mtu;
    }
    if (b->round_start) {
        raise_slope(b, cwnd);
    }
}

static bool is_time_to_probe(const struct bbr *b, uint64_t cwnd, uint64_t now)
{
    uint64_t packets = least(bbr_bdp(b, b->bw, BBR_GAIN(100)), cwnd) / b->mtu;
    uint64_t patience = bbr_has_queue(b) ? BBR_QUEUE_PATIENCE : 1;
    return time_since(b->cycle_ns, now) > patience * b->wait_ns ||
           b->rounds - b->probed_round >= patience * least(packets, BBR_RENO_ROUNDS);
}

/* A bandwidth of before the last two cycles is not believed any more, nor is one of before the time
 * that those take without the patience. */
static void forget_bw(struct bbr *b)
{
    b->max_bw[0] = b->max_bw[1];
    b->max_bw[1] = 0;
}

/* Where round trips vary much, what is in flight may never come down to what fits into the least
 * one: a few rounds are enough then. */
static bool is_drained(const struct bbr *b, const struct rate_sample *rs)
{
    uint64_t bdp = bbr_inflight(b, bbr_max_bw(b), BBR_GAIN(100));
    return rs->in_flight <= least(bdp, bbr_with_headroom(b)) ||
           b->rounds - b->state_round >= BBR_DOWN_ROUNDS_MAX;
}

/* 5.3.3.6: until the bandwidth grows no more, but not while the window is what holds it back, as
 * long as the path is not overfull. */
static bool is_up_over(struct bbr *b, const struct rate_sample *rs, uint64_t cwnd)
{
    if (is_window_full(b, rs->total) && cwnd >= b->inflight_hi && !bbr_is_overfull(b, rs)) {
        bbr_reset_full_bw(b);
        b->full_bw = rs->bw;
        return false;
    }
    return b->full_bw_now;
}

void bbr_on_too_much(struct bbr *b, uint64_t in_flight, bool limited, uint64_t delivered,
                     uint64_t now)
{
    b->probing = false;
    if (!limited) {
        uint64_t target = bbr_bdp(b, b->bw, BBR_GAIN(100)) * BBR_BETA_PERCENT / 100;
        b->inflight_hi = most(in_flight, target);
    }
    if (b->state == BBR_UP) {
        start_down(b, delivered, now);
    }
}

/* 5.3.3.9: what the acknowledgements of a probe say about how much may be in flight. */
static void adapt_upper(struct bbr *b, const struct rate_sample *rs, uint64_t cwnd, uint64_t now)
{
    if (b->acks == BBR_ACKS_STARTING && b->round_start) {
        b->acks = BBR_ACKS_FEEDBACK;
    }
    if (b->acks == BBR_ACKS_STOPPING && b->round_start) {
        b->acks = BBR_ACKS_OTHER;
        if (bbr_is_probing_bw(b) && !rs->limited) {
            forget_bw(b);
        }
    }
    if (bbr_is_too_much(b, rs->lost, rs->tx_in_flight)) {
        if (b->probing) {
            bbr_on_too_much(b, rs->tx_in_flight, rs->limited, rs->total, now);
        }
    } else if (b->inflight_hi != BBR_UNLIMITED) {
        b->inflight_hi = most(b->inflight_hi, rs->tx_in_flight);
        if (b->state == BBR_UP) {
            raise_inflight(b, rs, cwnd);
        }
    }
}

static void update_cycle(struct bbr *b, const struct rate_sample *rs, uint64_t cwnd, uint64_t now)
{
    if (!b->full_bw_reached) {
        return;
    }
    adapt_upper(b, rs, cwnd, now);
    if (b->state == BBR_DOWN || b->state == BBR_CRUISE) {
        if (is_time_to_probe(b, cwnd, now)) {
            start_refill(b, rs->total, now);
        } else if (b->state == BBR_DOWN && is_drained(b, rs)) {
            set_state(b, BBR_CRUISE, now);
            b->forgets = true;
        } else if (b->forgets && !rs->limited && time_since(b->cycle_ns, now) > b->wait_ns) {
            b->forgets = false;
            forget_bw(b);
        }
    } else if (b->state == BBR_REFILL && b->round_start) {
        start_up(b, rs, cwnd, now);
    } else if (b->state == BBR_UP && is_up_over(b, rs, cwnd)) {
        start_down(b, rs->total, now);
    }
}

/* --- startup and drain (5.3.1, 5.3.2) --- */

/* Enough loss, in enough places, with a queue: the path is full, and deeper than it should be.
 * While the bandwidth still grows, only loss of which no cable is the cause says so: startup makes
 * a queue now and then long before the path is full, and what the path loses by itself is not known
 * yet. */
static void check_startup_loss(struct bbr *b)
{
    uint32_t limit = b->full_bw_rounds > 0 ? bbr_loss_limit(b) : BBR_LOSS_ALONE_PERMILLE;
    if (!b->round_start || b->full_bw_reached || b->last_events < BBR_FULL_LOSS_EVENTS ||
        b->last_lost <= limit) {
        return;
    }
    b->full_bw_reached = true;
    b->inflight_hi = most(bbr_bdp(b, b->bw, BBR_GAIN(100)), b->inflight_latest);
}

static void check_startup(struct bbr *b, const struct rate_sample *rs, uint64_t now)
{
    if (b->state == BBR_STARTUP) {
        check_startup_loss(b);
        if (b->full_bw_reached) {
            /* A full path has had a queue for a round by now; a moment's outage, or more loss by
             * chance than was learnt yet, looks the same but for that. */
            b->in_doubt = !bbr_had_queue(b);
            set_state(b, BBR_DRAIN, now);
        }
    }
    if (b->state == BBR_DRAIN && rs->in_flight <= bbr_inflight(b, bbr_max_bw(b), BBR_GAIN(100))) {
        start_down(b, rs->total, now);
    }
}

/* --- the least round trip (5.3.4) --- */

static void leave_probe_rtt(struct bbr *b, uint64_t *cwnd, uint64_t delivered, uint64_t now)
{
    b->probe_rtt_at = now;
    *cwnd = most(*cwnd, b->prior_cwnd);
    bbr_reset_lower(b);
    if (b->full_bw_reached) {
        start_down(b, delivered, now);
        set_state(b, BBR_CRUISE, now);
    } else {
        set_state(b, BBR_STARTUP, now);
    }
}

static void check_probe_rtt_done(struct bbr *b, uint64_t *cwnd, uint64_t delivered, uint64_t now)
{
    if (b->probe_rtt_done_ns != 0 && now > b->probe_rtt_done_ns) {
        leave_probe_rtt(b, cwnd, delivered, now);
    }
}

uint64_t bbr_probe_rtt_window(const struct bbr *b)
{
    return most(bbr_bdp(b, b->bw, BBR_GAIN(50)), bbr_min_pipe(b));
}

static uint64_t probe_rtt_time(const struct bbr *b)
{
    uint64_t rounds = BBR_PROBE_RTT_ROUNDS * least(b->min_rtt, BBR_PROBE_RTT_NS);
    return most(least(rounds, BBR_PROBE_RTT_NS), BBR_PROBE_RTT_LEAST_NS);
}

static void run_probe_rtt(struct bbr *b, const struct rate_sample *rs, uint64_t *cwnd, uint64_t now)
{
    if (b->probe_rtt_done_ns == 0) {
        if (rs->in_flight <= bbr_probe_rtt_window(b)) {
            b->probe_rtt_done_ns = now + probe_rtt_time(b);
            b->probe_rtt_round_done = false;
            b->round_end = rs->total;
        }
        return;
    }
    b->probe_rtt_round_done = b->probe_rtt_round_done || b->round_start;
    if (b->probe_rtt_round_done) {
        check_probe_rtt_done(b, cwnd, rs->total, now);
    }
}

static void check_probe_rtt(struct bbr *b, const struct rate_sample *rs, uint64_t *cwnd,
                            uint64_t now)
{
    if (b->state != BBR_PROBE_RTT && b->probe_rtt_expired && !b->idle_restart) {
        b->prior_cwnd = *cwnd;
        b->probe_rtt_done_ns = 0;
        b->acks = BBR_ACKS_STOPPING;
        b->round_end = rs->total;
        set_state(b, BBR_PROBE_RTT, now);
    }
    if (b->state == BBR_PROBE_RTT) {
        run_probe_rtt(b, rs, cwnd, now);
    }
    b->idle_restart = b->idle_restart && rs->newly_acked == 0;
}

/* --- all of it --- */

void bbr_state_update(struct bbr *b, const struct rate_sample *rs, uint64_t *cwnd, uint64_t now)
{
    check_startup(b, rs, now);
    update_cycle(b, rs, *cwnd, now);
    bbr_update_min_rtt(b, rs, now);
    check_probe_rtt(b, rs, cwnd, now);
}

void bbr_on_restart(struct bbr *b, uint64_t *cwnd, uint64_t delivered, uint64_t now)
{
    b->idle_restart = true;
    b->extra_from_ns = now;
    if (b->state == BBR_PROBE_RTT) {
        check_probe_rtt_done(b, cwnd, delivered, now);
    }
}

static void undo(struct bbr *b, uint64_t delivered, uint64_t now)
{
    b->undo.valid = false;
    b->loss_in_round = false;
    b->bw_lo = most(b->bw_lo, b->undo.bw_lo);
    b->inflight_lo = most(b->inflight_lo, b->undo.inflight_lo);
    b->inflight_hi = most(b->inflight_hi, b->undo.inflight_hi);
    if (b->undo.state == BBR_STARTUP && b->state != BBR_STARTUP && b->state != BBR_PROBE_RTT) {
        bbr_reset_full_bw(b);
        b->full_bw_reached = false;
        set_state(b, BBR_STARTUP, now);
    } else if (b->undo.state == BBR_UP && b->state == BBR_DOWN) {
        start_refill(b, delivered, now);
    }
}

void bbr_on_spurious(struct bbr *b, uint64_t sent_ns, uint64_t delivered, uint64_t now)
{
    bool of_episode = b->undo.valid && sent_ns >= b->undo.sent_ns;
    if (of_episode && b->undo.lost > 0 && --b->undo.lost == 0) {
        undo(b, delivered, now);
    }
}
