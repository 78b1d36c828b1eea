#include "os/clockmon.h"

#include <errno.h>

int clockmon_open(void)
{
    return -ENOSYS;
}

int clockmon_rearm(int fd)
{
    (void)fd;
    return -ENOSYS;
}

void clockmon_close(int fd)
{
    (void)fd;
}
