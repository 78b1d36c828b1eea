#include "relay/relay_home.h"

#include <base/check.h>

void relay_home_init(struct relay_home *h)
{
    *h = (struct relay_home){
        .home = RELAY_HOME_NONE, .rival = RELAY_HOME_NONE, .first_ns = TIME_NEVER};
}

void relay_home_note(struct relay_home *h, size_t relay, bool up, uint64_t rtt_ns)
{
    CHECK(relay < RELAY_HOME_MAX);
    h->relays[relay].up = up;
    h->relays[relay].rtt_ns = rtt_ns;
}

static uint64_t measured(const struct relay_home *h, size_t relay)
{
    uint64_t rtt = h->relays[relay].rtt_ns;
    return rtt > 0 ? rtt : TIME_NEVER;
}

static size_t fastest(const struct relay_home *h)
{
    size_t best = RELAY_HOME_NONE;
    for (size_t i = 0; i < RELAY_HOME_MAX; i++) {
        bool better = best == RELAY_HOME_NONE || measured(h, i) < measured(h, best);
        if (h->relays[i].up && better) {
            best = i;
        }
    }
    return best;
}

static bool clearly_faster(const struct relay_home *h, size_t a, size_t b)
{
    uint64_t rtt_a = h->relays[a].rtt_ns;
    uint64_t rtt_b = h->relays[b].rtt_ns;
    return rtt_a > 0 && rtt_b > 0 && rtt_a + rtt_a / 2 < rtt_b &&
           rtt_b - rtt_a >= RELAY_HOME_LEAST_NS;
}

static bool set_home(struct relay_home *h, size_t home, uint64_t now)
{
    bool changed = home != h->home;
    if (h->first_ns == TIME_NEVER && home != RELAY_HOME_NONE) {
        h->first_ns = now;
    }
    h->moves += changed && h->home != RELAY_HOME_NONE && home != RELAY_HOME_NONE;
    h->home = home;
    h->rival = RELAY_HOME_NONE;
    return changed;
}

static bool is_early(const struct relay_home *h, uint64_t now)
{
    return now < time_add(h->first_ns, RELAY_HOME_EARLY_NS);
}

bool relay_home_choose(struct relay_home *h, uint64_t now)
{
    size_t best = fastest(h);
    if (h->home == RELAY_HOME_NONE || !h->relays[h->home].up) {
        return set_home(h, best, now);
    }
    if (!clearly_faster(h, best, h->home)) {
        h->rival = RELAY_HOME_NONE;
        return false;
    }
    if (h->rival != best) {
        h->rival = best;
        h->rival_ns = now;
    }
    bool long_enough = now >= h->rival_ns + RELAY_HOME_HOLD_NS;
    return (long_enough || is_early(h, now)) && set_home(h, best, now);
}

uint64_t relay_home_next_ns(const struct relay_home *h)
{
    return h->rival == RELAY_HOME_NONE ? TIME_NEVER : h->rival_ns + RELAY_HOME_HOLD_NS;
}
