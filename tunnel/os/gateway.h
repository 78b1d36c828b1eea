/* The router that this machine's default route points to, for port mapping (PCP, NAT-PMP). */
#ifndef OS_GATEWAY_H
#define OS_GATEWAY_H

#include <base/addr.h>

#include <stdbool.h>

/* The IPv4 gateway, port 0, and our address towards it. False if there is no default route with a
 * gateway, or the system gives no way to ask. */
bool gateway_find(struct addr *gateway, struct addr *client);

#endif
