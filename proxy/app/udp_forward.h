/* A UDP port of this machine that leads to one target (`[forward] udp ...`): each source that sends
 * there gets a carrier of its own, so that answers find back to it, until it has been silent for a
 * while.
 */
#ifndef APP_UDP_FORWARD_H
#define APP_UDP_FORWARD_H

#include "app/context.h"
#include "proto/target.h"

enum { UDP_FORWARD_SOURCES_MAX = 256 }; /* at once; then the longest silent one goes */

#define UDP_FORWARD_IDLE_NS (180 * NS_PER_S)
#define UDP_FORWARD_QUICK_NS (2 * NS_PER_S) /* the least that anybody gets */

struct udp_forward;

/* 0 or a negative system error. */
int udp_forward_start(struct context *ctx, const struct addr *at, const struct target *target,
                      struct udp_forward **out);
struct addr udp_forward_address(const struct udp_forward *f);
void udp_forward_stop(struct udp_forward *f);

#endif
