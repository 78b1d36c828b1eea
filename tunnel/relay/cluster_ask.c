/* Whether a key is somewhere else: asked once, remembered for a while. */
#include "relay/cluster_internal.h"

#include <base/check.h>

#include <string.h>

static struct cluster_ask *find(struct cluster *c, const uint8_t key[CLUSTERMSG_KEY])
{
    struct cluster_ask *a = NULL;
    HASH_FIND(hh, c->asks, key, CLUSTERMSG_KEY, a);
    return a;
}

static void free_ask(struct cluster *c, struct cluster_ask *a)
{
    if (a->told) {
        TAILQ_REMOVE(&c->answered, a, link);
    }
    heap_remove(&c->timers, &a->timer);
    HASH_DEL(c->asks, a);
    mem_free(a);
}

void cluster_ask_free_all(struct cluster *c)
{
    struct cluster_ask *a, *next;
    HASH_ITER (hh, c->asks, a, next) {
        free_ask(c, a);
    }
}

static struct cluster_ask *add(struct cluster *c, const uint8_t key[CLUSTERMSG_KEY])
{
    if (HASH_COUNT(c->asks) >= c->limits.asks_max) {
        return NULL;
    }
    struct cluster_ask *a = mem_new(1, sizeof(*a));
    if (!a) {
        return NULL;
    }
    memcpy(a->key, key, CLUSTERMSG_KEY);
    HASH_ADD_KEYPTR(hh, c->asks, a->key, CLUSTERMSG_KEY, a);
    if (!a->hh.tbl) {
        mem_free(a);
        return NULL;
    }
    return a;
}

static void set_state(struct cluster *c, struct cluster_ask *a, enum ask_state state, uint64_t now)
{
    static const uint64_t holds[] = {[ASK_WAITING] = CLUSTER_ASK_NS,
                                     [ASK_HERE] = CLUSTER_HERE_NS,
                                     [ASK_NOBODY] = CLUSTER_NOBODY_NS};
    a->state = state;
    CHECK(heap_set(&c->timers, &a->timer, now + holds[state]) == 0); /* one place for each */
}

/* A second packet of the same connection need not wait for a second answer. */
static void note_asker(struct cluster *c, struct cluster_ask *a, uint64_t asker)
{
    for (size_t i = 0; i < a->count; i++) {
        if (a->askers[i] == asker) {
            return;
        }
    }
    if (a->count == CLUSTER_ASKERS_MAX) {
        c->stats.refused++;
        return;
    }
    a->askers[a->count++] = asker;
}

static enum cluster_way ask(struct cluster *c, const uint8_t key[CLUSTERMSG_KEY], uint64_t asker,
                            uint64_t now)
{
    struct cluster_ask *a = add(c, key);
    if (!a) {
        c->stats.refused++;
        return CLUSTER_WAY_PUBLISH; /* it goes, and nobody is told if it does not arrive */
    }
    set_state(c, a, ASK_WAITING, now);
    note_asker(c, a, asker);
    c->stats.asked++;
    return CLUSTER_WAY_ASK;
}

enum cluster_way cluster_way(struct cluster *c, const uint8_t key[CLUSTERMSG_KEY], uint64_t asker,
                             uint64_t now)
{
    if (!c->up) {
        bool long_ago = time_since(c->down_ns, now) >= CLUSTER_GRACE_NS;
        return long_ago ? CLUSTER_WAY_NOBODY : CLUSTER_WAY_NOTHING;
    }
    struct cluster_ask *a = find(c, key);
    if (!a) {
        return asker != 0 ? ask(c, key, asker, now) : CLUSTER_WAY_PUBLISH;
    }
    if (a->state == ASK_WAITING && asker != 0) {
        note_asker(c, a, asker);
    }
    return a->state == ASK_NOBODY ? CLUSTER_WAY_NOBODY : CLUSTER_WAY_PUBLISH;
}

void cluster_found(struct cluster *c, const uint8_t key[CLUSTERMSG_KEY], uint64_t now)
{
    struct cluster_ask *a = find(c, key);
    if (a && a->state == ASK_WAITING) { /* or it comes too late */
        a->count = 0;
        set_state(c, a, ASK_HERE, now);
    }
}

static void answer_nobody(struct cluster *c, struct cluster_ask *a, uint64_t now)
{
    c->stats.not_here++;
    set_state(c, a, ASK_NOBODY, now);
    if (!a->told) {
        a->told = true;
        TAILQ_INSERT_TAIL(&c->answered, a, link);
    }
}

void cluster_nobody(struct cluster *c, const uint8_t key[CLUSTERMSG_KEY], uint64_t now)
{
    struct cluster_ask *a = find(c, key);
    if (a && a->state == ASK_WAITING) {
        answer_nobody(c, a, now);
    }
}

void cluster_forget(struct cluster *c, const uint8_t key[CLUSTERMSG_KEY])
{
    struct cluster_ask *a = find(c, key);
    if (a) {
        free_ask(c, a);
    }
}

void cluster_ask_tick(struct cluster *c, uint64_t now)
{
    while (heap_first(&c->timers) && heap_next(&c->timers) <= now) {
        struct cluster_ask *a = container_of(heap_first(&c->timers), struct cluster_ask, timer);
        if (a->state == ASK_WAITING) {
            answer_nobody(c, a, now);
        } else {
            free_ask(c, a);
        }
    }
}

bool cluster_ask_event(struct cluster *c, struct cluster_event *ev)
{
    struct cluster_ask *a = TAILQ_FIRST(&c->answered);
    if (!a) {
        return false;
    }
    TAILQ_REMOVE(&c->answered, a, link);
    a->told = false;
    *ev = (struct cluster_event){.type = CLUSTER_EV_NOT_HERE, .count = a->count};
    memcpy(ev->key, a->key, CLUSTERMSG_KEY);
    memcpy(ev->askers, a->askers, sizeof(a->askers));
    a->count = 0;
    return true;
}
