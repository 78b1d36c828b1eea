#include "path/pathset.h"

#include <base/check.h>

#include <string.h>

/* A path must be this much faster than the present one to take its place: an eighth and 1 ms. One
 * that has not been measured yet is not faster than anything. */
static bool clearly_faster(const struct path *a, const struct path *b)
{
    return a->rtt_ns != 0 && a->rtt_ns + a->rtt_ns / 8 + NS_PER_MS < b->rtt_ns;
}

static bool much_faster(const struct path *a, const struct path *b)
{
    return a->rtt_ns != 0 && 2 * a->rtt_ns < b->rtt_ns;
}

static struct path *first(struct pathset *s)
{
    return &s->paths[1];
}

static struct path *end(struct pathset *s)
{
    return &s->paths[PACKET_PATHS_MAX];
}

void pathset_init(struct pathset *s, struct rng rng)
{
    *s = (struct pathset){.rng = rng, .pulse = PATHSET_ASLEEP, .keep_ns = PATHSET_KEEPALIVE_NS};
}

struct path *pathset_find(struct pathset *s, const struct where *where)
{
    for (struct path *p = first(s); p < end(s); p++) {
        if (p->id != 0 && where_equal(&p->where, where)) {
            return p;
        }
    }
    return NULL;
}

struct path *pathset_get(struct pathset *s, uint8_t id)
{
    CHECK(id < PACKET_PATHS_MAX);
    return id != 0 && s->paths[id].id != 0 ? &s->paths[id] : NULL;
}

void pathset_remove(struct pathset *s, uint8_t id)
{
    CHECK(id != 0 && id < PACKET_PATHS_MAX);
    s->paths[id] = (struct path){0};
    s->best = s->best == id ? 0 : s->best;
    s->unsure_ns = s->best == 0 ? 0 : s->unsure_ns;
}

/* The learned path that was heard of longest ago, if it is not in use and not trusted. */
static struct path *least_useful(struct pathset *s, uint64_t now)
{
    struct path *worst = NULL;
    for (struct path *p = first(s); p < end(s); p++) {
        bool needed = p->configured || p->id == s->best || pathset_is_trusted(p, now);
        if (!needed && (!worst || p->heard_ns < worst->heard_ns)) {
            worst = p;
        }
    }
    return worst;
}

static struct path *free_slot(struct pathset *s)
{
    for (struct path *p = first(s); p < end(s); p++) {
        if (p->id == 0) {
            return p;
        }
    }
    return NULL;
}

struct path *pathset_add(struct pathset *s, const struct where *where, bool configured,
                         uint64_t now, uint8_t *dropped)
{
    *dropped = 0;
    struct path *p = pathset_find(s, where);
    if (p) {
        p->configured = p->configured || configured;
        return p;
    }
    p = free_slot(s);
    if (!p) {
        p = least_useful(s, now);
        if (!p) {
            return NULL;
        }
        *dropped = p->id;
    }
    *p = (struct path){.id = (uint8_t)(p - s->paths),
                       .where = *where,
                       .configured = configured,
                       .usable = where->kind == WHERE_DIRECT,
                       .sent_ns = TIME_NEVER,
                       .probe_ns = now,
                       .interval_ns = PATHSET_PROBE_FIRST_NS,
                       .heard_ns = now};
    return p;
}

/* --- proofs --- */

/* On a relay a proof holds until there is doubt: the relay tells when the peer leaves. */
static bool has_proof(const struct path *p, uint64_t now)
{
    return p->proven && !p->doubted && (p->where.kind == WHERE_RELAY || now < p->trusted_ns);
}

/* A challenge is not repeated before its answer can be there: the next one has another token. */
static uint64_t first_interval(const struct path *p)
{
    return p->rtt_ns > PATHSET_PROBE_FIRST_NS / 2 ? 2 * p->rtt_ns : PATHSET_PROBE_FIRST_NS;
}

static void probe_now(struct path *p, uint64_t now)
{
    p->probe_ns = now;
    p->interval_ns = first_interval(p);
}

void pathset_set_usable(struct pathset *s, struct path *p, bool usable, uint64_t now)
{
    (void)s;
    if (usable && !p->usable) {
        p->proven = p->doubted = false; /* the relay is there; whether the peer is, shows soon */
        probe_now(p, now);
    }
    p->usable = usable;
}

void pathset_set_leaving(struct pathset *s, struct path *p, bool leaving)
{
    (void)s;
    p->leaving = leaving;
}

void pathset_forget_proofs(struct pathset *s)
{
    for (struct path *p = first(s); p < end(s); p++) {
        if (p->id != 0 && p->where.kind == WHERE_DIRECT) {
            p->proven = p->doubted = false;
            p->proven_ns = p->doubted_ns = 0;
            p->sent_ns = TIME_NEVER;
            probe_now(p, 0); /* due at once */
        }
    }
}

void pathset_probe(struct pathset *s, struct path *p, uint64_t now)
{
    (void)s;
    probe_now(p, now);
}

void pathset_probe_all(struct pathset *s, uint64_t now)
{
    for (struct path *p = first(s); p < end(s); p++) {
        if (p->id != 0) {
            probe_now(p, now);
        }
    }
}

void pathset_set_keep(struct pathset *s, uint64_t keep_ns)
{
    s->keep_ns = keep_ns;
}

/* How long a path without outstanding doubts is left alone. A relay's connection looks after
 * itself, and a path that is not used may fade in quiet times. */
static uint64_t calm_interval(struct pathset *s, const struct path *p)
{
    bool relay = p->where.kind == WHERE_RELAY;
    if (s->pulse == PATHSET_BUSY) {
        return relay && p->id != s->best ? PATHSET_KEEPALIVE_NS : PATHSET_HEARTBEAT_NS;
    }
    bool other = p->id != s->best && s->paths[s->best].where.kind == WHERE_DIRECT;
    uint64_t jitter =
        rng_below(s->rng, PATHSET_KEEPALIVE_JITTER_NS); /* both shall not ask at once */
    return relay || other ? PATHSET_RARE_NS : s->keep_ns + jitter;
}

/* How long a proof is worth something. While nothing is sent trust costs nothing, and spans the
 * time to the next keep-alive, or the choice would go to and fro with each of them. */
static uint64_t trust_time(const struct pathset *s)
{
    return PATHSET_TRUST_NS + (s->pulse == PATHSET_BUSY ? 0 : s->keep_ns);
}

void pathset_set_pulse(struct pathset *s, enum pathset_pulse pulse, uint64_t now)
{
    if (pulse == s->pulse) {
        return;
    }
    enum pathset_pulse before = s->pulse;
    s->pulse = pulse;
    for (struct path *p = first(s); p < end(s); p++) {
        if (p->id == 0) {
            continue;
        }
        p->trusted_ns = p->proven ? p->proven_ns + trust_time(s) : 0;
        if (before == PATHSET_ASLEEP || !pathset_is_trusted(p, now)) {
            probe_now(p, now);
        } else {
            p->probe_ns = time_min(p->probe_ns, now + calm_interval(s, p));
        }
    }
}

/* What comes from there may well go there too: no waiting for the end of a long interval. */
static void hasten(struct path *p, uint64_t now)
{
    bool asked = p->sent_ns != TIME_NEVER && time_since(p->sent_ns, now) < PATHSET_PROBE_FIRST_NS;
    if (!has_proof(p, now) && !asked && p->probe_ns > now) {
        probe_now(p, now);
    }
}

void pathset_heard(struct pathset *s, struct path *p, uint64_t now)
{
    p->heard_ns = now;
    if (p->where.kind == WHERE_RELAY) {
        pathset_set_usable(s, p, true, now);
    }
    hasten(p, now);
}

static void prove(struct pathset *s, struct path *p, uint64_t now)
{
    p->proven = p->worked = true;
    p->doubted = false;
    p->proven_ns = now;
    p->trusted_ns = now + trust_time(s);
    p->heard_ns = now;
    p->interval_ns = first_interval(p);
    p->probe_ns = now + calm_interval(s, p);
}

/* The peer asks because nothing was sent for long: our answer has done for both, and whether it
 * arrived shows by how soon it asks again. */
void pathset_answered(struct pathset *s, struct path *p, uint64_t now)
{
    if (s->pulse == PATHSET_QUIET && p->where.kind == WHERE_DIRECT && has_proof(p, now)) {
        uint64_t wait = s->keep_ns + 3 * PATHSET_KEEPALIVE_JITTER_NS / 2;
        p->probe_ns = now + wait + rng_below(s->rng, PATHSET_KEEPALIVE_JITTER_NS);
        p->trusted_ns = now + trust_time(s);
    }
    if (s->pulse == PATHSET_BUSY && p->where.kind == WHERE_DIRECT &&
        time_since(p->asked_ns, now) >= PATHSET_HEARTBEAT_NS) {
        probe_now(p, now);
    }
}

void pathset_acked(struct pathset *s, struct path *p, uint64_t sent, uint64_t at)
{
    bool since = p->doubted_ns == 0 || sent > p->doubted_ns;
    p->hold_ns = since ? 0 : p->hold_ns;
    if (at > p->proven_ns && since) {
        prove(s, p, at);
    }
}

struct path *pathset_response(struct pathset *s, const uint8_t token[FRAME_CHALLENGE_LEN],
                              uint64_t now)
{
    for (struct path *p = first(s); p < end(s); p++) {
        if (p->id == 0 || p->sent_ns == TIME_NEVER ||
            memcmp(p->token, token, FRAME_CHALLENGE_LEN) != 0) {
            continue;
        }
        uint64_t sample = time_since(p->sent_ns, now);
        p->rtt_ns = p->rtt_ns == 0 ? sample : (7 * p->rtt_ns + sample) / 8;
        p->sent_ns = TIME_NEVER;
        prove(s, p, now);
        return p;
    }
    return NULL;
}

/* From the same socket, so by the same mapping of ours, or to the same one of the peer's. */
static bool share_a_mapping(const struct path *a, const struct path *b)
{
    const struct where *v = &a->where;
    const struct where *w = &b->where;
    if (v->kind != WHERE_DIRECT || w->kind != WHERE_DIRECT) {
        return false;
    }
    bool nat = v->addr.family == ADDR_IPV4 && w->addr.family == ADDR_IPV4 &&
               !addr_is_private(&v->addr) && !addr_is_private(&w->addr);
    return addr_equal(&v->addr, &w->addr) || (nat && v->socket == w->socket);
}

/* Their last proof is older than the one's that is suspected now. */
static void doubt_others(struct pathset *s, const struct path *p, uint64_t now)
{
    for (struct path *q = first(s); q < end(s); q++) {
        if (q->id != 0 && q != p && q->proven && !q->doubted && q->proven_ns <= p->proven_ns &&
            share_a_mapping(p, q)) {
            q->doubted = true;
            q->doubted_ns = now;
            probe_now(q, now);
        }
    }
}

void pathset_suspect(struct pathset *s, struct path *p, uint64_t now)
{
    doubt_others(s, p, now);
    if (!p->doubted) {
        p->doubted = true;
        p->doubted_ns = now;
        p->hold_ns =
            p->hold_ns == 0 ? PATHSET_HOLD_NS : time_min(2 * p->hold_ns, PATHSET_HOLD_LAST_NS);
    }
    probe_now(p, now);
}

/* --- choice --- */

bool pathset_is_trusted(const struct path *p, uint64_t now)
{
    if (p->id == 0 || !p->usable) {
        return false;
    }
    if (p->where.kind == WHERE_RELAY) {
        return !p->doubted;
    }
    /* What was suspected has to hold on for a moment before it is used again, and longer each time
     * that challenges are answered there and nothing is acknowledged: or a path that carries small
     * packets only would be taken up and given up in turns. */
    bool held = p->doubted_ns == 0 || time_since(p->doubted_ns, now) >= p->hold_ns;
    return held && has_proof(p, now);
}

static bool is_in_doubt(const struct pathset *s, const struct path *p, uint64_t now)
{
    return p->id == s->best && s->unsure_ns != 0 &&
           time_since(s->unsure_ns, now) < PATHSET_DOUBT_NS;
}

enum rank {
    RANK_NONE,
    RANK_LAST, /* what is not trusted */
    RANK_RELAY_UNPROVEN_LEAVING,
    RANK_RELAY_UNPROVEN, /* of several the peer may use only one */
    RANK_RELAY_LEAVING,
    RANK_RELAY,
    RANK_DIRECT_IN_DOUBT,
    RANK_DIRECT,
};

static enum rank rank(const struct pathset *s, const struct path *p, uint64_t now)
{
    if (p->id == 0 || !p->usable) {
        return RANK_NONE;
    }
    if (p->where.kind == WHERE_RELAY && p->doubted) {
        return RANK_LAST;
    }
    if (p->where.kind == WHERE_RELAY) {
        return has_proof(p, now) ? p->leaving ? RANK_RELAY_LEAVING : RANK_RELAY
               : p->leaving      ? RANK_RELAY_UNPROVEN_LEAVING
                                 : RANK_RELAY_UNPROVEN;
    }
    if (pathset_is_trusted(p, now)) {
        return RANK_DIRECT;
    }
    return is_in_doubt(s, p, now) ? RANK_DIRECT_IN_DOUBT : p->proven ? RANK_LAST : RANK_NONE;
}

static bool better(const struct pathset *s, const struct path *a, const struct path *b,
                   uint64_t now)
{
    enum rank rank_a = rank(s, a, now);
    enum rank rank_b = rank(s, b, now);
    if (rank_a != rank_b) {
        return rank_a > rank_b;
    }
    if (rank_a == RANK_LAST) {
        return a->proven_ns > b->proven_ns + PATHSET_HEARTBEAT_NS;
    }
    if (a->renewed != b->renewed) {
        return a->renewed > b->renewed ? !much_faster(b, a) : much_faster(a, b);
    }
    if (rank_a == RANK_RELAY_UNPROVEN && a->preferred != b->preferred) {
        return a->preferred;
    }
    return clearly_faster(a, b);
}

/* The best of a kind (WHERE_NONE: of all), given the present choice. */
static uint8_t choose(struct pathset *s, uint8_t present, enum where_kind kind, uint64_t now)
{
    struct path *best = pathset_get(s, present);
    if (best && kind != WHERE_NONE && best->where.kind != kind) {
        best = NULL; /* another path has its number now */
    }
    for (struct path *p = first(s); p < end(s); p++) {
        bool fits = kind == WHERE_NONE || p->where.kind == kind;
        if (fits && rank(s, p, now) != RANK_NONE && (!best || better(s, p, best, now))) {
            best = p;
        }
    }
    return best && rank(s, best, now) != RANK_NONE ? best->id : 0;
}

/* Notes since when the path of before is in doubt. */
static void update_doubt(struct pathset *s, uint64_t now)
{
    const struct path *p = pathset_get(s, s->best);
    if (!p || p->where.kind != WHERE_DIRECT || !p->proven || pathset_is_trusted(p, now)) {
        s->unsure_ns = 0;
    } else if (s->unsure_ns == 0) {
        s->unsure_ns = now;
    }
}

uint8_t pathset_choose(struct pathset *s, uint64_t now)
{
    update_doubt(s, now);
    uint8_t best = choose(s, s->best, WHERE_NONE, now);
    s->unsure_ns = best == s->best ? s->unsure_ns : 0;
    s->best = best;
    return best;
}

struct pathset_ways pathset_ways(const struct pathset *s, uint64_t now)
{
    const struct path *best = &s->paths[s->best];
    const struct path *relay = &s->paths[s->best_of[WHERE_RELAY]];
    bool stands_by = relay->id != 0 && rank(s, relay, now) > RANK_LAST;
    if (best->where.kind != WHERE_DIRECT || !stands_by) {
        return (struct pathset_ways){.use = s->best};
    }
    if (is_in_doubt(s, best, now)) {
        return (struct pathset_ways){.use = relay->id, .also = best->id, .all = true};
    }
    return (struct pathset_ways){.use = best->id, .also = relay->id};
}

uint8_t pathset_choose_of(struct pathset *s, enum where_kind kind, uint64_t now)
{
    const struct path *best = pathset_get(s, s->best);
    bool same = best && best->where.kind == kind;
    s->best_of[kind] = same ? s->best : choose(s, s->best_of[kind], kind, now);
    return s->best_of[kind];
}

/* --- challenges --- */

/* A relay path needs no proof to be used, so it is only measured, and slowly. */
static uint64_t next_interval(struct pathset *s, struct path *p)
{
    if (p->where.kind == WHERE_RELAY && p->proven && !p->doubted) {
        return calm_interval(s, p);
    }
    uint64_t interval = p->interval_ns;
    bool urgent = s->pulse == PATHSET_BUSY || p->id == s->best;
    p->interval_ns = time_min(2 * interval, urgent ? PATHSET_PROBE_LAST_NS : PATHSET_RARE_NS);
    return interval;
}

static bool is_forgotten(const struct pathset *s, const struct path *p, uint64_t now)
{
    return !p->configured && p->id != s->best && time_since(p->heard_ns, now) > PATHSET_FORGET_NS &&
           p->where.kind == WHERE_DIRECT;
}

struct path *pathset_output(struct pathset *s, uint64_t now)
{
    if (s->pulse == PATHSET_ASLEEP) {
        return NULL;
    }
    for (struct path *p = first(s); p < end(s); p++) {
        if (p->id == 0 || !p->usable || p->probe_ns > now) {
            continue;
        }
        if (is_forgotten(s, p, now)) {
            p->probe_ns = TIME_NEVER;
            continue;
        }
        rng_fill(s->rng, p->token, sizeof(p->token));
        p->sent_ns = p->asked_ns = now;
        p->probe_ns = now + next_interval(s, p);
        return p;
    }
    return NULL;
}

uint64_t pathset_next_ns(const struct pathset *s, uint64_t now)
{
    uint64_t next = TIME_NEVER;
    if (s->pulse == PATHSET_ASLEEP) {
        return next;
    }
    if (s->unsure_ns != 0 && s->unsure_ns + PATHSET_DOUBT_NS > now) {
        next = s->unsure_ns + PATHSET_DOUBT_NS;
    }
    for (const struct path *p = &s->paths[1]; p < &s->paths[PACKET_PATHS_MAX]; p++) {
        if (p->id == 0 || !p->usable) {
            continue;
        }
        next = time_min(next, p->probe_ns);
        if (pathset_is_trusted(p, now) && p->where.kind == WHERE_DIRECT) {
            next = time_min(next, p->trusted_ns);
        } else if (p->proven && !p->doubted && p->doubted_ns != 0) {
            uint64_t held = p->doubted_ns + p->hold_ns;
            next = held > now ? time_min(next, held) : next;
        }
    }
    return next;
}
