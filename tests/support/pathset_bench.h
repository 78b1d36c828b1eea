/* A pathset by itself, with a clock and a peer that answers when the test lets it. */
#ifndef TESTS_SUPPORT_PATHSET_BENCH_H
#define TESTS_SUPPORT_PATHSET_BENCH_H

#include "path/pathset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MS NS_PER_MS
#define START_NS (1000 * NS_PER_S)

/* A pathset, its clock, and an answer under way. */
struct bench {
    struct pathset set;
    struct pcg pcg;
    uint64_t now;
    uint64_t due;
    uint8_t token[FRAME_CHALLENGE_LEN];
};

static inline struct where direct(uint8_t n)
{
    struct addr addr = addr_ipv4(192, 0, 2, n, 1000);
    return where_direct(&addr);
}

static inline struct path *add(struct bench *b, struct where where, bool configured)
{
    uint8_t dropped;
    struct path *p = pathset_add(&b->set, &where, configured, b->now, &dropped);
    assert_non_null(p);
    assert_int_equal(dropped, 0);
    return p;
}

static inline struct path *add_direct(struct bench *b, uint8_t n)
{
    return add(b, direct(n), true);
}

static inline struct path *add_relay(struct bench *b, uint32_t n)
{
    struct path *p = add(b, where_relay(n), true);
    pathset_set_usable(&b->set, p, true, b->now);
    return p;
}

static inline struct bench bench_of(enum pathset_pulse pulse)
{
    struct bench b = {.now = START_NS, .due = TIME_NEVER};
    pathset_init(&b.set, (struct rng){0});
    pathset_set_pulse(&b.set, pulse, b.now);
    return b;
}

#define BENCH(name, pulse)                                                                         \
    struct bench name = bench_of(pulse);                                                           \
    name.set.rng = pcg_rng(&name.pcg, 1)

/* Takes every challenge that is due; how many went to p. */
static inline unsigned challenges(struct bench *b, const struct path *p)
{
    unsigned count = 0;
    struct path *out;
    for (unsigned i = 0; (out = pathset_output(&b->set, b->now)) != NULL; i++) {
        assert_true(i < 2 * PACKET_PATHS_MAX);
        count += out == p;
    }
    return count;
}

static inline void answer(struct bench *b, struct path *p)
{
    uint8_t token[FRAME_CHALLENGE_LEN];
    memcpy(token, p->token, sizeof(token));
    assert_ptr_equal(pathset_response(&b->set, token, b->now), p);
}

/* A challenge and, rtt later, its answer. */
static inline void prove(struct bench *b, struct path *p, uint64_t rtt_ns)
{
    pathset_suspect(&b->set, p, b->now);
    p->doubted_ns = p->hold_ns = 0; /* no hold */
    assert_int_equal(challenges(b, p), 1);
    b->now += rtt_ns;
    answer(b, p);
}

static inline uint8_t choose(struct bench *b)
{
    return pathset_choose(&b->set, b->now);
}

/* How packets travel, after the choice. */
static inline struct pathset_ways ways(struct bench *b)
{
    (void)choose(b);
    (void)pathset_choose_of(&b->set, WHERE_DIRECT, b->now);
    (void)pathset_choose_of(&b->set, WHERE_RELAY, b->now);
    return pathset_ways(&b->set, b->now);
}

static inline void assert_ways(struct bench *b, const struct path *use, const struct path *also,
                               bool all)
{
    struct pathset_ways w = ways(b);
    assert_int_equal(w.use, use->id);
    assert_int_equal(w.also, also ? also->id : 0);
    assert_int_equal(w.all, all);
}

/* Lets `ns` pass; whatever is sent to `answering` is answered after rtt_ns. Returns the number of
 * times the choice has changed. */
static inline unsigned pass(struct bench *b, uint64_t ns, struct path *answering, uint64_t rtt_ns)
{
    uint64_t end = b->now + ns;
    unsigned changes = 0;
    for (unsigned rounds = 0; b->now < end; rounds++) {
        assert_true(rounds < 10000);
        if (b->due <= b->now) {
            (void)pathset_response(&b->set, b->token, b->now);
            b->due = TIME_NEVER;
        }
        uint8_t before = b->set.best;
        changes += choose(b) != before;
        if (challenges(b, answering) > 0 && b->due == TIME_NEVER) {
            memcpy(b->token, answering->token, sizeof(b->token));
            b->due = b->now + rtt_ns;
        }
        uint64_t next = time_min(time_min(pathset_next_ns(&b->set, b->now), b->due), end);
        assert_true(next > b->now);
        b->now = next;
    }
    return changes;
}

#endif
