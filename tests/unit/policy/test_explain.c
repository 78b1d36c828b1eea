#include "policy/explain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

static const char ini[] = "[peer home]\nkey = " KEY_A "\n"
                          "[route]\n"
                          "corp.example = peer home\n"
                          "10.0.0.0/8 = direct\n"
                          "bad.example = refuse\n"
                          ":25 = refuse\n"
                          "corp.example:8000-8090 = direct\n";

static int setup(void **state)
{
    struct config *config;
    struct config_errors errors;
    const struct config_env env = {0};
    int err = config_parse(&config, "a.ini", ini, strlen(ini), &env, &errors);
    *state = config;
    return err;
}

static int teardown(void **state)
{
    config_free(*state);
    return 0;
}

static struct explanation explain(const struct config *c, const char *text)
{
    struct target t;
    struct explanation e;
    assert_int_equal(target_parse(&t, text, strlen(text)), 0);
    explain_route(c, &t, &e);
    assert_string_equal(e.target, text);
    return e;
}

static void a_peers_machine_is_localhost_there(void **state)
{
    struct explanation e = explain(*state, "home.peer:80");
    assert_string_equal(e.goes, "peer");
    assert_string_equal(e.peer, "home");
    assert_string_equal(e.rule, "");
    assert_string_equal(e.exit_target, "localhost:80");
    assert_string_equal(e.text, "goes to the machine of peer home");
}

static void the_line_that_decides_is_named(void **state)
{
    struct explanation e = explain(*state, "www.corp.example:443");
    assert_string_equal(e.rule, "corp.example = peer home (line 4)");
    assert_string_equal(e.exit_target, "www.corp.example:443");
    assert_non_null(strstr(e.text, "through peer home"));
    e = explain(*state, "10.1.2.3:22");
    assert_string_equal(e.goes, "direct");
    assert_null(e.peer);
    assert_string_equal(e.rule, "10.0.0.0/8 = direct (line 5)");
    assert_string_equal(e.exit_target, "");
    e = explain(*state, "bad.example:1");
    assert_string_equal(e.goes, "refuse");
    assert_string_equal(e.rule, "bad.example = refuse (line 6)");
    assert_string_equal(e.text, "refused");
    e = explain(*state, "mail.example:25");
    assert_string_equal(e.rule, ":25 = refuse (line 7)");
    e = explain(*state, "corp.example:8080");
    assert_string_equal(e.rule, "corp.example:8000-8090 = direct (line 8)");
    e = explain(*state, "wiki.home.peer:80");
    assert_string_equal(e.exit_target, "wiki.peer:80");
}

static void a_refusal_says_what_is_missing(void **state)
{
    struct explanation e = explain(*state, "stranger.peer:80");
    assert_string_equal(e.goes, "refuse");
    assert_non_null(strstr(e.text, "no peer of that name"));
    e = explain(*state, "elsewhere.example:80");
    assert_string_equal(e.rule, "");
    assert_non_null(strstr(e.text, "there is no default"));
}

static void the_default_is_a_line_too(void **state)
{
    (void)state;
    static const char text[] = "[route]\ndefault = direct\n";
    struct config *config;
    struct config_errors errors;
    const struct config_env env = {0};
    assert_int_equal(config_parse(&config, "b.ini", text, strlen(text), &env, &errors), 0);
    struct explanation e = explain(config, "[2001:db8::1]:80");
    assert_string_equal(e.rule, "default = direct (line 2)");
    config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peers_machine_is_localhost_there),
        cmocka_unit_test(the_line_that_decides_is_named),
        cmocka_unit_test(a_refusal_says_what_is_missing),
        cmocka_unit_test(the_default_is_a_line_too),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
