/* Strangers, and peers with valid keys, that try what the protocol does not foresee. */
#include "support/rogue.h"

#include <base/clock.h>
#include <base/mem.h>

#include "crypto/throttle.h"
#include "wire/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct adit_counters counters(const struct rogue *r)
{
    struct adit_counters c;
    node_counters(r->node, &c);
    return c;
}

static void a_session_with_the_rogue_stands(void **state)
{
    (void)state;
    struct rogue r;
    rogue_init(&r);
    rogue_connect(&r);
    assert_int_equal(counters(&r).handshakes_done, 1);
    assert_true(rogue_wait(&r, NS_PER_S) > 0);
    rogue_deinit(&r);
}

/* So long a delay that the sum of which a probe timeout is made wraps round: timeouts would come at
 * once, without end. */
static void a_delay_of_acknowledgements_has_a_ceiling(void **state)
{
    (void)state;
    struct rogue r;
    rogue_init(&r);
    r.params.max_ack_delay_us = UINT64_MAX / NS_PER_US - 1000000;
    rogue_call(&r);
    assert_int_equal(rogue_hear_all(&r), 0);
    assert_int_equal(counters(&r).handshakes_invalid, 1);
    rogue_deinit(&r);
}

/* --- amplification --- */

/* One packet from a forged address must not bring forth many. */
static void one_packet_of_challenges_gets_one_answer(void **state)
{
    (void)state;
    struct rogue r;
    struct rogue_heard heard;
    uint8_t payload[1200];
    struct writer w = writer_of(payload, sizeof(payload));
    rogue_init(&r);
    rogue_connect(&r);
    rogue_wait(&r, NS_PER_S);
    while (writer_room(&w) > 1 + FRAME_CHALLENGE_LEN) {
        uint8_t token[FRAME_CHALLENGE_LEN];
        rng_fill(r.rng, token, sizeof(token));
        frame_write_challenge(&w, token);
    }
    r.from = addr_ipv4(198, 51, 100, 9, 53);
    rogue_send(&r, 0, payload, writer_len(&w));
    size_t answers = 0;
    while (rogue_hear(&r, &heard)) {
        bool there = addr_equal(&heard.to, &r.from);
        answers += there && heard.opened && heard.data[0] == FRAME_PATH_RESPONSE;
    }
    assert_int_equal(answers, 1);
    rogue_deinit(&r);
}

/* --- handshakes --- */

/* Who answers each initiation with a cookie must not make the node send the next one at once, each
 * time: with a round trip of a millisecond that is a thousand handshakes in a second. */
static void cookies_do_not_drive_initiations(void **state)
{
    (void)state;
    struct rogue r;
    struct rogue_heard heard;
    struct cookie_checker checker;
    size_t initiations = 0;
    uint64_t stream;
    rogue_init(&r);
    cookie_checker_init(&checker, &r.keys.public);
    assert_int_equal(node_stream_open(r.node, 0, "x", 1, &stream, r.now), 0);
    node_resolved(r.node, 0, 0, &r.from, 1, r.now);
    for (unsigned ms = 0; ms < 1000; ms++) {
        while (initiations < 100 && rogue_hear(&r, &heard)) {
            uint8_t cookie[HANDSHAKE_COOKIE_LEN];
            struct handshake_mail mail = {.data = heard.data,
                                          .len = heard.len,
                                          .source = cookie_source_addr(&r.from),
                                          .now = r.now};
            assert_int_equal(heard.type, PACKET_INITIATION);
            initiations++;
            handshake_write_cookie(&checker, &mail, r.rng, cookie);
            node_input(r.node, 0, &r.from, cookie, sizeof(cookie), r.now);
        }
        r.now += NS_PER_MS;
        node_tick(r.node, r.now);
    }
    assert_in_range(initiations, 2, 3); /* one with the cookie, at once */
    cookie_checker_wipe(&checker);
    rogue_deinit(&r);
}

/* A cookie shows that somebody is at his address, not that he may have us compute without end. What
 * is sent again and again is read whole each time, for its timestamp is inside. */
static void a_cookie_is_no_licence_to_flood(void **state)
{
    (void)state;
    enum { CALLS = 1000, FREE = 64 }; /* so many a second go without a cookie */
    struct rogue r;
    struct rogue_heard heard;
    bool has_cookie = false;
    rogue_init(&r);
    r.params.timestamp_ns = 1000;
    rogue_connect(&r);
    rogue_wait(&r, 2 * NS_PER_S);
    for (unsigned i = 0; i < CALLS; i++) {
        r.params.timestamp_ns = i % 2;
        rogue_call(&r);
        while (rogue_hear(&r, &heard)) {
            has_cookie =
                has_cookie || (heard.type == PACKET_COOKIE &&
                               handshake_read_cookie(&r.jar, heard.data, heard.len, r.now) == 0);
        }
    }
    assert_true(has_cookie);
    assert_int_equal(counters(&r).handshakes_replayed, FREE + THROTTLE_BURST);
    assert_int_equal(counters(&r).handshakes_limited, CALLS - FREE - THROTTLE_BURST);
    rogue_deinit(&r);
}

/* --- sessions --- */

static void who_breaks_the_rules_is_let_in_again_later(void **state)
{
    (void)state;
    struct rogue r;
    rogue_init(&r);
    rogue_connect(&r);
    rogue_send(&r, 1, "\x3f", 1); /* a frame that there is not */
    rogue_hear_all(&r);
    r.params.epoch++;
    for (unsigned ms = 0; ms < 900; ms += 30) {
        rogue_call(&r);
        assert_int_equal(rogue_wait(&r, 30 * NS_PER_MS), 0);
    }
    rogue_wait(&r, 200 * NS_PER_MS);
    rogue_connect(&r);
    assert_int_equal(counters(&r).handshakes_done, 2);
    rogue_deinit(&r);
}

/* A peer that starts anew while memory is short: no session then, but no end of the program. */
static void a_restart_without_memory_is_survived(void **state)
{
    (void)state;
    for (size_t k = 1; k <= 4; k++) {
        struct rogue r;
        rogue_init(&r);
        rogue_connect(&r);
        rogue_wait(&r, NS_PER_S);
        r.params.epoch++;
        rogue_agree(&r);
        mem_fail_after(k);
        rogue_send(&r, 1, "\x01", 1);
        mem_fail_after(0);
        rogue_wait(&r, NS_PER_S);
        r.params.epoch++;
        memset(r.next, 0, sizeof(r.next));
        rogue_connect(&r);
        assert_true(rogue_wait(&r, NS_PER_S) > 0);
        rogue_deinit(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_with_the_rogue_stands),
        cmocka_unit_test(a_delay_of_acknowledgements_has_a_ceiling),
        cmocka_unit_test(one_packet_of_challenges_gets_one_answer),
        cmocka_unit_test(cookies_do_not_drive_initiations),
        cmocka_unit_test(a_cookie_is_no_licence_to_flood),
        cmocka_unit_test(who_breaks_the_rules_is_let_in_again_later),
        cmocka_unit_test(a_restart_without_memory_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
