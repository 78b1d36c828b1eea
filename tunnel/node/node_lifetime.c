/* Measures the NAT's patience while a direct path is kept for a silent stream (path/lifetime.h),
 * and sets the pace of keep-alives by it. What was measured holds until the network changes, or
 * until a path dies in a silence that it should have survived.
 */
#include "node/node_internal.h"

/* A mapping of the shared socket whose port the NAT chose by itself: then another mapping has
 * another one. NULL if there is none, or no server to ask. */
static const struct stunclient_server *server_to_ask(const struct node *n)
{
    const struct stunclient_server *best = stunclient_best(&n->stun, ADDR_IPV4);
    for (size_t i = 0; best && i < n->own.count; i++) {
        const struct cand *c = &n->own.list[i];
        bool host = (c->sources >> CAND_HOST & 1) != 0;
        if (host && c->addr.port == best->mapped.port) {
            return NULL;
        }
    }
    return best;
}

static bool is_wanted(const struct peer *p, uint64_t now)
{
    const struct where *where = &p->paths.paths[p->paths.best].where;
    return p->node->punch && p->paths.pulse == PATHSET_QUIET && peer_is_direct(p, now) &&
           where->addr.family == ADDR_IPV4;
}

static void set_keep(struct node *n, uint64_t keep_ns)
{
    for (size_t i = 0; i < n->peer_count; i++) {
        pathset_set_keep(&n->peers[i].paths, keep_ns);
    }
}

static void give_socket_back(struct node *n)
{
    if (n->lifetime_socket != 0) {
        birthday_release(&n->birthday, n->lifetime_socket);
        n->lifetime_socket = 0;
    }
}

void node_lifetime_reset(struct node *n, bool measure)
{
    give_socket_back(n);
    lifetime_init(&n->lifetime, n->rng);
    n->lifetime.state = measure ? LIFETIME_OFF : LIFETIME_DONE;
    set_keep(n, PATHSET_KEEPALIVE_NS);
}

void node_lifetime_settle(struct peer *p, uint64_t now)
{
    struct node *n = p->node;
    bool quiet = p->paths.pulse == PATHSET_QUIET;
    if (quiet && p->ways.all && p->paths.keep_ns > PATHSET_KEEPALIVE_NS) {
        LOG_AT(n->log, LOG_INFO, "lifetime", "distrusted", "peer=%s", p->name);
        node_lifetime_reset(n, false);
    }
    if (n->lifetime.state != LIFETIME_OFF || !is_wanted(p, now)) {
        return;
    }
    const struct stunclient_server *server = server_to_ask(n);
    n->lifetime_socket = server ? birthday_spare(&n->birthday) : 0;
    if (n->lifetime_socket != 0) {
        lifetime_start(&n->lifetime, &server->addr, server->form, now);
    }
}

static void take_result(struct node *n)
{
    uint64_t keep_ns = lifetime_keep_ns(&n->lifetime);
    if (keep_ns > PATHSET_KEEPALIVE_NS && n->lifetime_keep_ns != keep_ns) {
        LOG_AT(n->log, LOG_INFO, "lifetime", "measured", "keep_s=%llu",
               (unsigned long long)(keep_ns / NS_PER_S));
        set_keep(n, keep_ns);
    }
    n->lifetime_keep_ns = keep_ns;
    if (!lifetime_is_running(&n->lifetime)) {
        give_socket_back(n);
    }
}

bool node_lifetime_input(struct node *n, unsigned socket, const struct addr *from,
                         const uint8_t *data, size_t len, uint64_t now)
{
    if (socket == 0 || socket != n->lifetime_socket) {
        return false;
    }
    if (!lifetime_input(&n->lifetime, from, data, len, now)) {
        n->counters.packets_unknown++;
    }
    take_result(n);
    return true;
}

bool node_lifetime_output(struct node *n, struct node_batch *out, uint64_t now)
{
    size_t len = lifetime_output(&n->lifetime, n->batch, NODE_BATCH_BYTES, now);
    if (len > 0) {
        *out = (struct node_batch){.socket = n->lifetime_socket,
                                   .to = n->lifetime.server,
                                   .data = n->batch,
                                   .len = len,
                                   .segment = len};
    }
    return len > 0;
}

void node_lifetime_tick(struct node *n, uint64_t now)
{
    lifetime_tick(&n->lifetime, now);
    take_result(n);
}
