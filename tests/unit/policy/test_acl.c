#include "policy/acl.h"

#include <base/err.h>
#include <base/mem.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void add(struct acl *acl, const char *text)
{
    struct acl_rule rule;
    const char *why;
    assert_int_equal(acl_parse_rule(&rule, text, &why), 0);
    assert_null(why);
    assert_int_equal(acl_add(acl, &rule), 0);
}

/* Does the one entry let this address (asked for under `name`) through? */
static bool allows(const char *entry, const char *ip, uint16_t port, const char *name)
{
    struct acl acl = {0};
    struct addr a;
    add(&acl, entry);
    assert_int_equal(addr_parse_ip(&a, ip), 0);
    bool yes = acl_allows(&acl, &a, port, name);
    acl_deinit(&acl);
    return yes;
}

static void empty_list_allows_nothing(void **state)
{
    (void)state;
    struct acl acl = {0};
    struct addr a = addr_ipv4(127, 0, 0, 1, 0);
    assert_false(acl_allows(&acl, &a, 80, NULL));
    assert_false(acl_allows(&acl, &a, 80, "localhost"));
    assert_false(acl_could_allow(&acl, "localhost", 80));
}

static void addresses_and_prefixes(void **state)
{
    (void)state;
    assert_true(allows("127.0.0.1:8080", "127.0.0.1", 8080, NULL));
    assert_false(allows("127.0.0.1:8080", "127.0.0.1", 8081, NULL));
    assert_false(allows("127.0.0.1:8080", "127.0.0.2", 8080, NULL));
    assert_true(allows("10.0.0.0/8:22", "10.255.255.255", 22, NULL));
    assert_false(allows("10.0.0.0/8:22", "11.0.0.0", 22, NULL));
    assert_true(allows("[::1]:80", "::1", 80, NULL));
    assert_false(allows("[::1]:80", "127.0.0.1", 80, NULL));
    assert_true(allows("2001:db8::/32", "2001:db8:1::1", 9, NULL));
    assert_true(allows("[2001:db8::/32]:9", "2001:db8:1::1", 9, NULL));
    assert_false(allows("[2001:db8::/32]:9", "2001:db8:1::1", 10, NULL));
    assert_true(allows("10.0.0.1", "10.0.0.1", 65535, "whatever.example"));
}

static void port_ranges_include_both_ends(void **state)
{
    (void)state;
    assert_false(allows("any:8080-8090", "192.0.2.1", 8079, NULL));
    assert_true(allows("any:8080-8090", "192.0.2.1", 8080, NULL));
    assert_true(allows("any:8080-8090", "192.0.2.1", 8090, NULL));
    assert_false(allows("any:8080-8090", "192.0.2.1", 8091, NULL));
    assert_true(allows("any:1-65535", "192.0.2.1", 65535, NULL));
}

static void any_is_all_but_the_guarded_blocks(void **state)
{
    (void)state;
    static const char *const open[] = {"127.0.0.1", "::1",         "10.0.0.1",      "8.8.8.8",
                                       "fd00::1",   "169.253.0.1", "fd00:ec3::254", "fec0::1"};
    static const char *const closed[] = {"169.254.0.1",
                                         "169.254.169.254",
                                         "fe80::1",
                                         "febf::1",
                                         "fd00:ec2::254",
                                         "fd00:ec2::253",
                                         "fd20:ce::254",
                                         "100.100.100.200",
                                         "168.63.129.16",
                                         "192.0.0.192",
                                         "fd00:c1::a9fe:a9fe",
                                         "fd00:42::42",
                                         "::ffff:169.254.169.254",
                                         "64:ff9b::a9fe:a9fe",
                                         "::169.254.169.254"};
    for (size_t i = 0; i < COUNT(open); i++) {
        assert_true(allows("any", open[i], 80, "a.example"));
    }
    for (size_t i = 0; i < COUNT(closed); i++) {
        assert_false(allows("any", closed[i], 80, NULL));
        assert_false(allows("a.example", closed[i], 80, "a.example"));
        assert_false(allows("localhost", closed[i], 80, "localhost"));
    }
}

static void guarded_blocks_open_in_so_many_words(void **state)
{
    (void)state;
    assert_false(allows("0.0.0.0/0", "169.254.169.254", 80, NULL));
    assert_false(allows("169.0.0.0/8", "169.254.169.254", 80, NULL));
    assert_true(allows("169.254.0.0/16", "169.254.169.254", 80, NULL));
    assert_true(allows("169.254.169.254:80", "169.254.169.254", 80, NULL));
    assert_false(allows("::/0", "fe80::1", 80, NULL));
    assert_true(allows("fe80::/10", "fe80::1", 80, NULL));
    assert_false(allows("fd00::/8", "fd00:ec2::254", 80, NULL));
    assert_true(allows("fd00:ec2::254", "fd00:ec2::254", 80, NULL));
}

static void disguised_addresses_are_seen_through(void **state)
{
    (void)state;
    static const char *const loopback[] = {"::ffff:127.0.0.1", "0.0.0.0",  "0.1.2.3",
                                           "64:ff9b::7f00:1",  "::7f00:1", "::ffff:0.0.0.0",
                                           "64:ff9b::",        "::2"};
    for (size_t i = 0; i < COUNT(loopback); i++) {
        assert_true(allows("127.0.0.1", loopback[i], 80, NULL));
        assert_false(allows("10.0.0.0/8", loopback[i], 80, NULL));
        assert_false(allows("::/0", loopback[i], 80, NULL));
        assert_false(allows("evil.example", loopback[i], 80, "evil.example"));
    }
    assert_true(allows("::1", "::", 80, NULL));
    assert_false(allows("any", "::ffff:169.254.169.254", 80, NULL));
    assert_false(allows("any", "64:ff9b::a9fe:a9fe", 80, NULL));
    assert_false(allows("::/0", "::ffff:10.0.0.1", 80, NULL));
    assert_true(allows("10.0.0.0/8", "64:ff9b::a00:1", 80, NULL));
}

static void names_match_what_was_asked_for(void **state)
{
    (void)state;
    assert_true(allows("nas.lan:445", "192.168.1.9", 445, "nas.lan"));
    assert_true(allows("NAS.lan.", "192.168.1.9", 445, "nas.lan"));
    assert_false(allows("nas.lan", "192.168.1.9", 445, "other.lan"));
    assert_false(allows("nas.lan", "192.168.1.9", 445, "x.nas.lan"));
    assert_false(allows("nas.lan", "192.168.1.9", 445, NULL));
}

static void only_localhost_may_resolve_to_loopback(void **state)
{
    (void)state;
    assert_true(allows("localhost:80", "127.0.0.1", 80, "localhost"));
    assert_true(allows("localhost:80", "::1", 80, "localhost"));
    assert_true(allows("app.localhost", "127.0.0.1", 80, "app.localhost"));
    assert_false(allows("rebound.example", "127.0.0.1", 80, "rebound.example"));
    assert_false(allows("notlocalhost", "127.0.0.1", 80, "notlocalhost"));
}

static void rules_add_up(void **state)
{
    (void)state;
    struct acl acl = {0};
    struct addr a = addr_ipv4(10, 0, 0, 1, 0);
    struct addr b = addr_ipv4(10, 0, 0, 2, 0);
    add(&acl, "10.0.0.1:22");
    add(&acl, "10.0.0.2:80");
    assert_true(acl_allows(&acl, &a, 22, NULL));
    assert_true(acl_allows(&acl, &b, 80, NULL));
    assert_false(acl_allows(&acl, &a, 80, NULL));
    acl_deinit(&acl);
}

static void hopeless_lookups_are_known_beforehand(void **state)
{
    (void)state;
    struct acl acl = {0};
    add(&acl, "nas.lan:445");
    add(&acl, "10.0.0.0/8:22");
    assert_true(acl_could_allow(&acl, "nas.lan", 445));
    assert_false(acl_could_allow(&acl, "other.lan", 445));
    assert_true(acl_could_allow(&acl, "other.lan", 22));
    assert_false(acl_could_allow(&acl, "nas.lan", 80));
    acl_deinit(&acl);
}

static void bad_entries_are_refused_with_a_reason(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        ":80",
        "any:",
        "any:0",
        "any:65536",
        "any:80-79",
        "any:80-",
        "any:-80",
        "any:x",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "10.0.0.300",
        "a..b",
        "[::1",
        "[::1]80",
        "[]:80",
        "host name",
        "*.example",
        "127.1",
        "0.0.0.0",
        "::",
        "0.0.0.0/8",
        "::ffff:10.0.0.0/104",
        "64:ff9b::/96",
        "::ffff:10.0.0.1",
        "::/96",
        "fe80::1%eth0",
        "any:80:90",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct acl_rule rule = {.port_min = 7};
        const char *why = NULL;
        assert_int_equal(acl_parse_rule(&rule, texts[i], &why), ERR_MALFORMED);
        assert_non_null(why);
        assert_int_equal(rule.port_min, 7);
    }
}

static void list_has_a_ceiling(void **state)
{
    (void)state;
    struct acl acl = {0};
    struct acl_rule rule = {.kind = ACL_ANY};
    mem_fail_after(1);
    assert_int_equal(acl_add(&acl, &rule), ERR_NO_MEMORY);
    mem_fail_after(0);
    for (size_t i = 0; i < ACL_RULES_MAX; i++) {
        assert_int_equal(acl_add(&acl, &rule), 0);
    }
    assert_int_equal(acl_add(&acl, &rule), ERR_NO_ROOM);
    acl_deinit(&acl);
    assert_int_equal(acl.count, 0);
}

static void only_one_address_and_port_names_a_place(void **state)
{
    (void)state;
    static const struct {
        const char *rule;
        bool names;
    } cases[] = {
        {"127.0.0.1:1080", true},       {"127.0.0.1", false},      {"127.0.0.0/8:1080", false},
        {"127.0.0.1:1080-1081", false}, {"any:1080", false},       {"localhost:1080", false},
        {"127.0.0.1:1081", false},      {"127.0.0.2:1080", false},
    };
    struct addr a = addr_ipv4(127, 0, 0, 1, 1080);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct acl acl = {0};
        struct acl_rule rule;
        const char *why;
        assert_int_equal(acl_parse_rule(&rule, cases[i].rule, &why), 0);
        assert_int_equal(acl_add(&acl, &rule), 0);
        assert_int_equal(acl_names(&acl, &a, 1080), cases[i].names);
        acl_deinit(&acl);
    }
}

static void unix_sockets_are_listed_one_by_one(void **state)
{
    (void)state;
    static const char *const bad[] = {"unix:",      "unix:/",   "unix:run/x", "unix:/a/../b",
                                      "unix:/a/..", "unix:/a/", "unix:/a:80 "};
    struct acl acl = {0};
    struct acl_rule rule;
    const char *why;
    add(&acl, "any");
    assert_false(acl_allows_unix(&acl, "/run/x"));
    add(&acl, "unix:/run/x");
    assert_true(acl_allows_unix(&acl, "/run/x"));
    assert_false(acl_allows_unix(&acl, "/run/x2"));
    assert_false(acl_allows_unix(&acl, "/run/X"));
    acl_deinit(&acl);
    add(&acl, "unix:/run/x"); /* and it says nothing of names and addresses */
    const struct addr a = addr_ipv4(192, 0, 2, 1, 0);
    assert_false(acl_allows(&acl, &a, 80, "/run/x"));
    assert_false(acl_could_allow(&acl, "x", 80));
    assert_false(acl_allows_name(&acl, "/run/x", 80));
    acl_deinit(&acl);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(acl_parse_rule(&rule, bad[i], &why), ERR_MALFORMED);
        assert_non_null(why);
    }
}

/* For a proxy that resolves elsewhere: prefixes say nothing, nor does what means this machine. */
static void names_alone_are_judged_where_nobody_resolves(void **state)
{
    (void)state;
    struct acl acl = {0};
    add(&acl, "10.0.0.0/8");
    add(&acl, "web.example:80");
    assert_true(acl_allows_name(&acl, "web.example", 80));
    assert_false(acl_allows_name(&acl, "web.example", 81));
    assert_false(acl_allows_name(&acl, "other.example", 80));
    add(&acl, "any:443");
    assert_true(acl_allows_name(&acl, "other.example", 443));
    assert_false(acl_allows_name(&acl, "localhost", 443));
    acl_deinit(&acl);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_list_allows_nothing),
        cmocka_unit_test(addresses_and_prefixes),
        cmocka_unit_test(port_ranges_include_both_ends),
        cmocka_unit_test(any_is_all_but_the_guarded_blocks),
        cmocka_unit_test(only_one_address_and_port_names_a_place),
        cmocka_unit_test(guarded_blocks_open_in_so_many_words),
        cmocka_unit_test(disguised_addresses_are_seen_through),
        cmocka_unit_test(names_match_what_was_asked_for),
        cmocka_unit_test(only_localhost_may_resolve_to_loopback),
        cmocka_unit_test(rules_add_up),
        cmocka_unit_test(hopeless_lookups_are_known_beforehand),
        cmocka_unit_test(bad_entries_are_refused_with_a_reason),
        cmocka_unit_test(list_has_a_ceiling),
        cmocka_unit_test(unix_sockets_are_listed_one_by_one),
        cmocka_unit_test(names_alone_are_judged_where_nobody_resolves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
