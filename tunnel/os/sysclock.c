#include "os/sysclock.h"

#include <base/check.h>
#include <base/clock.h>

#include <time.h>

#ifdef __linux__
enum { CLOCK_STEADY = CLOCK_BOOTTIME };
#else
enum { CLOCK_STEADY = CLOCK_MONOTONIC };
#endif

static uint64_t read_clock(clockid_t id)
{
    struct timespec t;
    CHECK(clock_gettime(id, &t) == 0);
    return t.tv_sec < 0 ? 0 : (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t sys_now_ns(void)
{
    return read_clock(CLOCK_STEADY);
}

uint64_t sys_awake_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t sys_unix_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}
