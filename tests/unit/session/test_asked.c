#include "session/asked.h"

#include <base/err.h>
#include <base/mem.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct addr at(uint64_t n)
{
    return addr_ipv4(10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, 53);
}

static void only_who_was_asked_may_answer(void **state)
{
    (void)state;
    struct asked a;
    struct addr to = at(1), other_port = at(1), other = at(2);
    other_port.port = 54;
    asked_init(&a, 0);
    assert_false(asked_has(&a, &to, 0));
    assert_int_equal(asked_add(&a, &to, 0), 0);
    assert_true(asked_has(&a, &to, 0));
    assert_false(asked_has(&a, &other_port, 0));
    assert_false(asked_has(&a, &other, 0));
    asked_deinit(&a);
}

/* Each datagram, in either direction, gives it as much again. */
static void the_silent_are_forgotten(void **state)
{
    (void)state;
    struct asked a;
    struct addr one = at(1), two = at(2);
    asked_init(&a, 0);
    assert_int_equal(asked_add(&a, &one, 0), 0);
    assert_int_equal(asked_add(&a, &two, 1), 0);
    assert_true(asked_has(&a, &one, ASKED_NS));
    assert_false(asked_has(&a, &two, ASKED_NS + 2));
    assert_true(asked_has(&a, &one, 2 * ASKED_NS));
    assert_int_equal(asked_add(&a, &one, 3 * ASKED_NS), 0);
    assert_true(asked_has(&a, &one, 4 * ASKED_NS));
    assert_int_equal(a.count, 1);
    asked_deinit(&a);
}

static void new_targets_come_no_faster_than_allowed(void **state)
{
    (void)state;
    struct asked a;
    uint64_t n = 0;
    asked_init(&a, 0);
    struct addr to = at(n);
    while (asked_add(&a, &to, 0) == 0) {
        to = at(++n);
    }
    assert_int_equal(n, ASKED_NEW_BURST);
    struct addr known = at(0);
    assert_int_equal(asked_add(&a, &known, 0), 0); /* it is not new */
    assert_int_equal(asked_add(&a, &to, 0), ERR_NO_ROOM);
    uint64_t taken = 0;
    for (uint64_t ms = 1; ms <= 1000; ms++) {
        to = at(n + taken);
        taken += asked_add(&a, &to, ms * NS_PER_MS) == 0;
    }
    assert_in_range(taken, ASKED_NEW_PER_S - 2, ASKED_NEW_PER_S);
    asked_deinit(&a);
}

static void there_is_a_ceiling(void **state)
{
    (void)state;
    struct asked a;
    asked_init(&a, 0);
    uint64_t now = 0;
    for (uint64_t n = 0; n < ASKED_MAX; n++, now += NS_PER_S / 100) {
        struct addr to = at(n);
        assert_int_equal(asked_add(&a, &to, now), 0);
    }
    struct addr more = at(ASKED_MAX);
    assert_int_equal(asked_add(&a, &more, now), ERR_NO_ROOM);
    assert_int_equal(asked_add(&a, &more, ASKED_NS + NS_PER_MS), 0); /* the first is forgotten */
    asked_deinit(&a);
}

static void without_memory_nobody_is_added(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 3; n++) {
        struct asked a;
        struct addr to = at(1);
        asked_init(&a, 0);
        mem_fail_after(n);
        assert_int_equal(asked_add(&a, &to, 0), ERR_NO_MEMORY);
        mem_fail_after(0);
        assert_false(asked_has(&a, &to, 0));
        assert_int_equal(asked_add(&a, &to, 0), 0);
        asked_deinit(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_who_was_asked_may_answer),
        cmocka_unit_test(the_silent_are_forgotten),
        cmocka_unit_test(new_targets_come_no_faster_than_allowed),
        cmocka_unit_test(there_is_a_ceiling),
        cmocka_unit_test(without_memory_nobody_is_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
