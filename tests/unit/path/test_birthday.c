/* Both roles against a NAT of a few lines: a random port for each of the hard side's sockets, and a
 * way of a few milliseconds. */
#include "path/birthday.h"
#include "path/cand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define NOW (1000 * NS_PER_S)
#define STEP NS_PER_MS

static const uint32_t peer = 7;

struct bench {
    struct pcg pcg;
    struct rng rng;
    struct birthday hard, easy;
    struct addr easy_addr, hard_addr;
    uint16_t socket_of[65536]; /* mappings by outside port; 0 = none */
    uint16_t port_of[BIRTHDAY_NUMBERS_MAX + 1];
    uint64_t now;
    uint64_t sent_hard, sent_easy;
};

static struct bench *bench_new(uint64_t seed, unsigned sockets)
{
    static struct bench b;
    memset(&b, 0, sizeof(b));
    b.rng = pcg_rng(&b.pcg, seed);
    b.now = NOW;
    b.easy_addr = addr_ipv4(203, 0, 113, 2, 41741);
    b.hard_addr = addr_ipv4(203, 0, 113, 1, 30000);
    birthday_init(&b.hard, sockets, b.rng);
    birthday_init(&b.easy, sockets, b.rng);
    return &b;
}

static void begin(struct bench *b)
{
    assert_true(birthday_ask(&b->easy, peer, b->now));
    assert_true(birthday_open(&b->hard, peer, &b->easy_addr, b->now));
    assert_true(birthday_probe(&b->easy, peer, &b->hard_addr, b->now));
}

/* Mappings of the sockets that have sent. */
static unsigned open_some(struct bench *b)
{
    unsigned socket;
    struct addr to;
    unsigned count = 0;
    while (birthday_output(&b->hard, &socket, &to, b->now)) {
        assert_true(addr_equal(&to, &b->easy_addr));
        assert_int_equal(birthday_use(&b->hard, socket), BIRTHDAY_TRIED);
        count++;
        while (b->port_of[socket] == 0) {
            uint16_t port = (uint16_t)(1024 + rng_below(b->rng, 64512));
            if (b->socket_of[port] == 0) {
                b->port_of[socket] = port;
                b->socket_of[port] = (uint16_t)socket;
            }
        }
    }
    b->sent_hard += count;
    return count;
}

/* The socket that a probe has hit, 0 = none. */
static unsigned probe_some(struct bench *b, unsigned *count)
{
    unsigned socket;
    unsigned hit = 0;
    struct addr to;
    *count = 0;
    while (birthday_output(&b->easy, &socket, &to, b->now)) {
        assert_int_equal(socket, 0);
        assert_true(addr_equal_ip(&to, &b->hard_addr));
        assert_true(to.port >= BIRTHDAY_PORT_MIN);
        (*count)++;
        hit = b->socket_of[to.port] != 0 ? b->socket_of[to.port] : hit;
    }
    b->sent_easy += *count;
    return hit;
}

/* Until a hit or the end of both; the winning socket, or 0. */
static unsigned run(struct bench *b)
{
    unsigned hit = 0;
    while (hit == 0 && (b->hard.state != BIRTHDAY_IDLE || b->easy.state != BIRTHDAY_IDLE)) {
        unsigned count;
        (void)open_some(b);
        hit = probe_some(b, &count);
        b->now += STEP;
        (void)birthday_tick(&b->hard, b->now);
        (void)birthday_tick(&b->easy, b->now);
    }
    return hit;
}

static void of_100_runs_95_take_less_than_10_s(void **state)
{
    (void)state;
    unsigned won = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct bench *b = bench_new(seed, BIRTHDAY_SOCKETS_MAX);
        begin(b);
        unsigned hit = run(b);
        won += hit != 0 && b->now - NOW < 10 * NS_PER_S;
        assert_true(b->sent_easy <= BIRTHDAY_PROBES_MAX);
        assert_true(b->sent_hard <= 2 * BIRTHDAY_SOCKETS_MAX);
    }
    print_message("             %u of 100\n", won);
    assert_true(won >= 95);
}

/* Where ports are given out one after the other. */
static void ports_above_the_known_one_come_first(void **state)
{
    (void)state;
    struct bench *b = bench_new(1, BIRTHDAY_SOCKETS_MAX);
    for (uint16_t i = 1; i <= BIRTHDAY_SOCKETS_MAX; i++) {
        b->port_of[i] = (uint16_t)(b->hard_addr.port + i);
        b->socket_of[b->port_of[i]] = i;
    }
    begin(b);
    assert_int_not_equal(run(b), 0);
    assert_true(b->sent_easy <= 3);
}

/* The greatest port is near: nothing wraps round. */
static void ports_stay_in_their_range(void **state)
{
    (void)state;
    struct bench *b = bench_new(2, BIRTHDAY_SOCKETS_MAX);
    b->hard_addr.port = 65500;
    begin(b);
    for (unsigned count; b->easy.state != BIRTHDAY_IDLE; b->now += STEP) {
        (void)probe_some(b, &count); /* asserts */
        (void)birthday_tick(&b->easy, b->now);
    }
    assert_int_equal(b->sent_easy, BIRTHDAY_PROBES_MAX);
}

static void a_run_without_a_hit_ends_within_its_bounds(void **state)
{
    (void)state;
    struct bench *b = bench_new(3, 100);
    begin(b);
    unsigned peak_hard = 0;
    unsigned peak_easy = 0;
    for (; b->easy.state != BIRTHDAY_IDLE || b->hard.state != BIRTHDAY_IDLE; b->now += STEP) {
        unsigned probes;
        unsigned opened = open_some(b);
        (void)probe_some(b, &probes);
        peak_hard = opened > peak_hard ? opened : peak_hard;
        peak_easy = probes > peak_easy ? probes : peak_easy;
        (void)birthday_tick(&b->hard, b->now);
        (void)birthday_tick(&b->easy, b->now);
    }
    assert_int_equal(b->sent_hard, 200);
    assert_int_equal(b->sent_easy, BIRTHDAY_PROBES_MAX);
    assert_int_equal(peak_hard, 1);
    assert_int_equal(peak_easy, 1);
    assert_in_range(b->now - NOW, BIRTHDAY_RUN_NS, BIRTHDAY_RUN_NS + STEP);
    assert_int_equal(b->hard.stats.runs, 1);
    assert_int_equal(b->hard.stats.won, 0);
    for (unsigned i = 1; i <= BIRTHDAY_NUMBERS_MAX; i++) {
        assert_int_equal(birthday_use(&b->hard, i), BIRTHDAY_CLOSED);
    }
    assert_int_equal(birthday_next_ns(&b->hard), TIME_NEVER);
}

/* The driver was away for a second: it does not make up for all of it at once. */
static void a_pause_makes_no_great_burst(void **state)
{
    (void)state;
    struct bench *b = bench_new(4, BIRTHDAY_SOCKETS_MAX);
    unsigned probes;
    begin(b);
    (void)open_some(b);
    (void)probe_some(b, &probes);
    b->now += NS_PER_S;
    assert_in_range(open_some(b), 2, BIRTHDAY_BURST_MAX + 1);
    (void)probe_some(b, &probes);
    assert_in_range(probes, 2, BIRTHDAY_BURST_MAX + 1);
}

static void one_run_at_a_time_and_then_a_rest(void **state)
{
    (void)state;
    struct bench *b = bench_new(5, BIRTHDAY_SOCKETS_MAX);
    begin(b);
    assert_false(birthday_ask(&b->easy, peer + 1, b->now));
    assert_false(birthday_open(&b->hard, peer + 1, &b->easy_addr, b->now));
    assert_true(birthday_is_with(&b->hard, peer));
    assert_false(birthday_is_with(&b->hard, peer + 1));
    birthday_stop(&b->hard, true, b->now);
    assert_int_equal(b->hard.stats.won, 1);
    assert_int_equal(birthday_ready_ns(&b->hard), b->now + BIRTHDAY_REST_NS);
    assert_false(birthday_open(&b->hard, peer, &b->easy_addr, b->now + BIRTHDAY_REST_NS - 1));
    assert_int_equal(b->hard.stats.refused, 2);
    assert_true(birthday_open(&b->hard, peer, &b->easy_addr, b->now + BIRTHDAY_REST_NS));
}

static void a_question_without_an_answer_needs_no_rest(void **state)
{
    (void)state;
    struct bench *b = bench_new(8, BIRTHDAY_SOCKETS_MAX);
    assert_true(birthday_ask(&b->easy, peer, b->now));
    b->now += BIRTHDAY_ASK_NS;
    assert_true(birthday_tick(&b->easy, b->now));
    assert_int_equal(birthday_ready_ns(&b->easy), b->now + BIRTHDAY_PAUSE_NS);
    assert_true(birthday_ask(&b->easy, peer, b->now + BIRTHDAY_PAUSE_NS));
}

static void openers_do_not_go_far_the_second_time_they_do(void **state)
{
    (void)state;
    struct bench *b = bench_new(9, 100);
    unsigned socket;
    struct addr to;
    begin(b);
    for (unsigned i = 0; i < 200; b->now += STEP) {
        if (birthday_output(&b->hard, &socket, &to, b->now)) {
            assert_int_equal(b->hard.hops, i < 100 ? BIRTHDAY_OPENER_HOPS : 0);
            i++;
        }
        if (birthday_output(&b->easy, &socket, &to, b->now)) {
            assert_int_equal(b->easy.hops, 0);
        }
    }
}

static void nobody_probes_without_having_asked(void **state)
{
    (void)state;
    struct bench *b = bench_new(6, BIRTHDAY_SOCKETS_MAX);
    assert_false(birthday_probe(&b->easy, peer, &b->hard_addr, b->now));
    assert_true(birthday_ask(&b->easy, peer, b->now));
    assert_false(birthday_probe(&b->easy, peer + 1, &b->hard_addr, b->now));
    assert_true(birthday_tick(&b->easy, b->now + BIRTHDAY_ASK_NS));
    assert_false(birthday_probe(&b->easy, peer, &b->hard_addr, b->now + BIRTHDAY_ASK_NS));
    assert_int_equal(b->easy.stats.runs, 0);
}

static void without_a_budget_there_are_no_runs(void **state)
{
    (void)state;
    struct bench *b = bench_new(7, 0);
    assert_false(birthday_ask(&b->easy, peer, b->now));
    assert_false(birthday_open(&b->hard, peer, &b->easy_addr, b->now));
    assert_false(birthday_changed(&b->hard));
    b = bench_new(7, 100000);
    assert_true(birthday_open(&b->hard, peer, &b->easy_addr, b->now));
    assert_int_equal(b->hard.tried_count, BIRTHDAY_SOCKETS_MAX);
}

static void what_was_heard_on_outlives_the_run(void **state)
{
    (void)state;
    struct bench *b = bench_new(8, 64);
    begin(b);
    assert_true(birthday_changed(&b->hard));
    assert_false(birthday_changed(&b->hard));
    birthday_heard(&b->hard, 5, peer);
    birthday_heard(&b->hard, 6, peer + 1); /* not whom the run is with */
    birthday_heard(&b->hard, 300, peer);   /* not open */
    birthday_stop(&b->hard, true, b->now);
    assert_true(birthday_changed(&b->hard));
    assert_int_equal(b->hard.kept, 1);
    for (unsigned i = 1; i <= BIRTHDAY_NUMBERS_MAX; i++) {
        assert_int_equal(birthday_use(&b->hard, i), i == 5 ? BIRTHDAY_KEPT : BIRTHDAY_CLOSED);
    }
    b->now += BIRTHDAY_REST_NS;
    assert_true(birthday_open(&b->hard, peer, &b->easy_addr, b->now));
    assert_int_equal(birthday_use(&b->hard, 5), BIRTHDAY_KEPT);
    assert_int_equal(birthday_use(&b->hard, 65), BIRTHDAY_TRIED);
    birthday_stop(&b->hard, false, b->now);
    birthday_release(&b->hard, 5);
    assert_true(birthday_changed(&b->hard));
    assert_int_equal(birthday_use(&b->hard, 5), BIRTHDAY_CLOSED);
    assert_int_equal(b->hard.kept, 0);
}

/* All numbers are kept sockets but a few: there is no run that cannot be one. */
static void kept_sockets_have_a_ceiling(void **state)
{
    (void)state;
    struct bench *b = bench_new(9, BIRTHDAY_SOCKETS_MAX);
    for (int i = 0; i < 20; i++, b->now += BIRTHDAY_REST_NS) {
        if (!birthday_open(&b->hard, peer, &b->easy_addr, b->now)) {
            break;
        }
        for (unsigned k = 0; k < b->hard.tried_count; k++) {
            birthday_heard(&b->hard, b->hard.tried[k], peer);
        }
        birthday_stop(&b->hard, true, b->now);
    }
    assert_int_equal(b->hard.kept, BIRTHDAY_NUMBERS_MAX);
    assert_false(birthday_ask(&b->hard, peer, b->now));
}

/* --- lists --- */

static struct frame_candidate entry(enum cand_source source, uint8_t host, uint16_t port)
{
    struct addr addr = addr_ipv4(203, 0, 113, host, port);
    return (struct frame_candidate){.source = (uint8_t)source, .addr = addr};
}

static void two_ports_of_one_ip_are_a_hard_nat(void **state)
{
    (void)state;
    const struct frame_candidate hard[] = {entry(CAND_REFLEXIVE, 1, 10), entry(CAND_HOST, 9, 1),
                                           entry(CAND_REFLEXIVE, 1, 11)};
    const struct frame_candidate two_lines[] = {entry(CAND_REFLEXIVE, 1, 10),
                                                entry(CAND_REFLEXIVE, 2, 11)};
    const struct frame_candidate twice[] = {entry(CAND_REFLEXIVE, 1, 10),
                                            entry(CAND_REFLEXIVE, 1, 10)};
    const struct frame_candidate others[] = {
        entry(CAND_REFLEXIVE, 1, 10), entry(CAND_MAPPED, 1, 11), entry(CAND_PEER_REFLEXIVE, 1, 12)};
    assert_true(birthday_list_is_hard(hard, 3));
    assert_false(birthday_list_is_hard(hard, 2));
    assert_false(birthday_list_is_hard(two_lines, 2));
    assert_false(birthday_list_is_hard(twice, 2));
    assert_false(birthday_list_is_hard(others, 3));
    assert_false(birthday_list_is_hard(NULL, 0));
}

/* A peer that names somebody else is not followed. */
static void a_sign_counts_only_for_a_reflexive_address(void **state)
{
    (void)state;
    struct addr addr;
    bool whole;
    struct frame_candidate list[] = {entry(CAND_HOST, 9, 1), entry(CAND_REFLEXIVE, 1, 10),
                                     entry(CAND_BIRTHDAY, 1, 10)};
    assert_false(birthday_list_sign(list, 2, &addr, &whole));
    assert_true(birthday_list_sign(list, 3, &addr, &whole));
    assert_true(whole && addr_equal(&addr, &list[1].addr));
    list[2] = entry(CAND_BIRTHDAY, 1, 11);
    assert_true(birthday_list_sign(list, 3, &addr, &whole));
    assert_false(whole);
    list[2] = entry(CAND_BIRTHDAY, 9, 1);
    assert_false(birthday_list_sign(list, 3, &addr, &whole));
    list[2] = entry(CAND_BIRTHDAY, 77, 10);
    assert_false(birthday_list_sign(list, 3, &addr, &whole));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_100_runs_95_take_less_than_10_s),
        cmocka_unit_test(ports_above_the_known_one_come_first),
        cmocka_unit_test(ports_stay_in_their_range),
        cmocka_unit_test(a_run_without_a_hit_ends_within_its_bounds),
        cmocka_unit_test(a_pause_makes_no_great_burst),
        cmocka_unit_test(one_run_at_a_time_and_then_a_rest),
        cmocka_unit_test(a_question_without_an_answer_needs_no_rest),
        cmocka_unit_test(openers_do_not_go_far_the_second_time_they_do),
        cmocka_unit_test(nobody_probes_without_having_asked),
        cmocka_unit_test(without_a_budget_there_are_no_runs),
        cmocka_unit_test(what_was_heard_on_outlives_the_run),
        cmocka_unit_test(kept_sockets_have_a_ceiling),
        cmocka_unit_test(two_ports_of_one_ip_are_a_hard_nat),
        cmocka_unit_test(a_sign_counts_only_for_a_reflexive_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
