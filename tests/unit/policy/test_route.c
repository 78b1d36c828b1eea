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

static struct route decide(const struct config *c, const char *host, uint16_t port,
                           const struct route_choice *choice)
{
    struct target t;
    assert_int_equal(target_set_name(&t, host, strlen(host), port), 0);
    return route_decide(c, &t, choice);
}

static void check_name(const struct config *c, const char *name, enum config_route_kind kind,
                       const char *peer)
{
    struct route r = decide(c, name, 80, NULL);
    assert_int_equal(r.kind, kind);
    if (peer) {
        assert_string_equal(c->peers[r.peer].name, peer);
    }
}

static void check_ip(const struct config *c, const char *ip, enum config_route_kind kind,
                     const char *peer)
{
    struct route r = decide(c, ip, 80, NULL);
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
    assert_true(decide(c, "home.peer", 80, NULL).self);
    assert_false(decide(c, "corp.example", 80, NULL).self);
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
    check_name(c, "a.home.peer", ROUTE_PEER, "home");
    check_name(c, "a.hom.peer", ROUTE_REFUSE, NULL);
    check_name(c, "b.a.home.peer", ROUTE_REFUSE, NULL);
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

static struct config *parse(const char *text)
{
    struct config *c;
    struct config_errors errors;
    const struct config_env env = {0};
    assert_int_equal(config_parse(&c, "a.ini", text, strlen(text), &env, &errors), 0);
    return c;
}

/* The last byte of the peer's name says which line it was. */
static void host_decides_before_port_and_the_smaller_range_before_the_larger(void **state)
{
    (void)state;
    struct config *c = parse("[peer a]\nkey = " KEY_A "\n[peer b]\nkey = " KEY_B "\n[route]\n"
                             "corp.example = peer a\ncorp.example:443 = peer b\n"
                             "corp.example:400-500 = direct\n:25 = direct\n:20-30 = refuse\n"
                             "www.corp.example:80 = direct\n10.0.0.0/8:22 = peer b\n"
                             "10.1.0.0/16 = peer a\n[fd00::/8]:22 = peer b\ndefault = peer a\n");
    static const struct {
        const char *host;
        uint16_t port;
        enum config_route_kind kind;
        size_t peer;
    } cases[] = {
        {"corp.example", 80, ROUTE_PEER, 0},      {"corp.example", 443, ROUTE_PEER, 1},
        {"corp.example", 444, ROUTE_DIRECT, 0},   {"corp.example", 400, ROUTE_DIRECT, 0},
        {"corp.example", 500, ROUTE_DIRECT, 0},   {"corp.example", 501, ROUTE_PEER, 0},
        {"corp.example", 25, ROUTE_PEER, 0}, /* its own line is better than a port alone */
        {"other.example", 25, ROUTE_DIRECT, 0},   {"other.example", 24, ROUTE_REFUSE, 0},
        {"other.example", 31, ROUTE_PEER, 0},     {"www.corp.example", 80, ROUTE_DIRECT, 0},
        {"www.corp.example", 443, ROUTE_PEER, 1}, {"10.2.0.1", 22, ROUTE_PEER, 1},
        {"10.2.0.1", 25, ROUTE_DIRECT, 0},        {"10.1.0.1", 22, ROUTE_PEER, 0},
        {"fd00::1", 22, ROUTE_PEER, 1},           {"fd00::1", 23, ROUTE_REFUSE, 0},
        {"64:ff9b::a02:1", 22, ROUTE_PEER, 1},    {"0x0a020001", 22, ROUTE_PEER, 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct route r = decide(c, cases[i].host, cases[i].port, NULL);
        assert_int_equal(r.kind, cases[i].kind);
        assert_int_equal(r.kind == ROUTE_PEER ? r.peer : 0, cases[i].peer);
    }
    config_free(c);
}

static void another_spelling_of_an_address_meets_the_same_line(void **state)
{
    (void)state;
    struct config *c = parse("[route]\n127.0.0.0/8 = refuse\n::1 = refuse\ndefault = direct\n");
    static const char *const same[] = {"0.0.0.0",  "0.1.2.3",     "::",     "::ffff:127.0.0.1",
                                       "127.1",    "2130706433",  "0x7f.1", "64:ff9b::7f00:1",
                                       "::7f00:1", "017700000001"};
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        check_ip(c, same[i], ROUTE_REFUSE, NULL);
    }
    check_ip(c, "128.0.0.1", ROUTE_DIRECT, NULL);
    config_free(c);
}

static void a_wish_goes_before_all_but_a_refusal(void **state)
{
    const struct config *c = *state;
    const struct route_choice work = {.wished = true, .peer = 1};
    static const char *const granted[] = {"corp.example",      "public.corp.example", "10.1.0.1",
                                          "elsewhere.example", "2001:db8::1",         "work.peer",
                                          "wiki.work.peer"};
    for (size_t i = 0; i < sizeof(granted) / sizeof(granted[0]); i++) {
        struct route r = decide(c, granted[i], 80, &work);
        assert_int_equal(r.kind, ROUTE_PEER);
        assert_int_equal(r.peer, 1);
    }
    assert_int_equal(decide(c, "secret.public.corp.example", 80, &work).kind, ROUTE_REFUSE);
    assert_int_equal(decide(c, "192.0.2.1", 80, &work).kind, ROUTE_REFUSE); /* 0.0.0.0/0 */
    assert_int_equal(decide(c, "home.peer", 80, &work).kind, ROUTE_REFUSE);
    assert_int_equal(decide(c, "nobody.peer", 80, &work).kind, ROUTE_REFUSE);
}

static void an_exit_of_the_listener_is_its_default(void **state)
{
    const struct config *c = *state;
    const struct config_route to_home = {.kind = ROUTE_PEER, .line = 1};
    const struct config_route none = {.kind = ROUTE_DIRECT};
    const struct route_choice home = {.exit = &to_home}, nothing = {.exit = &none};
    assert_int_equal(decide(c, "elsewhere.example", 80, &home).kind, ROUTE_PEER);
    assert_ptr_equal(decide(c, "elsewhere.example", 80, &home).line, &to_home);
    assert_int_equal(decide(c, "elsewhere.example", 80, &nothing).kind, ROUTE_REFUSE);
    assert_int_equal(decide(c, "public.corp.example", 80, &home).kind, ROUTE_DIRECT);
    assert_int_equal(decide(c, "192.0.2.1", 80, &home).kind, ROUTE_REFUSE);
}

static void names_in_peer_have_another_name_there(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"home.peer", "localhost:80"},
                                           {"wiki.home.peer", "wiki.peer:80"}};
    for (size_t i = 0; i < 2; i++) {
        struct target t;
        char text[TARGET_TEXT_MAX];
        assert_int_equal(target_set_name(&t, cases[i][0], strlen(cases[i][0]), 80), 0);
        assert_string_equal(route_name_there(&t, text), cases[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(longest_suffix_decides),
        cmocka_unit_test(longest_prefix_decides),
        cmocka_unit_test(peer_names_go_to_the_peers_machine),
        cmocka_unit_test(no_peer_name_leaks_past_the_peers),
        cmocka_unit_test(default_loses_against_the_shortest_pattern),
        cmocka_unit_test(host_decides_before_port_and_the_smaller_range_before_the_larger),
        cmocka_unit_test(another_spelling_of_an_address_meets_the_same_line),
        cmocka_unit_test(a_wish_goes_before_all_but_a_refusal),
        cmocka_unit_test(an_exit_of_the_listener_is_its_default),
        cmocka_unit_test(names_in_peer_have_another_name_there),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
