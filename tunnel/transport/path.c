#include "transport/path.h"

#include <base/check.h>

void path_init(struct path *p)
{
    *p = (struct path){0};
    sentmap_init(&p->sent, 0);
    skip_init(&p->skip);
}

void path_deinit(struct path *p)
{
    sentmap_clear(&p->sent);
}

void path_open(struct path *p, const struct cc_ops *congestion, size_t mtu, uint64_t now)
{
    CHECK(!p->open);
    struct sentmap sent = p->sent;
    struct skip skip = p->skip;
    *p = (struct path){.open = true, .mtu = mtu, .sent = sent, .skip = skip};
    pmtud_init(&p->pmtud, mtu);
    rtt_init(&p->rtt);
    cc_init(&p->cc, congestion, mtu);
    rate_init(&p->rate);
    pacer_init(&p->pacer, mtu, now);
    loss_init(&p->loss, sent.next);
}

void path_close(struct path *p)
{
    sentmap_clear(&p->sent);
    p->open = false;
    p->probes = 0;
    p->in_flight = 0;
}

void path_restore(struct path *p, uint64_t now)
{
    p->suspect = false;
    p->loss.pto_count = 0;
    p->loss.pto_from_ns = p->flight_ns = now;
}

void path_update_mtu(struct path *p)
{
    p->mtu = p->pmtud.size;
    p->pacer.mtu = p->mtu;
    p->cc.ops->on_mtu(&p->cc, p->mtu);
}

bool path_has_room(const struct path *p)
{
    return p->in_flight + p->mtu <= p->cc.cwnd;
}

bool path_can_send(const struct path *p, uint64_t now)
{
    return path_has_room(p) && pacer_next(&p->pacer, now) <= now;
}

uint64_t path_on_sent(struct path *p, size_t bytes, bool eliciting, uint64_t now)
{
    uint64_t number = sentmap_commit(&p->sent, bytes, eliciting, now);
    p->packets_sent++;
    p->bytes_sent += bytes;
    p->flight_ns = p->loss.eliciting == 0 ? now : p->flight_ns;
    loss_on_sent(&p->loss, eliciting, now);
    if (!eliciting) {
        return number;
    }
    if (p->in_flight == 0) {
        pacer_rest(&p->pacer, now);
    }
    rate_on_sent(&p->rate, &sentmap_find(&p->sent, number)->stamp, p->in_flight, bytes, now);
    p->in_flight += bytes;
    p->last_elicited_ns = now;
    if (p->probes > 0) {
        p->probes--;
    }
    pacer_sent(&p->pacer, bytes, now);
    const struct cc_sent sent = {.number = number,
                                 .bytes = bytes,
                                 .in_flight = p->in_flight,
                                 .delivered = p->rate.delivered,
                                 .limited = p->rate.limited_until > 0};
    p->cc.ops->on_sent(&p->cc, &sent, now);
    return number;
}

void path_settle(struct path *p, struct sent_packet *packet, enum sent_state to)
{
    if (packet->state == SENT_FLYING) {
        loss_on_settled(&p->loss, packet->eliciting);
        if (packet->eliciting) {
            CHECK(p->in_flight >= packet->bytes);
            p->in_flight -= packet->bytes;
        }
    }
    if (to == SENT_ACKED) {
        sentmap_set_acked(packet);
    } else {
        packet->state = (uint8_t)to;
    }
}

void path_skip_number(struct path *p, struct rng rng, uint64_t now)
{
    if (skip_is_due(&p->skip, p->sent.next, rng) && sentmap_reserve(&p->sent) == 0) {
        uint64_t number = sentmap_commit(&p->sent, 0, false, now);
        sentmap_find(&p->sent, number)->state = SENT_MOVED; /* it was never in flight */
        skip_note(&p->skip, number, rng);
    }
}

static struct cc_loss loss_of(const struct path *p, uint64_t number,
                              const struct sent_packet *packet)
{
    const struct rate *r = &p->rate;
    return (struct cc_loss){
        .number = number,
        .sent_ns = packet->sent_ns,
        .bytes = packet->bytes,
        .tx_in_flight = packet->stamp.in_flight,
        .lost = r->lost > packet->stamp.lost ? r->lost - packet->stamp.lost : 0,
        .delivered = r->delivered,
        .limited = packet->stamp.limited,
    };
}

void path_on_lost(struct path *p, uint64_t number, const struct sent_packet *packet, uint64_t now)
{
    rate_on_lost(&p->rate, packet->bytes);
    const struct cc_loss loss = loss_of(p, number, packet);
    p->cc.ops->on_loss(&p->cc, &loss, now);
}

void path_on_spurious(struct path *p, uint64_t number, const struct sent_packet *packet,
                      uint64_t now)
{
    loss_on_spurious(&p->loss, number);
    rate_on_spurious(&p->rate, packet->bytes);
    const struct cc_loss loss = loss_of(p, number, packet);
    p->cc.ops->on_spurious(&p->cc, &loss, now);
}

void path_on_acks(struct path *p, uint64_t now)
{
    struct rate_sample sample;
    bool any = rate_take(&p->rate, &sample, p->in_flight, p->rtt.min, now);
    if (any && p->cc.ops->on_acks) {
        p->cc.ops->on_acks(&p->cc, &sample, &p->rtt, now);
    }
}

bool path_was_limited(const struct path *p, uint64_t number, uint64_t in_flight)
{
    /* Half a window in flight is enough for slow start, which doubles per round. Less is never,
     * whatever held the packets back: the caller may be the one that is slow. */
    if (2 * in_flight < p->cc.cwnd) {
        return true;
    }
    bool used_up = cc_in_slow_start(&p->cc) || in_flight + 3 * p->mtu >= p->cc.cwnd;
    return number < p->limited_end && !used_up;
}

void path_update_pace(struct path *p, uint64_t now)
{
    if (p->cc.pacing_rate > 0) {
        pacer_set_rate(&p->pacer, p->cc.pacing_rate, now);
    } else if (p->rtt.sampled) {
        pacer_update(&p->pacer, p->cc.cwnd, p->rtt.smoothed, cc_in_slow_start(&p->cc), now);
    }
}

uint64_t path_pto(const struct path *p, uint64_t max_ack_delay_ns)
{
    return rtt_pto(&p->rtt, max_ack_delay_ns);
}

void path_trim(struct path *p, uint64_t max_ack_delay_ns, uint64_t now)
{
    uint64_t keep_ns = 3 * path_pto(p, max_ack_delay_ns);
    sentmap_trim(&p->sent, now > keep_ns ? now - keep_ns : 0);
}

uint64_t path_deadline(const struct path *p, uint64_t max_ack_delay_ns)
{
    if (p->loss.loss_ns != TIME_NEVER) {
        return p->loss.loss_ns;
    }
    return p->blocked ? TIME_NEVER : loss_pto_ns(&p->loss, path_pto(p, max_ack_delay_ns));
}

uint64_t path_silence(const struct path *p, uint64_t max_ack_delay_ns)
{
    if (p->loss.eliciting == 0 || p->suspect || p->blocked || !p->rtt.sampled) {
        return TIME_NEVER;
    }
    uint64_t wait = PATH_SILENCE_PTOS * path_pto(p, max_ack_delay_ns);
    uint64_t from = p->last_acked_ns > p->flight_ns ? p->last_acked_ns : p->flight_ns;
    return from + (wait > PATH_SUSPECT_NS ? wait : PATH_SUSPECT_NS);
}
