/* Keeps a port of the router's outside mapped by UPnP IGD (os/upnp.h): looked for, made, renewed,
 * made again when the router has forgotten it, removed at the end. The requests block, so each runs
 * in libuv's thread pool, one at a time.
 *
 *     off --start--> asking --mapped--> mapped --half of the lifetime, 10 min, check--> asking
 *         asking --no--> resting --10 min, check--> asking
 *         any --stop--> off, once what was mapped is removed
 *
 * `changed` tells the outside address, NULL when it is lost. It is called from the loop, and not
 * any more after stop or free.
 */
#ifndef LOOP_UPNP_UV_H
#define LOOP_UPNP_UV_H

#include <base/addr.h>
#include <base/log.h>

#include <stdbool.h>
#include <uv.h>

enum {
    UPNP_RENEW_MS = 600000, /* at the latest: a router that restarted says so to nobody */
    UPNP_REST_MS = 600000,
    UPNP_AGAIN_MS = 3000, /* after a renewal that failed */
    UPNP_FAILURES_MAX = 3,
    UPNP_APART_MS = 2000, /* checks */
};

struct upnp_uv;

/* log may be NULL. 0 or ERR_NO_MEMORY. */
int upnp_uv_new(uv_loop_t *loop, const struct log *log,
                void (*changed)(void *user, const struct addr *external), void *user,
                struct upnp_uv **out);
/* gateway: port ignored. client: our address towards it, with the port to be mapped. Does nothing
 * if it already works for these two; else what was before is forgotten. */
void upnp_uv_start(struct upnp_uv *u, const struct addr *gateway, const struct addr *client);
/* The router may have forgotten us: asks again soon. */
void upnp_uv_check(struct upnp_uv *u);
void upnp_uv_stop(struct upnp_uv *u);
/* Nothing is mapped or being asked. */
bool upnp_uv_is_off(const struct upnp_uv *u);
/* A request that runs is waited for by the loop, a few seconds at most; its mapping, if it makes
 * one, ends with its lifetime. */
void upnp_uv_free(struct upnp_uv *u);

#endif
