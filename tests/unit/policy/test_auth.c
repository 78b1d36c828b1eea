#include "policy/auth.h"
#include "policy/backoff.h"

#include <base/err.h>
#include <base/mem.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const uint8_t key[AUTH_KEY_LEN] = {1, 2, 3};

static bool check(const struct auth *a, const char *user, const char *password)
{
    return auth_check(a, user, strlen(user), password, strlen(password));
}

static void only_the_right_pair_is_right(void **state)
{
    (void)state;
    static const char text[] = "# who\nann:one:two\r\n\nbob: x \nann:second";
    struct auth a;
    struct auth_error error;
    assert_int_equal(auth_init(&a, text, sizeof(text) - 1, key, &error), 0);
    assert_int_equal(a.count, 3);
    assert_true(check(&a, "ann", "one:two"));
    assert_true(check(&a, "ann", "second"));
    assert_true(check(&a, "bob", " x ")); /* blanks are the password's */
    static const char *const wrong[][2] = {
        {"ann", "one"}, {"ann", "one:two\r"}, {"ann", ""},        {"", ""},
        {"bob", "x"},   {"ann:one", "two"},   {"an", "none:two"}, {"Ann", "second"},
        {"# who", ""},  {"ann", "Second"},
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        assert_false(check(&a, wrong[i][0], wrong[i][1]));
    }
    /* No password stands in memory. */
    const char *bytes = (const char *)a.hashes;
    for (size_t i = 0; i + 3 <= a.count * sizeof(*a.hashes); i++) {
        assert_memory_not_equal(bytes + i, "one", 3);
    }
    auth_deinit(&a);
}

static void bad_files_are_refused_by_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned line;
    } bad[] = {
        {"", 0}, {"# nobody\n", 0}, {"ann\n", 1}, {"ann:x\n:y\n", 2}, {"ann:x\n\nbob:\n", 3},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct auth a;
        struct auth_error error;
        assert_int_equal(auth_init(&a, bad[i].text, strlen(bad[i].text), key, &error),
                         ERR_MALFORMED);
        assert_int_equal(error.line, bad[i].line);
        assert_non_null(error.why);
        auth_deinit(&a);
    }
    char longest[2 * AUTH_PART_MAX + 8];
    struct auth a;
    struct auth_error error;
    memset(longest, 'x', sizeof(longest));
    longest[AUTH_PART_MAX] = ':';
    assert_int_equal(auth_init(&a, longest, 2 * AUTH_PART_MAX + 1, key, &error), 0);
    auth_deinit(&a);
    assert_int_equal(auth_init(&a, longest, 2 * AUTH_PART_MAX + 2, key, &error), ERR_MALFORMED);
    auth_deinit(&a);
    mem_fail_after(1);
    assert_int_equal(auth_init(&a, "a:b", 3, key, &error), ERR_NO_MEMORY);
    mem_fail_after(0);
    auth_deinit(&a);
}

/* Wrong passwords until the address is held off; returns how many it took. */
static unsigned wrong_until_held(struct backoff *b, const struct addr *a, uint64_t now)
{
    unsigned n = 0;
    while (!backoff_holds(b, a, now) && n < 1000) {
        backoff_wrong(b, a, now);
        n++;
    }
    return n;
}

static void guessing_gets_slower(void **state)
{
    (void)state;
    struct backoff b;
    struct addr a = addr_ipv4(192, 0, 2, 1, 5), other = addr_ipv4(192, 0, 2, 2, 5);
    uint64_t now = 1000 * NS_PER_S;
    backoff_init(&b);
    assert_int_equal(wrong_until_held(&b, &a, now), BACKOFF_FREE + 1);
    a.port = 6; /* another connection */
    uint64_t hold = BACKOFF_MIN;
    for (size_t i = 0; i < 10; i++) {
        assert_true(backoff_holds(&b, &a, now + hold - 1));
        assert_false(backoff_holds(&b, &a, now + hold));
        assert_false(backoff_holds(&b, &other, now));
        now += hold;
        backoff_wrong(&b, &a, now);
        hold = hold * 2 < BACKOFF_MAX ? hold * 2 : BACKOFF_MAX;
    }
    backoff_right(&b, &a);
    assert_int_equal(wrong_until_held(&b, &a, now), BACKOFF_FREE + 1);
    backoff_right(&b, &other); /* never seen */
    assert_int_equal(b.count, 1);
}

static void an_ipv6_network_is_one_and_v4_mapped_is_v4(void **state)
{
    (void)state;
    struct backoff b;
    struct addr v6 = {.family = ADDR_IPV6, .ip = {0x20, 1, [15] = 1}};
    struct addr mapped = {.family = ADDR_IPV6, .ip = {[10] = 0xff, 0xff, 192, 0, 2, 1}};
    struct addr v4 = addr_ipv4(192, 0, 2, 1, 0);
    backoff_init(&b);
    (void)wrong_until_held(&b, &v6, 1);
    v6.ip[15] = 2;
    assert_true(backoff_holds(&b, &v6, 1));
    v6.ip[7] = 2;
    assert_false(backoff_holds(&b, &v6, 1));
    (void)wrong_until_held(&b, &mapped, 1);
    assert_true(backoff_holds(&b, &v4, 1));
}

static void the_table_keeps_its_size(void **state)
{
    (void)state;
    struct backoff b;
    struct addr bad = addr_ipv4(10, 9, 9, 9, 0);
    backoff_init(&b);
    for (uint32_t i = 0; i < 3 * BACKOFF_ADDRS; i++) {
        struct addr a = addr_ipv4(10, 0, (uint8_t)(i >> 8), (uint8_t)i, 0);
        backoff_wrong(&b, &a, i);
        backoff_wrong(&b, &bad, i); /* goes on and on: not forgotten for others */
    }
    assert_int_equal(b.count, BACKOFF_ADDRS);
    assert_true(backoff_holds(&b, &bad, 3 * BACKOFF_ADDRS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_right_pair_is_right),
        cmocka_unit_test(bad_files_are_refused_by_line),
        cmocka_unit_test(guessing_gets_slower),
        cmocka_unit_test(an_ipv6_network_is_one_and_v4_mapped_is_v4),
        cmocka_unit_test(the_table_keeps_its_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
