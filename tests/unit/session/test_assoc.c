#include "session/assoc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t good[] = "\x00\x00\x00\x01\x7f\x00\x00\x01\x00\x35query";
static const struct addr nowhere = {.family = ADDR_NONE};

static struct assoc made(const char *client, const char *said)
{
    struct assoc a;
    struct addr from = nowhere;
    struct target t;
    if (client) {
        assert_int_equal(addr_parse(&from, client), 0);
    }
    assert_int_equal(target_parse(&t, said, strlen(said)), 0);
    assoc_init(&a, &from, &t);
    return a;
}

static enum assoc_verdict input(struct assoc *a, const char *from)
{
    struct udphead head;
    struct addr at;
    assert_int_equal(addr_parse(&at, from), 0);
    return assoc_input(a, &at, good, sizeof(good) - 1, &head);
}

static void the_first_good_one_settles_the_port(void **state)
{
    (void)state;
    struct addr client;
    struct assoc a = made("192.0.2.1:40000", "0.0.0.0:0");
    assert_false(assoc_client(&a, &client));
    assert_int_equal(input(&a, "192.0.2.2:5000"), ASSOC_STRANGER);
    assert_false(assoc_client(&a, &client));
    assert_int_equal(input(&a, "192.0.2.1:5000"), ASSOC_GOOD);
    assert_true(assoc_client(&a, &client));
    assert_int_equal(client.port, 5000);
    assert_int_equal(input(&a, "192.0.2.1:5001"), ASSOC_STRANGER);
    assert_int_equal(input(&a, "192.0.2.1:5000"), ASSOC_GOOD);
}

/* Unless it comes from another address than we see: then there is a NAT between. */
static void what_the_request_said_is_honoured(void **state)
{
    (void)state;
    const char *const said[] = {"0.0.0.0:5000", "192.0.2.1:5000", "[::]:5000"};
    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        struct assoc a = made("192.0.2.1:40000", said[i]);
        assert_int_equal(input(&a, "192.0.2.1:5001"), ASSOC_STRANGER);
        assert_int_equal(input(&a, "192.0.2.1:5000"), ASSOC_GOOD);
    }
    struct assoc behind_nat = made("192.0.2.1:40000", "10.0.0.5:5000");
    assert_int_equal(input(&behind_nat, "10.0.0.5:5000"), ASSOC_STRANGER);
    assert_int_equal(input(&behind_nat, "192.0.2.1:61000"), ASSOC_GOOD);
    struct assoc named = made("192.0.2.1:40000", "laptop.lan:5000");
    assert_int_equal(input(&named, "192.0.2.1:61000"), ASSOC_GOOD);
}

static void a_unix_sockets_client_is_on_this_machine(void **state)
{
    (void)state;
    struct assoc a = made(NULL, "0.0.0.0:0");
    assert_int_equal(input(&a, "192.0.2.1:5000"), ASSOC_STRANGER);
    assert_int_equal(input(&a, "127.0.0.1:5000"), ASSOC_GOOD);
    assert_int_equal(input(&a, "127.0.0.1:5001"), ASSOC_STRANGER);
    struct assoc said = made(NULL, "0.0.0.0:7");
    assert_int_equal(input(&said, "127.0.0.1:5000"), ASSOC_STRANGER);
    assert_int_equal(input(&said, "127.0.0.1:7"), ASSOC_GOOD);
}

static void what_cannot_be_carried_settles_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        enum assoc_verdict verdict;
    } bad[] = {
        {"\x00\x00\x01\x01\x7f\x00\x00\x01\x00\x35query", ASSOC_FRAGMENT},
        {"\x00\x00\x80\x01\x7f\x00\x00\x01\x00\x35query", ASSOC_FRAGMENT},
        {"\x00\x00\x00\x01\x7f\x00\x00\x01\x00\x00query", ASSOC_MALFORMED},
        {"\x00\x00\x00\x07\x7f\x00\x00\x01\x00\x35query", ASSOC_MALFORMED},
    };
    struct assoc a = made("192.0.2.1:40000", "0.0.0.0:0");
    struct addr from, client;
    struct udphead head = {.len = 77};
    assert_int_equal(addr_parse(&from, "192.0.2.1:5000"), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(assoc_input(&a, &from, bad[i].data, 15, &head), bad[i].verdict);
    }
    assert_int_equal(assoc_input(&a, &from, good, 9, &head), ASSOC_MALFORMED);
    assert_int_equal(assoc_input(&a, &from, good, 0, &head), ASSOC_MALFORMED);
    assert_int_equal(head.len, 77);
    assert_false(assoc_client(&a, &client));
    assert_int_equal(assoc_input(&a, &from, good, 10, &head), ASSOC_GOOD); /* empty, but whole */
    assert_int_equal(head.len, 10);
    assert_int_equal(head.target.port, 53);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_good_one_settles_the_port),
        cmocka_unit_test(what_the_request_said_is_honoured),
        cmocka_unit_test(a_unix_sockets_client_is_on_this_machine),
        cmocka_unit_test(what_cannot_be_carried_settles_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
