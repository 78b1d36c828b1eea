/* How the world sees this node: its own addresses, what STUN servers and peers say, and the list of
 * candidates made of it that peers are told.
 *
 * Nothing is asked while no peer is lively (being looked for, or moving data).
 */
#include "node/node_internal.h"

static void tell_peers(struct node *n)
{
    for (size_t i = 0; i < n->peer_count; i++) {
        if (n->peers[i].started) {
            node_wake(&n->peers[i]);
        }
    }
}

/* Another network: nothing that was learned holds. */
static void moved(struct node *n, uint64_t now)
{
    LOG_AT(n->log, LOG_INFO, "node", "moved", "addresses=%zu", n->own.count);
    stunclient_forget(&n->stun, now);
    for (size_t i = 0; i < n->peer_count; i++) {
        pathset_probe_all(&n->peers[i].paths, now);
        cand_peer_restart(&n->peers[i].candidates, now);
        node_wake(&n->peers[i]);
    }
    for (size_t i = 0; i < n->relay_count; i++) {
        relay_client_hurry(n->relays[i].client, now);
    }
}

void node_local_addresses(struct node *n, const struct addr *addrs, size_t count, uint64_t now)
{
    bool known = n->has_addresses;
    n->has_addresses = true;
    if (cand_own_replace(&n->own, CAND_HOST, addrs, count, now)) {
        tell_peers(n);
        if (known) {
            moved(n, now);
        }
    }
}

void node_stun_server(struct node *n, const struct addr *addr, bool derper, uint64_t now)
{
    enum stun_form form = derper ? STUN_FORM_TAILNODE : STUN_FORM_FINGERPRINT;
    if (stunclient_add(&n->stun, addr, form, now) < 0) {
        LOG_AT(n->log, LOG_WARN, "stun", "too_many_servers", "max=%d", STUNCLIENT_SERVERS_MAX);
    }
}

bool node_is_lively(const struct node *n)
{
    return n->lively > 0;
}

void node_nat_lively(struct peer *p, uint64_t now)
{
    struct node *n = p->node;
    bool lively = p->hs_reason != HS_NONE || p->paths.pulse == PATHSET_BUSY;
    if (lively == p->lively) {
        return;
    }
    p->lively = lively;
    n->lively = lively ? n->lively + 1 : n->lively - 1;
    n->want_stun_names = n->want_stun_names || n->lively == 1;
    stunclient_need(&n->stun, n->lively > 0, now);
}

void node_nat_observed(struct node *n, const struct addr *seen, uint64_t now)
{
    if (seen->family != ADDR_NONE && cand_own_add(&n->own, CAND_PEER_REFLEXIVE, seen, now)) {
        tell_peers(n);
    }
}

static void take_events(struct node *n, uint64_t now)
{
    struct stunclient_event ev;
    char text[ADDR_TEXT_MAX];
    while (stunclient_event(&n->stun, &ev)) {
        switch (ev.type) {
        case STUNCLIENT_MAPPED:
            if (cand_own_add(&n->own, CAND_REFLEXIVE, &ev.addr, now)) {
                LOG_AT(n->log, LOG_INFO, "stun", "mapped", "address=%s rtt_us=%llu",
                       addr_format(&ev.addr, text), (unsigned long long)(ev.rtt_ns / NS_PER_US));
                tell_peers(n);
            }
            break;
        case STUNCLIENT_CHANGED:
            LOG_AT(n->log, LOG_INFO, "stun", "changed", "family=%d", (int)ev.family);
            for (size_t i = 0; i < n->peer_count; i++) {
                pathset_probe_all(&n->peers[i].paths, now);
                node_wake(&n->peers[i]);
            }
            break;
        case STUNCLIENT_TIMEOUT:
            LOG_AT(n->log, LOG_DEBUG, "stun", "timeout", "server=%d error=%u", ev.server,
                   (unsigned)ev.error);
            break;
        }
    }
}

bool node_nat_input(struct node *n, const struct addr *from, const uint8_t *data, size_t len,
                    uint64_t now)
{
    if (!stun_is_message(data, len)) {
        return false;
    }
    if (!stunclient_input(&n->stun, from, data, len, now)) {
        n->counters.packets_unknown++;
    }
    take_events(n, now);
    return true;
}

void node_nat_tick(struct node *n, uint64_t now)
{
    stunclient_tick(&n->stun, now);
    take_events(n, now);
    if (cand_own_expire(&n->own, now)) {
        tell_peers(n);
    }
}

bool node_nat_output(struct node *n, struct node_batch *out, uint64_t now)
{
    struct addr to;
    size_t len = stunclient_output(&n->stun, &to, n->batch, NODE_BATCH_BYTES, now);
    if (len > 0) {
        *out = (struct node_batch){.to = to, .data = n->batch, .len = len, .segment = len};
    }
    return len > 0;
}

uint64_t node_nat_next_ns(const struct node *n)
{
    uint64_t next = stunclient_next_ns(&n->stun);
    return n->lively > 0 ? time_min(next, cand_own_next_ns(&n->own)) : next;
}
