#include "os/netmon.h"

#include <errno.h>

/* No common way to hear of changes: whoever wants to know looks from time to time. */
int netmon_open(void)
{
    return -ENOSYS;
}

int netmon_read(int fd)
{
    (void)fd;
    return -ENOSYS;
}

void netmon_close(int fd)
{
    (void)fd;
}

int netmon_changes(const uint8_t *data, size_t len)
{
    (void)data;
    (void)len;
    return 0;
}
