#include "os/clockmon.h"
#include "os/sysclock.h"

#include <base/clock.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#ifdef __linux__
#include <sys/timerfd.h>
#endif

#define BOOT (5000 * NS_PER_S)
#define AWAKE (3000 * NS_PER_S)
#define WALL (1700000000 * NS_PER_S)

static void time_that_everybody_sees_is_no_jump(void **state)
{
    (void)state;
    struct clockmon c;
    clockmon_init(&c, BOOT, AWAKE, WALL);
    for (uint64_t t = 0; t < 8 * 3600 * NS_PER_S; t += 1800 * NS_PER_S) {
        assert_false(clockmon_jumped(&c, BOOT + t, AWAKE + t, WALL + t));
    }
}

static void sleep_is_seen_once(void **state)
{
    (void)state;
    struct clockmon c;
    const uint64_t night = 8 * 3600 * NS_PER_S;
    clockmon_init(&c, BOOT, AWAKE, WALL);
    assert_true(clockmon_jumped(&c, BOOT + night, AWAKE, WALL + night));
    assert_false(
        clockmon_jumped(&c, BOOT + night + NS_PER_S, AWAKE + NS_PER_S, WALL + night + NS_PER_S));
    assert_true(clockmon_jumped(&c, BOOT + 2 * night, AWAKE + NS_PER_S, WALL + 2 * night));
}

static void a_frozen_machine_shows_in_its_wall_clock(void **state)
{
    (void)state;
    struct clockmon c;
    clockmon_init(&c, BOOT, AWAKE, WALL);
    assert_true(clockmon_jumped(&c, BOOT, AWAKE, WALL + 61 * NS_PER_S));
    assert_false(clockmon_jumped(&c, BOOT, AWAKE, WALL + 61 * NS_PER_S));
}

static void small_steps_and_steps_back_are_none(void **state)
{
    (void)state;
    struct clockmon c;
    clockmon_init(&c, BOOT, AWAKE, WALL);
    assert_false(clockmon_jumped(&c, BOOT, AWAKE + 1000, WALL + 59 * NS_PER_S));
    assert_false(clockmon_jumped(&c, BOOT, AWAKE, WALL - 3600 * NS_PER_S));
    /* From the earlier time on a jump counts as before. */
    assert_false(clockmon_jumped(&c, BOOT, AWAKE, WALL - 3600 * NS_PER_S + 59 * NS_PER_S));
    assert_true(clockmon_jumped(&c, BOOT, AWAKE, WALL - 3600 * NS_PER_S + 61 * NS_PER_S));
}

static void the_real_clocks_do_not_jump_by_themselves(void **state)
{
    (void)state;
    struct clockmon c;
    clockmon_init(&c, sys_now_ns(), sys_awake_ns(), sys_unix_ns());
    for (int i = 0; i < 1000; i++) {
        assert_false(clockmon_jumped(&c, sys_now_ns(), sys_awake_ns(), sys_unix_ns()));
    }
}

#ifdef __linux__
static void the_system_can_be_asked_to_tell(void **state)
{
    (void)state;
    int fd = clockmon_open();
    assert_true(fd >= 0);
    assert_int_equal(clockmon_rearm(fd), 0);
    assert_int_equal(clockmon_rearm(fd), 0);
    clockmon_close(fd);
    assert_true(clockmon_rearm(-1) < 0);
}

/* A timer that has run out would be heard of again and again. */
static void the_end_of_time_is_far(void **state)
{
    (void)state;
    struct itimerspec left;
    int fd = clockmon_open();
    assert_true(fd >= 0);
    assert_int_equal(timerfd_gettime(fd, &left), 0);
    assert_true(sizeof(time_t) == 4 || left.it_value.tv_sec / (365 * 86400) > 100);
    clockmon_close(fd);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_that_everybody_sees_is_no_jump),
        cmocka_unit_test(sleep_is_seen_once),
        cmocka_unit_test(a_frozen_machine_shows_in_its_wall_clock),
        cmocka_unit_test(small_steps_and_steps_back_are_none),
        cmocka_unit_test(the_real_clocks_do_not_jump_by_themselves),
#ifdef __linux__
        cmocka_unit_test(the_system_can_be_asked_to_tell),
        cmocka_unit_test(the_end_of_time_is_far),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
