/* When others are let by: loop/tunnel_haste.c. */
#include "loop/tunnel_internal.h"
#include "os/sysclock.h"

#include <base/clock.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define US(n) ((uint64_t)(n)*NS_PER_US)

static void talk_makes_rounds_short_for_a_while(void **state)
{
    (void)state;
    struct adit a = {0};
    uint64_t now = sys_now_ns();
    tunnel_note_haste(&a, false, false, now);
    tunnel_make_haste(&a, now);
    assert_false(a.haste.on);
    assert_int_equal(a.batch.limit, 0);
    assert_int_equal(a.haste.yield_ns, 0); /* nobody was let by */
    tunnel_note_haste(&a, true, false, now);
    tunnel_make_haste(&a, now);
    assert_true(a.haste.on);
    assert_in_range(a.batch.limit, 1, 1 << 20);
    assert_true(a.haste.yield_ns > now);
    /* Another peer's batch does not end it. */
    tunnel_note_haste(&a, false, false, now + US(1000));
    tunnel_make_haste(&a, now + US(1000));
    assert_true(a.haste.on);
    tunnel_make_haste(&a, now + US(20000));
    assert_false(a.haste.on);
    assert_int_equal(a.batch.limit, 0);
    assert_false(a.haste.short_turns);
}

/* Each 100 us, and at once after words. */
static void others_are_let_by_now_and_then_and_after_words(void **state)
{
    (void)state;
    struct adit a = {0};
    uint64_t now = sys_now_ns() + US(50000); /* time moves here only as it is told */
    a.haste.yield_ns = now + US(100);
    tunnel_note_haste(&a, true, false, now);
    tunnel_make_haste(&a, now);
    assert_int_equal(a.haste.yield_ns, now + US(100)); /* it is not time */
    tunnel_note_haste(&a, true, true, now);
    tunnel_make_haste(&a, now);
    uint64_t next = a.haste.yield_ns;
    assert_true(next != now + US(100));
    assert_false(a.haste.said); /* once */
    a.haste.rest_ns = 0;
    a.haste.yield_ns = now + US(100);
    tunnel_make_haste(&a, now + US(100));
    assert_true(a.haste.yield_ns != now + US(100));
    /* It took a whole turn the last time: a rest, whatever is said. */
    a.haste.rest_ns = now + US(5000);
    a.haste.yield_ns = now;
    tunnel_note_haste(&a, true, true, now);
    tunnel_make_haste(&a, now + US(4000));
    assert_int_equal(a.haste.yield_ns, now);
    tunnel_make_haste(&a, now + US(5000));
    assert_true(a.haste.yield_ns != now);
    tunnel_end_haste(&a);
    assert_false(a.haste.on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(talk_makes_rounds_short_for_a_while),
        cmocka_unit_test(others_are_let_by_now_and_then_and_after_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
