/* Tells when the network around may be another one: os/netmon.h and os/clockmon.h on a libuv loop.
 *
 * Changes come in swarms (a link, its addresses, its routes): one call is made once they have been
 * quiet for NETMON_QUIET_MS, or after NETMON_PATIENCE_MS if they never are.
 */
#ifndef LOOP_NETMON_UV_H
#define LOOP_NETMON_UV_H

#include <uv.h>

#include <stdbool.h>

#include "os/netmon.h"

enum {
    NETMON_QUIET_MS = 100,
    NETMON_PATIENCE_MS = 1000,
};

struct netmon_uv;

/* changed: a set of netmon_change. 0 or ERR_NO_MEMORY; a system that tells nothing is no error. */
int netmon_uv_open(uv_loop_t *loop, void (*changed)(void *user, unsigned what), void *user,
                   struct netmon_uv **out);
/* False: nothing will be heard of addresses and routes, so look at them from time to time. */
bool netmon_uv_hears(const struct netmon_uv *m);
/* Compares the clocks now: for when a timer has run, where the system does not tell of a jump. */
void netmon_uv_check_clock(struct netmon_uv *m);
/* `changed` will not come any more; memory goes when libuv has closed the handles. */
void netmon_uv_close(struct netmon_uv *m);

#endif
