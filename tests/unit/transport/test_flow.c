#include <base/clock.h>

#include "transport/conn.h"
#include "transport/flow.h"
#include "wire/varint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void announces_when_a_quarter_is_used_up(void **state)
{
    (void)state;
    struct flow f;
    flow_init(&f, 1000, 1000);
    assert_int_equal(f.limit, 1000);
    assert_false(flow_consume(&f, 249, NS_PER_MS, NS_PER_S));
    assert_true(flow_consume(&f, 1, NS_PER_MS, NS_PER_S));
    assert_int_equal(f.limit, 1250);
    assert_false(flow_consume(&f, 249, NS_PER_MS, NS_PER_S));
    assert_true(flow_consume(&f, 1, NS_PER_MS, NS_PER_S));
    assert_int_equal(f.limit, 1500);
}

static void doubles_while_a_quarter_takes_no_longer_than_half_a_round_trip(void **state)
{
    (void)state;
    struct flow f;
    flow_init(&f, 1000, 3000);
    uint64_t now = NS_PER_S;
    uint64_t rtt = 50 * NS_PER_MS;
    flow_consume(&f, 250, rtt, now);
    assert_int_equal(f.window, 1000); /* the first says nothing about the pace */
    flow_consume(&f, 250, rtt, now += 26 * NS_PER_MS);
    assert_int_equal(f.window, 1000);
    flow_consume(&f, 250, rtt, now += 25 * NS_PER_MS);
    assert_int_equal(f.window, 2000);
    assert_int_equal(f.limit, 750 + 2000);
    flow_consume(&f, 500, rtt, now += 10 * NS_PER_MS);
    assert_int_equal(f.window, 3000); /* the ceiling */
    flow_consume(&f, 750, rtt, now += 10 * NS_PER_MS);
    assert_int_equal(f.window, 3000);
}

static void halves_when_it_is_far_too_large(void **state)
{
    (void)state;
    struct flow f;
    flow_init(&f, 1000, 8000);
    flow_widen(&f, 4000);
    uint64_t now = NS_PER_S;
    uint64_t rtt = 50 * NS_PER_MS;
    flow_consume(&f, 1000, rtt, now);
    assert_int_equal(f.window, 4000);
    flow_consume(&f, 1000, rtt, now += 16 * rtt - 1);
    assert_int_equal(f.window, 4000);
    flow_consume(&f, 1000, rtt, now += 16 * rtt);
    assert_int_equal(f.window, 2000);
    uint64_t limit = f.limit;
    for (int i = 0; i < 10; i++) {
        flow_consume(&f, 500, rtt, now += NS_PER_S);
        assert_true(f.limit >= limit); /* what was promised holds */
        limit = f.limit;
    }
    assert_int_equal(f.window, 1000); /* where it began */
}

/* A packet is missing, and the window is used up behind it. */
static void is_pressed_up_to_the_ceiling(void **state)
{
    (void)state;
    struct flow f;
    flow_init(&f, 1000, 3000);
    assert_true(flow_press(&f));
    assert_int_equal(f.limit, 2000);
    assert_true(flow_press(&f));
    assert_int_equal(f.limit, 3000);
    assert_false(flow_press(&f));
    assert_int_equal(f.limit, 3000);
}

static void a_grant_is_announced_once(void **state)
{
    (void)state;
    struct flow f;
    flow_init(&f, 1000, 3000);
    flow_grant(&f, 2500);
    assert_int_equal(f.limit, 2500);
    assert_false(flow_consume(&f, 624, NS_PER_MS, NS_PER_S));
    assert_true(flow_consume(&f, 1, NS_PER_MS, NS_PER_S));
    assert_int_equal(f.limit, 3125);
}

static void widens_within_the_ceiling_and_narrows_down_to_the_first(void **state)
{
    (void)state;
    struct flow f;
    flow_init(&f, 1000, 2000);
    flow_widen(&f, 1500);
    assert_int_equal(f.window, 1500);
    flow_widen(&f, 1200);
    assert_int_equal(f.window, 1500);
    flow_widen(&f, 9000);
    assert_int_equal(f.window, 2000);
    flow_narrow(&f, 1800);
    assert_int_equal(f.window, 1800);
    flow_narrow(&f, 1900);
    assert_int_equal(f.window, 1800);
    flow_narrow(&f, 0);
    assert_int_equal(f.window, 1000);
}

static void never_passes_what_a_varint_holds(void **state)
{
    (void)state;
    struct flow f;
    flow_init(&f, 1000, 1000);
    f.consumed = VARINT_MAX - 600;
    f.limit = VARINT_MAX - 100;
    assert_true(flow_consume(&f, 100, NS_PER_MS, NS_PER_S));
    assert_int_equal(f.limit, VARINT_MAX);
    assert_false(flow_press(&f));
    assert_false(flow_consume(&f, 100, NS_PER_MS, NS_PER_S));
}

/* One reader that stops must leave room for the others, whatever the ini says. */
static void limits_leave_room_for_many_streams(void **state)
{
    (void)state;
    static const uint64_t windows[] = {64 << 10, 1 << 20, 16 << 20, 64 << 20, UINT64_C(1) << 30};
    for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
        struct conn_limits l = conn_limits_of(windows[i]);
        assert_int_equal(l.session_window_max, windows[i]);
        assert_true(l.stream_window <= l.stream_window_max);
        assert_true(2 * l.stream_window_max <= windows[i]);
        assert_true(l.send_buffer_max <= l.send_buffers_max);
        if (windows[i] >= 64 << 20) { /* a thousand that stop at once leave half */
            assert_true(1000 * l.stream_window <= windows[i] / 2);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_leave_room_for_many_streams),
        cmocka_unit_test(announces_when_a_quarter_is_used_up),
        cmocka_unit_test(doubles_while_a_quarter_takes_no_longer_than_half_a_round_trip),
        cmocka_unit_test(halves_when_it_is_far_too_large),
        cmocka_unit_test(is_pressed_up_to_the_ceiling),
        cmocka_unit_test(a_grant_is_announced_once),
        cmocka_unit_test(widens_within_the_ceiling_and_narrows_down_to_the_first),
        cmocka_unit_test(never_passes_what_a_varint_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
