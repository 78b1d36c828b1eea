#include "transport/loss.h"

#include <base/check.h>

void loss_init(struct loss *l, uint64_t next)
{
    *l = (struct loss){.scan = next,
                       .loss_ns = TIME_NEVER,
                       .sampled_ns = TIME_NEVER,
                       .packet_threshold = LOSS_PACKET_THRESHOLD,
                       .patience = LOSS_PATIENCE};
}

void loss_on_sent(struct loss *l, bool eliciting, uint64_t now)
{
    if (eliciting) {
        l->eliciting++;
        l->pto_from_ns = now;
    }
}

void loss_on_settled(struct loss *l, bool eliciting)
{
    if (eliciting) {
        CHECK(l->eliciting > 0);
        l->eliciting--;
    }
}

void loss_on_acked(struct loss *l, uint64_t number)
{
    if (number >= l->acked_end) {
        l->acked_end = number + 1;
    }
}

void loss_on_spurious(struct loss *l, uint64_t number)
{
    uint64_t distance = l->acked_end > number ? l->acked_end - number : 0;
    if (distance > LOSS_PACKET_THRESHOLD_MAX) {
        distance = LOSS_PACKET_THRESHOLD_MAX;
    }
    if (distance > l->packet_threshold) {
        l->packet_threshold = distance;
    } else if (l->patience < LOSS_PATIENCE_MAX) {
        l->patience++; /* it was not the packets that passed it */
    }
}

bool loss_next(struct loss *l, const struct sentmap *m, const struct rtt *rtt, uint64_t now,
               uint64_t *number)
{
    uint64_t delay = rtt_loss_delay(rtt, l->patience);
    l->loss_ns = TIME_NEVER;
    if (l->scan < m->first) {
        l->scan = m->first;
    }
    for (; l->scan < l->acked_end && l->scan < m->next; l->scan++) {
        const struct sent_packet *p = sentmap_find(m, l->scan);
        if (p->state != SENT_FLYING) {
            continue;
        }
        bool passed = l->acked_end - 1 - l->scan >= l->packet_threshold;
        uint64_t late_ns = time_add(p->sent_ns, delay);
        if (!passed && late_ns > now) {
            l->loss_ns = l->eliciting > 0 ? late_ns : TIME_NEVER;
            return false;
        }
        *number = l->scan;
        return true;
    }
    return false;
}

/* True if no packet of [from, to) shows that something got through in between. */
static bool run_is_unbroken(const struct sentmap *m, uint64_t from, uint64_t to)
{
    for (; from < to; from++) {
        const struct sent_packet *p = sentmap_find(m, from);
        if (!p || p->state == SENT_ACKED) {
            return false;
        }
    }
    return true;
}

bool loss_is_persistent(struct loss *l, const struct sentmap *m, uint64_t number, uint64_t pto_ns)
{
    const struct sent_packet *p = sentmap_find(m, number);
    CHECK(p);
    bool goes_on = l->run_end > 0 && number >= l->run_end && run_is_unbroken(m, l->run_end, number);
    if (!goes_on) {
        l->run_from_ns = p->sent_ns;
    }
    l->run_end = number + 1;
    if (l->sampled_ns == TIME_NEVER || p->sent_ns <= l->sampled_ns) {
        l->run_end = 0;
        return false;
    }
    if (p->sent_ns - l->run_from_ns < LOSS_PERSISTENT_PTOS * pto_ns) {
        return false;
    }
    l->run_end = 0;
    return true;
}

uint64_t loss_pto_ns(const struct loss *l, uint64_t pto_ns)
{
    if (l->eliciting == 0) {
        return TIME_NEVER;
    }
    uint32_t shift = l->pto_count < 16 ? l->pto_count : 16;
    uint64_t wait = pto_ns < LOSS_PTO_MAX_NS >> shift ? pto_ns << shift : LOSS_PTO_MAX_NS;
    return time_add(l->pto_from_ns, wait);
}

void loss_on_pto(struct loss *l, uint64_t now)
{
    l->pto_count++;
    l->pto_from_ns = now;
}
