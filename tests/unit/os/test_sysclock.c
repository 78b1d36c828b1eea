#include "os/sysclock.h"

#include <base/clock.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

static void steady_clock_moves_and_never_back(void **state)
{
    (void)state;
    uint64_t first = sys_now_ns();
    uint64_t last = first;
    for (int i = 0; i < 1000; i++) {
        uint64_t now = sys_now_ns();
        assert_true(now >= last);
        last = now;
    }
    assert_true(last > first);
    assert_true(last - first < 60 * NS_PER_S);
}

#ifdef __linux__
static void steady_clock_counts_sleep(void **state)
{
    (void)state;
    struct timespec t;
    uint64_t before = sys_now_ns();
    assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &t), 0);
    uint64_t boot = (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
    assert_in_range(boot, before, sys_now_ns());
}
#endif

static void wall_clock_agrees_with_time(void **state)
{
    (void)state;
    uint64_t before = (uint64_t)time(NULL) - 1; /* time() may lag behind by a tick */
    uint64_t now = sys_unix_ns() / NS_PER_S;
    assert_in_range(now, before, (uint64_t)time(NULL) + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steady_clock_moves_and_never_back),
#ifdef __linux__
        cmocka_unit_test(steady_clock_counts_sleep),
#endif
        cmocka_unit_test(wall_clock_agrees_with_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
