/* Two machines behind NATs of a few lines: each new pair of socket and destination gets the next
 * port. Others open mappings at moments that the test chooses. */
#include "path/cand.h"
#include "path/sequence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define NOW (1000 * NS_PER_S)
#define MS(n) ((uint64_t)(n)*NS_PER_MS)

enum { PEER = 7, MAPS_MAX = 256 };

static const struct addr server = {.family = ADDR_IPV4, .ip = {198, 51, 100, 1}, .port = 3478};

struct side {
    struct sequence s;
    struct addr outside; /* its port is that of the next mapping */
    int step;
    size_t count;
    struct addr to[MAPS_MAX]; /* mappings of the first socket ... */
    uint16_t port[MAPS_MAX];  /* ... and their ports */
    unsigned met;             /* packets that were let in */
};

struct bench {
    struct pcg pcg;
    struct side a, b; /* a is the wide one */
};

static void others(struct side *side, int count)
{
    side->outside.port = (uint16_t)(side->outside.port + count * side->step);
}

static struct addr next_mapping(struct side *side)
{
    struct addr a = side->outside;
    others(side, 1);
    return a;
}

static struct bench *bench_new(int step_a, int step_b)
{
    static struct bench b;
    memset(&b, 0, sizeof(b));
    struct rng rng = pcg_rng(&b.pcg, 1);
    sequence_init(&b.a.s, rng);
    sequence_init(&b.b.s, rng);
    b.a.outside = addr_ipv4(203, 0, 113, 1, 30000);
    b.b.outside = addr_ipv4(203, 0, 113, 2, 50000);
    b.a.step = step_a;
    b.b.step = step_b;
    return &b;
}

static void answer(struct sequence *s, unsigned n, const uint8_t *ask, size_t len,
                   const struct addr *mapped, uint64_t now)
{
    struct stun_message m;
    uint8_t out[STUN_MESSAGE_MAX];
    assert_int_equal(stun_read(&m, ask, len), 0);
    struct stun_message say = {.type = STUN_SUCCESS, .xor_mapped = *mapped};
    memcpy(say.txid, m.txid, sizeof(say.txid));
    len = stun_write(out, sizeof(out), &say);
    assert_true(sequence_input(s, n, &server, out, len, now));
}

/* All requests leave, then all answers come. `between`: others' mappings between two of ours. */
static void ask(struct side *side, bool wide, int between, uint64_t now)
{
    uint8_t sent[SEQUENCE_SOCKETS][64];
    size_t len[SEQUENCE_SOCKETS] = {0};
    struct addr mapped[SEQUENCE_SOCKETS];
    unsigned n = 0;
    assert_true(sequence_start(&side->s, PEER, wide, &server, STUN_FORM_PLAIN, now));
    assert_int_equal(sequence_ask(&side->s, &n, sent[0], 64, now), 0); /* no sockets yet */
    now += SEQUENCE_OPEN_NS;
    for (unsigned i = 0; i < SEQUENCE_SOCKETS; i++) {
        len[i] = sequence_ask(&side->s, &n, sent[i], 64, now);
        assert_true(len[i] > 0);
        assert_int_equal(n, i);
        mapped[i] = next_mapping(side);
        others(side, i == 0 ? between : 0);
    }
    assert_int_equal(side->s.state, SEQUENCE_ASKING);
    for (unsigned i = SEQUENCE_SOCKETS; i > 0; i--) { /* they may come in any order */
        answer(&side->s, i - 1, sent[i - 1], len[i - 1], &mapped[i - 1], now);
    }
}

static uint16_t map(struct side *side, const struct addr *to)
{
    for (size_t i = 0; i < side->count; i++) {
        if (addr_equal(&side->to[i], to)) {
            return side->port[i];
        }
    }
    assert_true(side->count < MAPS_MAX);
    side->to[side->count] = *to;
    side->port[side->count] = next_mapping(side).port;
    return side->port[side->count++];
}

/* True if `to` lets in what comes from there. */
static bool reaches(const struct side *from, uint16_t port, struct side *to,
                    const struct addr *target)
{
    struct addr source = from->outside;
    source.port = port;
    for (size_t i = 0; i < to->count; i++) {
        if (to->port[i] == target->port && addr_equal(&to->to[i], &source)) {
            to->met++;
            return true;
        }
    }
    return false;
}

static unsigned send_some(struct side *from, struct side *to, uint64_t now)
{
    struct addr target;
    unsigned count = 0;
    while (sequence_output(&from->s, &target, now)) {
        assert_true(addr_equal_ip(&target, &to->outside));
        uint16_t port = map(from, &target);
        if (from->s.hops == 0) {
            (void)reaches(from, port, to, &target);
        }
        count++;
    }
    assert_true(count <= SEQUENCE_BURST_MAX);
    return count;
}

/* Both have their numbers; others open so many mappings before they send. */
static void meet(struct bench *b, int shift_a, int shift_b, uint64_t now)
{
    others(&b->a, shift_a);
    others(&b->b, shift_b);
    sequence_meet(&b->a.s, PEER, &b->b.s.ours, now);
    sequence_meet(&b->b.s, PEER, &b->a.s.ours, now);
    assert_int_equal(b->a.s.state, SEQUENCE_SENDING);
    assert_int_equal(b->b.s.state, SEQUENCE_SENDING);
    unsigned sent = 0;
    for (uint64_t t = 0; t < SEQUENCE_RUN_NS; t += NS_PER_MS) {
        sent += send_some(&b->a, &b->b, now + t);
        sent += send_some(&b->b, &b->a, now + t + MS(20));
    }
    assert_int_equal(sent, 2 * SEQUENCE_COUNT * SEQUENCE_ROUNDS);
    assert_true(sequence_tick(&b->a.s, now + SEQUENCE_RUN_NS));
    assert_true(sequence_tick(&b->b.s, now + SEQUENCE_RUN_NS));
}

static void they_meet_for_each_shift_of_either_side(void **state)
{
    (void)state;
    for (int a = 0; a <= 15; a++) {
        for (int b = 0; b <= 15; b++) {
            struct bench *w = bench_new(1, 1);
            ask(&w->a, true, 0, NOW);
            ask(&w->b, false, 0, NOW);
            meet(w, a, b, NOW + MS(100));
            assert_true(w->a.met >= SEQUENCE_HOLD);
            assert_true(w->b.met >= SEQUENCE_HOLD);
        }
    }
}

static void they_meet_whatever_the_steps(void **state)
{
    (void)state;
    static const int steps[] = {1, 2, -1, -3, 16};
    for (size_t i = 0; i < 5; i++) {
        for (size_t k = 0; k < 5; k++) {
            struct bench *w = bench_new(steps[i], steps[k]);
            ask(&w->a, true, 0, NOW);
            ask(&w->b, false, 0, NOW);
            meet(w, 3, 2, NOW + MS(100));
            assert_true(w->a.met > 0 && w->b.met > 0);
        }
    }
}

/* A mapping of somebody else between two of the three answers does not hide the step. */
static void a_gap_in_the_answers_is_seen_through(void **state)
{
    (void)state;
    struct bench *w = bench_new(2, 1);
    ask(&w->a, true, 3, NOW);
    assert_int_equal(w->a.s.state, SEQUENCE_TOLD);
    assert_int_equal(w->a.s.ours.step, 2);
    assert_int_equal(w->a.s.ours.next.port, w->a.outside.port);
}

static void ports_by_chance_end_the_run_at_once(void **state)
{
    (void)state;
    static const int gaps[] = {SEQUENCE_STEP_MAX, 1000, -5};
    for (size_t i = 0; i < 3; i++) {
        struct bench *w = bench_new(1, 1);
        ask(&w->a, true, gaps[i], NOW);
        assert_int_equal(w->a.s.state, SEQUENCE_IDLE);
        assert_int_equal(w->a.s.stats.runs, 0);
        assert_int_equal(sequence_next_ns(&w->a.s), TIME_NEVER);
        assert_false(sequence_start(&w->a.s, PEER, true, &server, STUN_FORM_PLAIN, NOW + MS(5)));
        assert_true(sequence_start(&w->a.s, PEER, true, &server, STUN_FORM_PLAIN,
                                   NOW + SEQUENCE_PAUSE_NS + MS(5)));
    }
}

/* Whoever was told first goes on as soon as it knows its own numbers. */
static void the_peers_numbers_may_come_first(void **state)
{
    (void)state;
    struct bench *w = bench_new(1, 1);
    struct sequence_numbers theirs = {.next = addr_ipv4(203, 0, 113, 2, 50000), .step = 1};
    sequence_meet(&w->a.s, PEER, &theirs, NOW); /* there is no run */
    assert_int_equal(w->a.s.state, SEQUENCE_IDLE);
    ask(&w->b, false, 0, NOW);
    ask(&w->a, true, 0, NOW);
    assert_int_equal(w->a.s.state, SEQUENCE_TOLD);
    sequence_meet(&w->a.s, PEER + 1, &theirs, NOW); /* somebody else's */
    assert_int_equal(w->a.s.state, SEQUENCE_TOLD);
    sequence_meet(&w->a.s, PEER, &theirs, NOW);
    assert_int_equal(w->a.s.state, SEQUENCE_SENDING);
    assert_true(sequence_start(&(struct sequence){.rng = w->a.s.rng}, PEER, true, &server,
                               STUN_FORM_PLAIN, NOW));
    /* As the second of both: told while it asks. */
    struct side *b = &w->b;
    sequence_stop(&b->s, false, NOW);
    uint64_t now = NOW + 2 * SEQUENCE_PAUSE_NS;
    assert_true(sequence_start(&b->s, PEER, false, &server, STUN_FORM_PLAIN, now));
    sequence_meet(&b->s, PEER, &theirs, now);
    assert_int_equal(b->s.state, SEQUENCE_ASKING);
    now += SEQUENCE_OPEN_NS;
    for (unsigned i = 0; i < SEQUENCE_SOCKETS; i++) {
        uint8_t buf[64];
        unsigned n;
        size_t len = sequence_ask(&b->s, &n, buf, sizeof(buf), now);
        struct addr mapped = next_mapping(b);
        answer(&b->s, n, buf, len, &mapped, now);
    }
    assert_int_equal(b->s.state, SEQUENCE_SENDING);
}

static void silence_ends_it(void **state)
{
    (void)state;
    struct bench *w = bench_new(1, 1);
    uint8_t buf[64];
    unsigned n;
    assert_true(sequence_start(&w->a.s, PEER, true, &server, STUN_FORM_PLAIN, NOW));
    assert_true(sequence_calm_ns(&w->a.s) > NOW);
    unsigned asked = 0;
    uint64_t now = NOW;
    while (!sequence_tick(&w->a.s, now)) {
        now = sequence_next_ns(&w->a.s);
        while (sequence_ask(&w->a.s, &n, buf, sizeof(buf), now) > 0) {
            asked++;
        }
    }
    assert_int_equal(now, NOW + SEQUENCE_ASK_NS);
    assert_in_range(asked, SEQUENCE_SOCKETS, 3 * SEQUENCE_SOCKETS);
    assert_int_equal(sequence_calm_ns(&w->a.s), 0);
    /* The STUN server answers, the peer does not. */
    ask(&w->b, false, 0, NOW);
    assert_int_equal(sequence_next_ns(&w->b.s), NOW + SEQUENCE_OPEN_NS + SEQUENCE_TOLD_NS);
    assert_true(sequence_tick(&w->b.s, NOW + SEQUENCE_OPEN_NS + SEQUENCE_TOLD_NS));
    assert_int_equal(w->b.s.stats.sent, 0);
}

static void forged_answers_are_none(void **state)
{
    (void)state;
    struct bench *w = bench_new(1, 1);
    uint8_t buf[64];
    uint8_t out[STUN_MESSAGE_MAX];
    unsigned n;
    assert_true(sequence_start(&w->a.s, PEER, true, &server, STUN_FORM_PLAIN, NOW));
    size_t len = sequence_ask(&w->a.s, &n, buf, sizeof(buf), NOW + SEQUENCE_OPEN_NS);
    struct stun_message m;
    assert_int_equal(stun_read(&m, buf, len), 0);
    struct stun_message say = {.type = STUN_SUCCESS, .xor_mapped = w->a.outside};
    len = stun_write(out, sizeof(out), &say); /* the id is a guess */
    assert_false(sequence_input(&w->a.s, 0, &server, out, len, NOW));
    memcpy(say.txid, m.txid, sizeof(say.txid));
    len = stun_write(out, sizeof(out), &say);
    struct addr stranger = addr_ipv4(192, 0, 2, 66, 3478);
    assert_false(sequence_input(&w->a.s, 0, &stranger, out, len, NOW));
    assert_false(sequence_input(&w->a.s, 1, &server, out, len, NOW)); /* the second's */
    assert_true(sequence_input(&w->a.s, 0, &server, out, len, NOW));
    assert_true(sequence_input(&w->a.s, 0, &server, out, len, NOW)); /* twice: nothing new */
    assert_int_equal(w->a.s.state, SEQUENCE_ASKING);
}

static void runs_are_rare(void **state)
{
    (void)state;
    struct bench *w = bench_new(1, 1);
    ask(&w->a, true, 0, NOW);
    ask(&w->b, false, 0, NOW);
    uint64_t begin = NOW + MS(100);
    meet(w, 0, 0, begin);
    uint64_t end = begin + SEQUENCE_RUN_NS;
    assert_false(
        sequence_start(&w->a.s, PEER, true, &server, STUN_FORM_PLAIN, end + SEQUENCE_REST_NS - 1));
    assert_true(
        sequence_start(&w->a.s, PEER, true, &server, STUN_FORM_PLAIN, end + SEQUENCE_REST_NS));
}

/* Past the last port nobody knows where the NAT goes on. */
static void the_end_of_ports_is_no_target(void **state)
{
    (void)state;
    struct bench *w = bench_new(1, 1);
    struct sequence_numbers theirs = {.next = addr_ipv4(203, 0, 113, 2, 65530), .step = 1};
    struct addr to;
    unsigned count = 0;
    ask(&w->a, true, 0, NOW);
    sequence_meet(&w->a.s, PEER, &theirs, NOW);
    for (uint64_t now = NOW; now < NOW + SEQUENCE_RUN_NS; now += NS_PER_MS) {
        while (sequence_output(&w->a.s, &to, now)) {
            assert_true(to.port >= 65530);
            count++;
        }
    }
    assert_int_equal(count, 4);
    assert_true(sequence_tick(&w->a.s, NOW + SEQUENCE_RUN_NS));
}

/* --- what is said --- */

static void numbers_go_through_a_list(void **state)
{
    (void)state;
    struct sequence_numbers said = {.next = addr_ipv4(203, 0, 113, 2, 50000), .step = -2};
    struct sequence_numbers heard = {0};
    struct frame_candidate list[4] = {
        {.source = CAND_REFLEXIVE, .addr = addr_ipv4(203, 0, 113, 2, 4000)},
        {.source = CAND_HOST, .addr = addr_ipv4(192, 168, 1, 2, 4000)}};
    sequence_list_tell(&said, list + 2);
    assert_true(sequence_list_numbers(list, 4, &heard));
    assert_true(addr_equal(&heard.next, &said.next));
    assert_int_equal(heard.step, said.step);
    assert_false(sequence_list_numbers(list, 3, &heard));     /* one of the two */
    assert_false(sequence_list_numbers(list + 1, 3, &heard)); /* of whom? */
    list[0].addr.ip[3] = 9; /* the peer does not even claim to be there */
    assert_false(sequence_list_numbers(list, 4, &heard));
}

static void nonsense_in_a_list_is_not_heard(void **state)
{
    (void)state;
    struct sequence_numbers heard;
    static const uint16_t second[] = {50000, 50017, 49000, 0};
    for (size_t i = 0; i < 4; i++) {
        struct frame_candidate list[3] = {
            {.source = CAND_REFLEXIVE, .addr = addr_ipv4(203, 0, 113, 2, 4000)},
            {.source = CAND_SEQUENCE, .addr = addr_ipv4(203, 0, 113, 2, 50000)},
            {.source = CAND_SEQUENCE, .addr = addr_ipv4(203, 0, 113, 2, second[i])}};
        assert_false(sequence_list_numbers(list, 3, &heard));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_meet_for_each_shift_of_either_side),
        cmocka_unit_test(they_meet_whatever_the_steps),
        cmocka_unit_test(a_gap_in_the_answers_is_seen_through),
        cmocka_unit_test(ports_by_chance_end_the_run_at_once),
        cmocka_unit_test(the_peers_numbers_may_come_first),
        cmocka_unit_test(silence_ends_it),
        cmocka_unit_test(forged_answers_are_none),
        cmocka_unit_test(runs_are_rare),
        cmocka_unit_test(the_end_of_ports_is_no_target),
        cmocka_unit_test(numbers_go_through_a_list),
        cmocka_unit_test(nonsense_in_a_list_is_not_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
