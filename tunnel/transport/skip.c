#include "transport/skip.h"

void skip_init(struct skip *s)
{
    *s = (struct skip){.last = SKIP_NONE, .every = SKIP_EVERY_FIRST};
}

static void draw(struct skip *s, uint64_t number, struct rng rng)
{
    s->due = number + s->every + rng_below(rng, s->every);
    s->every = 2 * s->every < SKIP_EVERY_MAX ? 2 * s->every : SKIP_EVERY_MAX;
}

bool skip_is_due(struct skip *s, uint64_t number, struct rng rng)
{
    if (s->due == 0 && number >= SKIP_EVERY_FIRST) {
        draw(s, number, rng);
    }
    return s->due != 0 && number >= s->due;
}

void skip_note(struct skip *s, uint64_t number, struct rng rng)
{
    s->last = number;
    draw(s, number, rng);
}

bool skip_is_within(const struct skip *s, uint64_t first, uint64_t last)
{
    return s->last != SKIP_NONE && first <= s->last && s->last <= last;
}
