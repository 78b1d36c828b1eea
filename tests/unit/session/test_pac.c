#include "session/pac.h"

#include <base/mem.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PEER "[peer home]\nkey = AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n"

static struct config *parse(const char *text)
{
    struct config *config = NULL;
    const struct config_env env = {.name = "laptop", .state = "/state"};
    struct config_errors errors;
    assert_int_equal(config_parse(&config, "f.ini", text, strlen(text), &env, &errors), 0);
    return config;
}

static char *pac_of(const char *ini)
{
    struct config *config = parse(ini);
    char *text = pac_text(config, NULL, "127.0.0.1:1080");
    assert_non_null(text);
    config_free(config);
    return text;
}

static const char *place(const char *text, const char *part)
{
    const char *at = strstr(text, part);
    if (!at) {
        fail_msg("\"%s\" is not in: %s", part, text);
    }
    return at;
}

static void the_longest_pattern_comes_first(void **state)
{
    (void)state;
    char *text = pac_of("[route]\nexample = peer home\nweb.corp.example = direct\n"
                        "corp.example = refuse\n10.0.0.0/8 = peer home\n10.1.0.0/16 = direct\n"
                        "2001:db8::/32 = peer home\n" PEER);
    const char *const order[] = {
        "if (under(host, \"peer\")) return proxy;",
        "if (under(host, \"web.corp.example\")) return \"DIRECT\";",
        "if (under(host, \"corp.example\")) return proxy;", /* to be refused there */
        "if (under(host, \"example\")) return proxy;",
        "return \"DIRECT\";\n}\n", /* no default: the browser's own business */
    };
    for (size_t i = 1; i < COUNT(order); i++) {
        assert_true(place(text, order[i - 1]) < place(text, order[i]));
    }
    assert_true(place(text, "\"10.1.0.0\", 16)) return \"DIRECT\"") <
                place(text, "\"10.0.0.0\", 8)) return proxy"));
    (void)place(text, "within(address, \"2001:db8::\", 32)");
    (void)place(text, "var proxy = \"SOCKS5 127.0.0.1:1080\";");
    mem_free(text);
}

static void ports_are_looked_at(void **state)
{
    (void)state;
    char *text = pac_of("[route]\ncorp.example = peer home\ncorp.example:443 = direct\n"
                        ":25 = refuse\n10.0.0.0/8:80-90 = peer home\n" PEER);
    const char *const order[] = {
        "if (under(host, \"corp.example\") && port >= 443 && port <= 443) return \"DIRECT\";",
        "if (under(host, \"corp.example\")) return proxy;",
        "if (within(address, \"10.0.0.0\", 8) && port >= 80 && port <= 90) return proxy;",
        "if (true && port >= 25 && port <= 25) return proxy;",
        "return \"DIRECT\";\n}\n",
    };
    for (size_t i = 1; i < COUNT(order); i++) {
        assert_true(place(text, order[i - 1]) < place(text, order[i]));
    }
    mem_free(text);
}

static void each_front_has_its_own(void **state)
{
    (void)state;
    struct config *config = parse("[front all]\nlisten = 127.0.0.1:1\nexit = peer home\n"
                                  "users = u\n[front none]\nlisten = 127.0.0.1:2\nexit = direct\n"
                                  "[route]\ndefault = peer home\n" PEER);
    static const char *const last[] = {"  return proxy;\n}\n", "  return proxy;\n}\n",
                                       "  return \"DIRECT\";\n}\n"};
    for (size_t i = 0; i < 3; i++) {
        char *text = pac_text(config, &config->fronts[i], "x:1");
        assert_string_equal(text + strlen(text) - strlen(last[i]), last[i]);
        (void)place(text, i == 1 ? "\"PROXY x:1\"" : "\"SOCKS5 x:1\"");
        mem_free(text);
    }
    config_free(config);
}

static void defaults_are_followed(void **state)
{
    (void)state;
    static const struct {
        const char *ini, *last;
    } cases[] = {
        {"", "  return \"DIRECT\";\n}\n"},
        {"[route]\ndefault = refuse\n", "  return \"DIRECT\";\n}\n"},
        {"[route]\ndefault = direct\n", "  return \"DIRECT\";\n}\n"},
        {"[route]\ndefault = peer home\n" PEER, "  return proxy;\n}\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *text = pac_of(cases[i].ini);
        assert_string_equal(text + strlen(text) - strlen(cases[i].last), cases[i].last);
        mem_free(text);
    }
    char *text = pac_of("[front]\nlisten = 0.0.0.0:1080\nusers = u\n");
    (void)place(text, "var proxy = \"PROXY 127.0.0.1:1080\";"); /* browsers: no SOCKS passwords */
    mem_free(text);
}

static void as_many_routes_as_there_may_be_fit(void **state)
{
    (void)state;
    enum { LEN = CONFIG_LIST_MAX * 300 };
    char *ini = mem_new(1, LEN);
    char name[CONFIG_HOST_MAX + 1] = "";
    assert_non_null(ini);
    memset(name, 'a', 250);
    size_t len = (size_t)snprintf(ini, LEN, "[route]\n");
    for (unsigned i = 0; i < 180; i++) {
        len += (size_t)snprintf(ini + len, LEN - len, "%.60s%03u.x = direct\n", name, i);
    }
    char *text = pac_of(ini);
    (void)place(text, "179.x\")) return \"DIRECT\"");
    (void)place(text, "000.x\")) return \"DIRECT\"");
    assert_string_equal(text + strlen(text) - 3, "\n}\n");
    mem_free(text);
    mem_free(ini);
}

static void only_our_own_names_get_it(void **state)
{
    (void)state;
    static const struct {
        const char *host, *proxy; /* NULL: refused */
    } cases[] = {
        {"127.0.0.1:1080", "127.0.0.1:1080"},
        {"LOCALHOST:1080", "localhost:1080"},
        {"[::1]:1080", "[::1]:1080"},
        {"192.0.2.1", "192.0.2.1:80"},
        {"laptop:1080", "laptop:1080"},
        {"evil.example:1080", NULL},
        {"laptop.evil.example", NULL},
        {"", NULL},
        {"127.0.0.1:99999", NULL},
        {"a\";alert(1)//:80", NULL},
    };
    struct config *config = parse("");
    for (size_t i = 0; i < COUNT(cases); i++) {
        char out[PAC_PROXY_MAX];
        bool good = pac_proxy(out, config, cases[i].host, strlen(cases[i].host));
        assert_int_equal(good, cases[i].proxy != NULL);
        if (good) {
            assert_string_equal(out, cases[i].proxy);
        }
    }
    mem_fail_after(1);
    assert_null(pac_text(config, NULL, "x:1"));
    mem_fail_after(0);
    config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_pattern_comes_first),
        cmocka_unit_test(ports_are_looked_at),
        cmocka_unit_test(each_front_has_its_own),
        cmocka_unit_test(defaults_are_followed),
        cmocka_unit_test(as_many_routes_as_there_may_be_fit),
        cmocka_unit_test(only_our_own_names_get_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
