/* The network around: this machine's addresses, and STUN servers by name. */
#include "loop/tunnel_internal.h"

#include "loop/interfaces_uv.h"
#include "os/gateway.h"
#include "os/sysclock.h"

enum {
    LOOK_MS = 5000,
    ADDRESSES_MAX = 32, /* more than a peer would be told */
};

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
        (void)uv_timer_start(&a->look, on_look, LOOK_MS, LOOK_MS);
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
}
