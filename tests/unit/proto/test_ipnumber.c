#include "proto/ipnumber.h"

#include "proto/target.h"

#include <base/err.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void every_spelling_is_the_same_address(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"127.1", "127.0.0.1"},
        {"127.0.1", "127.0.0.1"},
        {"2130706433", "127.0.0.1"},
        {"0x7f000001", "127.0.0.1"},
        {"0X7F.1", "127.0.0.1"},
        {"0177.0.0.01", "127.0.0.1"},
        {"017700000001", "127.0.0.1"},
        {"0", "0.0.0.0"},
        {"0x", "0.0.0.0"},
        {"4294967295", "255.255.255.255"},
        {"1.16777215", "1.255.255.255"},
        {"1.2.65535", "1.2.255.255"},
        {"0xa9fea9fe", "169.254.169.254"},
        {"169.254.43518", "169.254.169.254"},
    };
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct addr a;
        assert_true(ipnumber_is_meant(cases[i][0]));
        assert_int_equal(ipnumber_parse(&a, cases[i][0]), 0);
        assert_string_equal(addr_format_ip(&a, text), cases[i][1]);
    }
}

static void what_is_meant_as_one_and_is_none_is_no_name_either(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "256.0.0.1", "1.256.1", "1.2.65536", "1.16777216", "4294967296",           "1.2.3.4.5",
        "08",        "a.b.1",   "1..1",      "0xg.1",      "99999999999999999999", "example.0x1",
        "1.2.3.256"};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct addr a;
        struct target t;
        assert_true(ipnumber_is_meant(cases[i]));
        assert_int_equal(ipnumber_parse(&a, cases[i]), ERR_MALFORMED);
        assert_int_equal(target_set_name(&t, cases[i], strlen(cases[i]), 80), ERR_MALFORMED);
    }
}

static void names_are_left_alone(void **state)
{
    (void)state;
    static const char *const cases[] = {"example.org", "1.example", "0x7f.example", "x",
                                        "a1",          "1a",        "0xg",          "beef"};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct target t;
        assert_false(ipnumber_is_meant(cases[i]));
        assert_int_equal(target_set_name(&t, cases[i], strlen(cases[i]), 80), 0);
        assert_int_equal(t.kind, TARGET_NAME);
    }
}

static void a_target_holds_the_address(void **state)
{
    (void)state;
    static const char *const cases[] = {"2130706433", "0x7f.1.", "127.1"};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct target t;
        char text[TARGET_TEXT_MAX];
        assert_int_equal(target_set_name(&t, cases[i], strlen(cases[i]), 22), 0);
        assert_string_equal(target_format(&t, text), "127.0.0.1:22");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_spelling_is_the_same_address),
        cmocka_unit_test(what_is_meant_as_one_and_is_none_is_no_name_either),
        cmocka_unit_test(names_are_left_alone),
        cmocka_unit_test(a_target_holds_the_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
