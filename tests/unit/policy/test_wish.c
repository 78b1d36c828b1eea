#include "policy/wish.h"

#include "support/config_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char ini[] = "[peer home]\nkey = AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n"
                          "[peer office]\nkey = ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8\n";

enum { NOBODY = -1 };

static void names_are_read_from_the_end(void **state)
{
    (void)state;
    static const struct {
        const char *user, *name;
        int peer, path;
        bool unclear;
    } cases[] = {
        {"", "", NOBODY, NOBODY, false},
        {"ann", "ann", NOBODY, NOBODY, false},
        {"ann@home", "ann", 0, NOBODY, false},
        {"ann@OFFICE", "ann", 1, NOBODY, false},
        {"@home", "", 0, NOBODY, false},
        {"+direct-only", "", NOBODY, PATH_DIRECT_ONLY, false},
        {"ann+relay-only", "ann", NOBODY, PATH_RELAY_ONLY, false},
        {"ann+any", "ann", NOBODY, PATH_ANY, false},
        {"ann@home+relay-only", "ann", 0, PATH_RELAY_ONLY, false},
        {"ann+relay-only@home", "ann", 0, PATH_RELAY_ONLY, false},
        {"ann@example.org@office", "ann@example.org", 1, NOBODY, true},
        {"ann@example.org", "ann@example.org", NOBODY, NOBODY, true},
        {"ann@hom", "ann@hom", NOBODY, NOBODY, true},
        {"ann+direct", "ann+direct", NOBODY, NOBODY, true},
        {"ann@", "ann@", NOBODY, NOBODY, true},
        {"+", "+", NOBODY, NOBODY, true},
        {"@home@office", "@home", 1, NOBODY, true},
        {"+any+relay-only", "+any", NOBODY, PATH_RELAY_ONLY, true},
        {"+nothing@home", "+nothing", 0, NOBODY, true},
    };
    struct config *config = config_text_parse(ini);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct wish w = wish_parse(config, cases[i].user, strlen(cases[i].user));
        assert_int_equal(w.name_len, strlen(cases[i].name));
        assert_memory_equal(cases[i].user, cases[i].name, w.name_len);
        assert_int_equal(w.exit ? (int)w.peer : NOBODY, cases[i].peer);
        assert_int_equal(w.path_given ? (int)w.path : NOBODY, cases[i].path);
        assert_int_equal(w.unclear, cases[i].unclear);
    }
    config_free(config);
}

static void bytes_of_any_kind_are_a_name(void **state)
{
    (void)state;
    struct config *config = config_text_parse(ini);
    static const char nul[] = "a@ho\0me";
    char longest[255];
    memset(longest, '@', sizeof(longest));
    assert_true(wish_parse(config, nul, sizeof(nul) - 1).unclear);
    struct wish w = wish_parse(config, longest, sizeof(longest));
    assert_int_equal(w.name_len, sizeof(longest));
    memset(longest + 1, 'x', sizeof(longest) - 1);
    w = wish_parse(config, longest, sizeof(longest));
    assert_true(w.unclear && w.name_len == sizeof(longest));
    config_free(config);
}

static void wishes_compare(void **state)
{
    (void)state;
    const struct wish a = {.exit = true, .peer = 1}, b = {.exit = true}, c = {.exit = true};
    const struct wish d = {.exit = true, .path_given = true, .name_len = 7};
    assert_false(wish_equal(&a, &b));
    assert_true(wish_equal(&b, &c));
    assert_false(wish_equal(&c, &d));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read_from_the_end),
        cmocka_unit_test(bytes_of_any_kind_are_a_name),
        cmocka_unit_test(wishes_compare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
