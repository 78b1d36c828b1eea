/* Hears from the system that addresses, interfaces or routes have changed.
 *
 * Linux says so on a netlink socket (rtnetlink(7)), to anybody. Where there is none (another
 * system, a sandbox without AF_NETLINK) netmon_open fails and whoever wants to know has to look
 * from time to time.
 */
#ifndef OS_NETMON_H
#define OS_NETMON_H

#include <stddef.h>
#include <stdint.h>

enum netmon_change {
    NETMON_ADDRESSES = 1, /* an address or an interface came, went, or went up or down */
    NETMON_ROUTES = 2,    /* a route to the world at large: 0.0.0.0/0, ::/0, or a half of them */
    NETMON_CLOCK = 4,     /* time passed unseen, see os/clockmon.h */
};

/* A descriptor to be watched for reading, or -errno (-ENOSYS: not on this system). */
int netmon_open(void);
/* Reads all there is: a set of netmon_change (0: nothing that matters), or -errno when this
 * descriptor will say nothing any more. */
int netmon_read(int fd);
void netmon_close(int fd);
/* What one read has brought, the kernel's words: the same set. */
int netmon_changes(const uint8_t *data, size_t len);

#endif
