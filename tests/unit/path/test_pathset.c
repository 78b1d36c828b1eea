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

static struct where direct(uint8_t n)
{
    struct addr addr = addr_ipv4(192, 0, 2, n, 1000);
    return where_direct(&addr);
}

static struct path *add(struct bench *b, struct where where, bool configured)
{
    uint8_t dropped;
    struct path *p = pathset_add(&b->set, &where, configured, b->now, &dropped);
    assert_non_null(p);
    assert_int_equal(dropped, 0);
    return p;
}

static struct path *add_direct(struct bench *b, uint8_t n)
{
    return add(b, direct(n), true);
}

static struct path *add_relay(struct bench *b, uint32_t n)
{
    struct path *p = add(b, where_relay(n), true);
    pathset_set_usable(&b->set, p, true, b->now);
    return p;
}

static struct bench bench_of(enum pathset_pulse pulse)
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
static unsigned challenges(struct bench *b, const struct path *p)
{
    unsigned count = 0;
    struct path *out;
    for (unsigned i = 0; (out = pathset_output(&b->set, b->now)) != NULL; i++) {
        assert_true(i < 2 * PACKET_PATHS_MAX);
        count += out == p;
    }
    return count;
}

static void answer(struct bench *b, struct path *p)
{
    uint8_t token[FRAME_CHALLENGE_LEN];
    memcpy(token, p->token, sizeof(token));
    assert_ptr_equal(pathset_response(&b->set, token, b->now), p);
}

/* A challenge and, rtt later, its answer. */
static void prove(struct bench *b, struct path *p, uint64_t rtt_ns)
{
    pathset_suspect(&b->set, p, b->now);
    p->doubted_ns = p->hold_ns = 0; /* no hold */
    assert_int_equal(challenges(b, p), 1);
    b->now += rtt_ns;
    answer(b, p);
}

static uint8_t choose(struct bench *b)
{
    return pathset_choose(&b->set, b->now);
}

/* How packets travel, after the choice. */
static struct pathset_ways ways(struct bench *b)
{
    (void)choose(b);
    (void)pathset_choose_of(&b->set, WHERE_DIRECT, b->now);
    (void)pathset_choose_of(&b->set, WHERE_RELAY, b->now);
    return pathset_ways(&b->set, b->now);
}

static void assert_ways(struct bench *b, const struct path *use, const struct path *also, bool all)
{
    struct pathset_ways w = ways(b);
    assert_int_equal(w.use, use->id);
    assert_int_equal(w.also, also ? also->id : 0);
    assert_int_equal(w.all, all);
}

/* Lets `ns` pass; whatever is sent to `answering` is answered after rtt_ns. Returns the number of
 * times the choice has changed. */
static unsigned pass(struct bench *b, uint64_t ns, struct path *answering, uint64_t rtt_ns)
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

/* --- trust --- */

static void a_direct_path_is_chosen_once_it_has_answered(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    assert_int_equal(choose(&b), 0);
    struct path *p = add_direct(&b, 1);
    assert_int_equal(choose(&b), 0);
    assert_int_equal(challenges(&b, p), 1);
    assert_int_equal(choose(&b), 0);
    b.now += 30 * MS;
    answer(&b, p);
    assert_int_equal(choose(&b), p->id);
    assert_int_equal(p->rtt_ns, 30 * MS);
    assert_true(pathset_is_trusted(p, b.now));
}

static void a_wrong_or_late_token_proves_nothing(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    uint8_t token[FRAME_CHALLENGE_LEN] = {0};
    assert_null(pathset_response(&b.set, token, b.now)); /* nothing is outstanding */
    assert_int_equal(challenges(&b, p), 1);
    memcpy(token, p->token, sizeof(token));
    token[0] ^= 1;
    assert_null(pathset_response(&b.set, token, b.now));
    token[0] ^= 1;
    assert_ptr_equal(pathset_response(&b.set, token, b.now), p);
    assert_null(pathset_response(&b.set, token, b.now)); /* once only */
}

static void trust_ends_and_the_relay_is_used_too_and_then_alone(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    struct path *r = add_relay(&b, 0);
    assert_ways(&b, r, NULL, false);
    prove(&b, p, 10 * MS);
    assert_ways(&b, p, r, false);
    b.now += PATHSET_TRUST_NS - 1;
    assert_ways(&b, p, r, false);
    assert_true(pathset_next_ns(&b.set, b.now) <= b.now + 1);
    b.now++;
    assert_ways(&b, r, p, true);
    b.now += PATHSET_DOUBT_NS - 1;
    assert_ways(&b, r, p, true);
    assert_int_equal(b.set.best, p->id);
    assert_true(pathset_next_ns(&b.set, b.now) <= b.now + 1);
    b.now++;
    assert_ways(&b, r, NULL, false);
    assert_int_equal(b.set.best, r->id);
    prove(&b, p, 10 * MS);
    assert_ways(&b, p, r, false);
}

static void a_proof_ends_the_doubt_and_the_choice_never_changed(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    struct path *r = add_relay(&b, 0);
    prove(&b, p, 10 * MS);
    assert_ways(&b, p, r, false);
    for (int i = 0; i < 5; i++) {
        b.now += PATHSET_TRUST_NS;
        assert_ways(&b, r, p, true);
        assert_int_equal(b.set.best, p->id);
        (void)challenges(&b, p);
        b.now += 10 * MS;
        answer(&b, p);
        assert_ways(&b, p, r, false);
        assert_int_equal(b.set.best, p->id);
    }
}

static void another_direct_path_that_is_trusted_comes_before_one_in_doubt(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    struct path *q = add_direct(&b, 2);
    struct path *r = add_relay(&b, 0);
    prove(&b, p, 10 * MS);
    assert_ways(&b, p, r, false);
    prove(&b, q, 500 * MS);
    pathset_suspect(&b.set, p, b.now);
    assert_ways(&b, q, r, false);
}

static void without_a_relay_a_path_that_lost_its_trust_is_kept(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    struct path *other = add_direct(&b, 2);
    prove(&b, p, 10 * MS);
    assert_int_equal(choose(&b), p->id);
    b.now += 10 * PATHSET_TRUST_NS;
    assert_int_equal(choose(&b), p->id);
    prove(&b, other, 500 * MS); /* slower, but alive */
    assert_int_equal(choose(&b), other->id);
}

static void an_acknowledgement_is_a_proof(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    prove(&b, p, 10 * MS);
    b.now += PATHSET_TRUST_NS - 1;
    pathset_acked(&b.set, p, b.now);
    b.now += PATHSET_TRUST_NS - 1;
    assert_true(pathset_is_trusted(p, b.now));
    b.now++;
    assert_false(pathset_is_trusted(p, b.now));
}

static void a_suspected_path_is_in_doubt_at_once_and_for_a_while(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    struct path *r = add_relay(&b, 0);
    prove(&b, p, 10 * MS);
    assert_int_equal(choose(&b), p->id);
    pathset_suspect(&b.set, p, b.now);
    uint64_t doubted = b.now;
    assert_ways(&b, r, p, true);
    assert_int_equal(challenges(&b, p), 1);
    b.now += 10 * MS;
    pathset_acked(&b.set, p, doubted); /* of a packet from before */
    assert_ways(&b, r, p, true);
    answer(&b, p);
    assert_ways(&b, r, p, true);
    assert_true(pathset_next_ns(&b.set, b.now) <= doubted + PATHSET_HOLD_NS);
    b.now = doubted + PATHSET_HOLD_NS;
    assert_ways(&b, p, r, false);
}

static void a_held_path_is_not_challenged_for_every_packet_from_there(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    prove(&b, p, 10 * MS);
    pathset_suspect(&b.set, p, b.now);
    assert_int_equal(challenges(&b, p), 1);
    b.now += MS;
    answer(&b, p);
    for (int i = 0; i < 100; i++) {
        b.now += MS;
        pathset_heard(&b.set, p, b.now);
        assert_int_equal(challenges(&b, p), 0);
    }
}

/* --- choice --- */

static void a_faster_path_needs_a_clear_margin(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    struct path *q = add_direct(&b, 2);
    (void)challenges(&b, NULL);
    b.now += 40 * MS;
    answer(&b, p);
    assert_int_equal(choose(&b), p->id);
    prove(&b, q, 35 * MS);
    assert_int_equal(choose(&b), p->id);
    q->rtt_ns = 30 * MS;
    assert_int_equal(choose(&b), q->id);
    p->rtt_ns = 29 * MS;
    assert_int_equal(choose(&b), q->id);
}

static void a_path_not_measured_yet_is_not_the_fastest(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    prove(&b, p, 10 * MS);
    assert_int_equal(choose(&b), p->id);
    struct path *q = add_direct(&b, 2);
    pathset_acked(&b.set, q, b.now);
    assert_true(pathset_is_trusted(q, b.now));
    assert_int_equal(choose(&b), p->id);
}

static void the_best_of_a_kind_is_known_beside_the_best_of_all(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    struct path *r = add_relay(&b, 0);
    assert_int_equal(choose(&b), r->id);
    assert_int_equal(pathset_choose_of(&b.set, WHERE_DIRECT, b.now), 0); /* it never answered */
    assert_int_equal(pathset_choose_of(&b.set, WHERE_RELAY, b.now), r->id);
    prove(&b, p, 20 * MS);
    assert_int_equal(choose(&b), p->id);
    assert_int_equal(pathset_choose_of(&b.set, WHERE_DIRECT, b.now), p->id);
    assert_int_equal(pathset_choose_of(&b.set, WHERE_RELAY, b.now), r->id);
    pathset_suspect(&b.set, p, b.now);
    assert_int_equal(choose(&b), p->id);
    b.now += PATHSET_DOUBT_NS;
    assert_int_equal(choose(&b), r->id);
    assert_int_equal(pathset_choose_of(&b.set, WHERE_DIRECT, b.now), p->id);
    pathset_remove(&b.set, p->id);
    struct path *late = add_relay(&b, 1); /* in its place */
    assert_int_equal(late->id, 1);
    assert_int_equal(pathset_choose_of(&b.set, WHERE_DIRECT, b.now), 0);
    pathset_set_usable(&b.set, r, false, b.now);
    assert_int_equal(choose(&b), late->id);
    assert_int_equal(pathset_choose_of(&b.set, WHERE_RELAY, b.now), late->id);
}

static void a_relay_is_used_only_while_it_is_usable(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *one = add_relay(&b, 0);
    struct path *two = add_relay(&b, 1);
    assert_int_equal(choose(&b), one->id);
    pathset_set_usable(&b.set, one, false, b.now);
    assert_int_equal(choose(&b), two->id);
    pathset_set_usable(&b.set, two, false, b.now);
    assert_int_equal(choose(&b), 0);
    (void)challenges(&b, NULL);
    pathset_heard(&b.set, one, b.now);
    assert_int_equal(choose(&b), one->id);
}

static void of_two_relays_the_one_where_the_peer_answers(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *one = add_relay(&b, 0);
    struct path *two = add_relay(&b, 1);
    assert_int_equal(choose(&b), one->id);
    (void)challenges(&b, NULL);
    b.now += 50 * MS;
    answer(&b, two);
    assert_int_equal(choose(&b), two->id);
    b.now += 3600 * NS_PER_S;
    assert_int_equal(choose(&b), two->id);
    pathset_suspect(&b.set, two, b.now);
    assert_int_equal(choose(&b), one->id);
    pathset_suspect(&b.set, one, b.now);
    assert_int_not_equal(choose(&b), 0); /* better than nothing */
    (void)challenges(&b, NULL);
    b.now += 50 * MS;
    answer(&b, two);
    assert_int_equal(choose(&b), two->id);
}

/* --- challenges --- */

static void probes_back_off_while_there_is_no_answer(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    uint64_t interval = PATHSET_PROBE_FIRST_NS;
    for (int i = 0; i < 12; i++) {
        assert_int_equal(challenges(&b, p), 1);
        assert_int_equal(pathset_next_ns(&b.set, b.now), b.now + interval);
        b.now += interval - 1;
        assert_int_equal(challenges(&b, p), 0);
        b.now++;
        interval = time_min(2 * interval, PATHSET_PROBE_LAST_NS);
    }
    assert_int_equal(interval, PATHSET_PROBE_LAST_NS);
}

static void probes_of_a_dead_path_are_rarer_in_quiet_times(void **state)
{
    (void)state;
    BENCH(b, PATHSET_QUIET);
    struct path *p = add_direct(&b, 1);
    (void)add_relay(&b, 0);
    (void)choose(&b);
    unsigned count = 0;
    uint64_t end = b.now + 600 * NS_PER_S;
    while (b.now < end) {
        count += challenges(&b, p);
        b.now = pathset_next_ns(&b.set, b.now);
    }
    assert_true(count < 16);
    pathset_set_pulse(&b.set, PATHSET_BUSY, b.now);
    assert_int_equal(challenges(&b, p), 1);
}

static void a_far_path_keeps_its_trust(void **state)
{
    (void)state;
    static const uint64_t rtts[] = {1 * MS, 99 * MS, 101 * MS, 150 * MS, 300 * MS, 1200 * MS};
    for (size_t i = 0; i < sizeof(rtts) / sizeof(rtts[0]); i++) {
        BENCH(b, PATHSET_BUSY);
        struct path *p = add_direct(&b, 1);
        (void)add_relay(&b, 0);
        (void)pass(&b, 10 * NS_PER_S, p, rtts[i]);
        assert_int_equal(b.set.best, p->id);
        assert_int_equal(pass(&b, 300 * NS_PER_S, p, rtts[i]), 0);
    }
}

static void a_lost_heartbeat_does_not_end_trust(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    prove(&b, p, 10 * MS);
    b.now += PATHSET_HEARTBEAT_NS;
    for (int i = 0; i < 4; i++) { /* these are lost */
        assert_int_equal(challenges(&b, p), 1);
        b.now = pathset_next_ns(&b.set, b.now);
    }
    assert_int_equal(challenges(&b, p), 1);
    b.now += 10 * MS;
    assert_true(pathset_is_trusted(p, b.now));
    answer(&b, p);
    assert_true(pathset_is_trusted(p, b.now + PATHSET_TRUST_NS - 1));
}

static void a_quiet_session_stays_on_its_path(void **state)
{
    (void)state;
    BENCH(b, PATHSET_QUIET);
    struct path *p = add_direct(&b, 1);
    (void)add_relay(&b, 0);
    (void)pass(&b, 2 * NS_PER_S, p, 20 * MS);
    assert_int_equal(b.set.best, p->id);
    assert_int_equal(pass(&b, 600 * NS_PER_S, p, 20 * MS), 0);
}

/* One side's keep-alive is the other's too: only one of both asks. */
static void of_two_quiet_sides_one_asks(void **state)
{
    (void)state;
    BENCH(a, PATHSET_QUIET);
    BENCH(b, PATHSET_QUIET);
    struct path *p = add_direct(&a, 1);
    struct path *q = add_direct(&b, 2);
    prove(&a, p, 10 * MS);
    b.now = a.now;
    prove(&b, q, 10 * MS);
    a.now = b.now;
    unsigned asked[2] = {0};
    uint64_t end = a.now + 600 * NS_PER_S;
    uint64_t last = a.now;
    while (a.now < end) {
        (void)choose(&a);
        (void)choose(&b);
        if (challenges(&a, p) > 0) {
            asked[0]++;
            pathset_answered(&b.set, q, b.now);
            answer(&a, p);
            last = a.now;
        }
        if (challenges(&b, q) > 0) {
            asked[1]++;
            pathset_answered(&a.set, p, a.now);
            answer(&b, q);
            last = a.now;
        }
        assert_int_equal(a.set.best, p->id);
        assert_int_equal(b.set.best, q->id);
        assert_true(a.now - last <= PATHSET_KEEPALIVE_NS + 2 * PATHSET_KEEPALIVE_JITTER_NS);
        a.now = b.now = time_min(pathset_next_ns(&a.set, a.now), pathset_next_ns(&b.set, b.now));
    }
    assert_true(asked[0] + asked[1] <= 600 * NS_PER_S / PATHSET_KEEPALIVE_NS + 3);
    assert_true(asked[0] < 3 || asked[1] < 3);
}

static void a_measured_lifetime_sets_the_pace_of_keep_alives(void **state)
{
    (void)state;
    BENCH(b, PATHSET_QUIET);
    struct path *p = add_direct(&b, 1);
    pathset_set_keep(&b.set, 115 * NS_PER_S);
    prove(&b, p, 10 * MS);
    (void)choose(&b);
    unsigned count = 0;
    uint64_t end = b.now + 3600 * NS_PER_S;
    while ((b.now = pathset_next_ns(&b.set, b.now)) < end) {
        assert_int_equal(choose(&b), p->id);
        if (challenges(&b, p) > 0) {
            answer(&b, p);
            count++;
        }
    }
    assert_in_range(count, 3600 / 115 - 1, 3600 / 115 + 1);
}

static void data_after_a_quiet_time_asks_for_a_fresh_proof(void **state)
{
    (void)state;
    BENCH(b, PATHSET_QUIET);
    struct path *p = add_direct(&b, 1);
    struct path *r = add_relay(&b, 0);
    (void)pass(&b, 2 * NS_PER_S, p, 20 * MS);
    (void)pass(&b, PATHSET_TRUST_NS, p, 20 * MS);
    assert_int_equal(choose(&b), p->id);
    pathset_set_pulse(&b.set, PATHSET_BUSY, b.now);
    assert_ways(&b, r, p, true);
    assert_int_equal(challenges(&b, p), 1);
    b.now += 20 * MS;
    answer(&b, p);
    assert_ways(&b, p, r, false);
}

static void nothing_is_sent_while_asleep(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    prove(&b, p, 10 * MS);
    pathset_set_pulse(&b.set, PATHSET_ASLEEP, b.now);
    b.now += 3600 * NS_PER_S;
    assert_int_equal(pathset_next_ns(&b.set, b.now), TIME_NEVER);
    assert_int_equal(challenges(&b, p), 0);
    pathset_set_pulse(&b.set, PATHSET_BUSY, b.now);
    assert_int_equal(challenges(&b, p), 1);
}

static void everything_is_challenged_at_once_when_asked_for(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    struct path *r = add_relay(&b, 0);
    (void)challenges(&b, NULL);
    assert_int_equal(challenges(&b, p) + challenges(&b, r), 0);
    pathset_probe_all(&b.set, b.now);
    assert_int_equal(challenges(&b, p), 1);
    pathset_probe_all(&b.set, b.now);
    assert_int_equal(challenges(&b, r), 1);
}

/* --- learned addresses --- */

static void a_learned_path_is_forgotten_and_remembered_when_heard_of(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *known = add_direct(&b, 1);
    struct path *p = add(&b, direct(2), false);
    assert_int_equal(challenges(&b, p), 1);
    b.now += PATHSET_FORGET_NS + 1;
    prove(&b, known, 10 * MS);
    assert_int_equal(challenges(&b, p), 0);
    b.now += 3600 * NS_PER_S;
    assert_int_equal(challenges(&b, p), 0);
    pathset_heard(&b.set, p, b.now);
    assert_int_equal(challenges(&b, p), 1);
    pathset_heard(&b.set, p, b.now);
    assert_int_equal(challenges(&b, p), 0); /* one is on its way */
}

static void a_packet_from_a_path_on_long_intervals_brings_the_next_probe_forward(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(challenges(&b, p), 1);
        b.now = pathset_next_ns(&b.set, b.now);
    }
    assert_int_equal(challenges(&b, p), 1);
    b.now += PATHSET_PROBE_FIRST_NS;
    pathset_heard(&b.set, p, b.now);
    assert_int_equal(challenges(&b, p), 1);
}

static void the_least_useful_learned_path_makes_room(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    uint8_t dropped;
    struct path *configured = add_direct(&b, 1);
    struct path *trusted = add(&b, direct(2), false);
    prove(&b, trusted, 10 * MS);
    for (uint8_t i = 3; i < PACKET_PATHS_MAX; i++) {
        b.now += MS;
        (void)add(&b, direct(i), false);
    }
    struct where fresh = direct(100);
    struct path *p = pathset_add(&b.set, &fresh, false, b.now, &dropped);
    assert_non_null(p);
    assert_int_equal(dropped, 3);
    assert_int_equal(p->id, 3);
    struct where old = direct(3);
    assert_null(pathset_find(&b.set, &old));
    assert_true(configured->id != 0 && trusted->id != 0);
    assert_ptr_equal(pathset_add(&b.set, &fresh, false, b.now, &dropped), p);
    assert_int_equal(dropped, 0);
}

static void configured_paths_are_never_dropped(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    uint8_t dropped;
    for (uint8_t i = 1; i < PACKET_PATHS_MAX; i++) {
        (void)add_direct(&b, i);
    }
    struct where fresh = direct(100);
    assert_null(pathset_add(&b.set, &fresh, true, b.now, &dropped));
    assert_int_equal(dropped, 0);
    struct path *p = pathset_get(&b.set, 4);
    assert_non_null(p);
    p->configured = false; /* its name has another address now */
    assert_ptr_equal(pathset_add(&b.set, &fresh, true, b.now, &dropped), p);
    assert_int_equal(dropped, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_direct_path_is_chosen_once_it_has_answered),
        cmocka_unit_test(a_wrong_or_late_token_proves_nothing),
        cmocka_unit_test(trust_ends_and_the_relay_is_used_too_and_then_alone),
        cmocka_unit_test(a_proof_ends_the_doubt_and_the_choice_never_changed),
        cmocka_unit_test(another_direct_path_that_is_trusted_comes_before_one_in_doubt),
        cmocka_unit_test(without_a_relay_a_path_that_lost_its_trust_is_kept),
        cmocka_unit_test(an_acknowledgement_is_a_proof),
        cmocka_unit_test(a_suspected_path_is_in_doubt_at_once_and_for_a_while),
        cmocka_unit_test(a_held_path_is_not_challenged_for_every_packet_from_there),
        cmocka_unit_test(a_faster_path_needs_a_clear_margin),
        cmocka_unit_test(a_path_not_measured_yet_is_not_the_fastest),
        cmocka_unit_test(the_best_of_a_kind_is_known_beside_the_best_of_all),
        cmocka_unit_test(a_relay_is_used_only_while_it_is_usable),
        cmocka_unit_test(of_two_relays_the_one_where_the_peer_answers),
        cmocka_unit_test(probes_back_off_while_there_is_no_answer),
        cmocka_unit_test(probes_of_a_dead_path_are_rarer_in_quiet_times),
        cmocka_unit_test(a_far_path_keeps_its_trust),
        cmocka_unit_test(a_lost_heartbeat_does_not_end_trust),
        cmocka_unit_test(a_quiet_session_stays_on_its_path),
        cmocka_unit_test(of_two_quiet_sides_one_asks),
        cmocka_unit_test(a_measured_lifetime_sets_the_pace_of_keep_alives),
        cmocka_unit_test(data_after_a_quiet_time_asks_for_a_fresh_proof),
        cmocka_unit_test(nothing_is_sent_while_asleep),
        cmocka_unit_test(everything_is_challenged_at_once_when_asked_for),
        cmocka_unit_test(a_learned_path_is_forgotten_and_remembered_when_heard_of),
        cmocka_unit_test(a_packet_from_a_path_on_long_intervals_brings_the_next_probe_forward),
        cmocka_unit_test(the_least_useful_learned_path_makes_room),
        cmocka_unit_test(configured_paths_are_never_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
