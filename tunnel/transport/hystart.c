#include "transport/hystart.h"

void hystart_init(struct hystart *h)
{
    *h = (struct hystart){
        .last_min_rtt = TIME_NEVER,
        .current_min_rtt = TIME_NEVER,
        .css_baseline = TIME_NEVER,
        .sampled_ns = TIME_NEVER,
    };
}

static uint64_t threshold(uint64_t last_min_rtt)
{
    uint64_t thresh = last_min_rtt / HYSTART_MIN_RTT_DIVISOR;
    if (thresh < HYSTART_MIN_RTT_THRESH_NS) {
        return HYSTART_MIN_RTT_THRESH_NS;
    }
    return thresh < HYSTART_MAX_RTT_THRESH_NS ? thresh : HYSTART_MAX_RTT_THRESH_NS;
}

void hystart_sample(struct hystart *h, uint64_t rtt_ns, uint64_t now)
{
    if (h->done) {
        return;
    }
    h->current_min_rtt = time_min(h->current_min_rtt, rtt_ns);
    if (now != h->sampled_ns) {
        h->sampled_ns = now;
        h->samples++;
    }
    if (h->samples < HYSTART_N_RTT_SAMPLE) {
        return;
    }
    if (h->in_css) {
        if (h->current_min_rtt < h->css_baseline) {
            h->css_baseline = TIME_NEVER;
            h->in_css = false;
        }
    } else if (h->last_min_rtt != TIME_NEVER &&
               h->current_min_rtt >= h->last_min_rtt + threshold(h->last_min_rtt)) {
        h->css_baseline = h->current_min_rtt;
        h->css_rounds = 0;
        h->in_css = true;
    }
}

bool hystart_acked(struct hystart *h, uint64_t number, uint64_t last_sent)
{
    if (!h->begun) {
        /* Nothing was out when the round should have begun: it is the flight that is out now. */
        h->begun = true;
        h->round_end = last_sent;
    }
    if (h->done || number < h->round_end) {
        return false;
    }
    h->begun = last_sent > number;
    h->round_end = last_sent;
    h->last_min_rtt = h->current_min_rtt;
    h->current_min_rtt = TIME_NEVER;
    h->samples = 0;
    if (h->in_css && ++h->css_rounds >= HYSTART_CSS_ROUNDS) {
        h->done = true;
    }
    return h->done;
}

size_t hystart_growth(const struct hystart *h, size_t bytes)
{
    return h->in_css && !h->done ? bytes / HYSTART_CSS_GROWTH_DIVISOR : bytes;
}

void hystart_stop(struct hystart *h)
{
    h->done = true;
    h->in_css = false;
}
