/* Birthday probing between a peer and us (path/birthday.h has the machine): who begins, what is
 * said, and whom it goes to. PROTOCOL.md section 6 has the rules.
 *
 * The easy side is the one that knows both verdicts: its own from netcheck (two STUN servers), the
 * peer's from two reflexive candidates with one IP and two ports. So it asks, by a candidate of the
 * source CAND_BIRTHDAY with the address that it sends from; the hard side opens its sockets and
 * says so by the like in its own list; that is the starting gun. Nothing is ever sent to an IP that
 * is not one of the peer's own reflexive candidates; that these are the peer's nobody can know
 * beforehand, so path/guess.h bounds what goes there.
 */
#include "node/node_internal.h"

enum verdict { UNKNOWN, EASY, HARD };

/* Of the shared IPv4 socket. */
static enum verdict own_verdict(const struct node *n)
{
    struct netcheck_report r;
    netcheck_report(&n->netcheck, &r);
    switch (r.ipv4.mapping) {
    case NETCHECK_MAPPING_UNKNOWN:
        break;
    case NETCHECK_MAPPING_NONE:
    case NETCHECK_MAPPING_EIM:
        return EASY;
    case NETCHECK_MAPPING_ADM:
    case NETCHECK_MAPPING_APDM:
    case NETCHECK_MAPPING_EDM:
        return HARD;
    }
    return UNKNOWN;
}

/* --- what is said --- */

/* The greatest port: where they are given out in sequence the next ones come after it. */
static const struct addr *last_mapping(const struct node *n)
{
    const struct stunclient_server *best = stunclient_best(&n->stun, ADDR_IPV4);
    const struct addr *last = best ? &best->mapped : NULL;
    for (int i = 0; i < STUNCLIENT_SERVERS_MAX && last; i++) {
        const struct stunclient_server *s = stunclient_get(&n->stun, i);
        if (s && addr_equal_ip(&s->mapped, last) && s->mapped.port > last->port) {
            last = &s->mapped;
        }
    }
    return last;
}

size_t node_birthday_tell(const struct peer *p, struct frame_candidate list[CAND_MAX], size_t count)
{
    const struct birthday *b = &p->node->birthday;
    const struct addr *addr = last_mapping(p->node);
    bool speaks = b->state == BIRTHDAY_ASKING || b->state == BIRTHDAY_OPENING;
    if (!speaks || !birthday_is_with(b, p->index) || !addr) {
        return count;
    }
    count = count < CAND_MAX ? count : CAND_MAX - 1;
    list[count] = (struct frame_candidate){.source = CAND_BIRTHDAY, .addr = *addr};
    return count + 1;
}

static void log_step(const struct peer *p, const char *step)
{
    LOG_AT(p->node->log, LOG_INFO, "birthday", "state", "peer=%s to=%s", p->name, step);
}

/* Challenges to the IP have been answered: somebody is there who has the session's keys. */
static bool has_answered(const struct peer *p, const struct addr *ip)
{
    for (uint8_t id = 1; id < PACKET_PATHS_MAX; id++) {
        const struct path *path = &p->paths.paths[id];
        if (path->id != 0 && path->where.kind == WHERE_DIRECT && path->worked &&
            addr_equal_ip(&path->where.addr, ip)) {
            return true;
        }
    }
    return false;
}

bool peer_may_guess(struct peer *p, const struct addr *to, unsigned count, uint64_t now)
{
    char text[ADDR_TEXT_MAX];
    if (has_answered(p, to) || guess_allow(&p->node->guess, to, count, now)) {
        return true;
    }
    LOG_AT(p->node->log, LOG_INFO, "guess", "refused", "peer=%s address=%s", p->name,
           addr_format_ip(to, text));
    return false;
}

static void on_sign(struct peer *p, const struct addr *addr, bool whole, uint64_t now)
{
    struct birthday *b = &p->node->birthday;
    bool probing = birthday_probe(b, p->index, addr, now);
    bool opening =
        !probing && whole && own_verdict(p->node) == HARD && birthday_open(b, p->index, addr, now);
    unsigned count = probing ? BIRTHDAY_PROBES_MAX : 2 * b->tried_count;
    if (!probing && !opening) {
        return;
    }
    if (!peer_may_guess(p, addr, count, now)) {
        birthday_stop(b, false, now);
        return;
    }
    log_step(p, probing ? "probing" : "opening");
    p->birthday_asks = probing ? 0 : p->birthday_asks;
    p->told_version = opening ? 0 : p->told_version;
}

void node_birthday_list(struct peer *p, const struct frame_candidate *list, size_t count,
                        uint64_t now)
{
    struct addr addr;
    bool whole;
    p->hard = birthday_list_is_hard(list, count);
    if (p->punching && birthday_list_sign(list, count, &addr, &whole) &&
        cand_is_worth(&addr, &p->node->own)) {
        on_sign(p, &addr, whole, now);
    }
}

/* --- what worked before --- */

/* False: nobody has told us yet how the world sees us. */
static bool name_place(const struct peer *p, uint8_t network[RECIPE_NETWORK_LEN],
                       uint8_t peer[RECIPE_PEER_LEN])
{
    const struct stunclient_server *best = stunclient_best(&p->node->stun, ADDR_IPV4);
    if (best) {
        recipe_name_network(network, &p->node->gateway, &best->mapped);
        recipe_name_peer(peer, p->key.bytes);
    }
    return best != NULL;
}

static bool worked_before(const struct peer *p)
{
    uint8_t network[RECIPE_NETWORK_LEN];
    uint8_t peer[RECIPE_PEER_LEN];
    return name_place(p, network, peer) &&
           recipes_find(&p->node->recipes, network, peer) == RECIPE_BIRTHDAY;
}

void node_birthday_remember(struct peer *p, bool birthday)
{
    uint8_t network[RECIPE_NETWORK_LEN];
    uint8_t peer[RECIPE_PEER_LEN];
    if (name_place(p, network, peer)) {
        recipes_note(&p->node->recipes, network, peer, birthday ? RECIPE_BIRTHDAY : RECIPE_NONE);
    }
}

/* --- the run --- */

/* When we would ask this peer, TIME_NEVER if it is not for us. */
static uint64_t ask_ns(const struct peer *p)
{
    const struct node *n = p->node;
    if (n->birthday.budget == 0 || !p->punching || !p->hard ||
        birthday_is_with(&n->birthday, p->index) || own_verdict(n) != EASY) {
        return TIME_NEVER;
    }
    uint64_t wait = worked_before(p) ? NODE_BIRTHDAY_KNOWN_NS : NODE_BIRTHDAY_AFTER_NS;
    uint64_t at = time_add(p->punch_ns, wait);
    at = at > p->birthday_ns ? at : p->birthday_ns;
    uint64_t ready = birthday_ready_ns(&n->birthday);
    return at > ready ? at : ready;
}

/* A question costs nothing but a frame, so it is put again soon, and ever less often. */
static uint64_t ask_again_ns(const struct peer *p)
{
    unsigned doublings = p->birthday_asks < 6 ? p->birthday_asks : 6;
    return NODE_BIRTHDAY_AFTER_NS << doublings;
}

static void ask(struct peer *p, uint64_t now)
{
    if (!birthday_ask(&p->node->birthday, p->index, now)) {
        p->birthday_ns = now + BIRTHDAY_REST_NS; /* no sockets left */
        return;
    }
    log_step(p, "asking");
    p->told_version = 0;
    /* Should it come to nothing, the next one is longer in coming. */
    p->birthday_wait_ns = p->birthday_wait_ns == 0
                              ? BIRTHDAY_REST_NS
                              : time_min(2 * p->birthday_wait_ns, NODE_BIRTHDAY_WAIT_MAX_NS);
    p->birthday_ns = now + BIRTHDAY_RUN_NS + p->birthday_wait_ns;
}

void node_birthday_settle(struct peer *p, uint64_t now)
{
    struct birthday *b = &p->node->birthday;
    if (!birthday_is_with(b, p->index)) {
        if (ask_ns(p) <= now) {
            ask(p, now);
        }
        return;
    }
    if (!p->punching) {
        bool won = p->started && peer_is_direct(p, now);
        if (won && b->state != BIRTHDAY_ASKING) {
            node_birthday_remember(p, true);
        }
        p->birthday_wait_ns = won ? 0 : p->birthday_wait_ns;
        birthday_stop(b, won, now);
        log_step(p, won ? "won" : "stopped");
        return;
    }
    unsigned socket;
    struct addr to;
    while (birthday_output(b, &socket, &to, now)) {
        struct where where = where_direct_by((uint16_t)socket, &to);
        peer_send_guess(p, &where, b->hops, now);
    }
}

uint64_t node_birthday_next_ns(const struct peer *p)
{
    const struct birthday *b = &p->node->birthday;
    return birthday_is_with(b, p->index) ? birthday_next_ns(b) : ask_ns(p);
}

/* --- sockets --- */

/* True if the socket has a path on which something was heard not long ago. */
static bool is_of_use(const struct node *n, unsigned socket, uint64_t now)
{
    const struct peer *p = &n->peers[n->birthday.sockets[socket].who];
    for (uint8_t id = 1; id < PACKET_PATHS_MAX; id++) {
        const struct path *path = &p->paths.paths[id];
        if (path->id != 0 && path->where.socket == socket &&
            time_since(path->heard_ns, now) < NODE_SOCKET_KEEP_NS) {
            return true;
        }
    }
    return false;
}

static void release_old(struct node *n, uint64_t now)
{
    struct birthday *b = &n->birthday;
    for (unsigned i = 1; i <= BIRTHDAY_NUMBERS_MAX && b->kept > 0; i++) {
        bool kept = birthday_use(b, i) == BIRTHDAY_KEPT && b->sockets[i].who != BIRTHDAY_NOBODY;
        if (kept && !is_of_use(n, i, now)) {
            peer_drop_socket(&n->peers[b->sockets[i].who], (uint16_t)i, now);
            birthday_release(b, i);
        }
    }
}

void node_birthday_tick(struct node *n, uint64_t now)
{
    struct birthday *b = &n->birthday;
    bool asking = b->state == BIRTHDAY_ASKING;
    if (birthday_tick(b, now)) {
        struct peer *p = &n->peers[b->who];
        log_step(p, asking ? "not_answered" : "given_up");
        if (asking) { /* busy, at rest, or it does not know its own NAT yet: nothing was sent */
            p->birthday_asks++;
            p->birthday_wait_ns = 0;
            p->birthday_ns = now + ask_again_ns(p);
        }
        node_wake(p);
    }
    if (now >= n->release_ns) {
        release_old(n, now);
        node_renewal_release(n, now);
        n->release_ns = now + NODE_SOCKET_KEEP_NS / 4;
    }
}

uint64_t node_birthday_next_release_ns(const struct node *n)
{
    return n->birthday.kept > 0 ? n->release_ns : TIME_NEVER;
}

enum node_socket node_socket_use(const struct node *n, unsigned socket)
{
    switch (birthday_use(&n->birthday, socket)) {
    case BIRTHDAY_CLOSED:
        break;
    case BIRTHDAY_TRIED:
        return NODE_SOCKET_TRIED;
    case BIRTHDAY_KEPT:
        return NODE_SOCKET_KEPT;
    }
    return NODE_SOCKET_CLOSED;
}
