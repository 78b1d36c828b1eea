/* Datagrams of one flow through [exit] upstream: SOCKS5's UDP ASSOCIATE from the client's side (RFC
 * 1928 sections 4 and 7). The proxy is asked with the first datagram, and again, a second later at
 * the earliest, when it has refused or ended what it granted; what is to be sent meanwhile waits,
 * within narrow limits, or is dropped. Never goes anything round it.
 *
 * Names go as they are. Who may answer is the proxy's affair: only its own datagrams are heard.
 */
#ifndef APP_UPSTREAM_UDP_H
#define APP_UPSTREAM_UDP_H

#include "app/context.h"
#include "app/udpsock.h"
#include "proto/target.h"

struct upstream_udp;

/* `received`: who answers, and what, in a buffer with CONTEXT_HEADROOM. `owner` as in resolver.h.
 * NULL without memory. */
struct upstream_udp *upstream_udp_new(struct context *ctx, size_t owner, udpsock_received *received,
                                      void *user);
/* Policy was asked. What is dropped is counted. */
void upstream_udp_send(struct upstream_udp *u, const struct target *t, const uint8_t *data,
                       size_t len);
/* NULL is allowed. */
void upstream_udp_free(struct upstream_udp *u);

#endif
