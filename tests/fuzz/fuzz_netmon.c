/* What is read from a netlink socket: any bytes say what the kernel's own macros for them
 * (NLMSG_OK, NLMSG_NEXT) find in them. Pieces of it, cut anywhere, say no more than the whole. */
#include "os/netmon.h"

#include <base/check.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { ROOM = 16384 };

static bool is_wide(struct nlmsghdr *h)
{
    const struct rtmsg *route = NLMSG_DATA(h);
    return h->nlmsg_len >= NLMSG_LENGTH(sizeof(*route)) && route->rtm_dst_len <= 1 &&
           !(route->rtm_flags & RTM_F_CLONED) && route->rtm_type == RTN_UNICAST;
}

static bool is_news(struct nlmsghdr *h)
{
    const struct ifinfomsg *link = NLMSG_DATA(h);
    return h->nlmsg_len >= NLMSG_LENGTH(sizeof(*link)) &&
           (!link->ifi_change || (link->ifi_change & ~(unsigned)(IFF_PROMISC | IFF_ALLMULTI)));
}

static int expect(struct nlmsghdr *h)
{
    switch (h->nlmsg_type) {
    case RTM_NEWADDR:
    case RTM_DELADDR:
    case RTM_DELLINK:
        return NETMON_ADDRESSES;
    case RTM_NEWLINK:
        return is_news(h) ? NETMON_ADDRESSES : 0;
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
        return is_wide(h) ? NETMON_ROUTES : 0;
    default:
        return 0;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static union {
        struct nlmsghdr head;
        uint8_t bytes[ROOM];
    } in;
    len = len < ROOM ? len : ROOM;
    memset(&in, 0, sizeof(in));
    memcpy(in.bytes, data, len);
    int expected = 0;
    size_t at = 0;
    while (at + NLMSG_HDRLEN <= len) {
        struct nlmsghdr *h = (struct nlmsghdr *)(void *)(in.bytes + at);
        if (h->nlmsg_len < NLMSG_HDRLEN || h->nlmsg_len > len - at) {
            break;
        }
        expected |= expect(h);
        at += NLMSG_ALIGN(h->nlmsg_len);
    }
    CHECK(netmon_changes(data, len) == expected);
    for (size_t i = 0; i < len; i += len / 16 + 1) {
        uint8_t *part = malloc(i + 1);
        CHECK(part);
        memcpy(part, data, i);
        CHECK((netmon_changes(part, i) & ~expected) == 0);
        free(part);
    }
    return 0;
}
