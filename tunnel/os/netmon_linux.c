#include "os/netmon.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BUFFER = 16384, /* a message never is larger */
    READS_MAX = 64, /* a flood of changes must not keep the loop here */
    HALF_BITS = 1,  /* 0.0.0.0/1 and 128.0.0.0/1: a VPN's way to stand before the default route */
};

int netmon_open(void)
{
    struct sockaddr_nl at = {
        .nl_family = AF_NETLINK,
        .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
                     RTMGRP_IPV6_ROUTE,
    };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0) {
        return -errno;
    }
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
        int rc = -errno;
        (void)close(fd);
        return rc;
    }
    return fd;
}

static int change_of_route(const uint8_t *body, size_t len)
{
    struct rtmsg route;
    if (len < sizeof(route)) {
        return 0;
    }
    memcpy(&route, body, sizeof(route));
    bool wide = route.rtm_dst_len <= HALF_BITS && (route.rtm_flags & RTM_F_CLONED) == 0;
    return wide && route.rtm_type == RTN_UNICAST ? NETMON_ROUTES : 0;
}

/* Somebody listening in (tcpdump) changes nothing for us. What the kernel does not say in so many
 * words, such as a cable pulled out, counts. */
static int change_of_link(const uint8_t *body, size_t len)
{
    const unsigned listening = IFF_PROMISC | IFF_ALLMULTI;
    struct ifinfomsg link;
    if (len < sizeof(link)) {
        return 0;
    }
    memcpy(&link, body, sizeof(link));
    bool matters = link.ifi_change == 0 || (link.ifi_change & ~listening) != 0;
    return matters ? NETMON_ADDRESSES : 0;
}

static int change_of(unsigned type, const uint8_t *body, size_t len)
{
    switch (type) {
    case RTM_NEWADDR:
    case RTM_DELADDR:
    case RTM_DELLINK:
        return NETMON_ADDRESSES;
    case RTM_NEWLINK:
        return change_of_link(body, len);
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
        return change_of_route(body, len);
    default:
        return 0;
    }
}

/* Several messages may lie in one read, each on a boundary of four bytes. */
int netmon_changes(const uint8_t *data, size_t len)
{
    struct nlmsghdr head;
    int changes = 0;
    while (len >= sizeof(head)) {
        memcpy(&head, data, sizeof(head));
        if (head.nlmsg_len < sizeof(head) || head.nlmsg_len > len) {
            break;
        }
        changes |= change_of(head.nlmsg_type, data + NLMSG_HDRLEN, head.nlmsg_len - sizeof(head));
        size_t step = NLMSG_ALIGN((size_t)head.nlmsg_len);
        step = step < len ? step : len;
        data += step;
        len -= step;
    }
    return changes;
}

int netmon_read(int fd)
{
    alignas(struct nlmsghdr) uint8_t buffer[BUFFER];
    int changes = 0;
    for (int i = 0; i < READS_MAX; i++) {
        struct sockaddr_nl from = {0};
        socklen_t from_len = sizeof(from);
        ssize_t n = recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&from, &from_len);
        if (n >= 0 && from.nl_pid == 0) { /* the kernel; other processes may write to us too */
            changes |= netmon_changes(buffer, (size_t)n);
        } else if (n < 0 && errno == ENOBUFS) { /* some were lost: suppose everything */
            changes |= NETMON_ADDRESSES | NETMON_ROUTES;
        } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            break;
        } else if (n < 0 && errno != EINTR) {
            return -errno;
        }
    }
    return changes;
}

void netmon_close(int fd)
{
    (void)close(fd);
}
