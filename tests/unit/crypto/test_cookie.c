#include "crypto/cookie.h"

#include <base/err.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

enum { MESSAGE_LEN = 100 };

#define START_NS (1000 * NS_PER_S)

/* A receiver, a sender, and a message between them. */
struct world {
    struct pcg pcg;
    struct rng rng;
    struct key_pair receiver;
    struct cookie_checker checker;
    struct cookie_jar jar;
    struct cookie_source source;
    uint8_t message[MESSAGE_LEN];
};

static void world_init(struct world *w)
{
    struct addr addr = addr_ipv4(192, 0, 2, 1, 4000);
    memset(w, 0, sizeof(*w));
    w->rng = pcg_rng(&w->pcg, 11);
    assert_int_equal(key_pair_generate(&w->receiver, w->rng), 0);
    cookie_checker_init(&w->checker, &w->receiver.public);
    cookie_jar_init(&w->jar, &w->receiver.public);
    w->source = cookie_source_addr(&addr);
    rng_fill(w->rng, w->message, MESSAGE_LEN);
}

static enum cookie_verdict check(const struct world *w, uint64_t now)
{
    return cookie_check(&w->checker, w->message, MESSAGE_LEN, &w->source, now);
}

/* Stamps, is sent a cookie, takes it in. */
static void fetch_cookie(struct world *w, uint64_t now)
{
    struct cookie_reply reply;
    cookie_jar_stamp(&w->jar, w->message, MESSAGE_LEN, now);
    assert_int_not_equal(check(w, now), COOKIE_BAD);
    cookie_bake(&w->checker, &reply, w->message + MESSAGE_LEN - COOKIE_MACS_LEN, &w->source, w->rng,
                now);
    assert_int_equal(cookie_jar_accept(&w->jar, &reply, now), 0);
}

/* From the definition: mac1 = BLAKE2b(key = BLAKE2b("mac1----" | public key), all before it). */
static void mac1_is_keyed_with_the_receivers_key(void **state)
{
    (void)state;
    struct world w;
    uint8_t label[8 + KEY_LEN] = "mac1----", key[32], expected[16];
    static const uint8_t zeros[16];
    world_init(&w);
    memcpy(label + 8, w.receiver.public.bytes, KEY_LEN);
    cookie_jar_stamp(&w.jar, w.message, MESSAGE_LEN, START_NS);
    crypto_generichash(key, 32, label, sizeof(label), NULL, 0);
    crypto_generichash(expected, 16, w.message, MESSAGE_LEN - 32, key, 32);
    assert_memory_equal(w.message + MESSAGE_LEN - 32, expected, 16);
    assert_memory_equal(w.message + MESSAGE_LEN - 16, zeros, 16);
    assert_int_equal(check(&w, START_NS), COOKIE_MAC1);
}

static void strangers_are_bad(void **state)
{
    (void)state;
    struct world w;
    struct key_pair other;
    world_init(&w);
    assert_int_equal(key_pair_generate(&other, w.rng), 0);
    assert_int_equal(check(&w, START_NS), COOKIE_BAD);
    cookie_jar_init(&w.jar, &other.public);
    cookie_jar_stamp(&w.jar, w.message, MESSAGE_LEN, START_NS);
    assert_int_equal(check(&w, START_NS), COOKIE_BAD);
    for (size_t len = 0; len < COOKIE_MACS_LEN; len++) {
        assert_int_equal(cookie_check(&w.checker, w.message, len, &w.source, START_NS), COOKIE_BAD);
    }
}

static void any_changed_byte_is_found(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    fetch_cookie(&w, START_NS);
    cookie_jar_stamp(&w.jar, w.message, MESSAGE_LEN, START_NS);
    assert_int_equal(check(&w, START_NS), COOKIE_MAC2);
    for (size_t i = 0; i < MESSAGE_LEN; i++) {
        w.message[i] ^= 1;
        assert_int_equal(check(&w, START_NS),
                         i < MESSAGE_LEN - COOKIE_MAC_LEN ? COOKIE_BAD : COOKIE_MAC1);
        w.message[i] ^= 1;
    }
}

static void cookie_is_bound_to_its_source(void **state)
{
    (void)state;
    struct world w;
    struct addr addr;
    assert_int_equal(addr_parse(&addr, "192.0.2.1:4000"), 0);
    world_init(&w);
    fetch_cookie(&w, START_NS);
    cookie_jar_stamp(&w.jar, w.message, MESSAGE_LEN, START_NS);
    assert_int_equal(check(&w, START_NS), COOKIE_MAC2);
    addr.port++;
    w.source = cookie_source_addr(&addr);
    assert_int_equal(check(&w, START_NS), COOKIE_MAC1);
    addr.port--;
    addr.ip[3]++;
    w.source = cookie_source_addr(&addr);
    assert_int_equal(check(&w, START_NS), COOKIE_MAC1);
    w.source = cookie_source_key(&w.receiver.public);
    assert_int_equal(check(&w, START_NS), COOKIE_MAC1);

    fetch_cookie(&w, START_NS); /* and one for a relay's key */
    cookie_jar_stamp(&w.jar, w.message, MESSAGE_LEN, START_NS);
    assert_int_equal(check(&w, START_NS), COOKIE_MAC2);
    w.source.bytes[5] ^= 1;
    assert_int_equal(check(&w, START_NS), COOKIE_MAC1);
}

/* The later in its secret's life a cookie is made, the shorter the secret has left. */
static void cookie_lives_as_long_as_promised(void **state)
{
    (void)state;
    static const uint64_t made_after[] = {0, NS_PER_S, COOKIE_LIFETIME_NS / 2,
                                          COOKIE_LIFETIME_NS - 1};
    for (size_t i = 0; i < sizeof(made_after) / sizeof(made_after[0]); i++) {
        struct world w;
        struct world other;
        uint64_t made = START_NS + made_after[i];
        world_init(&w);
        fetch_cookie(&w, START_NS); /* the secret's birth */
        fetch_cookie(&w, made);
        uint64_t last = made + COOKIE_LIFETIME_NS - 1;
        cookie_jar_stamp(&w.jar, w.message, MESSAGE_LEN, last);
        assert_int_equal(check(&w, last), COOKIE_MAC2);

        other = w; /* someone else's question renews the secret: ours still counts */
        struct cookie_reply reply;
        cookie_bake(&other.checker, &reply, other.jar.mac1, &other.source, w.rng,
                    START_NS + COOKIE_LIFETIME_NS);
        assert_int_equal(check(&other, last), COOKIE_MAC2);

        cookie_jar_stamp(&w.jar, w.message, MESSAGE_LEN, last + 1); /* the jar lets it go */
        assert_int_equal(check(&w, last + 1), COOKIE_MAC1);
    }
}

static void old_secrets_count_for_nothing(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    fetch_cookie(&w, START_NS);
    cookie_jar_stamp(&w.jar, w.message, MESSAGE_LEN, START_NS);
    assert_int_equal(check(&w, START_NS + 2 * COOKIE_LIFETIME_NS - 1), COOKIE_MAC2);
    assert_int_equal(check(&w, START_NS + 2 * COOKIE_LIFETIME_NS), COOKIE_MAC1);
    /* Two renewals push it out, whatever the clock says. */
    struct cookie_reply reply;
    cookie_bake(&w.checker, &reply, w.jar.mac1, &w.source, w.rng, START_NS + COOKIE_LIFETIME_NS);
    assert_int_equal(check(&w, START_NS), COOKIE_MAC2);
    cookie_bake(&w.checker, &reply, w.jar.mac1, &w.source, w.rng,
                START_NS + 2 * COOKIE_LIFETIME_NS);
    assert_int_equal(check(&w, START_NS), COOKIE_MAC1);
}

static void answers_count_once_and_only_if_asked(void **state)
{
    (void)state;
    struct world w;
    struct cookie_reply reply, bent;
    uint8_t *mac1;
    world_init(&w);
    mac1 = w.message + MESSAGE_LEN - COOKIE_MACS_LEN;
    cookie_bake(&w.checker, &reply, mac1, &w.source, w.rng, START_NS);
    assert_int_equal(cookie_jar_accept(&w.jar, &reply, START_NS), ERR_STATE);

    cookie_jar_stamp(&w.jar, w.message, MESSAGE_LEN, START_NS);
    assert_int_equal(cookie_jar_accept(&w.jar, &reply, START_NS), ERR_CRYPTO); /* another mac1 */
    cookie_bake(&w.checker, &reply, mac1, &w.source, w.rng, START_NS);
    for (size_t i = 0; i < sizeof(bent); i++) {
        bent = reply;
        ((uint8_t *)&bent)[i] ^= 1;
        assert_int_equal(cookie_jar_accept(&w.jar, &bent, START_NS), ERR_CRYPTO);
        assert_false(w.jar.has_cookie);
    }
    assert_int_equal(cookie_jar_accept(&w.jar, &reply, START_NS), 0);
    assert_int_equal(cookie_jar_accept(&w.jar, &reply, START_NS), ERR_STATE);
}

static void each_path_has_its_own_jar(void **state)
{
    (void)state;
    struct world w;
    struct cookie_jar second;
    uint8_t first_copy[MESSAGE_LEN];
    world_init(&w);
    cookie_jar_init(&second, &w.receiver.public);
    fetch_cookie(&w, START_NS);
    cookie_jar_stamp(&w.jar, w.message, MESSAGE_LEN, START_NS);
    memcpy(first_copy, w.message, MESSAGE_LEN);
    cookie_jar_stamp(&second, w.message, MESSAGE_LEN, START_NS); /* the same message, restamped */
    assert_int_equal(check(&w, START_NS), COOKIE_MAC1);
    assert_memory_equal(first_copy, w.message, MESSAGE_LEN - COOKIE_MAC_LEN);
    memcpy(w.message, first_copy, MESSAGE_LEN);
    assert_int_equal(check(&w, START_NS), COOKIE_MAC2);
}

static void wiped_means_zero(void **state)
{
    (void)state;
    static const struct cookie_checker no_checker;
    static const struct cookie_jar no_jar;
    struct world w;
    world_init(&w);
    fetch_cookie(&w, START_NS);
    cookie_checker_wipe(&w.checker);
    cookie_jar_wipe(&w.jar);
    assert_memory_equal(&w.checker, &no_checker, sizeof(no_checker));
    assert_memory_equal(&w.jar, &no_jar, sizeof(no_jar));
}

static int init(void **state)
{
    (void)state;
    return crypto_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mac1_is_keyed_with_the_receivers_key),
        cmocka_unit_test(strangers_are_bad),
        cmocka_unit_test(any_changed_byte_is_found),
        cmocka_unit_test(cookie_is_bound_to_its_source),
        cmocka_unit_test(cookie_lives_as_long_as_promised),
        cmocka_unit_test(old_secrets_count_for_nothing),
        cmocka_unit_test(answers_count_once_and_only_if_asked),
        cmocka_unit_test(each_path_has_its_own_jar),
        cmocka_unit_test(wiped_means_zero),
    };
    return cmocka_run_group_tests(tests, init, NULL);
}
