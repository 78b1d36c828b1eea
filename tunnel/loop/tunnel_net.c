/* The network around: this machine's addresses, and STUN servers by name. */
#include "loop/tunnel_internal.h"

#include "os/sockaddr.h"
#include "os/sysclock.h"

enum {
    LOOK_MS = 5000,
    ADDRESSES_MAX = 32, /* more than a peer would be told */
};

/* Of the addresses that the socket hears: the one it is bound to, or all of its families. */
static size_t collect(const struct adit *a, struct addr *out)
{
    struct addr local;
    adit_local(a, &local);
    if (!addr_is_unspecified(&local)) {
        out[0] = local;
        return 1;
    }
    uv_interface_address_t *list;
    int count;
    size_t kept = 0;
    if (uv_interface_addresses(&list, &count) != 0) {
        return 0;
    }
    for (int i = 0; i < count && kept < ADDRESSES_MAX; i++) {
        struct addr addr = sockaddr_decode(&list[i].address, sizeof(list[i].address));
        bool heard = local.family == ADDR_IPV6 || addr.family == ADDR_IPV4;
        if (addr.family != ADDR_NONE && heard && !addr_is_link_local(&addr)) {
            addr.port = local.port;
            addr.scope = 0;
            out[kept++] = addr;
        }
    }
    uv_free_interface_addresses(list, count);
    return kept;
}

void tunnel_look(struct adit *a)
{
    struct addr addrs[ADDRESSES_MAX];
    size_t count = collect(a, addrs);
    node_local_addresses(a->node, addrs, count, sys_now_ns());
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
