#include "path/guess.h"

#include <base/clock.h>

void guess_init(struct guess *g)
{
    *g = (struct guess){0};
}

static bool is_public(const struct addr *a)
{
    return !addr_is_private(a) && !addr_is_loopback(a) && !addr_is_link_local(a) &&
           !addr_is_unspecified(a);
}

static bool is_over(const struct guess_window *w, uint64_t now)
{
    return time_since(w->since_ns, now) >= GUESS_WINDOW_NS;
}

static unsigned count_of(const struct guess_window *w, uint64_t now)
{
    return is_over(w, now) ? 0 : w->count;
}

static void add(struct guess_window *w, unsigned count, uint64_t now)
{
    if (is_over(w, now)) {
        *w = (struct guess_window){0};
    }
    w->since_ns = w->count == 0 ? now : w->since_ns;
    w->count += count;
}

/* Its place, or one that nobody needs any more; NULL if there is none. */
static struct guess_target *place_of(struct guess *g, const struct addr *ip, uint64_t now)
{
    struct guess_target *room = NULL;
    for (struct guess_target *t = g->targets; t < &g->targets[GUESS_IPS_MAX]; t++) {
        if (t->ip.family != ADDR_NONE && addr_equal_ip(&t->ip, ip)) {
            return t;
        }
        room = !room && (t->ip.family == ADDR_NONE || is_over(&t->window, now)) ? t : room;
    }
    if (room) {
        *room = (struct guess_target){.ip = *ip};
    }
    return room;
}

bool guess_allow(struct guess *g, const struct addr *to, unsigned count, uint64_t now)
{
    struct addr ip = addr_normalize(to);
    struct guess_target *t = is_public(&ip) ? place_of(g, &ip, now) : NULL;
    if (!t || count_of(&t->window, now) + count > GUESS_IP_COUNT_MAX ||
        count_of(&g->all, now) + count > GUESS_ALL_COUNT_MAX) {
        g->refused++;
        return false;
    }
    add(&t->window, count, now);
    add(&g->all, count, now);
    return true;
}
