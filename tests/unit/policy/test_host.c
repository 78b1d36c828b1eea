#include "policy/host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void names_are_brought_to_one_spelling(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"Example.ORG", "example.org"},
                                           {"a.example.", "a.example"},
                                           {"my_host-1", "my_host-1"},
                                           {"1.2.3.4a", "1.2.3.4a"}};
    for (size_t i = 0; i < COUNT(pairs); i++) {
        char out[HOST_NAME_MAX_LEN + 1];
        assert_true(host_set_name(out, pairs[i][0], strlen(pairs[i][0])));
        assert_string_equal(out, pairs[i][1]);
    }
}

static void what_is_no_name_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",           ".",   "..",       ".a",  "a..b",
                                        "a..",        "a b", "a/b",      "a:b", "1.2.3",
                                        "10.0.0.300", "a.1", "\xc3\xb6", "*"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        char out[HOST_NAME_MAX_LEN + 1] = "kept";
        assert_false(host_set_name(out, texts[i], strlen(texts[i])));
        assert_string_equal(out, "kept");
    }
    char out[HOST_NAME_MAX_LEN + 1];
    assert_false(host_set_name(out, "a\0b", 3));
}

static void names_have_a_ceiling(void **state)
{
    (void)state;
    char text[HOST_NAME_MAX_LEN + 1];
    char out[HOST_NAME_MAX_LEN + 1];
    memset(text, 'a', sizeof(text));
    assert_true(host_set_name(out, text, HOST_NAME_MAX_LEN));
    assert_false(host_set_name(out, text, HOST_NAME_MAX_LEN + 1));
}

static void ports(void **state)
{
    (void)state;
    assert_int_equal(host_parse_port("0", 1), 0);
    assert_int_equal(host_parse_port("65535", 5), 65535);
    assert_int_equal(host_parse_port("65536", 5), -1);
    assert_int_equal(host_parse_port("", 0), -1);
    assert_int_equal(host_parse_port("+1", 2), -1);
    assert_int_equal(host_parse_port("000001", 6), -1);
}

static void domains_hold_whole_labels(void **state)
{
    (void)state;
    assert_true(host_is_in("corp.example", "corp.example"));
    assert_true(host_is_in("a.b.corp.example", "corp.example"));
    assert_false(host_is_in("xcorp.example", "corp.example"));
    assert_false(host_is_in("example", "corp.example"));
    assert_false(host_is_in("corp.example", ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_brought_to_one_spelling),
        cmocka_unit_test(what_is_no_name_is_refused),
        cmocka_unit_test(names_have_a_ceiling),
        cmocka_unit_test(ports),
        cmocka_unit_test(domains_hold_whole_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
