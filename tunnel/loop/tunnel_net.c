/* The network around: this machine's addresses, what the system says of changes, and STUN servers
 * by name. */
#include "loop/tunnel_internal.h"

#include <base/clock.h>

#include "loop/interfaces_uv.h"
#include "os/gateway.h"
#include "os/sysclock.h"

#include <errno.h>

enum {
    LOOK_MS = 5000,
    LOOK_ANYWAY_MS = 60000, /* where the system tells of changes */
    ADDRESSES_MAX = 32,     /* more than a peer would be told */
};

#define REFUSALS_APART_NS (1 * NS_PER_S)

static void look_for_router(struct adit *a)
{
    struct addr local, gateway, client;
    adit_local(a, &local);
    bool any = addr_is_unspecified(&local); /* else no router would send to the socket */
    if (a->portmap && any && gateway_find(&gateway, &client)) {
        client.port = local.port;
        node_gateway(a->node, &gateway, &client, sys_now_ns());
    } else {
        node_gateway(a->node, NULL, NULL, sys_now_ns());
    }
}

void tunnel_look(struct adit *a)
{
    struct addr local;
    struct addr addrs[ADDRESSES_MAX];
    adit_local(a, &local);
    if (local.family == ADDR_NONE) {
        return; /* the socket was lost; when there is another one, everything is looked at */
    }
    size_t count = interfaces_uv_list(&local, addrs, ADDRESSES_MAX);
    node_local_addresses(a->node, addrs, count, sys_now_ns());
    look_for_router(a);
    a->work = true;
}

static void on_look(uv_timer_t *timer)
{
    struct adit *a = timer->data;
    if (node_is_lively(a->node)) {
        tunnel_look(a);
    } else {
        a->looking = false;
        (void)uv_timer_stop(timer);
    }
}

void tunnel_keep_looking(struct adit *a)
{
    if (!a->looking && node_is_lively(a->node)) {
        a->looking = true;
        tunnel_look(a);
        uint64_t wait = netmon_uv_hears(a->monitor) ? LOOK_ANYWAY_MS : LOOK_MS;
        (void)uv_timer_start(&a->look, on_look, wait, wait);
    }
}

void tunnel_on_change(void *user, unsigned what)
{
    struct adit *a = user;
    if (a->stopping) {
        return;
    }
    LOG_AT(a->log, LOG_INFO, "network", "changed", "addresses=%d routes=%d clock=%d",
           (what & NETMON_ADDRESSES) != 0, (what & NETMON_ROUTES) != 0, (what & NETMON_CLOCK) != 0);
    a->looking = false; /* if nothing is heard any more, it is looked more often */
    tunnel_look(a);
    if (what & (NETMON_ROUTES | NETMON_CLOCK)) {
        node_moved(a->node, sys_now_ns());
    }
}

/* What an error says of the way out, and not of this packet or of the far end. */
static bool is_of_the_way(int err)
{
    return err == -ENETUNREACH || err == -EHOSTUNREACH || err == -ENETDOWN ||
           err == -EADDRNOTAVAIL || err == -EPERM || err == -EACCES;
}

static bool is_of_the_socket(int err)
{
    return err == -EBADF || err == -ENOTSOCK || err == -ENOTCONN || err == -EPIPE;
}

void tunnel_on_refusal(struct adit *a, unsigned socket, const struct addr *to, int err)
{
    uint64_t now = sys_now_ns();
    if (socket == 0 && is_of_the_socket(err)) {
        tunnel_rebind(a);
    } else if (is_of_the_way(err) && node_unsent(a->node, socket, to, now) &&
               (a->unsent_ns == 0 || time_since(a->unsent_ns, now) >= REFUSALS_APART_NS)) {
        a->unsent_ns = now;
        tunnel_look(a);
    }
}

static void on_resolved(void *user, int status, const struct addr *addrs, size_t count)
{
    struct stun_lookup *l = user;
    l->resolve = NULL;
    if (status != 0) {
        LOG_AT(l->adit->log, LOG_INFO, "stun", "not_resolved", "server=%s why=\"%s\"", l->host,
               uv_strerror(status));
    }
    for (size_t i = 0; i < count; i++) {
        node_stun_server(l->adit->node, &addrs[i], l->derper, sys_now_ns());
    }
    l->adit->work = true;
}

void tunnel_resolve_stun(struct adit *a)
{
    for (size_t i = 0; i < a->stun_count; i++) {
        struct stun_lookup *l = &a->stun[i];
        if (!l->resolve) {
            (void)resolve_uv_start(a->loop, l->host, l->port, on_resolved, l, &l->resolve);
        }
    }
}

void tunnel_stop_net(struct adit *a)
{
    for (size_t i = 0; i < a->stun_count; i++) {
        if (a->stun[i].resolve) {
            resolve_uv_cancel(a->stun[i].resolve);
            a->stun[i].resolve = NULL;
        }
    }
    netmon_uv_close(a->monitor);
}
