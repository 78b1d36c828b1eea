#include "path/renewal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define S(n) ((uint64_t)(n)*NS_PER_S)

struct bench {
    struct renewal r;
    struct pcg pcg;
    struct addr server, mapped, other;
};

static void init(struct bench *b)
{
    b->server = addr_ipv4(198, 51, 100, 1, 3478);
    b->mapped = addr_ipv4(203, 0, 113, 7, 5000);
    b->other = addr_ipv4(203, 0, 113, 7, 5001);
    renewal_init(&b->r, pcg_rng(&b->pcg, 1));
}

/* Seen at once, as it is while data moves. */
static void change(struct bench *b, uint64_t now)
{
    (void)renewal_doubt(&b->r, now - NS_PER_S / 10);
    renewal_changed(&b->r, now);
}

/* Learned at 1120: mappings of 60 s. */
static void learn(struct bench *b)
{
    init(b);
    renewal_seen(&b->r, &b->mapped, S(1000));
    change(b, S(1060));
    change(b, S(1120));
    assert_int_equal(b->r.life_ns, S(60));
}

static bool answer(struct bench *b, const struct addr *from, uint64_t now)
{
    uint8_t request[64], out[128];
    struct stun_message m;
    size_t len = renewal_output(&b->r, request, sizeof(request), now);
    assert_true(len > 0);
    assert_int_equal(stun_read(&m, request, len), 0);
    struct stun_message reply = {.type = STUN_SUCCESS,
                                 .xor_mapped = addr_ipv4(203, 0, 113, 7, 6000)};
    memcpy(reply.txid, m.txid, sizeof(reply.txid));
    len = stun_write(out, sizeof(out), &reply);
    return renewal_input(&b->r, from, out, len, now);
}

static void two_ages_alike_are_a_life(void **state)
{
    (void)state;
    struct bench b;
    learn(&b);
    assert_int_equal(renewal_next_ns(&b.r), S(1120) + S(60) - S(10));
    assert_false(renewal_is_due(&b.r, S(1169)));
    assert_true(renewal_is_due(&b.r, S(1170)));
}

/* Each: the ages of three mappings, in s, and what is learned of them. */
static void ages_that_differ_are_none(void **state)
{
    (void)state;
    static const unsigned cases[][4] = {
        {60, 80, 100, 0},  /* a router that is restarted now and then */
        {60, 67, 90, 60},  /* an eighth apart */
        {22, 25, 40, 0},   /* more */
        {10, 10, 10, 0},   /* no NAT is like that: something else moves us */
        {100, 60, 61, 60}, /* the first had begun before */
        {4000, 4000, 4000, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bench b;
        uint64_t now = S(1000);
        init(&b);
        renewal_seen(&b.r, &b.mapped, now);
        for (size_t k = 0; k < 3; k++) {
            now += S(cases[i][k]);
            change(&b, now);
        }
        assert_int_equal(b.r.life_ns, S(cases[i][3]));
        assert_true((renewal_next_ns(&b.r) == TIME_NEVER) == (cases[i][3] == 0));
    }
}

static void a_pause_in_between_makes_an_age_unknown(void **state)
{
    (void)state;
    struct bench b;
    init(&b);
    renewal_seen(&b.r, &b.mapped, S(1000));
    change(&b, S(1060));
    renewal_lapse(&b.r);
    change(&b, S(1120));
    assert_int_equal(b.r.life_ns, 0);
    change(&b, S(1180));
    assert_int_equal(b.r.life_ns, 0);
    change(&b, S(1240));
    assert_int_equal(b.r.life_ns, S(60));
}

/* Of a change that an ordinary refresh brings nobody knows when it was. */
static void an_end_found_late_teaches_nothing(void **state)
{
    (void)state;
    struct bench b;
    init(&b);
    renewal_seen(&b.r, &b.mapped, S(1000));
    for (unsigned i = 0; i < 4; i++) { /* 60 s, and seen 20 s late: always the same age */
        renewal_seen(&b.r, &b.mapped, S(1055 + 60 * i));
        renewal_changed(&b.r, S(1080 + 60 * i));
        renewal_seen(&b.r, &b.mapped, S(1081 + 60 * i));
        assert_int_equal(b.r.life_ns, 0);
    }
    change(&b, S(1300)); /* the age before this one is not known */
    change(&b, S(1360));
    assert_int_equal(b.r.life_ns, 0);
    change(&b, S(1420));
    assert_int_equal(b.r.life_ns, S(60));
}

/* Between two answers close to each other, without a doubt. */
static void an_end_between_two_answers_is_known(void **state)
{
    (void)state;
    struct bench b;
    init(&b);
    renewal_seen(&b.r, &b.mapped, S(1000));
    for (unsigned i = 1; i <= 2; i++) {
        renewal_seen(&b.r, &b.mapped, S(999 + 60 * i));
        renewal_changed(&b.r, S(1000 + 60 * i));
        renewal_seen(&b.r, &b.mapped, S(1000 + 60 * i));
    }
    assert_int_equal(b.r.life_ns, S(60));
}

/* What serves after an end that was found late is taken for as old as it may be, and outlives
 * nothing by that. */
static void a_late_end_is_taken_for_early(void **state)
{
    (void)state;
    struct bench b;
    learn(&b);
    renewal_seen(&b.r, &b.mapped, S(1160));
    renewal_changed(&b.r, S(1185));
    assert_int_equal(renewal_next_ns(&b.r), S(1160) + S(50));
    renewal_seen(&b.r, &b.mapped, S(1185));
    renewal_seen(&b.r, &b.mapped, S(1185 + 60));
    assert_int_equal(b.r.life_ns, S(60));
}

static void two_ages_that_say_otherwise_are_believed(void **state)
{
    (void)state;
    struct bench b;
    learn(&b);
    change(&b, S(1120 + 30));
    assert_int_equal(b.r.life_ns, S(60)); /* a restart of the router */
    change(&b, S(1120 + 60));
    assert_int_equal(b.r.life_ns, S(30));
}

static void doubts_are_asked_about_once_a_second(void **state)
{
    (void)state;
    struct bench b;
    init(&b);
    assert_true(renewal_doubt(&b.r, S(1000)));
    assert_false(renewal_doubt(&b.r, S(1001) - 1));
    assert_true(renewal_doubt(&b.r, S(1001)));
}

static void a_mapping_that_outlives_it_disproves_it(void **state)
{
    (void)state;
    struct bench b;
    learn(&b);
    renewal_seen(&b.r, &b.mapped, S(1121));
    renewal_seen(&b.r, &b.mapped, S(1120) + S(75));
    renewal_seen(&b.r, &b.other, S(1120) + S(80)); /* the change is told right after it */
    assert_int_equal(b.r.life_ns, S(60));
    renewal_seen(&b.r, &b.mapped, S(1120) + S(81));
    assert_int_equal(b.r.life_ns, 0);
    assert_int_equal(renewal_next_ns(&b.r), TIME_NEVER);
}

static void the_spare_socket_serves_until_the_next_one(void **state)
{
    (void)state;
    struct bench b;
    struct addr stranger = addr_ipv4(198, 51, 100, 2, 3478);
    learn(&b);
    renewal_start(&b.r, &b.server, STUN_FORM_FINGERPRINT, S(1170));
    assert_false(renewal_is_due(&b.r, S(1170)));
    assert_false(renewal_input(&b.r, &b.server, "nonsense", 8, S(1170)));
    assert_false(answer(&b, &stranger, S(1170)));
    renewal_stop(&b.r, S(1170));
    renewal_start(&b.r, &b.server, STUN_FORM_FINGERPRINT, S(1171));
    assert_true(answer(&b, &b.server, S(1171)));
    assert_false(b.r.asking);
    assert_int_equal(b.r.mapped.port, 6000);
    assert_int_equal(renewal_next_ns(&b.r), S(1171) + S(50));
    change(&b, S(1180)); /* the shared socket's: not the one that serves */
    assert_int_equal(renewal_next_ns(&b.r), S(1171) + S(50));
    renewal_stop(&b.r, S(1200));
    assert_int_equal(b.r.mapped.family, ADDR_NONE);
    assert_int_equal(renewal_next_ns(&b.r), S(1180) + S(50)); /* the shared one serves again */
}

/* Silence: asked again while there is time, and no more after the end. */
static void without_an_answer_it_is_tried_again(void **state)
{
    (void)state;
    struct bench b;
    uint8_t buf[64];
    unsigned asked = 0;
    learn(&b);
    for (uint64_t now; (now = renewal_next_ns(&b.r)) != TIME_NEVER;) {
        assert_true(now < S(1120) + S(62));
        if (renewal_is_due(&b.r, now)) {
            renewal_start(&b.r, &b.server, STUN_FORM_FINGERPRINT, now);
            asked++;
        }
        while (renewal_output(&b.r, buf, sizeof(buf), now) > 0) {
        }
        (void)renewal_tick(&b.r, now);
    }
    assert_in_range(asked, 2, 4);
    assert_int_equal(b.r.failed, asked);
    assert_int_equal(b.r.mapped.family, ADDR_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_ages_alike_are_a_life),
        cmocka_unit_test(ages_that_differ_are_none),
        cmocka_unit_test(a_pause_in_between_makes_an_age_unknown),
        cmocka_unit_test(an_end_found_late_teaches_nothing),
        cmocka_unit_test(an_end_between_two_answers_is_known),
        cmocka_unit_test(a_late_end_is_taken_for_early),
        cmocka_unit_test(two_ages_that_say_otherwise_are_believed),
        cmocka_unit_test(doubts_are_asked_about_once_a_second),
        cmocka_unit_test(a_mapping_that_outlives_it_disproves_it),
        cmocka_unit_test(the_spare_socket_serves_until_the_next_one),
        cmocka_unit_test(without_an_answer_it_is_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
