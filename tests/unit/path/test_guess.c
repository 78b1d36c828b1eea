#include "path/guess.h"

#include <base/clock.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define S(n) ((uint64_t)(n)*NS_PER_S)
#define RUN 1750

static struct addr ip(unsigned n)
{
    return addr_ipv4(203, 0, (uint8_t)(n >> 8), (uint8_t)n, (uint16_t)(1000 + n));
}

static struct addr parsed(const char *text)
{
    struct addr a;
    assert_int_equal(addr_parse(&a, text), 0);
    return a;
}

static void an_ip_gets_so_many_an_hour_whatever_the_port(void **state)
{
    (void)state;
    struct guess g;
    guess_init(&g);
    for (unsigned i = 0; i < 3; i++) {
        struct addr to = ip(7);
        to.port = (uint16_t)(1024 + i);
        assert_true(guess_allow(&g, &to, RUN, S(1000 + i)));
    }
    struct addr to = ip(7);
    struct addr mapped = parsed("[::ffff:203.0.0.7]:9");
    assert_false(guess_allow(&g, &to, 1, S(1010)));
    assert_false(guess_allow(&g, &mapped, 1, S(1010)));
    assert_false(guess_allow(&g, &to, 1, S(1000 + 3600) - 1));
    assert_int_equal(g.refused, 3);
    assert_true(guess_allow(&g, &to, RUN, S(1000 + 3600)));
}

static void all_ips_share_a_ceiling(void **state)
{
    (void)state;
    struct guess g;
    unsigned allowed = 0;
    guess_init(&g);
    for (unsigned i = 0; i < 20; i++) {
        struct addr to = ip(i);
        allowed += guess_allow(&g, &to, RUN, S(1000 + i));
    }
    assert_int_equal(allowed, 6);
    for (unsigned hour = 1; hour <= 3; hour++) { /* and so each hour */
        allowed = 0;
        for (unsigned i = 0; i < 20; i++) {
            struct addr to = ip(i);
            allowed += guess_allow(&g, &to, RUN, S(1020 + 3600 * hour));
        }
        assert_int_equal(allowed, 6);
    }
}

static void only_so_many_ips_are_known_at_once(void **state)
{
    (void)state;
    struct guess g;
    guess_init(&g);
    for (unsigned i = 0; i < GUESS_IPS_MAX; i++) {
        struct addr to = ip(i);
        assert_true(guess_allow(&g, &to, 1, S(1000)));
    }
    struct addr one_more = ip(GUESS_IPS_MAX);
    assert_false(guess_allow(&g, &one_more, 1, S(1001)));
    struct addr known = ip(3);
    assert_true(guess_allow(&g, &known, 1, S(1001)));
    assert_true(guess_allow(&g, &one_more, 1, S(1000 + 3600)));
}

static void nothing_near_is_guessed_at(void **state)
{
    (void)state;
    struct guess g;
    guess_init(&g);
    static const char *const near[] = {"10.0.0.1:5000",      "192.168.1.1:5000", "172.16.0.1:5000",
                                       "127.0.0.1:5000",     "169.254.1.1:5000", "0.0.0.0:5000",
                                       "[::ffff:10.0.0.1]:9"};
    for (size_t i = 0; i < sizeof(near) / sizeof(near[0]); i++) {
        struct addr to = parsed(near[i]);
        assert_false(guess_allow(&g, &to, 1, S(1000)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ip_gets_so_many_an_hour_whatever_the_port),
        cmocka_unit_test(all_ips_share_a_ceiling),
        cmocka_unit_test(only_so_many_ips_are_known_at_once),
        cmocka_unit_test(nothing_near_is_guessed_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
