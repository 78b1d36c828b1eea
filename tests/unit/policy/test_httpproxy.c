#include "policy/httpproxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void urls_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *login;
        uint16_t port;
    } cases[] = {
        {"http://proxy.example:3128", "proxy.example", "", 3128},
        {"HTTP://Proxy.Example/", "proxy.example", "", 80},
        {"proxy:8080", "proxy", "", 8080},
        {"http://[2001:DB8::1]:8080", "2001:db8::1", "", 8080},
        {"http://10.0.0.1", "10.0.0.1", "", 80},
        {"http://me:secret@p:1", "p", "me:secret", 1},
        {"http://me:a%3Ab%40c%25@p:1", "p", "me:a:b@c%", 1},
        {"http://me:a@b@p:1", "p", "me:a@b", 1},
        {"http://me:@p:1", "p", "me:", 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct httpproxy p;
        const char *why = httpproxy_parse(&p, cases[i].text);
        if (why) {
            fail_msg("%s: %s", cases[i].text, why);
        }
        assert_string_equal(p.host, cases[i].host);
        assert_string_equal(p.login, cases[i].login);
        assert_int_equal(p.port, cases[i].port);
    }
}

static void what_is_none_is_refused_without_being_told(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"https://p:1", "is no HTTP proxy (http://)"},
        {"socks5://me:secret@p:1", "is no HTTP proxy (http://)"},
        {"http://p:1/way", "has a path"},
        {"http://p:1?x", "has a path"},
        {"http://", "has a bad host or port"},
        {"", "has a bad host or port"},
        {"http://p:0", "has a bad host or port"},
        {"http://p:70000", "has a bad host or port"},
        {"http://me:secret@", "has a bad host or port"},
        {"http://me@p:1", "has a name without a password"},
        {"http://me:a%0Ab@p:1", "has a bad name or password"},
        {"http://me:a%4@p:1", "has a bad name or password"},
        {"http://me:a%zz@p:1", "has a bad name or password"},
        {"http://me:a%00@p:1", "has a bad name or password"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct httpproxy p = {.port = 7};
        const char *why = httpproxy_parse(&p, cases[i].text);
        if (!why || strcmp(why, cases[i].why) != 0) {
            fail_msg("%s: %s", cases[i].text, why ? why : "taken");
        }
        assert_int_equal(p.port, 7);
    }
    char text[700] = "http://me:";
    struct httpproxy p;
    memset(text + strlen(text), 'x', 400);
    (void)snprintf(text + strlen(text), 20, "@p:1");
    assert_string_equal(httpproxy_parse(&p, text), "has a bad name or password");
}

static void no_proxy_names_hosts(void **state)
{
    (void)state;
    static const struct {
        const char *list, *host;
        bool excepted;
    } cases[] = {
        {NULL, "relay.example", false},
        {"", "relay.example", false},
        {"*", "relay.example", true},
        {"relay.example", "relay.example", true},
        {"Example", "relay.example", true},
        {"example", "relay.example", true},
        {".example", "relay.example", true},
        {"ample", "relay.example", false},
        {"relay.example.org", "relay.example", false},
        {"a.b, relay.example,c", "relay.example", true},
        {"a.b c relay.example", "relay.example", true},
        {"relay.example:443", "relay.example", true},
        {"relay.example:80", "relay.example", false},
        {"10.0.0.0/8", "10.1.2.3", true},
        {"10.0.0.0/8", "11.1.2.3", false},
        {"10.0.0.0/8", "relay.example", false},
        {"10.1.2.3", "10.1.2.3", true},
        {"10.1.2.3:443", "10.1.2.3", true},
        {"10.1.2.3:80", "10.1.2.3", false},
        {"2001:db8::/32", "2001:db8::7", true},
        {"[2001:db8::7]:443", "2001:db8::7", true},
        {",, ,", "relay.example", false},
        {NULL, "localhost", true},
        {NULL, "a.localhost", true},
        {NULL, "127.0.0.1", true},
        {NULL, "::1", true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (httpproxy_excepts(cases[i].list, cases[i].host, 443) != cases[i].excepted) {
            fail_msg("%s for %s", cases[i].list ? cases[i].list : "nothing", cases[i].host);
        }
    }
}

static void proxies_of_either_kind_are_read(void **state)
{
    (void)state;
    struct httpproxy p;
    assert_null(httpproxy_parse_any(&p, "socks5://me:secret@p.example"));
    assert_true(p.socks5 && p.port == 1080);
    assert_string_equal(p.login, "me:secret");
    assert_null(httpproxy_parse_any(&p, "SOCKS5H://[::1]:9050"));
    assert_true(p.socks5 && p.port == 9050);
    assert_null(httpproxy_parse_any(&p, "http://p:3128/"));
    assert_true(!p.socks5 && p.port == 3128);
    static const char *const bad[] = {"p:1080", "socks4://p", "https://p:1", "socks5://",
                                      "socks5://p:0"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_non_null(httpproxy_parse_any(&p, bad[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_read),
        cmocka_unit_test(what_is_none_is_refused_without_being_told),
        cmocka_unit_test(no_proxy_names_hosts),
        cmocka_unit_test(proxies_of_either_kind_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
