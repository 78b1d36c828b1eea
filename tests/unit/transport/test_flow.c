#include <base/clock.h>

#include "transport/conn.h"
#include "transport/flow.h"
#include "wire/varint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void announces_at_half_the_window(void **state)
{
    (void)state;
    struct flow f;
    flow_init(&f, 1000, 1000);
    assert_int_equal(f.limit, 1000);
    assert_false(flow_consume(&f, 499, NS_PER_MS, NS_PER_S));
    assert_true(flow_consume(&f, 1, NS_PER_MS, NS_PER_S));
    assert_int_equal(f.limit, 1500);
    assert_false(flow_consume(&f, 499, NS_PER_MS, NS_PER_S));
    assert_true(flow_consume(&f, 1, NS_PER_MS, NS_PER_S));
    assert_int_equal(f.limit, 2000);
}

static void grows_while_half_a_window_takes_no_longer_than_a_round_trip(void **state)
{
    (void)state;
    struct flow f;
    flow_init(&f, 1000, 3000);
    uint64_t now = NS_PER_S;
    uint64_t rtt = 50 * NS_PER_MS;
    flow_consume(&f, 500, rtt, now);
    assert_int_equal(f.window, 1000); /* the first says nothing about the pace */
    flow_consume(&f, 500, rtt, now += 51 * NS_PER_MS);
    assert_int_equal(f.window, 1000);
    flow_consume(&f, 500, rtt, now += 50 * NS_PER_MS);
    assert_int_equal(f.window, 2000);
    assert_int_equal(f.limit, 1500 + 2000);
    flow_consume(&f, 1000, rtt, now += 10 * NS_PER_MS);
    assert_int_equal(f.window, 3000); /* the ceiling */
    flow_consume(&f, 1500, rtt, now += 10 * NS_PER_MS);
    assert_int_equal(f.window, 3000);
}

static void widens_within_the_ceiling_and_never_narrows(void **state)
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
    assert_false(flow_consume(&f, 100, NS_PER_MS, NS_PER_S));
}

/* One reader that stops must leave room for the others, whatever the ini says. */
static void no_stream_gets_the_whole_session(void **state)
{
    (void)state;
    static const uint64_t windows[] = {64 << 10, 1 << 20, 16 << 20, 64 << 20, UINT64_C(1) << 30};
    for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
        struct conn_limits l = conn_limits_of(windows[i]);
        assert_int_equal(l.session_window_max, windows[i]);
        assert_true(l.stream_window <= l.stream_window_max);
        assert_true(l.stream_window_max <= windows[i]);
        if (windows[i] >= 1 << 20) {
            assert_true(16 * l.stream_window_max <= windows[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_stream_gets_the_whole_session),
        cmocka_unit_test(announces_at_half_the_window),
        cmocka_unit_test(grows_while_half_a_window_takes_no_longer_than_a_round_trip),
        cmocka_unit_test(widens_within_the_ceiling_and_never_narrows),
        cmocka_unit_test(never_passes_what_a_varint_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
