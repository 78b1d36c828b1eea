/* A peer's candidates: which there are, and when each of them is probed. */
#include "path/cand.h"

#include <string.h>

void cand_peer_init(struct cand_peer *p, struct rng rng)
{
    *p = (struct cand_peer){.rng = rng};
}

static int rank_of(const struct cand_remote *r)
{
    static const int ranks[] = {
        [CAND_HOST] = 3,      [CAND_REFLEXIVE] = 5,  [CAND_MAPPED] = 7,  [CAND_PEER_REFLEXIVE] = 4,
        [CAND_PREDICTED] = 1, [CAND_CONFIGURED] = 6, [CAND_RENEWED] = 5,
    };
    size_t known = sizeof(ranks) / sizeof(ranks[0]);
    return (size_t)r->source < known ? ranks[r->source] : 0;
}

static struct cand_remote *find(struct cand_peer *p, const struct addr *a)
{
    for (size_t i = 0; i < p->count; i++) {
        if (addr_equal(&p->list[i].addr, a)) {
            return &p->list[i];
        }
    }
    return NULL;
}

/* Due at once, with the shortest back-off again. */
static void hurry(struct cand_remote *r, uint64_t now)
{
    r->answered = false;
    r->start_ns = now;
    r->wait_ns = CAND_PROBE_FIRST_NS;
    r->next_ns = now;
}

/* The same with a new token: answers to earlier probes count no more. */
static void start(struct cand_peer *p, struct cand_remote *r, uint64_t now)
{
    rng_fill(p->rng, r->token, sizeof(r->token));
    r->sent = 0;
    hurry(r, now);
}

static bool is_stale(const struct cand_remote *r, uint64_t now)
{
    return !r->answered && time_since(r->start_ns, now) >= CAND_STALE_NS;
}

/* Moves entry i up to its place. */
static void raise_entry(struct cand_peer *p, size_t i)
{
    for (; i > 0 && rank_of(&p->list[i]) > rank_of(&p->list[i - 1]); i--) {
        struct cand_remote swap = p->list[i];
        p->list[i] = p->list[i - 1];
        p->list[i - 1] = swap;
    }
}

static void remove_at(struct cand_peer *p, size_t i)
{
    for (; i + 1 < p->count; i++) {
        p->list[i] = p->list[i + 1];
    }
    p->count--;
}

/* Takes out the least useful that is stale, or else the last one that ranks below. */
static bool make_room(struct cand_peer *p, int rank, uint64_t now)
{
    if (p->count < CAND_MAX) {
        return true;
    }
    p->no_room++;
    for (size_t i = p->count; i > 0; i--) {
        const struct cand_remote *r = &p->list[i - 1];
        if (is_stale(r, now)) {
            remove_at(p, i - 1);
            return true;
        }
    }
    for (size_t i = p->count; i > 0; i--) {
        const struct cand_remote *r = &p->list[i - 1];
        if (!r->answered && rank_of(r) < rank) {
            remove_at(p, i - 1);
            return true;
        }
    }
    return false;
}

/* Known ones stay as they are. */
static void add(struct cand_peer *p, const struct cand_remote *new, const struct cand_own *own,
                uint64_t now)
{
    if (!cand_is_worth(&new->addr, own)) {
        p->not_worth++;
        return;
    }
    if (find(p, &new->addr) || !make_room(p, rank_of(new), now)) {
        return;
    }
    p->list[p->count] = *new;
    start(p, &p->list[p->count], now);
    raise_entry(p, p->count++);
}

static bool is_named(const struct frame_candidate *list, size_t count, const struct addr *a)
{
    for (size_t i = 0; i < count; i++) {
        struct addr named = addr_normalize(&list[i].addr);
        if (addr_equal(&named, a)) {
            return true;
        }
    }
    return false;
}

/* What the new list does not name, unless it is a path meanwhile. */
static void drop_unnamed(struct cand_peer *p, const struct frame_candidate *list, size_t count)
{
    for (size_t i = p->count; i > 0; i--) {
        const struct cand_remote *r = &p->list[i - 1];
        if (!r->answered && !is_named(list, count, &r->addr)) {
            remove_at(p, i - 1);
        }
    }
}

void cand_peer_hint(struct cand_peer *p, const struct frame_candidate *list, size_t count,
                    const struct cand_own *own, uint64_t now)
{
    for (size_t i = 0; i < count && i < CAND_MAX; i++) {
        if (list[i].source == CAND_BIRTHDAY || list[i].source == CAND_SEQUENCE) {
            continue;
        }
        struct cand_remote r = {.addr = addr_normalize(&list[i].addr),
                                .source = (enum cand_source)list[i].source};
        add(p, &r, own, now);
    }
}

void cand_peer_take(struct cand_peer *p, const struct frame_candidate *list, size_t count,
                    const struct cand_own *own, uint64_t now)
{
    drop_unnamed(p, list, count);
    cand_peer_hint(p, list, count, own, now);
    for (size_t i = 0; i < p->count; i++) {
        if (!p->list[i].answered) {
            hurry(&p->list[i], now);
        }
    }
}

void cand_peer_restart(struct cand_peer *p, uint64_t now)
{
    for (size_t i = 0; i < p->count; i++) {
        start(p, &p->list[i], now);
    }
}

/* Counts probes in windows of a second. */
static bool may_probe(struct cand_peer *p, uint64_t now)
{
    if (time_since(p->second_ns, now) >= NS_PER_S) {
        p->second_ns = now;
        p->second_count = 0;
    }
    return p->second_count < CAND_PROBES_PER_S_MAX;
}

static void token_of(const struct cand_remote *r, uint8_t probe, uint8_t out[FRAME_CHALLENGE_LEN])
{
    memcpy(out, r->token, FRAME_CHALLENGE_LEN);
    out[FRAME_CHALLENGE_LEN - 1] = (uint8_t)(out[FRAME_CHALLENGE_LEN - 1] + probe);
}

static void send_probe(struct cand_peer *p, struct cand_remote *r,
                       uint8_t token[FRAME_CHALLENGE_LEN], uint64_t now)
{
    token_of(r, r->sent, token);
    r->sent_ns[r->sent % CAND_SENT_MAX] = now;
    r->sent++;
    r->next_ns = now + (is_stale(r, now) ? CAND_PROBE_STALE_NS : r->wait_ns);
    r->wait_ns = time_min(2 * r->wait_ns, CAND_PROBE_LAST_NS);
    p->second_count++;
    p->probes++;
}

bool cand_peer_output(struct cand_peer *p, struct addr *to, uint8_t token[FRAME_CHALLENGE_LEN],
                      uint64_t now)
{
    for (size_t i = 0; i < p->count; i++) {
        struct cand_remote *r = &p->list[i];
        if (r->next_ns > now) {
            continue;
        }
        if (!may_probe(p, now)) {
            return false;
        }
        send_probe(p, r, token, now);
        *to = r->addr;
        return true;
    }
    return false;
}

/* The answer may be to an earlier probe than the last: round trips are longer than the first
 * intervals. */
static bool is_answer(struct cand_remote *r, const uint8_t token[FRAME_CHALLENGE_LEN], uint64_t now)
{
    for (uint8_t back = 1; back <= CAND_SENT_MAX && back <= r->sent; back++) {
        uint8_t probe = (uint8_t)(r->sent - back);
        uint8_t expected[FRAME_CHALLENGE_LEN];
        token_of(r, probe, expected);
        if (memcmp(expected, token, FRAME_CHALLENGE_LEN) == 0) {
            r->rtt_ns = time_since(r->sent_ns[probe % CAND_SENT_MAX], now);
            return true;
        }
    }
    return false;
}

const struct cand_remote *cand_peer_response(struct cand_peer *p,
                                             const uint8_t token[FRAME_CHALLENGE_LEN], uint64_t now)
{
    for (size_t i = 0; i < p->count; i++) {
        struct cand_remote *r = &p->list[i];
        if (!r->answered && is_answer(r, token, now)) {
            r->answered = true;
            r->next_ns = TIME_NEVER;
            return r;
        }
    }
    return NULL;
}

uint64_t cand_peer_next_ns(const struct cand_peer *p)
{
    uint64_t next = TIME_NEVER;
    for (size_t i = 0; i < p->count; i++) {
        next = time_min(next, p->list[i].next_ns);
    }
    uint64_t allowed = p->second_ns + NS_PER_S;
    return p->second_count >= CAND_PROBES_PER_S_MAX && next < allowed ? allowed : next;
}

bool cand_peer_is_named(const struct cand_peer *p, const struct addr *addr)
{
    for (size_t i = 0; i < p->count; i++) {
        if (addr_equal(&p->list[i].addr, addr)) {
            return true;
        }
    }
    return false;
}
