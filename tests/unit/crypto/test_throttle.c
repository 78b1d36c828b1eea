#include "crypto/throttle.h"

#include "crypto/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define NOW (1000 * NS_PER_S)

struct bench {
    struct pcg pcg;
    struct throttle throttle;
};

static void init(struct bench *b)
{
    assert_int_equal(crypto_init(), 0);
    throttle_init(&b->throttle, pcg_rng(&b->pcg, 1));
}

static unsigned allowed(struct bench *b, const char *text, unsigned tries, uint64_t now)
{
    struct addr addr;
    unsigned count = 0;
    assert_int_equal(addr_parse(&addr, text), 0);
    struct cookie_source source = cookie_source_addr(&addr);
    for (unsigned i = 0; i < tries; i++) {
        count += throttle_allow(&b->throttle, &source, now);
    }
    return count;
}

static void a_source_has_a_burst_and_a_rate(void **state)
{
    (void)state;
    struct bench b;
    init(&b);
    assert_int_equal(allowed(&b, "192.0.2.1:1", 1000, NOW), THROTTLE_BURST);
    assert_int_equal(allowed(&b, "192.0.2.1:1", 1000, NOW + NS_PER_S / 2), THROTTLE_PER_S / 2);
    assert_int_equal(allowed(&b, "192.0.2.1:1", 1000, NOW + 10 * NS_PER_S), THROTTLE_BURST);
}

static void ports_and_the_own_half_of_an_address_do_not_help(void **state)
{
    (void)state;
    struct bench b;
    init(&b);
    assert_int_equal(allowed(&b, "192.0.2.1:1", 1000, NOW), THROTTLE_BURST);
    assert_int_equal(allowed(&b, "192.0.2.1:2", 1000, NOW), 0);
    assert_int_equal(allowed(&b, "[2001:db8::1]:1", 1000, NOW), THROTTLE_BURST);
    assert_int_equal(allowed(&b, "[2001:db8::ffff:1]:1", 1000, NOW), 0);
    assert_int_equal(allowed(&b, "[2001:db8:0:1::1]:1", 1000, NOW), THROTTLE_BURST);
    assert_int_equal(allowed(&b, "192.0.2.2:1", 1000, NOW), THROTTLE_BURST);
}

static void keys_are_told_apart(void **state)
{
    (void)state;
    struct bench b;
    struct public_key key = {{0}};
    unsigned count = 0;
    init(&b);
    for (key.bytes[31] = 0; key.bytes[31] < 10; key.bytes[31]++) {
        struct cookie_source source = cookie_source_key(&key);
        for (unsigned i = 0; i < 100; i++) {
            count += throttle_allow(&b.throttle, &source, NOW);
        }
    }
    assert_int_equal(count, 10 * THROTTLE_BURST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_source_has_a_burst_and_a_rate),
        cmocka_unit_test(ports_and_the_own_half_of_an_address_do_not_help),
        cmocka_unit_test(keys_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
