#include "loop/spin.h"

#include <base/clock.h>

enum {
    SCORE_MAX = 8,
    SCORE_PAYS = 4, /* one more than half of the last waits were short */
    BULK_BYTES = 16384,
};

#define BULK_LASTS_NS (2 * NS_PER_MS)
#define CROWD_NS (500 * NS_PER_US)
#define CROWD_LEAST_NS (100 * NS_PER_MS)
#define CROWD_MOST_NS (500 * NS_PER_MS)

void spin_init(struct spin *s, uint64_t limit_ns)
{
    *s = (struct spin){.limit_ns = limit_ns, .since_ns = TIME_NEVER};
}

void spin_wait(struct spin *s, const struct spin_round *r, uint64_t now)
{
    s->since_ns = now;
    s->for_peer = r->sent;
    if (r->bytes >= BULK_BYTES) {
        s->bulk_until_ns = time_add(now, BULK_LASTS_NS);
    }
}

bool spin_pays(const struct spin *s, uint64_t now)
{
    return s->since_ns != TIME_NEVER && time_since(s->since_ns, now) < s->limit_ns &&
           s->score[s->for_peer] >= SCORE_PAYS && now >= s->crowded_until_ns &&
           now >= s->bulk_until_ns;
}

/* Others that are found there again, as soon as somebody looks, are looked for half as often. */
void spin_yielded(struct spin *s, uint64_t from_ns, uint64_t now)
{
    if (time_since(from_ns, now) < CROWD_NS) {
        return;
    }
    bool again = time_since(s->crowded_until_ns, now) < s->crowded_ns;
    uint64_t twice = time_min(2 * s->crowded_ns, CROWD_MOST_NS);
    s->crowded_ns = again ? twice : CROWD_LEAST_NS;
    s->crowded_until_ns = time_add(now, s->crowded_ns);
}

void spin_wake(struct spin *s, uint64_t now)
{
    if (s->since_ns == TIME_NEVER) {
        return;
    }
    uint8_t *score = &s->score[s->for_peer];
    if (time_since(s->since_ns, now) >= s->limit_ns) {
        *score = (uint8_t)(*score - (*score > 0));
    } else if (*score < SCORE_MAX) {
        ++*score;
    }
    s->since_ns = TIME_NEVER;
}
