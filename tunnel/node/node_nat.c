/* How the world sees this node: its own addresses, what STUN servers and peers say, and the list of
 * candidates made of it that peers are told.
 *
 * Nothing is asked while no peer is lively (being looked for, or moving data).
 */
#include "node/node_internal.h"

enum { PREDICTED_MAX = 8 }; /* ports of each family: the peer probes them all */

static void tell_peers(struct node *n)
{
    for (size_t i = 0; i < n->peer_count; i++) {
        if (n->peers[i].started) {
            node_wake(&n->peers[i]);
        }
    }
}

void node_moved(struct node *n, uint64_t now)
{
    LOG_AT(n->log, LOG_INFO, "node", "moved", "addresses=%zu", n->own.count);
    stunclient_forget(&n->stun, now);
    node_lifetime_reset(n, true);
    node_renewal_reset(n, now);
    node_sequence_reset(n, now);
    portmap_check(&n->portmap, now); /* is it the router that we know? */
    (void)cand_own_replace(&n->own, CAND_REFLEXIVE, NULL, 0, now);
    (void)cand_own_replace(&n->own, CAND_PREDICTED, NULL, 0, now);
    for (size_t i = 0; i < n->peer_count; i++) {
        pathset_probe_all(&n->peers[i].paths, now);
        cand_peer_restart(&n->peers[i].candidates, now);
        n->peers[i].birthday_ns = n->peers[i].birthday_wait_ns = 0;
        n->peers[i].sequence_ns = n->peers[i].sequence_wait_ns = 0;
        n->peers[i].birthday_asks = n->peers[i].sequence_asks = 0;
        node_wake(&n->peers[i]);
    }
    for (size_t i = 0; i < n->relay_count; i++) {
        node_hurry_relay(n, i, now);
    }
    node_portal_moved(n, now);
}

/* One outside address is enough: the one that PCP or NAT-PMP gave comes first. */
static const struct addr *mapped_address(const struct node *n)
{
    return n->mapped.family != ADDR_NONE ? &n->mapped : &n->mapped_otherwise;
}

/* Else another NAT stands behind the router. */
static bool is_mapped_publicly(const struct node *n)
{
    const struct addr *a = mapped_address(n);
    return a->family != ADDR_NONE && !addr_is_private(a);
}

void node_local_addresses(struct node *n, const struct addr *addrs, size_t count, uint64_t now)
{
    bool known = n->has_addresses;
    n->has_addresses = true;
    if (cand_own_replace(&n->own, CAND_HOST, addrs, count, now)) {
        netcheck_reset(&n->netcheck);
        netcheck_set_port_mapped(&n->netcheck, is_mapped_publicly(n));
        for (size_t i = 0; i < count; i++) {
            netcheck_add_host(&n->netcheck, &addrs[i]);
        }
        tell_peers(n);
        if (known) {
            node_moved(n, now);
        }
    }
}

bool node_unsent(struct node *n, unsigned socket, const struct addr *to, uint64_t now)
{
    struct where where = where_direct_by((uint16_t)socket, to);
    bool known = false;
    for (size_t i = 0; i < n->peer_count; i++) {
        struct peer *p = &n->peers[i];
        struct path *path = pathset_find(&p->paths, &where);
        if (path && path->proven && !path->doubted) {
            pathset_suspect(&p->paths, path, now);
            pathset_probe_all(&p->paths, now);
            node_wake(p);
            known = true;
        }
    }
    return known;
}

void node_stun_server(struct node *n, const struct addr *addr, bool derper, uint64_t now)
{
    enum stun_form form = derper ? STUN_FORM_TAILNODE : STUN_FORM_FINGERPRINT;
    if (stunclient_add(&n->stun, addr, form, now) < 0) {
        LOG_AT(n->log, LOG_WARN, "stun", "too_many_servers", "max=%d", STUNCLIENT_SERVERS_MAX);
    }
}

/* --- the router --- */

void node_gateway(struct node *n, const struct addr *gateway, const struct addr *client,
                  uint64_t now)
{
    static const struct addr none;
    gateway = gateway ? gateway : &none;
    if (addr_equal(&n->gateway, gateway) && addr_equal(&n->client, client ? client : &none)) {
        return;
    }
    n->gateway = *gateway;
    n->client = client ? *client : none;
    if (n->gateway.family != ADDR_NONE) {
        portmap_start(&n->portmap, &n->gateway, &n->client, now);
    } else {
        portmap_init(&n->portmap, n->rng, n->log);
        n->mapped = n->mapped_otherwise = none;
        (void)cand_own_replace(&n->own, CAND_MAPPED, NULL, 0, now);
    }
}

static void tell_mapped(struct node *n, uint64_t now)
{
    const struct addr *mapped = mapped_address(n);
    bool any = mapped->family != ADDR_NONE;
    netcheck_set_port_mapped(&n->netcheck, is_mapped_publicly(n));
    if (cand_own_replace(&n->own, CAND_MAPPED, mapped, any, now)) {
        tell_peers(n);
    }
}

static void take_portmap_events(struct node *n, uint64_t now)
{
    struct portmap_event ev;
    char text[ADDR_TEXT_MAX];
    while (portmap_event(&n->portmap, &ev)) {
        bool mapped = ev.type == PORTMAP_EV_MAPPED;
        LOG_AT(n->log, LOG_INFO, "portmap", mapped ? "mapped" : "lost", "address=%s",
               mapped ? addr_format(&ev.external, text) : "none");
        n->mapped = mapped ? ev.external : (struct addr){0};
        tell_mapped(n, now);
    }
}

void node_router(const struct node *n, struct node_router *out)
{
    *out = (struct node_router){.gateway = n->gateway,
                                .client = n->client,
                                .silent = portmap_is_silent(&n->portmap),
                                .checks = n->portmap.stats.checks};
}

void node_port_mapped(struct node *n, const struct addr *external, uint64_t now)
{
    n->mapped_otherwise = external ? *external : (struct addr){0};
    tell_mapped(n, now);
}

void node_suspect_router(struct node *n, uint64_t now)
{
    if (n->suspected_ns == 0 || time_since(n->suspected_ns, now) >= NODE_SUSPECT_NS) {
        n->suspected_ns = now;
        portmap_renew(&n->portmap, now);
    }
}

bool node_router_is_free(const struct node *n)
{
    return portmap_is_off(&n->portmap);
}

/* --- all of it --- */

bool node_is_lively(const struct node *n)
{
    return n->lively > 0;
}

void node_nat_lively(struct peer *p, uint64_t now)
{
    struct node *n = p->node;
    bool sought = p->hs_reason == HS_GREET || p->hs_reason == HS_DATA;
    bool called = peer_is_called(p, now) && !peer_is_direct(p, now);
    bool lively = sought || called || p->paths.pulse == PATHSET_BUSY;
    if (lively == p->lively) {
        return;
    }
    p->lively = lively;
    n->lively = lively ? n->lively + 1 : n->lively - 1;
    n->want_stun_names = n->want_stun_names || n->lively == 1;
    n->lively_ns = n->lively == 1 && lively ? now : n->lively_ns;
    stunclient_need(&n->stun, n->lively > 0, now);
    if (n->lively == 0) {
        renewal_lapse(&n->renewal);
    }
}

void node_nat_observed(struct node *n, const struct addr *seen, uint64_t now)
{
    if (seen->family != ADDR_NONE && cand_own_add(&n->own, CAND_PEER_REFLEXIVE, seen, now)) {
        tell_peers(n);
        node_renewal_doubt(n, now);
    }
}

/* The NAT maps us elsewhere now: of what was seen before, only what the servers say last is of use
 * to peers. All of them count: that they differ tells a peer what our NAT is like. */
static void keep_newest_mappings(struct node *n, uint64_t now)
{
    struct addr addrs[STUNCLIENT_SERVERS_MAX];
    size_t count = 0;
    for (int i = 0; i < STUNCLIENT_SERVERS_MAX; i++) {
        const struct stunclient_server *server = stunclient_get(&n->stun, i);
        if (server && server->mapped.family != ADDR_NONE) {
            addrs[count++] = server->mapped;
        }
    }
    if (cand_own_replace(&n->own, CAND_REFLEXIVE, addrs, count, now)) {
        tell_peers(n);
    }
}

/* --- what kind of NAT --- */

static void observe(struct node *n, const struct stunclient_event *ev, uint64_t now)
{
    struct netcheck_sample sample = {.server = stunclient_get(&n->stun, ev->server)->addr,
                                     .mapped = ev->addr,
                                     .since_ns = ev->since_ns,
                                     .order = ev->order,
                                     .heard_ns = now};
    netcheck_observe(&n->netcheck, &sample);
}

/* A NAT that gives out its ports in sequence: a peer finds our next mappings where they will be. */
static void predict(struct node *n, uint64_t now)
{
    struct addr addrs[2 * PREDICTED_MAX];
    size_t count = netcheck_predict(&n->netcheck, ADDR_IPV4, addrs, PREDICTED_MAX);
    count += netcheck_predict(&n->netcheck, ADDR_IPV6, addrs + count, PREDICTED_MAX);
    if (cand_own_replace(&n->own, CAND_PREDICTED, addrs, count, now)) {
        tell_peers(n);
    }
}

void node_nat_stats(const struct node *n, struct adit_nat_stats *out)
{
    struct netcheck_report r;
    netcheck_report(&n->netcheck, &r);
    *out = (struct adit_nat_stats){.ipv4.mapping = netcheck_mapping_text(r.ipv4.mapping),
                                   .ipv6.mapping = netcheck_mapping_text(r.ipv6.mapping)};
    if (r.ipv4.public_count > 0) {
        out->ipv4.address = r.ipv4.publics[0];
    }
    if (r.ipv6.public_count > 0) {
        out->ipv6.address = r.ipv6.publics[0];
    }
    out->captive_portal = n->portal.stands;
    if (n->portmap.state == PORTMAP_MAPPED) {
        out->portmap = n->portmap.natpmp ? ADIT_PORTMAP_NATPMP : ADIT_PORTMAP_PCP;
    } else if (n->mapped_otherwise.family != ADDR_NONE) {
        out->portmap = ADIT_PORTMAP_UPNP;
    }
}

/* --- STUN --- */

static void take_events(struct node *n, uint64_t now)
{
    struct stunclient_event ev;
    char text[ADDR_TEXT_MAX];
    while (stunclient_event(&n->stun, &ev)) {
        switch (ev.type) {
        case STUNCLIENT_MAPPED:
            observe(n, &ev, now);
            predict(n, now);
            if (ev.addr.family == ADDR_IPV4) {
                node_renewal_observed(n, &ev.addr, now);
            }
            if (cand_own_add(&n->own, CAND_REFLEXIVE, &ev.addr, now)) {
                LOG_AT(n->log, LOG_INFO, "stun", "mapped", "address=%s rtt_us=%llu",
                       addr_format(&ev.addr, text), (unsigned long long)(ev.rtt_ns / NS_PER_US));
                tell_peers(n);
            }
            break;
        case STUNCLIENT_CHANGED:
            LOG_AT(n->log, LOG_INFO, "stun", "changed", "family=%d", (int)ev.family);
            keep_newest_mappings(n, now);
            if (ev.family == ADDR_IPV4) {
                node_renewal_observed(n, NULL, now);
            }
            portmap_check(&n->portmap, now);
            for (size_t i = 0; i < n->peer_count; i++) {
                pathset_probe_all(&n->peers[i].paths, now);
                node_wake(&n->peers[i]);
            }
            break;
        case STUNCLIENT_TIMEOUT:
            LOG_AT(n->log, LOG_DEBUG, "stun", "timeout", "server=%d error=%u", ev.server,
                   (unsigned)ev.error);
            if (ev.error == 0) {
                netcheck_unanswered(&n->netcheck, ev.family, now);
            }
            break;
        }
    }
}

bool node_nat_input(struct node *n, const struct addr *from, const uint8_t *data, size_t len,
                    uint64_t now)
{
    if (portmap_input(&n->portmap, from, data, len, now)) {
        take_portmap_events(n, now);
        return true;
    }
    if (!stun_is_message(data, len)) {
        return false;
    }
    if (!stunclient_input(&n->stun, from, data, len, now)) {
        n->counters.packets_unknown++;
    }
    take_events(n, now);
    return true;
}

/* What nobody has asked for lately is old, and not wrong: it goes once the servers, asked anew, had
 * their time to say it again. So a list changes when the network does. */
static uint64_t expire_ns(const struct node *n)
{
    uint64_t asked = n->lively > 0 ? n->lively_ns + NODE_ASKED_NS : TIME_NEVER;
    uint64_t due = cand_own_next_ns(&n->own);
    return asked > due ? asked : due;
}

void node_nat_tick(struct node *n, uint64_t now)
{
    stunclient_tick(&n->stun, now);
    take_events(n, now);
    portmap_tick(&n->portmap, now);
    take_portmap_events(n, now);
    if (now >= expire_ns(n) && cand_own_expire(&n->own, now)) {
        tell_peers(n);
    }
}

bool node_nat_output(struct node *n, struct node_batch *out, uint64_t now)
{
    struct addr to;
    size_t len = stunclient_output(&n->stun, &to, n->batch, NODE_BATCH_BYTES, now);
    if (len == 0) {
        len = portmap_output(&n->portmap, &to, n->batch, NODE_BATCH_BYTES, now);
    }
    if (len > 0) {
        *out = (struct node_batch){.to = to, .data = n->batch, .len = len, .segment = len};
    }
    return len > 0;
}

uint64_t node_nat_next_ns(const struct node *n)
{
    uint64_t next = time_min(stunclient_next_ns(&n->stun), portmap_next_ns(&n->portmap));
    return time_min(next, expire_ns(n));
}
