/* The router's port mappings that the node does not make itself (UPnP), and that all of them are
 * given back before the node goes. */
#include "loop/tunnel_internal.h"

#include <base/clock.h>

#include "os/sysclock.h"

enum {
    RELEASE_LOOK_MS = 10,
    RELEASE_MS = 2000, /* a router that does not answer is not worth more */
};

static void on_changed(void *user, const struct addr *external)
{
    struct adit *a = user;
    node_port_mapped(a->node, external, sys_now_ns());
    a->upnp_mapped = external != NULL;
    a->work = true;
}

int tunnel_open_router(struct adit *a)
{
    return a->portmap ? upnp_uv_new(a->loop, a->log, on_changed, a, &a->upnp) : 0;
}

static void stop_upnp(struct adit *a)
{
    upnp_uv_stop(a->upnp);
    if (a->upnp_mapped) {
        on_changed(a, NULL);
    }
}

void tunnel_settle_router(struct adit *a)
{
    struct node_router router;
    if (!a->upnp || a->stopping) {
        return;
    }
    node_router(a->node, &router);
    if (router.gateway.family == ADDR_NONE || !router.silent) {
        stop_upnp(a);
    } else {
        upnp_uv_start(a->upnp, &router.gateway, &router.client);
        if (router.checks != a->router_checks) {
            upnp_uv_check(a->upnp);
        }
    }
    a->router_checks = router.checks;
}

/* A direct path that ended may be a router that has forgotten its mappings. */
void tunnel_watch_path(struct adit *a, size_t peer)
{
    struct adit_peer_stats stats;
    node_peer_stats(a->node, peer, &stats, sys_now_ns());
    bool direct = stats.path.kind == ADIT_PATH_DIRECT;
    if (a->was_direct[peer] && !direct) {
        node_suspect_router(a->node, sys_now_ns());
    }
    a->was_direct[peer] = direct;
}

static void on_release(uv_timer_t *timer)
{
    struct adit *a = timer->data;
    bool free = node_router_is_free(a->node) && (!a->upnp || upnp_uv_is_off(a->upnp));
    if (free || time_since(a->stop_ns, sys_now_ns()) >= RELEASE_MS * NS_PER_MS) {
        (void)uv_timer_stop(timer);
        if (a->upnp) {
            upnp_uv_free(a->upnp);
        }
        tunnel_finish_stop(a);
    }
}

void tunnel_release_router(struct adit *a)
{
    a->stop_ns = sys_now_ns();
    if (a->upnp) {
        upnp_uv_stop(a->upnp);
    }
    (void)uv_timer_start(&a->look, on_release, RELEASE_LOOK_MS, RELEASE_LOOK_MS);
    on_release(&a->look);
}
