/* Hole punching: our candidates to the peer, and challenges to all of the peer's at once.
 *
 * Both sides do the same as soon as the session stands, so that each side's NAT and firewall expect
 * the other (RFC 8445 calls it connectivity checks). A candidate that answers becomes a path.
 */
#include "node/node_internal.h"

enum { CHALLENGE_MAX = 32 };

static size_t list_addresses(const struct peer *p, struct frame_candidate list[CAND_MAX])
{
    if (!p->node->punch) {
        return 0;
    }
    size_t count = node_renewal_tell(p->node, list, cand_own_list(&p->node->own, list));
    count = node_birthday_tell(p, list, count);
    return node_sequence_tell(p, list, count);
}

/* Tells the peer our list, again whenever it has changed. */
static void tell(struct peer *p)
{
    const struct node *n = p->node;
    uint64_t version = (n->punch ? n->own.version + 1 : 0) + n->home_version;
    if (!p->started || p->told_version == version) {
        return;
    }
    struct frame_candidate list[CAND_MAX];
    size_t count = node_home_tell(n, list, list_addresses(p, list));
    conn_send_candidates(p->conn, list, count);
    p->told_version = version;
}

static void send_challenge(struct peer *p, const struct where *to,
                           const uint8_t token[FRAME_CHALLENGE_LEN], uint64_t now)
{
    uint8_t buf[CHALLENGE_MAX];
    struct writer w = writer_of(buf, sizeof(buf));
    frame_write_challenge(&w, token);
    peer_send_probe(p, to, &w, now);
}

void peer_send_guess(struct peer *p, const struct where *to, uint8_t hops, uint64_t now)
{
    uint8_t token[FRAME_CHALLENGE_LEN];
    rng_fill(p->node->rng, token, sizeof(token));
    p->node->hops = hops;
    send_challenge(p, to, token, now);
    p->node->hops = 0;
}

/* Punching goes on while data could move and no direct path is trusted. */
static bool is_wanted(const struct peer *p, uint64_t now)
{
    return p->started && p->paths.pulse == PATHSET_BUSY && keyring_sender(&p->keys, now) != NULL &&
           !peer_is_direct(p, now);
}

static void set_punching(struct peer *p, bool punching, uint64_t now)
{
    if (punching && !p->punching) {
        p->punch_ns = now;
        p->ask_wait_ns = NODE_ASK_FIRST_NS;
        p->ask_ns = now + p->ask_wait_ns;
    }
    p->punching = punching;
}

/* The first answers may be older than what made the path fail: with the peer's NAT, ours moves a
 * moment later, and where each side lets in only whom it knows neither would find the other before
 * the next refresh. */
static void ask_again(struct peer *p, uint64_t now)
{
    if (p->punching && now >= p->ask_ns) {
        stunclient_ask_all(&p->node->stun, now);
        p->ask_wait_ns *= 2;
        p->ask_ns = p->ask_wait_ns <= NODE_ASK_LAST_NS ? now + p->ask_wait_ns : TIME_NEVER;
    }
}

/* By a candidate of the peer's. */
static bool has_reached(const struct peer *p, uint64_t now)
{
    const struct where *where = &p->paths.paths[p->paths.best].where;
    return p->started && peer_is_direct(p, now) && where->socket == 0 &&
           cand_peer_is_named(&p->candidates, &where->addr);
}

void peer_candidates_settle(struct peer *p, uint64_t now)
{
    bool wanted = is_wanted(p, now);
    if (wanted && !p->punching) {
        stunclient_ask_all(&p->node->stun, now); /* the NAT may have moved us */
        cand_peer_restart(&p->candidates, now);
    }
    if (p->punching && !wanted && has_reached(p, now)) {
        node_birthday_remember(p, false);
    }
    set_punching(p, wanted, now);
    ask_again(p, now);
    node_birthday_settle(p, now);
    node_sequence_settle(p, now);
    tell(p);
    struct addr to;
    uint8_t token[FRAME_CHALLENGE_LEN];
    bool calm = now < sequence_calm_ns(&p->node->sequence);
    while (wanted && !calm && cand_peer_output(&p->candidates, &to, token, now)) {
        struct where where = where_direct(&to);
        send_challenge(p, &where, token, now);
    }
}

void peer_on_candidates(struct peer *p, const struct frame_candidate *list, size_t count,
                        uint64_t now)
{
    node_home_list(p, list, count, now);
    if (!p->node->punch) {
        return;
    }
    LOG_AT(p->node->log, LOG_DEBUG, "peer", "candidates", "peer=%s count=%zu", p->name, count);
    cand_peer_take(&p->candidates, list, count, &p->node->own, now);
    set_punching(p, is_wanted(p, now), now);
    node_birthday_list(p, list, count, now);
    node_sequence_list(p, list, count, now);
    node_renewal_list(p, list, count, now);
    node_wake(p);
}

/* --- in the handshake --- */

void peer_candidates_put(const struct peer *p, struct params *params)
{
    struct frame_candidate list[CAND_MAX];
    size_t count = p->node->punch ? cand_own_list(&p->node->own, list) : 0;
    params->candidate_count = count < PARAMS_CANDIDATES_MAX ? count : PARAMS_CANDIDATES_MAX;
    for (size_t i = 0; i < params->candidate_count; i++) {
        params->candidates[i] = list[i];
    }
}

void peer_candidates_hint(struct peer *p, uint64_t now)
{
    if (p->node->punch && !peer_is_direct(p, now)) {
        if (!p->punching || !keyring_sender(&p->keys, now)) {
            cand_peer_restart(&p->candidates,
                              now); /* not only new keys for a session that is well */
        }
        cand_peer_hint(&p->candidates, p->remote.candidates, p->remote.candidate_count,
                       &p->node->own, now);
    }
}

bool peer_candidates_early(struct peer *p, struct addr *to, uint64_t now)
{
    uint8_t token[FRAME_CHALLENGE_LEN]; /* no answer will tell of it */
    return p->node->punch && !peer_is_direct(p, now) &&
           cand_peer_output(&p->candidates, to, token, now);
}

bool peer_on_punched(struct peer *p, const uint8_t token[FRAME_CHALLENGE_LEN], uint64_t now)
{
    const struct cand_remote *c = cand_peer_response(&p->candidates, token, now);
    if (!c) {
        return false;
    }
    struct where where = where_direct(&c->addr);
    struct path *path = peer_path(p, &where, false, now);
    if (path) {
        path->rtt_ns = path->rtt_ns != 0 ? path->rtt_ns : c->rtt_ns;
        pathset_heard(&p->paths, path, now);
        pathset_acked(&p->paths, path, now, now);
    }
    return true;
}

void peer_candidates_forget(struct peer *p)
{
    cand_peer_init(&p->candidates, p->node->rng);
    p->told_version = 0;
    p->punching = false;
    p->hard = false;
    p->renewed = (struct addr){0};
}

uint64_t peer_candidates_next_ns(const struct peer *p)
{
    if (!p->punching) {
        return TIME_NEVER;
    }
    uint64_t next = cand_peer_next_ns(&p->candidates);
    uint64_t calm = sequence_calm_ns(&p->node->sequence);
    next = time_min(next > calm ? next : calm, node_birthday_next_ns(p));
    return time_min(time_min(next, p->ask_ns), node_sequence_ask_ns(p));
}
