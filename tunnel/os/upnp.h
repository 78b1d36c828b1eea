/* Asks a router for a port of its outside by UPnP IGD (WANIPConnection, WANPPPConnection), through
 * libminiupnpc. Where that was not there to be built with, upnp_find says -ENOSYS.
 *
 * Every call blocks, for up to UPNP_FIND_MS or a few round trips, each of which the library gives
 * up after some seconds: for a thread of its own. Nobody but the gateway is believed or connected
 * to, whatever the network's other machines announce.
 */
#ifndef OS_UPNP_H
#define OS_UPNP_H

#include <base/addr.h>

#include <stdint.h>

enum {
    UPNP_URL_MAX = 256,
    UPNP_SERVICE_MAX = 128,
    UPNP_FIND_MS = 1000,
    UPNP_LIFETIME_S = 7200, /* asked for */
};

/* Where a router takes requests. */
struct upnp_router {
    char control[UPNP_URL_MAX]; /* empty = none found */
    char service[UPNP_SERVICE_MAX];
};

struct upnp_mapping {
    struct addr external;
    uint32_t lifetime_s; /* 0 = until it is removed, or the router restarts */
};

/* client: our address towards the gateway. 0, -ENOENT (nobody there), -ENOSYS. */
int upnp_find(struct upnp_router *r, const struct addr *gateway, const struct addr *client);
/* Maps `suggested`, or another port if somebody has that one, to the UDP port of `client`; asked
 * again it renews. 0, -EACCES (the router will not), -EIO (no or an odd answer). */
int upnp_map(const struct upnp_router *r, const struct addr *client, uint16_t suggested,
             struct upnp_mapping *out);
/* 0 or -EIO. */
int upnp_unmap(const struct upnp_router *r, uint16_t port);

#endif
