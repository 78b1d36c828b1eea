#include "crypto/handshake.h"

#include "wire/packet.h"

#include <base/err.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define START_NS (1000 * NS_PER_S)

enum { A_INDEX = 0x0a0b0c0d, B_INDEX = 0x11223344 };

static const uint8_t psk[NOISE_PSK_LEN] = "a key that was agreed on before";
static const uint8_t no_psk[NOISE_PSK_LEN];

/* Node a begins, node b answers. */
struct world {
    struct pcg pcg;
    struct rng rng;
    struct key_pair a, b;
    struct cookie_checker a_checker, b_checker;
    struct cookie_jar a_jar, b_jar; /* a's toward b, b's toward a */
    struct handshake ha, hb;
    struct cookie_source source;
    uint8_t m1[HANDSHAKE_MAX], m2[HANDSHAKE_MAX];
    size_t m1_len, m2_len;
    uint8_t payload[HANDSHAKE_PAYLOAD_MAX]; /* what was sent */
    uint8_t opened[HANDSHAKE_PAYLOAD_MAX];  /* what came in */
    size_t opened_len;
};

static void world_init(struct world *w, uint64_t seed)
{
    struct addr addr = addr_ipv4(198, 51, 100, 7, 41741);
    memset(w, 0, sizeof(*w));
    w->rng = pcg_rng(&w->pcg, seed);
    assert_int_equal(key_pair_generate(&w->a, w->rng), 0);
    assert_int_equal(key_pair_generate(&w->b, w->rng), 0);
    cookie_checker_init(&w->a_checker, &w->a.public);
    cookie_checker_init(&w->b_checker, &w->b.public);
    cookie_jar_init(&w->a_jar, &w->b.public);
    cookie_jar_init(&w->b_jar, &w->a.public);
    w->source = cookie_source_addr(&addr);
    rng_fill(w->rng, w->payload, sizeof(w->payload));
}

static struct handshake_draft draft(struct world *w, struct cookie_jar *jar, uint32_t index,
                                    size_t len)
{
    return (struct handshake_draft){index, w->payload, len, jar, w->rng, START_NS};
}

static struct handshake_mail mail(const struct world *w, const uint8_t *data, size_t len)
{
    return (struct handshake_mail){data, len, w->source, START_NS};
}

static void write_m1(struct world *w, size_t payload_len)
{
    struct handshake_draft d = draft(w, &w->a_jar, A_INDEX, payload_len);
    handshake_start(&w->ha, &w->a, &w->b.public, psk);
    int len = handshake_write_initiation(&w->ha, &d, w->m1, sizeof(w->m1));
    assert_int_equal(len, HANDSHAKE_INITIATION_LEN + payload_len);
    w->m1_len = (size_t)len;
}

static void read_m1(struct world *w)
{
    assert_int_equal(handshake_read_initiation(&w->hb, &w->b, w->m1, w->m1_len), 0);
    assert_true(public_key_equal(&w->hb.peer, &w->a.public));
    assert_int_equal(w->hb.remote_index, A_INDEX);
    assert_int_equal(handshake_accept_initiation(&w->hb, psk, w->opened, &w->opened_len), 0);
}

static void write_m2(struct world *w, size_t payload_len)
{
    struct handshake_draft d = draft(w, &w->b_jar, B_INDEX, payload_len);
    int len = handshake_write_response(&w->hb, &d, w->m2, sizeof(w->m2));
    assert_int_equal(len, HANDSHAKE_RESPONSE_LEN + payload_len);
    w->m2_len = (size_t)len;
}

static int read_m2(struct world *w)
{
    return handshake_read_response(&w->ha, w->m2, w->m2_len, w->opened, &w->opened_len);
}

static void run_to_m2(struct world *w, size_t payload_len)
{
    world_init(w, 5);
    write_m1(w, payload_len);
    read_m1(w);
    write_m2(w, payload_len);
}

static void check_keys(struct world *w)
{
    uint8_t a_send[32], a_recv[32], b_send[32], b_recv[32];
    handshake_keys(&w->ha, a_send, a_recv);
    handshake_keys(&w->hb, b_send, b_recv);
    assert_memory_equal(a_send, b_recv, 32);
    assert_memory_equal(a_recv, b_send, 32);
    assert_memory_not_equal(a_send, a_recv, 32);
}

static void two_nodes_come_to_the_same_keys(void **state)
{
    (void)state;
    static const size_t lens[] = {0, 1, 40, HANDSHAKE_PAYLOAD_MAX};
    for (size_t i = 0; i < 4; i++) {
        struct world w;
        world_init(&w, i + 1);
        write_m1(&w, lens[i]);
        struct handshake_mail m = mail(&w, w.m1, w.m1_len);
        assert_int_equal(handshake_check_mac(&w.b_checker, &m), COOKIE_MAC1);
        read_m1(&w);
        assert_int_equal(w.opened_len, lens[i]);
        assert_memory_equal(w.opened, w.payload, lens[i]);
        write_m2(&w, lens[3 - i]);
        m = mail(&w, w.m2, w.m2_len);
        assert_int_equal(handshake_check_mac(&w.a_checker, &m), COOKIE_MAC1);
        assert_int_equal(read_m2(&w), 0);
        assert_int_equal(w.opened_len, lens[3 - i]);
        assert_memory_equal(w.opened, w.payload, lens[3 - i]);
        assert_int_equal(w.ha.remote_index, B_INDEX);
        assert_int_equal(w.ha.local_index, A_INDEX);
        assert_int_equal(w.hb.local_index, B_INDEX);
        check_keys(&w);
    }
}

static void headers_are_as_documented(void **state)
{
    (void)state;
    static const uint8_t m1[8] = {0x81, 0, 0, 0, 0x0a, 0x0b, 0x0c, 0x0d};
    static const uint8_t m2[12] = {0x82, 0, 0, 0, 0x11, 0x22, 0x33, 0x44, 0x0a, 0x0b, 0x0c, 0x0d};
    static const uint8_t cookie[8] = {0x83, 0, 0, 0, 0x0a, 0x0b, 0x0c, 0x0d};
    struct world w;
    uint8_t reply[HANDSHAKE_COOKIE_LEN];
    uint32_t index = 0;
    run_to_m2(&w, 10);
    struct handshake_mail m = mail(&w, w.m1, w.m1_len);
    handshake_write_cookie(&w.b_checker, &m, w.rng, reply);
    assert_memory_equal(w.m1, m1, sizeof(m1));
    assert_memory_equal(w.m2, m2, sizeof(m2));
    assert_memory_equal(reply, cookie, sizeof(cookie));
    assert_int_equal(HANDSHAKE_INITIATION_LEN, 136);
    assert_int_equal(HANDSHAKE_RESPONSE_LEN, 92);
    assert_int_equal(HANDSHAKE_COOKIE_LEN, 64);

    assert_int_equal(handshake_receiver(&index, w.m2, w.m2_len), 0);
    assert_int_equal(index, A_INDEX);
    index = 0;
    assert_int_equal(handshake_receiver(&index, reply, sizeof(reply)), 0);
    assert_int_equal(index, A_INDEX);
    assert_int_equal(handshake_receiver(&index, w.m1, w.m1_len), ERR_MALFORMED);
    assert_int_equal(handshake_receiver(&index, reply, sizeof(reply) - 1), ERR_MALFORMED);
}

/* With mac1 set right each time: what is behind it has to stand on its own. */
static void no_changed_initiation_is_accepted(void **state)
{
    (void)state;
    static const struct handshake wiped;
    struct world w;
    world_init(&w, 6);
    write_m1(&w, 20);
    for (size_t i = 0; i < w.m1_len - COOKIE_MACS_LEN; i++) {
        if (i >= 4 && i < 8) {
            continue; /* the sender's index: only mac1 covers it */
        }
        w.m1[i] ^= 0x80;
        cookie_jar_stamp(&w.a_jar, w.m1, w.m1_len, START_NS);
        int err = handshake_read_initiation(&w.hb, &w.b, w.m1, w.m1_len);
        assert_int_equal(err, i < 4 ? ERR_MALFORMED : i < 88 ? ERR_CRYPTO : 0);
        if (!err) {
            err = handshake_accept_initiation(&w.hb, psk, w.opened, &w.opened_len);
            assert_int_equal(err, ERR_CRYPTO);
        }
        assert_memory_equal(&w.hb, &wiped, sizeof(wiped));
        w.m1[i] ^= 0x80;
    }
    read_m1(&w);
}

static void no_changed_response_is_accepted_or_does_harm(void **state)
{
    (void)state;
    struct world w;
    run_to_m2(&w, 20);
    for (size_t i = 0; i < w.m2_len - COOKIE_MACS_LEN; i++) {
        if (i >= 4 && i < 8) {
            continue;
        }
        struct handshake before = w.ha;
        w.m2[i] ^= 0x80;
        cookie_jar_stamp(&w.b_jar, w.m2, w.m2_len, START_NS);
        assert_int_equal(read_m2(&w), i < 4 ? ERR_MALFORMED : i < 12 ? ERR_NOT_FOUND : ERR_CRYPTO);
        assert_memory_equal(&w.ha, &before, sizeof(before));
        w.m2[i] ^= 0x80;
    }
    assert_int_equal(read_m2(&w), 0);
    check_keys(&w);
}

static void lengths_have_bounds(void **state)
{
    (void)state;
    struct world w;
    uint8_t longer[HANDSHAKE_MAX + 1] = {PACKET_INITIATION};
    run_to_m2(&w, 0);
    for (size_t len = 0; len < HANDSHAKE_INITIATION_LEN; len++) {
        assert_int_equal(handshake_read_initiation(&w.hb, &w.b, w.m1, len), ERR_MALFORMED);
    }
    for (size_t len = 0; len < HANDSHAKE_RESPONSE_LEN; len++) {
        assert_int_equal(handshake_read_response(&w.ha, w.m2, len, w.opened, &w.opened_len),
                         ERR_MALFORMED);
    }
    assert_int_equal(handshake_read_initiation(&w.hb, &w.b, longer, sizeof(longer)), ERR_MALFORMED);
    cookie_jar_stamp(&w.a_jar, longer, sizeof(longer), START_NS);
    struct handshake_mail m = mail(&w, longer, sizeof(longer));
    assert_int_equal(handshake_check_mac(&w.b_checker, &m), COOKIE_BAD);
    cookie_jar_stamp(&w.a_jar, longer, sizeof(longer) - 1, START_NS);
    m = mail(&w, longer, sizeof(longer) - 1);
    assert_int_equal(handshake_check_mac(&w.b_checker, &m), COOKIE_MAC1);
    assert_int_equal(handshake_read_initiation(&w.hb, &w.b, longer, m.len), ERR_CRYPTO);
}

static void only_handshake_messages_are_looked_at(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 7);
    write_m1(&w, 30);
    for (unsigned type = 0; type < 256; type++) {
        w.m1[0] = (uint8_t)type;
        cookie_jar_stamp(&w.a_jar, w.m1, w.m1_len, START_NS);
        struct handshake_mail m = mail(&w, w.m1, w.m1_len);
        bool known = type == PACKET_INITIATION || type == PACKET_RESPONSE;
        assert_int_equal(handshake_check_mac(&w.b_checker, &m), known ? COOKIE_MAC1 : COOKIE_BAD);
    }
}

static void the_psk_has_to_match(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 8);
    write_m1(&w, 0);
    assert_int_equal(handshake_read_initiation(&w.hb, &w.b, w.m1, w.m1_len), 0);
    assert_int_equal(handshake_accept_initiation(&w.hb, no_psk, w.opened, &w.opened_len), 0);
    write_m2(&w, 0);
    assert_int_equal(read_m2(&w), ERR_CRYPTO);
    read_m1(&w);
    write_m2(&w, 0);
    assert_int_equal(read_m2(&w), 0);
}

static void responses_are_taken_once_and_only_if_awaited(void **state)
{
    (void)state;
    struct world w;
    struct handshake idle = {0};
    run_to_m2(&w, 0);
    assert_int_equal(handshake_read_response(&idle, w.m2, w.m2_len, w.opened, &w.opened_len),
                     ERR_STATE);
    assert_int_equal(read_m2(&w), 0);
    assert_int_equal(read_m2(&w), ERR_STATE);
    check_keys(&w);
    assert_int_equal(read_m2(&w), ERR_STATE);
}

static void the_answer_to_an_earlier_attempt_is_refused(void **state)
{
    (void)state;
    struct world w;
    run_to_m2(&w, 0);
    write_m1(&w, 0); /* tries again under the same index, with another ephemeral key */
    assert_int_equal(read_m2(&w), ERR_CRYPTO);
    read_m1(&w);
    write_m2(&w, 0);
    assert_int_equal(read_m2(&w), 0);
    check_keys(&w);
}

static void each_attempt_has_its_own_ephemeral(void **state)
{
    (void)state;
    struct world w;
    uint8_t first[HANDSHAKE_MAX];
    world_init(&w, 9);
    write_m1(&w, 0);
    memcpy(first, w.m1, w.m1_len);
    write_m1(&w, 0);
    assert_memory_not_equal(first + 8, w.m1 + 8, KEY_LEN);
}

/* Under load: a cookie comes back, goes into the jar, and the next attempt has a good mac2. */
static void a_cookie_opens_the_door(void **state)
{
    (void)state;
    struct world w;
    uint8_t reply[HANDSHAKE_COOKIE_LEN];
    run_to_m2(&w, 0);
    struct handshake_mail m = mail(&w, w.m1, w.m1_len);
    assert_int_equal(handshake_read_cookie(&w.a_jar, w.m2, w.m2_len, START_NS), ERR_MALFORMED);
    handshake_write_cookie(&w.b_checker, &m, w.rng, reply);
    for (size_t len = 0; len < sizeof(reply); len++) {
        assert_int_equal(handshake_read_cookie(&w.a_jar, reply, len, START_NS), ERR_MALFORMED);
    }
    reply[40] ^= 1;
    assert_int_equal(handshake_read_cookie(&w.a_jar, reply, sizeof(reply), START_NS), ERR_CRYPTO);
    reply[40] ^= 1;
    assert_int_equal(handshake_read_cookie(&w.a_jar, reply, sizeof(reply), START_NS), 0);
    assert_int_equal(handshake_read_cookie(&w.a_jar, reply, sizeof(reply), START_NS), ERR_STATE);
    write_m1(&w, 0);
    m = mail(&w, w.m1, w.m1_len);
    assert_int_equal(handshake_check_mac(&w.b_checker, &m), COOKIE_MAC2);
    m.source = cookie_source_key(&w.a.public);
    assert_int_equal(handshake_check_mac(&w.b_checker, &m), COOKIE_MAC1);

    m = mail(&w, w.m2, w.m2_len); /* and the other way round, for the response */
    handshake_write_cookie(&w.a_checker, &m, w.rng, reply);
    assert_int_equal(handshake_read_cookie(&w.b_jar, reply, sizeof(reply), START_NS), 0);
    read_m1(&w);
    write_m2(&w, 0);
    m = mail(&w, w.m2, w.m2_len);
    assert_int_equal(handshake_check_mac(&w.a_checker, &m), COOKIE_MAC2);
    assert_int_equal(read_m2(&w), 0);
}

static void lack_of_room_is_an_error(void **state)
{
    (void)state;
    static const struct handshake wiped;
    struct world w;
    world_init(&w, 10);
    for (size_t cap = 0; cap < HANDSHAKE_INITIATION_LEN; cap++) {
        struct handshake_draft d = draft(&w, &w.a_jar, A_INDEX, 0);
        handshake_start(&w.ha, &w.a, &w.b.public, psk);
        assert_int_equal(handshake_write_initiation(&w.ha, &d, w.m1, cap), ERR_NO_ROOM);
        assert_memory_equal(&w.ha, &wiped, sizeof(wiped));
    }
    write_m1(&w, 0);
    for (size_t cap = 0; cap < HANDSHAKE_RESPONSE_LEN; cap++) {
        struct handshake_draft d = draft(&w, &w.b_jar, B_INDEX, 0);
        read_m1(&w);
        assert_int_equal(handshake_write_response(&w.hb, &d, w.m2, cap), ERR_NO_ROOM);
        assert_memory_equal(&w.hb, &wiped, sizeof(wiped));
    }
}

static void a_peer_without_a_real_key_is_an_error(void **state)
{
    (void)state;
    struct world w;
    struct public_key one = {{1}};
    world_init(&w, 11);
    struct handshake_draft d = draft(&w, &w.a_jar, A_INDEX, 0);
    handshake_start(&w.ha, &w.a, &one, psk);
    assert_int_equal(handshake_write_initiation(&w.ha, &d, w.m1, sizeof(w.m1)), ERR_CRYPTO);
}

static void secrets_are_gone_after_the_end(void **state)
{
    (void)state;
    static const struct noise no_noise;
    static const struct handshake wiped;
    struct world w;
    run_to_m2(&w, 0);
    assert_int_equal(read_m2(&w), 0);
    check_keys(&w);
    assert_memory_equal(&w.ha.noise, &no_noise, sizeof(no_noise));
    assert_memory_equal(&w.hb.noise, &no_noise, sizeof(no_noise));
    assert_int_equal(w.ha.remote_index, B_INDEX);
    handshake_wipe(&w.ha);
    assert_memory_equal(&w.ha, &wiped, sizeof(wiped));
}

static int init(void **state)
{
    (void)state;
    return crypto_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_nodes_come_to_the_same_keys),
        cmocka_unit_test(headers_are_as_documented),
        cmocka_unit_test(no_changed_initiation_is_accepted),
        cmocka_unit_test(no_changed_response_is_accepted_or_does_harm),
        cmocka_unit_test(lengths_have_bounds),
        cmocka_unit_test(only_handshake_messages_are_looked_at),
        cmocka_unit_test(the_psk_has_to_match),
        cmocka_unit_test(responses_are_taken_once_and_only_if_awaited),
        cmocka_unit_test(the_answer_to_an_earlier_attempt_is_refused),
        cmocka_unit_test(each_attempt_has_its_own_ephemeral),
        cmocka_unit_test(a_cookie_opens_the_door),
        cmocka_unit_test(lack_of_room_is_an_error),
        cmocka_unit_test(a_peer_without_a_real_key_is_an_error),
        cmocka_unit_test(secrets_are_gone_after_the_end),
    };
    return cmocka_run_group_tests(tests, init, NULL);
}
