#include "relay/cluster_seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { LEN = CLUSTER_SEAL_LEN + 40 };

static struct cluster_seal seal_of(uint8_t secret)
{
    struct cluster_seal s;
    const uint8_t bytes[CLUSTER_SEAL_SECRET] = {secret};
    struct pcg pcg;
    cluster_seal_init(&s, bytes, pcg_rng(&pcg, secret));
    return s;
}

static void who_has_the_secret_opens_it(void **state)
{
    (void)state;
    uint8_t message[LEN] = {[CLUSTER_SEAL_LEN] = 1, [LEN - 1] = 2};
    struct cluster_seal ours = seal_of(1);
    const struct cluster_seal same = seal_of(1), other = seal_of(2);
    assert_false(cluster_seal_opens(&ours, message, LEN));
    cluster_seal_close(&ours, message, LEN);
    assert_int_equal(message[CLUSTER_SEAL_LEN], 1);
    assert_int_equal(message[LEN - 1], 2);
    assert_true(cluster_seal_opens(&same, message, LEN));
    assert_false(cluster_seal_opens(&other, message, LEN));
}

static void any_change_is_seen(void **state)
{
    (void)state;
    uint8_t message[LEN + 1] = {0};
    struct cluster_seal s = seal_of(1);
    cluster_seal_close(&s, message, LEN);
    for (size_t i = 0; i < LEN; i++) {
        message[i] ^= 0x10;
        assert_false(cluster_seal_opens(&s, message, LEN));
        message[i] ^= 0x10;
        assert_false(cluster_seal_opens(&s, message, i));
    }
    assert_false(cluster_seal_opens(&s, message, LEN + 1));
    assert_true(cluster_seal_opens(&s, message, LEN));
    cluster_seal_close(&s, message, CLUSTER_SEAL_LEN); /* nothing is a message, too */
    assert_true(cluster_seal_opens(&s, message, CLUSTER_SEAL_LEN));
}

static void no_nonce_comes_twice(void **state)
{
    (void)state;
    uint8_t first[LEN] = {0}, second[LEN] = {0};
    struct cluster_seal s = seal_of(1), other = seal_of(1);
    cluster_seal_close(&s, first, LEN);
    cluster_seal_close(&s, second, LEN);
    assert_memory_not_equal(first, second, CLUSTER_SEAL_LEN);
    other.writer[0] ^= 1; /* another relay */
    cluster_seal_close(&other, second, LEN);
    assert_memory_not_equal(first, second, CLUSTER_SEAL_LEN);
    assert_true(cluster_seal_opens(&s, second, LEN));
}

static void the_key_is_wiped(void **state)
{
    (void)state;
    static const struct cluster_seal zeros;
    struct cluster_seal s = seal_of(1);
    assert_memory_not_equal(&s, &zeros, sizeof(s));
    cluster_seal_deinit(&s);
    assert_memory_equal(&s, &zeros, sizeof(s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_the_secret_opens_it),
        cmocka_unit_test(any_change_is_seen),
        cmocka_unit_test(no_nonce_comes_twice),
        cmocka_unit_test(the_key_is_wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
