#include "os/upnp.h"

#include <errno.h>

int upnp_find(struct upnp_router *r, const struct addr *gateway, const struct addr *client)
{
    (void)gateway;
    (void)client;
    r->control[0] = '\0';
    return -ENOSYS;
}

int upnp_map(const struct upnp_router *r, const struct addr *client, uint16_t suggested,
             struct upnp_mapping *out)
{
    (void)r;
    (void)client;
    (void)suggested;
    (void)out;
    return -EIO;
}

int upnp_unmap(const struct upnp_router *r, uint16_t port)
{
    (void)r;
    (void)port;
    return -EIO;
}
