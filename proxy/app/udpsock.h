/* One UDP socket on the loop. What cannot be sent at once is dropped, as the network does. Freed at
 * once for its owner: no callback comes after udpsock_close.
 */
#ifndef APP_UDPSOCK_H
#define APP_UDPSOCK_H

#include "app/context.h"

#include <base/addr.h>

struct udpsock;

/* A datagram, in a buffer with CONTEXT_HEADROOM writable bytes before it, valid during the call. */
typedef void udpsock_received(void *user, const struct addr *from, uint8_t *data, size_t len);

/* Bound to `at` (port 0 = any). 0 or a negative system error. */
int udpsock_open(struct context *ctx, const struct addr *at, udpsock_received *received, void *user,
                 struct udpsock **out);
/* With the port it got; ADDR_NONE if the system does not tell. */
struct addr udpsock_address(const struct udpsock *u);
/* 0 or a negative system error. */
int udpsock_send(struct udpsock *u, const struct addr *to, const void *data, size_t len);
void udpsock_close(struct udpsock *u);

/* The address of this machine from which datagrams to `to` leave, port 0. 0 or a negative system
 * error. Nothing is sent. */
int udpsock_source_toward(uv_loop_t *loop, const struct addr *to, struct addr *out);

#endif
