/* Make before break, where our NAT ends a mapping so long after it was made (path/renewal.h): a
 * spare socket gets a mapping in time, peers are told of it by a candidate of the source
 * CAND_RENEWED, both ends challenge each other there, and move when that way has proved itself.
 * The spare socket serves until the next one does. PROTOCOL.md section 6 has the rule for peers.
 *
 * Only where one address serves all peers (EIM), and only while data moves: else the path is in
 * doubt for a moment at the end of a mapping, and found anew.
 */
#include "node/node_internal.h"

/* The path in use goes through the NAT, by the mapping that is to be renewed. */
static bool is_affected(const struct peer *p, uint64_t now)
{
    const struct where *where = &p->paths.paths[p->paths.best].where;
    return p->started && p->paths.pulse == PATHSET_BUSY && peer_is_direct(p, now) &&
           where->addr.family == ADDR_IPV4 && !addr_is_private(&where->addr) &&
           where->socket == p->node->renewal_socket;
}

static bool is_wanted(const struct node *n, uint64_t now)
{
    struct netcheck_report r;
    netcheck_report(&n->netcheck, &r);
    bool wanted = false;
    for (size_t i = 0; i < n->peer_count; i++) {
        wanted = wanted || is_affected(&n->peers[i], now);
    }
    return wanted && n->punch && r.ipv4.mapping == NETCHECK_MAPPING_EIM;
}

/* --- sockets --- */

static void give_back(struct node *n, uint16_t *socket, uint64_t now)
{
    if (*socket == 0) {
        return;
    }
    for (size_t i = 0; i < n->peer_count; i++) {
        peer_drop_socket(&n->peers[i], *socket, now);
    }
    birthday_release(&n->birthday, *socket);
    *socket = 0;
}

static void tell_peers(struct node *n)
{
    for (size_t i = 0; i < n->peer_count; i++) {
        if (n->peers[i].started) {
            n->peers[i].told_version = 0;
            node_wake(&n->peers[i]);
        }
    }
}

static void stop(struct node *n, uint64_t now)
{
    bool told = n->renewal_socket != 0;
    give_back(n, &n->renewal_next, now);
    give_back(n, &n->renewal_old, now);
    give_back(n, &n->renewal_socket, now);
    renewal_stop(&n->renewal, now);
    if (told) {
        tell_peers(n);
    }
}

void node_renewal_reset(struct node *n, uint64_t now)
{
    stop(n, now);
    renewal_init(&n->renewal, n->rng);
}

/* True if something was heard on the socket not long ago. */
static bool is_alive(const struct node *n, uint16_t socket, uint64_t now)
{
    for (size_t i = 0; i < n->peer_count; i++) {
        for (uint8_t id = 1; id < PACKET_PATHS_MAX; id++) {
            const struct path *path = &n->peers[i].paths.paths[id];
            if (path->id != 0 && path->where.kind == WHERE_DIRECT && path->where.socket == socket &&
                time_since(path->heard_ns, now) < NODE_SOCKET_KEEP_NS) {
                return true;
            }
        }
    }
    return false;
}

/* Mappings do not end after all: the socket that serves is kept for as long as it is of use. */
void node_renewal_release(struct node *n, uint64_t now)
{
    if (n->renewal_socket != 0 && n->renewal.life_ns == 0 && !is_alive(n, n->renewal_socket, now)) {
        stop(n, now);
    }
}

/* --- moving --- */

static void add_path(struct peer *p, uint16_t socket, const struct addr *to, uint64_t now)
{
    struct where where = where_direct_by(socket, to);
    struct path *path = peer_path(p, &where, false, now);
    if (path && !path->proven) {
        pathset_probe(&p->paths, path, now);
    }
}

/* From our newest socket, and from the one in use, to where the peer is and to its newest address:
 * both ends may renew at the same time. */
static void add_paths(struct peer *p, uint64_t now)
{
    const struct where best = p->paths.paths[p->paths.best].where;
    uint16_t newest = p->node->renewal_socket;
    if (!p->started || !peer_is_direct(p, now) || best.addr.family != ADDR_IPV4 ||
        addr_is_private(&best.addr)) {
        return;
    }
    if (newest != 0) {
        add_path(p, newest, &best.addr, now);
    }
    if (p->renewed.family != ADDR_NONE) {
        add_path(p, newest, &p->renewed, now);
        add_path(p, best.socket, &p->renewed, now);
    }
    node_wake(p);
}

void node_renewal_mark(struct peer *p)
{
    uint16_t newest = p->node->renewal_socket;
    for (uint8_t id = 1; id < PACKET_PATHS_MAX; id++) {
        struct path *path = pathset_get(&p->paths, id);
        if (path && path->where.kind == WHERE_DIRECT) {
            bool ours = newest != 0 && path->where.socket == newest;
            bool theirs = addr_equal(&path->where.addr, &p->renewed);
            path->renewed = (uint8_t)(ours + theirs);
        }
    }
}

static void begin(struct node *n, uint64_t now)
{
    const struct stunclient_server *server = stunclient_best(&n->stun, ADDR_IPV4);
    n->renewal_next = server && is_wanted(n, now) ? birthday_spare(&n->birthday) : 0;
    if (n->renewal_next == 0) {
        stop(n, now);
        return;
    }
    renewal_start(&n->renewal, &server->addr, server->form, now);
}

static void finish(struct node *n, uint64_t now)
{
    char text[ADDR_TEXT_MAX];
    LOG_AT(n->log, LOG_INFO, "renewal", "mapped", "address=%s",
           addr_format(&n->renewal.mapped, text));
    give_back(n, &n->renewal_old, now);
    n->renewal_old = n->renewal_socket;
    n->renewal_old_ns = now + renewal_ahead_ns(&n->renewal);
    n->renewal_socket = n->renewal_next;
    n->renewal_next = 0;
    tell_peers(n);
    for (size_t i = 0; i < n->peer_count; i++) {
        add_paths(&n->peers[i], now);
    }
}

/* --- what is said --- */

size_t node_renewal_tell(const struct node *n, struct frame_candidate list[CAND_MAX], size_t count)
{
    if (n->renewal_socket == 0) {
        return count;
    }
    count = count < CAND_MAX ? count : CAND_MAX - 1;
    list[count] = (struct frame_candidate){.source = CAND_RENEWED, .addr = n->renewal.mapped};
    return count + 1;
}

/* Of the IP of a reflexive candidate in the same list: nobody can be sent to whom the peer does not
 * claim to be. */
static struct addr renewed_in(const struct frame_candidate *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < count && list[i].source == CAND_RENEWED; k++) {
            if (list[k].source == CAND_REFLEXIVE && addr_equal_ip(&list[k].addr, &list[i].addr)) {
                return addr_normalize(&list[i].addr);
            }
        }
    }
    return (struct addr){0};
}

void node_renewal_list(struct peer *p, const struct frame_candidate *list, size_t count,
                       uint64_t now)
{
    struct addr renewed = renewed_in(list, count);
    if (addr_equal(&renewed, &p->renewed) ||
        (renewed.family != ADDR_NONE && !cand_is_worth(&renewed, &p->node->own))) {
        return;
    }
    p->renewed = renewed;
    add_paths(p, now);
}

/* --- STUN --- */

void node_renewal_observed(struct node *n, const struct addr *mapped, uint64_t now)
{
    uint64_t before = n->renewal.life_ns;
    if (n->lively == 0) {
        renewal_lapse(&n->renewal);
    } else if (mapped) {
        renewal_seen(&n->renewal, mapped, now);
    } else {
        renewal_changed(&n->renewal, now);
    }
    if (n->renewal.life_ns != before) {
        LOG_AT(n->log, LOG_INFO, "renewal", before == 0 ? "learned" : "unlearned", "life_s=%llu",
               (unsigned long long)(n->renewal.life_ns / NS_PER_S));
    }
}

void node_renewal_doubt(struct node *n, uint64_t now)
{
    if (n->lively > 0 && renewal_doubt(&n->renewal, now)) {
        stunclient_ask_keeper(&n->stun, ADDR_IPV4, now);
    }
}

bool node_renewal_input(struct node *n, unsigned socket, const struct addr *from,
                        const uint8_t *data, size_t len, uint64_t now)
{
    if (socket == 0 || socket != n->renewal_next) {
        return false;
    }
    uint64_t done = n->renewal.done;
    if (!renewal_input(&n->renewal, from, data, len, now)) {
        n->counters.packets_unknown++;
    } else if (n->renewal.done != done) {
        finish(n, now);
    } else {
        give_back(n, &n->renewal_next, now);
    }
    return true;
}

bool node_renewal_output(struct node *n, struct node_batch *out, uint64_t now)
{
    size_t len = renewal_output(&n->renewal, n->batch, NODE_BATCH_BYTES, now);
    if (len > 0) {
        *out = (struct node_batch){.socket = n->renewal_next,
                                   .to = n->renewal.server,
                                   .data = n->batch,
                                   .len = len,
                                   .segment = len};
    }
    return len > 0;
}

void node_renewal_tick(struct node *n, uint64_t now)
{
    if (renewal_tick(&n->renewal, now)) {
        give_back(n, &n->renewal_next, now);
    }
    if (n->renewal_old != 0 && now >= n->renewal_old_ns) {
        give_back(n, &n->renewal_old, now);
    }
    if (renewal_is_due(&n->renewal, now)) {
        begin(n, now);
    }
}

uint64_t node_renewal_next_ns(const struct node *n)
{
    uint64_t old = n->renewal_old != 0 ? n->renewal_old_ns : TIME_NEVER;
    return time_min(old, renewal_next_ns(&n->renewal));
}
