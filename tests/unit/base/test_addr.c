#include <base/addr.h>
#include <base/err.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void round_trips(void **state)
{
    (void)state;
    static const char *const texts[] = {"192.0.2.1:80", "[2001:db8::1]:443", "[::]:0",
                                        "0.0.0.0:65535"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct addr a;
        char out[ADDR_TEXT_MAX];
        assert_int_equal(addr_parse(&a, texts[i]), 0);
        assert_string_equal(addr_format(&a, out), texts[i]);
    }
}

static void refuses_what_is_no_address(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",           "1.2.3.4",     "1.2.3.4:",       "1.2.3.4:65536", "1.2.3.4:-1",
        "1.2.3:80",   "::1:80",      "[::1]",          "[::1]:x",       "host:80",
        "1.2.3.4: 8", "[1.2.3.4:80", "1.2.3.4:000080", "[]:80",         ":80",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct addr a = {.port = 7};
        assert_int_equal(addr_parse(&a, texts[i]), ERR_MALFORMED);
        assert_int_equal(a.port, 7);
    }
}

static void normalizes_v4_mapped(void **state)
{
    (void)state;
    struct addr a;
    char out[ADDR_TEXT_MAX];
    assert_int_equal(addr_parse(&a, "[::ffff:10.1.2.3]:80"), 0);
    a = addr_normalize(&a);
    assert_string_equal(addr_format(&a, out), "10.1.2.3:80");
}

static void knows_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool loopback, link_local, private, unspecified;
    } rows[] = {
        {"127.8.9.1", true, false, false, false},   {"::1", true, false, false, false},
        {"169.254.1.1", false, true, false, false}, {"fe80::1", false, true, false, false},
        {"10.0.0.1", false, false, true, false},    {"172.31.0.1", false, false, true, false},
        {"172.32.0.1", false, false, false, false}, {"100.64.0.1", false, false, true, false},
        {"fd00::1", false, false, true, false},     {"0.0.0.0", false, false, false, true},
        {"::", false, false, false, true},          {"8.8.8.8", false, false, false, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct addr a;
        assert_int_equal(addr_parse_ip(&a, rows[i].text), 0);
        assert_int_equal(addr_is_loopback(&a), rows[i].loopback);
        assert_int_equal(addr_is_link_local(&a), rows[i].link_local);
        assert_int_equal(addr_is_private(&a), rows[i].private);
        assert_int_equal(addr_is_unspecified(&a), rows[i].unspecified);
    }
}

static void prefixes_contain(void **state)
{
    (void)state;
    static const struct {
        const char *prefix, *ip;
        bool inside;
    } rows[] = {
        {"10.0.0.0/8", "10.255.0.1", true},
        {"10.0.0.0/8", "11.0.0.1", false},
        {"192.0.2.128/25", "192.0.2.129", true},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"0.0.0.0/0", "1.2.3.4", true},
        {"0.0.0.0/0", "::1", false},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct prefix p;
        struct addr a;
        assert_int_equal(prefix_parse(&p, rows[i].prefix), 0);
        assert_int_equal(addr_parse_ip(&a, rows[i].ip), 0);
        assert_int_equal(prefix_contains(&p, &a), rows[i].inside);
    }
}

static void refuses_bad_prefixes(void **state)
{
    (void)state;
    static const char *const texts[] = {"10.0.0.0/33", "10.0.0.1/8", "10/8",
                                        "::/129",      "/8",         "1.2.3.4/"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct prefix p;
        assert_int_equal(prefix_parse(&p, texts[i]), ERR_MALFORMED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),          cmocka_unit_test(refuses_what_is_no_address),
        cmocka_unit_test(normalizes_v4_mapped), cmocka_unit_test(knows_kinds),
        cmocka_unit_test(prefixes_contain),     cmocka_unit_test(refuses_bad_prefixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
