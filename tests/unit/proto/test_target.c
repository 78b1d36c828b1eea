#include "proto/target.h"

#include <base/err.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void text_round_trips(void **state)
{
    (void)state;
    static const char *const texts[] = {"example.org:80",  "home.peer:8080",    "a:0",
                                        "192.0.2.1:65535", "[2001:db8::1]:443", "[::1]:1",
                                        "my_host-1.lan:9", "127-1.lan:80"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct target t;
        char out[TARGET_TEXT_MAX];
        assert_int_equal(target_parse(&t, texts[i], strlen(texts[i])), 0);
        assert_string_equal(target_format(&t, out), texts[i]);
    }
}

static void spellings_of_one_target_become_one(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"Example.ORG:80", "example.org:80"},
        {"example.org.:80", "example.org:80"},
        {"127.0.0.1.:80", "127.0.0.1:80"},
        {"127.1:80", "127.0.0.1:80"},
        {"0x7f000001:80", "127.0.0.1:80"},
        {"[::ffff:10.0.0.1]:80", "10.0.0.1:80"},
        {"[2001:DB8:0:0::1]:80", "[2001:db8::1]:80"},
    };
    for (size_t i = 0; i < COUNT(pairs); i++) {
        struct target t;
        struct target same;
        char out[TARGET_TEXT_MAX];
        assert_int_equal(target_parse(&t, pairs[i][0], strlen(pairs[i][0])), 0);
        assert_int_equal(target_parse(&same, pairs[i][1], strlen(pairs[i][1])), 0);
        assert_string_equal(target_format(&t, out), pairs[i][1]);
        assert_true(target_equal(&t, &same));
    }
}

static void refuses_what_is_no_target(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",          ":80",       "host",       "host:",       "host:65536",
        "host:-1",   "host:080",  "host:8 0",   "host:80 ",    "::1:80",
        "[::1]",     "[::1:80",   "[]:80",      "[host]:80",   "ho st:80",
        "ho\nst:80", "a..b:80",   ".a:80",      "a..:80",      ".:80",
        "a/b:80",    "fe80::1%1", "[::1%1]:80", "ho\x7fst:80", "h\xc3\xb6st:80",
        "a:b:80",    "a]:80",     "..:80",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct target t = {.port = 7};
        assert_int_equal(target_parse(&t, texts[i], strlen(texts[i])), ERR_MALFORMED);
        assert_int_equal(t.port, 7);
    }
}

static void name_of_255_bytes_fits_and_256_does_not(void **state)
{
    (void)state;
    char name[256];
    memset(name, 'a', sizeof(name));
    struct target t;
    struct target again;
    char out[TARGET_TEXT_MAX];
    assert_int_equal(target_set_name(&t, name, 255, 65535), 0);
    assert_int_equal(strlen(target_format(&t, out)), 255 + 6);
    assert_int_equal(target_parse(&again, out, strlen(out)), 0);
    assert_true(target_equal(&t, &again));
    assert_int_equal(target_set_name(&t, name, 256, 80), ERR_MALFORMED);
}

static void name_with_nul_is_refused_wherever_it_stands(void **state)
{
    (void)state;
    for (size_t at = 0; at < 9; at++) {
        char name[] = "localhost";
        name[at] = '\0';
        struct target t;
        assert_int_equal(target_set_name(&t, name, 9, 80), ERR_MALFORMED);
    }
}

static void control_bytes_are_refused(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char name[] = {'a', (char)c, 'b'};
        struct target t;
        bool plain = c > ' ' && c < 0x7f && !strchr(":[]/%.", c);
        int expected = plain || c == '.' ? 0 : ERR_MALFORMED;
        assert_int_equal(target_set_name(&t, name, 3, 80), expected);
    }
}

static void address_literal_in_a_name_is_an_address(void **state)
{
    (void)state;
    static const char *const names[] = {"127.0.0.1", "::1", "[::1]", "2001:db8::1"};
    for (size_t i = 0; i < COUNT(names); i++) {
        struct target t;
        assert_int_equal(target_set_name(&t, names[i], strlen(names[i]), 80), 0);
        assert_int_equal(t.kind, TARGET_ADDRESS);
        assert_int_equal(t.addr.port, 80);
        assert_string_equal(t.name, "");
    }
}

static void different_targets_are_not_equal(void **state)
{
    (void)state;
    static const char *const texts[] = {"a:80",       "b:80",       "a:81",
                                        "1.2.3.4:80", "1.2.3.4:81", "[::1]:80"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        for (size_t k = 0; k < COUNT(texts); k++) {
            struct target a;
            struct target b;
            assert_int_equal(target_parse(&a, texts[i], strlen(texts[i])), 0);
            assert_int_equal(target_parse(&b, texts[k], strlen(texts[k])), 0);
            assert_int_equal(target_equal(&a, &b), i == k);
        }
    }
}

static void peer_names_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *peer;
    } cases[] = {
        {"home.peer:80", "home"}, {"HOME.Peer.:80", "home"},  {"a-1.peer:1", "a-1"},
        {"peer:80", NULL},        {"a.home.peer:80", NULL},   {"home.peers:80", NULL},
        {"homepeer:80", NULL},    {"home.peer.org:80", NULL}, {"127.0.0.1:80", NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct target t;
        char peer[TARGET_PEER_MAX + 1] = "";
        assert_int_equal(target_parse(&t, cases[i].text, strlen(cases[i].text)), 0);
        assert_int_equal(target_is_peer_name(&t, peer), cases[i].peer != NULL);
        assert_string_equal(peer, cases[i].peer ? cases[i].peer : "");
    }
}

static void peer_name_past_63_bytes_is_none(void **state)
{
    (void)state;
    char text[80];
    char peer[TARGET_PEER_MAX + 1];
    struct target t;
    memset(text, 'x', 64);
    memcpy(text + 64, ".peer:1", 8);
    assert_int_equal(target_parse(&t, text, 71), 0);
    assert_false(target_is_peer_name(&t, peer));
    assert_int_equal(target_parse(&t, text + 1, 70), 0);
    assert_true(target_is_peer_name(&t, peer));
    assert_int_equal(strlen(peer), 63);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_round_trips),
        cmocka_unit_test(spellings_of_one_target_become_one),
        cmocka_unit_test(refuses_what_is_no_target),
        cmocka_unit_test(name_of_255_bytes_fits_and_256_does_not),
        cmocka_unit_test(name_with_nul_is_refused_wherever_it_stands),
        cmocka_unit_test(control_bytes_are_refused),
        cmocka_unit_test(address_literal_in_a_name_is_an_address),
        cmocka_unit_test(different_targets_are_not_equal),
        cmocka_unit_test(peer_names_are_found),
        cmocka_unit_test(peer_name_past_63_bytes_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
