#include "os/sockaddr.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct addr parse(const char *text)
{
    struct addr a;
    assert_int_equal(addr_parse(&a, text), 0);
    return a;
}

static void survives_a_round_trip(void **state)
{
    (void)state;
    struct sockaddr_storage ss;
    const char *texts[] = {"192.0.2.1:80", "[2001:db8::1]:443", "[::]:0", "0.0.0.0:65535"};
    const int families[] = {AF_INET, AF_INET6, AF_INET6, AF_INET};
    for (size_t i = 0; i < 4; i++) {
        struct addr a = parse(texts[i]);
        socklen_t len = sockaddr_encode(&ss, &a, AF_UNSPEC);
        assert_int_equal(ss.ss_family, families[i]);
        struct addr back = sockaddr_decode(&ss, len);
        assert_true(addr_equal(&a, &back));
    }
}

static void keeps_the_zone_of_a_link_local_address(void **state)
{
    (void)state;
    struct sockaddr_storage ss;
    struct addr a = parse("[fe80::1]:9");
    a.scope = 7;
    socklen_t len = sockaddr_encode(&ss, &a, AF_INET6);
    assert_int_equal(((const struct sockaddr_in6 *)&ss)->sin6_scope_id, 7);
    struct addr back = sockaddr_decode(&ss, len);
    assert_true(addr_equal(&a, &back));
}

static void maps_ipv4_for_a_dual_stack_socket_and_back(void **state)
{
    (void)state;
    static const uint8_t mapped[16] = {[10] = 0xff, 0xff, 192, 0, 2, 1};
    struct sockaddr_storage ss;
    struct addr a = parse("192.0.2.1:80");
    socklen_t len = sockaddr_encode(&ss, &a, AF_INET6);
    assert_int_equal(len, sizeof(struct sockaddr_in6));
    assert_int_equal(ss.ss_family, AF_INET6);
    assert_memory_equal(&((const struct sockaddr_in6 *)&ss)->sin6_addr, mapped, sizeof(mapped));
    struct addr back = sockaddr_decode(&ss, len);
    assert_true(addr_equal(&a, &back));
}

static void refuses_what_a_socket_cannot_express(void **state)
{
    (void)state;
    struct sockaddr_storage ss;
    struct addr v6 = parse("[2001:db8::1]:443");
    struct addr none = {0};
    assert_int_equal(sockaddr_encode(&ss, &v6, AF_INET), 0);
    assert_int_equal(sockaddr_encode(&ss, &none, AF_INET6), 0);
    assert_int_equal(ss.ss_family, AF_UNSPEC);
}

static void decodes_nothing_from_a_short_or_foreign_address(void **state)
{
    (void)state;
    struct sockaddr_storage ss;
    struct addr a = parse("192.0.2.1:80");
    socklen_t len = sockaddr_encode(&ss, &a, AF_INET);
    assert_int_equal(sockaddr_decode(&ss, len - 1).family, ADDR_NONE);
    assert_int_equal(sockaddr_decode(&ss, 0).family, ADDR_NONE);
    ss.ss_family = AF_UNIX;
    assert_int_equal(sockaddr_decode(&ss, len).family, ADDR_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survives_a_round_trip),
        cmocka_unit_test(keeps_the_zone_of_a_link_local_address),
        cmocka_unit_test(maps_ipv4_for_a_dual_stack_socket_and_back),
        cmocka_unit_test(refuses_what_a_socket_cannot_express),
        cmocka_unit_test(decodes_nothing_from_a_short_or_foreign_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
