#include "session/dial.h"

#include <base/err.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum { NOW = 1000 };

static struct addr ip(const char *text)
{
    struct addr a;
    assert_int_equal(addr_parse_ip(&a, text), 0);
    a.port = 80;
    return a;
}

static void add(struct dial *d, const struct acl *acl, const char *name, const char *text)
{
    struct addr a = ip(text);
    dial_add(d, acl, name, &a);
}

static size_t expect_try(struct dial *d, const char *text)
{
    struct dial_event ev;
    struct addr expected = ip(text);
    assert_true(dial_event(d, &ev));
    assert_int_equal(ev.type, DIAL_EVENT_TRY);
    assert_true(addr_equal(&ev.addr, &expected));
    return ev.slot;
}

static void expect_nothing(struct dial *d)
{
    struct dial_event ev;
    assert_false(dial_event(d, &ev));
}

static void expect_failed(struct dial *d, enum cause cause)
{
    struct dial_event ev;
    assert_true(dial_event(d, &ev));
    assert_int_equal(ev.type, DIAL_EVENT_FAILED);
    assert_int_equal(ev.cause, cause);
    expect_nothing(d);
    assert_int_equal(dial_next_ns(d), TIME_NEVER);
}

static void families_take_turns_every_250_ms(void **state)
{
    (void)state;
    struct dial d;
    dial_init(&d, 20 * NS_PER_S);
    add(&d, NULL, "x", "2001:db8::1");
    add(&d, NULL, "x", "2001:db8::2");
    add(&d, NULL, "x", "2001:db8::1"); /* a double */
    add(&d, NULL, "x", "192.0.2.1");
    add(&d, NULL, "x", "192.0.2.2");
    dial_start(&d, NOW);
    static const char *const order[] = {"2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"};
    uint64_t now = NOW;
    for (size_t i = 0; i < 4; i++) {
        expect_try(&d, order[i]);
        expect_nothing(&d);
        if (i < 3) {
            assert_int_equal(dial_next_ns(&d), now + 250 * NS_PER_MS);
            dial_tick(&d, now + 250 * NS_PER_MS - 1);
            expect_nothing(&d);
            now += 250 * NS_PER_MS;
            dial_tick(&d, now);
        }
    }
    assert_int_equal(dial_next_ns(&d), NOW + 20 * NS_PER_S);
}

static void a_failure_starts_the_next_at_once(void **state)
{
    (void)state;
    struct dial d;
    dial_init(&d, 20 * NS_PER_S);
    add(&d, NULL, "x", "2001:db8::1");
    add(&d, NULL, "x", "192.0.2.1");
    dial_start(&d, NOW);
    size_t first = expect_try(&d, "2001:db8::1");
    dial_attempt_failed(&d, first, -ENETUNREACH, NOW + 1);
    size_t second = expect_try(&d, "192.0.2.1");
    dial_connected(&d, second);
    struct dial_event ev;
    assert_true(dial_event(&d, &ev));
    assert_int_equal(ev.type, DIAL_EVENT_DONE);
    assert_int_equal(ev.slot, second);
    expect_nothing(&d);
    /* Late news of the others is nobody's business any more. */
    dial_connected(&d, first);
    dial_attempt_failed(&d, second, -ECONNREFUSED, NOW + 2);
    expect_nothing(&d);
}

static void the_most_telling_failure_is_told(void **state)
{
    (void)state;
    static const struct {
        int first, second;
        enum cause cause;
    } cases[] = {
        {-ENETUNREACH, -ECONNREFUSED, CAUSE_REFUSED},
        {-ECONNREFUSED, -ENETUNREACH, CAUSE_REFUSED},
        {-ENETUNREACH, -ETIMEDOUT, CAUSE_TIMED_OUT},
        {-EHOSTUNREACH, -ENETUNREACH, CAUSE_HOST_UNREACHABLE},
        {-EINVAL, -ENETUNREACH, CAUSE_NET_UNREACHABLE},
        {-EINVAL, -EINVAL, CAUSE_FAILED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dial d;
        dial_init(&d, 20 * NS_PER_S);
        add(&d, NULL, "x", "192.0.2.1");
        add(&d, NULL, "x", "192.0.2.2");
        dial_start(&d, NOW);
        dial_attempt_failed(&d, expect_try(&d, "192.0.2.1"), cases[i].first, NOW);
        dial_attempt_failed(&d, expect_try(&d, "192.0.2.2"), cases[i].second, NOW);
        expect_failed(&d, cases[i].cause);
    }
}

static void silence_ends_when_the_time_is_over(void **state)
{
    (void)state;
    struct dial d;
    dial_init(&d, 20 * NS_PER_S);
    add(&d, NULL, NULL, "192.0.2.1");
    dial_start(&d, NOW);
    expect_try(&d, "192.0.2.1");
    assert_int_equal(dial_next_ns(&d), NOW + 20 * NS_PER_S);
    dial_tick(&d, NOW + 20 * NS_PER_S - 1);
    expect_nothing(&d);
    dial_tick(&d, NOW + 20 * NS_PER_S);
    expect_failed(&d, CAUSE_TIMED_OUT);
}

static void nothing_resolved_is_name_not_found(void **state)
{
    (void)state;
    struct dial d;
    dial_init(&d, 20 * NS_PER_S);
    dial_start(&d, NOW);
    expect_failed(&d, CAUSE_NAME_NOT_FOUND);
}

static struct acl allowing(const char *text)
{
    struct acl acl = {0};
    struct acl_rule rule;
    const char *why;
    assert_int_equal(acl_parse_rule(&rule, text, &why), 0);
    assert_int_equal(acl_add(&acl, &rule), 0);
    return acl;
}

/* DNS rebinding: the name is allowed nowhere, one of its addresses is. */
static void policy_looks_at_each_address_dialled(void **state)
{
    (void)state;
    struct acl acl = allowing("192.0.2.0/24:80");
    struct dial d;
    dial_init(&d, 20 * NS_PER_S);
    add(&d, &acl, "x", "127.0.0.1");
    add(&d, &acl, "x", "192.0.2.9");
    add(&d, &acl, "x", "::ffff:10.0.0.1");
    dial_start(&d, NOW);
    size_t slot = expect_try(&d, "192.0.2.9");
    dial_attempt_failed(&d, slot, -ECONNREFUSED, NOW);
    expect_failed(&d, CAUSE_REFUSED);

    dial_init(&d, 20 * NS_PER_S);
    add(&d, &acl, "x", "127.0.0.1");
    dial_start(&d, NOW);
    expect_failed(&d, CAUSE_NOT_ALLOWED);

    struct acl nothing = {0};
    dial_init(&d, 20 * NS_PER_S);
    add(&d, &nothing, NULL, "192.0.2.9");
    dial_start(&d, NOW);
    expect_failed(&d, CAUSE_NOT_ALLOWED);

    dial_init(&d, 20 * NS_PER_S);
    dial_forbid(&d);
    dial_start(&d, NOW);
    expect_failed(&d, CAUSE_NOT_ALLOWED);
    acl_deinit(&acl);
}

/* NAME.peer travels as "localhost": both ways to write that in `allow` hold. */
static void localhost_meets_the_address_and_the_name(void **state)
{
    (void)state;
    static const char *const rules[] = {"127.0.0.1:80", "localhost:80"};
    for (size_t i = 0; i < 2; i++) {
        struct acl acl = allowing(rules[i]);
        struct dial d;
        dial_init(&d, 20 * NS_PER_S);
        add(&d, &acl, "localhost", "127.0.0.1");
        dial_start(&d, NOW);
        expect_try(&d, "127.0.0.1");
        acl_deinit(&acl);
    }
}

static void more_addresses_than_the_ceiling_are_dropped(void **state)
{
    (void)state;
    struct dial d;
    dial_init(&d, 20 * NS_PER_S);
    for (unsigned i = 0; i < 200; i++) {
        struct addr a = addr_ipv4(192, 0, 2, (uint8_t)i, 80);
        dial_add(&d, NULL, "x", &a);
    }
    dial_start(&d, NOW);
    struct dial_event ev;
    size_t tries = 0;
    while (dial_event(&d, &ev) && ev.type == DIAL_EVENT_TRY) {
        tries++;
        dial_attempt_failed(&d, ev.slot, -ECONNREFUSED, NOW);
    }
    assert_int_equal(tries, DIAL_ADDRS_MAX);
    assert_int_equal(ev.type, DIAL_EVENT_FAILED);
}

/* RFC 8305 section 3: an AAAA that is late by less than 50 ms comes first all the same. */
static void ipv6_has_50_ms_to_answer(void **state)
{
    (void)state;
    struct dial d;
    dial_init(&d, 20 * NS_PER_S);
    dial_wait(&d, NOW);
    assert_int_equal(dial_next_ns(&d), NOW + 20 * NS_PER_S);
    add(&d, NULL, "x", "192.0.2.1");
    dial_answered(&d, ADDR_IPV4, NOW);
    expect_nothing(&d);
    assert_int_equal(dial_next_ns(&d), NOW + 50 * NS_PER_MS);
    add(&d, NULL, "x", "2001:db8::1");
    dial_answered(&d, ADDR_IPV6, NOW + 49 * NS_PER_MS);
    expect_try(&d, "2001:db8::1");
    expect_nothing(&d);
    dial_tick(&d, NOW + 299 * NS_PER_MS);
    expect_try(&d, "192.0.2.1");
}

static void silence_about_ipv6_delays_ipv4_by_50_ms(void **state)
{
    (void)state;
    struct dial d;
    dial_init(&d, 20 * NS_PER_S);
    dial_wait(&d, NOW);
    add(&d, NULL, "x", "192.0.2.1");
    add(&d, NULL, "x", "192.0.2.2");
    dial_answered(&d, ADDR_IPV4, NOW);
    uint64_t now = NOW + 50 * NS_PER_MS;
    dial_tick(&d, now - 1);
    expect_nothing(&d);
    dial_tick(&d, now);
    size_t slot = expect_try(&d, "192.0.2.1");
    expect_nothing(&d);
    /* The late ones take their turn behind the delay between attempts, and before the rest. */
    add(&d, NULL, "x", "2001:db8::1");
    dial_answered(&d, ADDR_IPV6, now + NS_PER_MS);
    expect_nothing(&d);
    dial_attempt_failed(&d, slot, -ECONNREFUSED, now + 2 * NS_PER_MS);
    expect_try(&d, "2001:db8::1");
    dial_tick(&d, now + 252 * NS_PER_MS);
    expect_try(&d, "192.0.2.2");
}

static void ipv6_goes_at_once(void **state)
{
    (void)state;
    struct dial d;
    dial_init(&d, 20 * NS_PER_S);
    dial_wait(&d, NOW);
    add(&d, NULL, "x", "2001:db8::1");
    dial_answered(&d, ADDR_IPV6, NOW);
    size_t slot = expect_try(&d, "2001:db8::1");
    dial_attempt_failed(&d, slot, -ENETUNREACH, NOW + 1);
    expect_nothing(&d); /* IPv4 may still come */
    assert_int_equal(dial_next_ns(&d), NOW + 20 * NS_PER_S);
    add(&d, NULL, "x", "192.0.2.1");
    dial_answered(&d, ADDR_IPV4, NOW + 2);
    expect_try(&d, "192.0.2.1");
}

/* All tried, and the attempt still hangs: what comes late waits 250 ms from that one, no longer. */
static void late_addresses_join_the_race(void **state)
{
    (void)state;
    struct dial d;
    dial_init(&d, 20 * NS_PER_S);
    dial_wait(&d, NOW);
    add(&d, NULL, "x", "2001:db8::1");
    dial_answered(&d, ADDR_IPV6, NOW);
    expect_try(&d, "2001:db8::1");
    add(&d, NULL, "x", "192.0.2.1");
    dial_answered(&d, ADDR_IPV4, NOW + 100 * NS_PER_MS);
    expect_nothing(&d);
    assert_int_equal(dial_next_ns(&d), NOW + 250 * NS_PER_MS);
    dial_tick(&d, NOW + 250 * NS_PER_MS);
    expect_try(&d, "192.0.2.1");
}

static void a_name_without_addresses_fails_when_both_have_answered(void **state)
{
    (void)state;
    struct dial d;
    dial_init(&d, 20 * NS_PER_S);
    dial_wait(&d, NOW);
    dial_answered(&d, ADDR_IPV6, NOW);
    expect_nothing(&d);
    dial_answered(&d, ADDR_IPV4, NOW);
    expect_failed(&d, CAUSE_NAME_NOT_FOUND);
    dial_init(&d, NS_PER_S);
    dial_wait(&d, NOW);
    dial_tick(&d, NOW + NS_PER_S);
    expect_failed(&d, CAUSE_TIMED_OUT);
    dial_answered(&d, ADDR_IPV4, NOW + NS_PER_S); /* too late */
    expect_nothing(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_take_turns_every_250_ms),
        cmocka_unit_test(a_failure_starts_the_next_at_once),
        cmocka_unit_test(the_most_telling_failure_is_told),
        cmocka_unit_test(silence_ends_when_the_time_is_over),
        cmocka_unit_test(nothing_resolved_is_name_not_found),
        cmocka_unit_test(policy_looks_at_each_address_dialled),
        cmocka_unit_test(localhost_meets_the_address_and_the_name),
        cmocka_unit_test(more_addresses_than_the_ceiling_are_dropped),
        cmocka_unit_test(ipv6_has_50_ms_to_answer),
        cmocka_unit_test(silence_about_ipv6_delays_ipv4_by_50_ms),
        cmocka_unit_test(ipv6_goes_at_once),
        cmocka_unit_test(late_addresses_join_the_race),
        cmocka_unit_test(a_name_without_addresses_fails_when_both_have_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
