#include "os/turns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>

/* What the system says of this thread: its struct sched_attr. */
struct attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

static struct attr get(void)
{
    struct attr attr = {0};
    assert_int_equal(syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0), 0);
    return attr;
}

static void turns_become_short_and_as_they_were(void **state)
{
    (void)state;
    assert_int_equal(nice(3), 3);
    struct attr before = get();
    bool is_short = turns_shorten(true);
    struct attr between = get();
    assert_int_equal(between.nice, 3);
    /* 0.1 ms, but where the system does not say how long turns are: there it knows of none. */
    assert_int_equal(is_short, before.runtime > 0);
    assert_int_equal(between.runtime, is_short ? 100000 : 0);
    assert_int_equal(turns_shorten(true), is_short);
    assert_false(turns_shorten(false));
    struct attr after = get();
    assert_memory_equal(&after, &before, sizeof(after));
}

static void who_has_chosen_a_policy_is_left_alone(void **state)
{
    (void)state;
    enum { BATCH = 3 };
    struct attr batch = get();
    batch.policy = BATCH;
    assert_int_equal(syscall(SYS_sched_setattr, 0, &batch, 0), 0);
    struct attr before = get();
    assert_false(turns_shorten(true));
    struct attr after = get();
    assert_int_equal(after.policy, BATCH);
    assert_memory_equal(&after, &before, sizeof(after));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_become_short_and_as_they_were),
        cmocka_unit_test(who_has_chosen_a_policy_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
static void other_systems_have_none(void **state)
{
    (void)state;
    assert_false(turns_shorten(true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(other_systems_have_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
