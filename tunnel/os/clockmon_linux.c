#include "os/clockmon.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* A timer for the end of time, cancelled when the wall clock is set (timerfd_create(2)); the kernel
 * sets it when the machine wakes up, too. */
static int arm(int fd)
{
    struct itimerspec never = {.it_value = {.tv_sec = INT_MAX}};
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
