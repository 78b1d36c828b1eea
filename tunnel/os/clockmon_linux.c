#include "os/clockmon.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* Where the system can count so far: a clock that is set past the timer would be heard of without
 * end. The kernel's own end is a little later. */
#define END_OF_TIME ((time_t)(sizeof(time_t) > 4 ? INT64_C(8) << 30 : INT_MAX))

/* A timer for the end of time, cancelled when the wall clock is set (timerfd_create(2)); the kernel
 * sets it when the machine wakes up, too. */
static int arm(int fd)
{
    struct itimerspec never = {.it_value = {.tv_sec = END_OF_TIME}};
    int flags = TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET;
    return timerfd_settime(fd, flags, &never, NULL) == 0 ? 0 : -errno;
}

int clockmon_open(void)
{
    int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int rc = arm(fd);
    if (rc < 0) {
        (void)close(fd);
        return rc;
    }
    return fd;
}

int clockmon_rearm(int fd)
{
    uint64_t expirations;
    ssize_t n = read(fd, &expirations, sizeof(expirations)); /* -1, ECANCELED */
    if (n < 0 && errno != ECANCELED && errno != EAGAIN && errno != EINTR) {
        return -errno;
    }
    return arm(fd);
}

void clockmon_close(int fd)
{
    (void)close(fd);
}
