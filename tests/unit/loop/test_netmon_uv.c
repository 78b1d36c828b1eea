#include "loop/netmon_uv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>

#include <cmocka.h>

/* Real changes are the lab's to make (tests/lab/events.sh); here nothing happens. */
static void on_change(void *user, unsigned what)
{
    (void)what;
    unsigned *calls = user;
    (*calls)++;
}

static void it_opens_hears_nothing_and_closes(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct netmon_uv *m;
    unsigned calls = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(netmon_uv_open(&loop, on_change, &calls, &m), 0);
#ifdef __linux__
    assert_true(netmon_uv_hears(m));
#else
    assert_false(netmon_uv_hears(m));
#endif
    netmon_uv_check_clock(m);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    netmon_uv_close(m);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(calls, 0);
}

/* As in a sandbox without AF_NETLINK: whoever wants to know has to look from time to time. */
static void it_does_without_what_the_system_refuses(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct netmon_uv *m;
    struct rlimit before, none;
    unsigned calls = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int err = netmon_uv_open(&loop, on_change, &calls, &m);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(err, 0);
    assert_false(netmon_uv_hears(m));
    netmon_uv_check_clock(m);
    netmon_uv_close(m);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(calls, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_opens_hears_nothing_and_closes),
        cmocka_unit_test(it_does_without_what_the_system_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
