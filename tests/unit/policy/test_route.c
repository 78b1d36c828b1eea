#include "policy/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
#define KEY_B "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"

static const char ini[] = "[peer home]\nkey = " KEY_A "\n[peer Work]\nkey = " KEY_B "\n"
                          "[route]\n"
                          "corp.example = peer work\n"
                          "public.corp.example = direct\n"
                          ".secret.public.corp.example = refuse\n"
                          "10.0.0.0/8 = peer home\n"
                          "10.1.0.0/16 = direct\n"
                          "10.1.2.3 = peer work\n"
                          "fd00::/8 = peer home\n"
                          "0.0.0.0/0 = refuse\n";

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

static void check_name(const struct config *c, const char *name, enum config_route_kind kind,
                       const char *peer)
{
    struct route r = route_decide(c, name, NULL);
    assert_int_equal(r.kind, kind);
    if (peer) {
        assert_string_equal(c->peers[r.peer].name, peer);
    }
}

static void check_ip(const struct config *c, const char *ip, enum config_route_kind kind,
                     const char *peer)
{
    struct addr a;
    assert_int_equal(addr_parse_ip(&a, ip), 0);
    struct route r = route_decide(c, NULL, &a);
    assert_int_equal(r.kind, kind);
    assert_false(r.self);
    if (peer) {
        assert_string_equal(c->peers[r.peer].name, peer);
    }
}

static void longest_suffix_decides(void **state)
{
    check_name(*state, "corp.example", ROUTE_PEER, "work");
    check_name(*state, "a.b.corp.example", ROUTE_PEER, "work");
    check_name(*state, "public.corp.example", ROUTE_DIRECT, NULL);
    check_name(*state, "x.public.corp.example", ROUTE_DIRECT, NULL);
    check_name(*state, "secret.public.corp.example", ROUTE_REFUSE, NULL);
    check_name(*state, "xcorp.example", ROUTE_REFUSE, NULL);
}

static void longest_prefix_decides(void **state)
{
    check_ip(*state, "10.2.0.1", ROUTE_PEER, "home");
    check_ip(*state, "10.1.0.1", ROUTE_DIRECT, NULL);
    check_ip(*state, "10.1.2.3", ROUTE_PEER, "work");
    check_ip(*state, "::ffff:10.1.2.3", ROUTE_PEER, "work");
    check_ip(*state, "fd12::1", ROUTE_PEER, "home");
    check_ip(*state, "11.0.0.1", ROUTE_REFUSE, NULL);
}

static void peer_names_go_to_the_peers_machine(void **state)
{
    const struct config *c = *state;
    check_name(c, "home.peer", ROUTE_PEER, "home");
    check_name(c, "work.peer", ROUTE_PEER, "work");
    assert_true(route_decide(c, "home.peer", NULL).self);
    assert_false(route_decide(c, "corp.example", NULL).self);
}

static void no_peer_name_leaks_past_the_peers(void **state)
{
    (void)state;
    struct config *c;
    struct config_errors errors;
    const struct config_env env = {0};
    const char text[] = "[peer home]\nkey = " KEY_A "\n[route]\ndefault = direct\n";
    assert_int_equal(config_parse(&c, "a.ini", text, strlen(text), &env, &errors), 0);
    check_name(c, "home.peer", ROUTE_PEER, "home");
    check_name(c, "hom.peer", ROUTE_REFUSE, NULL);
    check_name(c, "a.home.peer", ROUTE_REFUSE, NULL);
    check_name(c, "peer", ROUTE_REFUSE, NULL);
    check_name(c, "home.peers", ROUTE_DIRECT, NULL);
    check_ip(c, "192.0.2.1", ROUTE_DIRECT, NULL);
    config_free(c);
}

static void default_loses_against_the_shortest_pattern(void **state)
{
    (void)state;
    struct config *c;
    struct config_errors errors;
    const struct config_env env = {0};
    const char text[] = "[peer home]\nkey = " KEY_A "\n[route]\n"
                        "x = direct\n0.0.0.0/0 = direct\ndefault = peer HOME\n";
    assert_int_equal(config_parse(&c, "a.ini", text, strlen(text), &env, &errors), 0);
    check_name(c, "a.x", ROUTE_DIRECT, NULL);
    check_name(c, "a.y", ROUTE_PEER, "home");
    check_ip(c, "192.0.2.1", ROUTE_DIRECT, NULL);
    check_ip(c, "2001:db8::1", ROUTE_PEER, "home");
    config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(longest_suffix_decides),
        cmocka_unit_test(longest_prefix_decides),
        cmocka_unit_test(peer_names_go_to_the_peers_machine),
        cmocka_unit_test(no_peer_name_leaks_past_the_peers),
        cmocka_unit_test(default_loses_against_the_shortest_pattern),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
