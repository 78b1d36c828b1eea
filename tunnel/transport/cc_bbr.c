/* BBR behind the interface of cc.h: window and pace (draft-ietf-ccwg-bbr section 5.6). */
#include <base/check.h>

#include "transport/cc.h"

enum { PACE_PERCENT = 99 /* a little less than the path gives, so that queues go away */ };

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void set_window_start(struct cc *cc)
{
    cc->cwnd = cc_initial_window(cc->mtu);
    cc->ssthresh = UINT64_MAX;
}

static void cc_bbr_init(struct cc *cc, size_t mtu)
{
    CHECK(mtu > 0);
    cc->mtu = mtu;
    bbr_init(&cc->bbr, mtu);
    set_window_start(cc);
}

/* Packets that the path loses by itself leave in addition to those that arrive. */
static uint64_t pace(const struct bbr *b, uint32_t gain)
{
    uint64_t rate = (b->bw * gain >> 8) * PACE_PERCENT / 100;
    uint64_t arrives = 1000 - (b->baseline >> 10);
    return bbr_has_queue(b) ? rate : rate * 1000 / arrives;
}

static void set_pace(struct cc *cc, const struct rtt *rtt)
{
    struct bbr *b = &cc->bbr;
    uint64_t rate = pace(b, bbr_pacing_gain(b));
    if (cc->pacing_rate == 0) {
        /* The first samples are of few packets: the window says more (5.6.2). */
        uint64_t srtt = rtt->smoothed > 0 ? rtt->smoothed : 1;
        rate = most(rate, (cc->cwnd * NS_PER_S / srtt) * bbr_pacing_gain(b) >> 8);
    }
    /* However little came through, the next round trip brings a few packets more. */
    uint64_t rtt_ns = most(rtt->smoothed, NS_PER_MS);
    rate = most(rate, bbr_min_pipe(b) * NS_PER_S / rtt_ns);
    if (b->full_bw_reached || rate > cc->pacing_rate) {
        cc->pacing_rate = rate;
    }
}

/* 5.6.4.5: what the model forbids. */
static uint64_t model_limit(const struct bbr *b)
{
    uint64_t cap = BBR_UNLIMITED;
    if (b->state == BBR_CRUISE || b->state == BBR_PROBE_RTT) {
        cap = bbr_cruise_limit(b);
    } else if (bbr_is_probing_bw(b)) {
        cap = b->inflight_hi;
    }
    cap = least(cap, b->inflight_lo);
    if (b->state == BBR_PROBE_RTT) {
        cap = least(cap, bbr_probe_rtt_window(b));
    }
    return most(cap, bbr_min_pipe(b));
}

static void set_window(struct cc *cc, const struct rate_sample *rs)
{
    struct bbr *b = &cc->bbr;
    uint64_t target = bbr_inflight(b, b->bw, bbr_cwnd_gain(b)) + bbr_extra(b);
    if (b->full_bw_reached) {
        cc->cwnd = least(cc->cwnd + rs->newly_acked, target);
    } else if (cc->cwnd < target || rs->total < cc_initial_window(cc->mtu)) {
        cc->cwnd += rs->newly_acked;
    }
    cc->cwnd = least(most(cc->cwnd, bbr_min_pipe(b)), model_limit(b));
    cc->cwnd = least(cc->cwnd, CC_WINDOW_MAX);
    /* Others ask whether this is slow start. */
    cc->ssthresh = b->state == BBR_STARTUP ? UINT64_MAX : cc->cwnd;
}

static void cc_bbr_on_sent(struct cc *cc, const struct cc_sent *sent, uint64_t now)
{
    cc->last_sent = most(cc->last_sent, sent->number);
    if (sent->in_flight == sent->bytes && sent->limited) {
        bbr_on_restart(&cc->bbr, &cc->cwnd, sent->delivered, now);
    }
    if (sent->in_flight + cc->mtu > cc->cwnd) {
        cc->bbr.window_full = sent->delivered + sent->in_flight;
    }
}

static void cc_bbr_on_ack(struct cc *cc, const struct cc_ack *ack, const struct rtt *rtt,
                          uint64_t now)
{
    (void)cc;
    (void)ack;
    (void)rtt;
    (void)now;
}

static void cc_bbr_on_acks(struct cc *cc, const struct rate_sample *rs, const struct rtt *rtt,
                           uint64_t now)
{
    struct bbr *b = &cc->bbr;
    b->mtu = cc->mtu;
    bbr_model_update(b, rs, cc->cwnd, now);
    bbr_state_update(b, rs, &cc->cwnd, now);
    bbr_model_advance(b, rs);
    set_pace(cc, rtt);
    set_window(cc, rs);
}

/* 5.5.10.2: in a probe, how much was in flight when loss passed the threshold. */
static uint64_t in_flight_at_limit(const struct bbr *b, const struct cc_loss *loss)
{
    uint64_t before = loss->tx_in_flight > loss->bytes ? loss->tx_in_flight - loss->bytes : 0;
    uint64_t lost_before = loss->lost > loss->bytes ? loss->lost - loss->bytes : 0;
    uint64_t limit = bbr_loss_limit(b);
    uint64_t allowed = before * limit / 1000;
    uint64_t room = allowed > lost_before ? allowed - lost_before : 0;
    return before + room * 1000 / (1000 - limit);
}

static void cc_bbr_on_loss(struct cc *cc, const struct cc_loss *loss, uint64_t now)
{
    struct bbr *b = &cc->bbr;
    bbr_note_loss(b, loss->delivered, loss->bytes, loss->sent_ns);
    if (b->probing && bbr_is_too_much(b, loss->lost, loss->tx_in_flight)) {
        bbr_on_too_much(b, in_flight_at_limit(b, loss), loss->limited, loss->delivered, now);
    }
}

static void cc_bbr_on_persistent(struct cc *cc, uint64_t now)
{
    (void)now;
    cc->cwnd = bbr_min_pipe(&cc->bbr);
    cc->bbr.undo.valid = false;
}

static void cc_bbr_on_spurious(struct cc *cc, const struct cc_loss *loss, uint64_t now)
{
    struct bbr *b = &cc->bbr;
    b->round_lost -= least(b->round_lost, loss->bytes);
    bbr_on_spurious(b, loss->sent_ns, loss->delivered, now);
}

static void cc_bbr_on_mtu(struct cc *cc, size_t mtu)
{
    bool untouched = cc->bbr.rounds == 0 && cc->cwnd == cc_initial_window(cc->mtu);
    cc->mtu = mtu;
    cc->bbr.mtu = mtu;
    cc->cwnd = most(cc->cwnd, untouched ? cc_initial_window(mtu) : bbr_min_pipe(&cc->bbr));
}

const struct cc_ops cc_bbr = {
    .name = "bbr",
    .init = cc_bbr_init,
    .on_sent = cc_bbr_on_sent,
    .on_ack = cc_bbr_on_ack,
    .on_acks = cc_bbr_on_acks,
    .on_loss = cc_bbr_on_loss,
    .on_persistent = cc_bbr_on_persistent,
    .on_spurious = cc_bbr_on_spurious,
    .on_mtu = cc_bbr_on_mtu,
};
