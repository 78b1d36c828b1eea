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
    struct addr server;
};

static void init(struct bench *b)
{
    b->server = addr_ipv4(198, 51, 100, 1, 3478);
    renewal_init(&b->r, pcg_rng(&b->pcg, 1));
}

/* Learned at 1120: mappings of 60 s. */
static void learn(struct bench *b)
{
    init(b);
    renewal_seen(&b->r, S(1000));
    renewal_changed(&b->r, S(1060));
    renewal_changed(&b->r, S(1120));
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
        renewal_seen(&b.r, now);
        for (size_t k = 0; k < 3; k++) {
            now += S(cases[i][k]);
            renewal_changed(&b.r, now);
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
    renewal_seen(&b.r, S(1000));
    renewal_changed(&b.r, S(1060));
    renewal_lapse(&b.r);
    renewal_changed(&b.r, S(1120));
    assert_int_equal(b.r.life_ns, 0);
    renewal_changed(&b.r, S(1180));
    assert_int_equal(b.r.life_ns, 0);
    renewal_changed(&b.r, S(1240));
    assert_int_equal(b.r.life_ns, S(60));
}

static void a_mapping_that_outlives_it_disproves_it(void **state)
{
    (void)state;
    struct bench b;
    learn(&b);
    renewal_seen(&b.r, S(1120) + S(75));
    assert_int_equal(b.r.life_ns, S(60));
    renewal_seen(&b.r, S(1120) + S(76));
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
    renewal_changed(&b.r, S(1180)); /* the shared socket's: not the one that serves */
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
        cmocka_unit_test(a_mapping_that_outlives_it_disproves_it),
        cmocka_unit_test(the_spare_socket_serves_until_the_next_one),
        cmocka_unit_test(without_an_answer_it_is_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
