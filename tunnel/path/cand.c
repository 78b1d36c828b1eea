#include "path/cand.h"

#include <base/check.h>

enum {
    OBSERVED = 1 << CAND_REFLEXIVE | 1 << CAND_PEER_REFLEXIVE,
    PREDICTED = 1 << CAND_PREDICTED,
};

/* --- usefulness --- */

/* Neither unicast nor anything that ever will be: multicast, 0/8, 240/4 with broadcast. */
static bool is_reserved(const struct addr *a)
{
    if (a->family == ADDR_IPV4) {
        return a->ip[0] == 0 || a->ip[0] >= 224;
    }
    return a->family != ADDR_IPV6 || a->ip[0] == 0xff || addr_is_unspecified(a);
}

static bool is_usable(const struct addr *a)
{
    return a->port != 0 && !is_reserved(a) && !addr_is_link_local(a);
}

/* The higher, the likelier that a stranger gets through to it. */
static int rank_of(enum cand_source source, const struct addr *a)
{
    switch (source) {
    case CAND_MAPPED:
        return 7;
    case CAND_CONFIGURED:
        return 6;
    case CAND_REFLEXIVE:
    case CAND_RENEWED:
        return 5;
    case CAND_PEER_REFLEXIVE:
        return 4;
    case CAND_HOST:
        return addr_is_loopback(a) ? 0 : addr_is_private(a) ? 2 : 3;
    case CAND_PREDICTED:
        return 1;
    case CAND_BIRTHDAY:
    case CAND_SEQUENCE:
    case CAND_RELAY:
        break;
    }
    return 0; /* a source of a later version */
}

/* The source of an entry that ranks highest. */
static enum cand_source best_source(const struct cand *c)
{
    enum cand_source best = CAND_PREDICTED;
    for (int s = CAND_HOST; s <= CAND_CONFIGURED; s++) {
        enum cand_source source = (enum cand_source)s;
        bool named = (c->sources >> s & 1) != 0;
        if (named && rank_of(source, &c->addr) > rank_of(best, &c->addr)) {
            best = source;
        }
    }
    return (c->sources >> best & 1) != 0 ? best : CAND_HOST;
}

static int own_rank(const struct cand *c)
{
    return rank_of(best_source(c), &c->addr);
}

/* --- ours --- */

void cand_own_init(struct cand_own *o)
{
    *o = (struct cand_own){0};
}

static bool is_loopback_only(const struct cand_own *o)
{
    for (size_t i = 0; i < o->count; i++) {
        if (!addr_is_loopback(&o->list[i].addr)) {
            return false;
        }
    }
    return o->count > 0;
}

size_t cand_own_list(const struct cand_own *o, struct frame_candidate out[CAND_MAX])
{
    bool loopback = is_loopback_only(o);
    size_t count = 0;
    for (size_t i = 0; i < o->count; i++) {
        const struct cand *c = &o->list[i];
        if (addr_is_loopback(&c->addr) == loopback) {
            out[count++] =
                (struct frame_candidate){.source = (uint8_t)best_source(c), .addr = c->addr};
        }
    }
    return count;
}

/* What would be told, to see after a change whether it differs. */
struct told {
    size_t count;
    struct frame_candidate list[CAND_MAX];
};

static struct told tell(const struct cand_own *o)
{
    struct told t;
    t.count = cand_own_list(o, t.list);
    return t;
}

static bool update_version(struct cand_own *o, const struct told *before)
{
    struct told after = tell(o);
    bool changed = after.count != before->count;
    for (size_t i = 0; i < after.count && !changed; i++) {
        changed = after.list[i].source != before->list[i].source ||
                  !addr_equal(&after.list[i].addr, &before->list[i].addr);
    }
    o->version += changed;
    return changed;
}

static struct cand *find_own(struct cand_own *o, const struct addr *a)
{
    for (size_t i = 0; i < o->count; i++) {
        if (addr_equal(&o->list[i].addr, a)) {
            return &o->list[i];
        }
    }
    return NULL;
}

/* Moves entry i up to its place; equals stay in the order in which they came. */
static void raise_own(struct cand_own *o, size_t i)
{
    for (; i > 0 && own_rank(&o->list[i]) > own_rank(&o->list[i - 1]); i--) {
        struct cand swap = o->list[i];
        o->list[i] = o->list[i - 1];
        o->list[i - 1] = swap;
    }
}

static void sort_own(struct cand_own *o)
{
    for (size_t i = 1; i < o->count; i++) {
        raise_own(o, i);
    }
}

/* A new entry at the end, if need be in the place of one that is less useful. */
static struct cand *room_for(struct cand_own *o, int rank)
{
    if (o->count < CAND_MAX) {
        return &o->list[o->count++];
    }
    o->no_room++;
    struct cand *last = &o->list[o->count - 1];
    return own_rank(last) < rank ? last : NULL;
}

/* For an address that only a peer claims to have seen. All peers are told of it and send there; so
 * one that makes such addresses up shall neither push out others nor change the list all the time.
 */
static struct cand *room_for_seen(struct cand_own *o, uint64_t now)
{
    struct cand *oldest = NULL;
    size_t count = 0;
    for (struct cand *c = o->list; c < &o->list[o->count]; c++) {
        if (c->sources == 1U << CAND_PEER_REFLEXIVE) {
            count++;
            oldest = !oldest || c->observed_ns < oldest->observed_ns ? c : oldest;
        }
    }
    if (count < CAND_SEEN_MAX) {
        return room_for(o, rank_of(CAND_PEER_REFLEXIVE, NULL));
    }
    o->no_room++;
    return time_since(oldest->observed_ns, now) >= CAND_SEEN_NS ? oldest : NULL;
}

static void add(struct cand_own *o, enum cand_source source, const struct addr *addr, uint64_t now)
{
    struct addr a = addr_normalize(addr);
    a.scope = 0;
    if (!is_usable(&a)) {
        o->useless++;
        return;
    }
    struct cand *c = find_own(o, &a);
    if (!c) {
        bool seen = source == CAND_PEER_REFLEXIVE;
        c = seen ? room_for_seen(o, now) : room_for(o, rank_of(source, &a));
        if (!c) {
            return;
        }
        *c = (struct cand){.addr = a};
    }
    unsigned bit = 1U << source;
    c->sources |= (uint8_t)bit;
    c->observed_ns = (bit & OBSERVED) != 0 ? now : c->observed_ns;
    c->predicted_ns = (bit & PREDICTED) != 0 ? now : c->predicted_ns;
    sort_own(o);
}

bool cand_own_add(struct cand_own *o, enum cand_source source, const struct addr *addr,
                  uint64_t now)
{
    CHECK(source >= CAND_HOST && source <= CAND_CONFIGURED);
    struct told before = tell(o);
    add(o, source, addr, now);
    return update_version(o, &before);
}

/* Takes entries without a source out. */
static void sweep(struct cand_own *o)
{
    size_t kept = 0;
    for (size_t i = 0; i < o->count; i++) {
        if (o->list[i].sources != 0) {
            o->list[kept++] = o->list[i];
        }
    }
    o->count = kept;
    sort_own(o);
}

static bool holds(const struct addr *addrs, size_t count, const struct addr *a)
{
    for (size_t i = 0; i < count; i++) {
        struct addr b = addr_normalize(&addrs[i]);
        b.scope = 0;
        if (addr_equal(&b, a)) {
            return true;
        }
    }
    return false;
}

bool cand_own_replace(struct cand_own *o, enum cand_source source, const struct addr *addrs,
                      size_t count, uint64_t now)
{
    CHECK(source >= CAND_HOST && source <= CAND_CONFIGURED);
    struct told before = tell(o);
    for (size_t i = 0; i < o->count; i++) {
        if (!holds(addrs, count, &o->list[i].addr)) {
            o->list[i].sources &= (uint8_t) ~(1U << source);
        }
    }
    sweep(o);
    for (size_t i = 0; i < count; i++) {
        add(o, source, &addrs[i], now);
    }
    return update_version(o, &before);
}

/* When the entry's observations or predictions end. */
static uint64_t observed_end(const struct cand *c)
{
    return (c->sources & OBSERVED) != 0 ? time_add(c->observed_ns, CAND_KEEP_NS) : TIME_NEVER;
}

static uint64_t predicted_end(const struct cand *c)
{
    return (c->sources & PREDICTED) != 0 ? time_add(c->predicted_ns, CAND_PREDICTED_NS)
                                         : TIME_NEVER;
}

bool cand_own_expire(struct cand_own *o, uint64_t now)
{
    struct told before = tell(o);
    for (size_t i = 0; i < o->count; i++) {
        struct cand *c = &o->list[i];
        unsigned gone = (observed_end(c) <= now ? OBSERVED : 0U) |
                        (predicted_end(c) <= now ? (unsigned)PREDICTED : 0U);
        c->sources &= (uint8_t)~gone;
    }
    sweep(o);
    return update_version(o, &before);
}

uint64_t cand_own_next_ns(const struct cand_own *o)
{
    uint64_t next = TIME_NEVER;
    for (size_t i = 0; i < o->count; i++) {
        next = time_min(next, time_min(observed_end(&o->list[i]), predicted_end(&o->list[i])));
    }
    return next;
}

bool cand_is_worth(const struct addr *addr, const struct cand_own *own)
{
    struct addr a = addr_normalize(addr);
    if (!is_usable(&a) || (addr_is_loopback(&a) && !is_loopback_only(own))) {
        return false;
    }
    for (size_t i = 0; i < own->count; i++) {
        if (addr_equal(&own->list[i].addr, &a)) {
            return false;
        }
    }
    return true;
}
