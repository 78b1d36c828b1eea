/* Why a peer is reached this way: what peer, pathset, candidates and NAT know, in plain words.
 *
 * Looks only. The sentences name the first cause that would have to go for a better path.
 */
#include "node/node_internal.h"

#include <adit/why.h>

_Static_assert((int)ADIT_WHY_CANDIDATES_MAX >= (int)CAND_MAX, "all candidates fit");
_Static_assert((int)ADIT_WHY_PATHS_MAX >= PACKET_PATHS_MAX - 1, "all paths fit");

/* What the reasons rest on. */
struct view {
    const struct peer *p;
    struct netcheck_report nat;
    bool direct;     /* in use, and trusted */
    bool relay;      /* in use */
    bool doubt;      /* the direct path in use; a relay carries the data too */
    bool ipv4, ipv6; /* addresses of ours */
    size_t proven;   /* direct paths */
    uint64_t now;
};

static const char *kind_text(enum cand_source source)
{
    switch (source) {
    case CAND_HOST:
        return "host";
    case CAND_REFLEXIVE:
        return "server-reflexive";
    case CAND_MAPPED:
        return "port-mapped";
    case CAND_PEER_REFLEXIVE:
        return "peer-reflexive";
    case CAND_PREDICTED:
        return "predicted";
    case CAND_CONFIGURED:
        return "configured";
    case CAND_RENEWED:
        return "renewed";
    case CAND_BIRTHDAY:
    case CAND_SEQUENCE:
    case CAND_RELAY:
        break;
    }
    return "unknown";
}

static bool is_hard(enum netcheck_mapping mapping)
{
    return mapping == NETCHECK_MAPPING_ADM || mapping == NETCHECK_MAPPING_APDM ||
           mapping == NETCHECK_MAPPING_EDM;
}

static const struct netcheck_verdict *verdict_for(const struct view *v, const struct addr *a)
{
    return a->family == ADDR_IPV6 ? &v->nat.ipv6 : &v->nat.ipv4;
}

static bool is_udp_blocked(const struct netcheck_verdict *v)
{
    return v->tried && !v->udp;
}

static uint64_t age(uint64_t then, uint64_t now)
{
    return then == 0 ? TIME_NEVER : time_since(then, now);
}

static bool is_used(const struct view *v, const struct addr *a)
{
    const struct path *best = &v->p->paths.paths[v->p->paths.best];
    return v->p->paths.best != 0 && best->where.kind == WHERE_DIRECT &&
           addr_equal(&best->where.addr, a);
}

/* --- candidates --- */

/* RFC 1918, RFC 6598, RFC 4193. */
static bool is_private(const struct addr *a)
{
    const uint8_t *ip = a->ip;
    if (a->family == ADDR_IPV6) {
        return (ip[0] & 0xfe) == 0xfc;
    }
    return ip[0] == 10 || ip[0] == 127 || (ip[0] == 172 && (ip[1] & 0xf0) == 16) ||
           (ip[0] == 192 && ip[1] == 168) || (ip[0] == 100 && (ip[1] & 0xc0) == 64);
}

/* No answer came, although it was asked. */
static const char *silence_reason(const struct view *v, const struct cand_remote *c)
{
    const struct netcheck_verdict *ours = verdict_for(v, &c->addr);
    bool family = c->addr.family == ADDR_IPV6 ? v->ipv6 : v->ipv4;
    if (v->p->node->has_addresses && !family) {
        return "this machine has no address of that family";
    }
    if (is_private(&c->addr)) {
        return "a private address, which answers only in the peer's own network";
    }
    if (is_udp_blocked(ours)) {
        return "UDP does not get through this network: no STUN server answers either";
    }
    switch (c->source) {
    case CAND_CONFIGURED:
        return "nothing answers there: a wrong address, or a firewall before it";
    case CAND_MAPPED:
        return "the router's mapping does not let us in: another NAT or firewall before it?";
    case CAND_PREDICTED:
        return "the port was a guess";
    case CAND_HOST:
        return "a firewall before the peer does not expect us";
    case CAND_REFLEXIVE:
    case CAND_PEER_REFLEXIVE:
    case CAND_RENEWED:
    case CAND_BIRTHDAY:
    case CAND_SEQUENCE:
    case CAND_RELAY:
        break;
    }
    if (v->p->hard) {
        return "the peer's NAT maps each destination to another port: this one is not ours";
    }
    if (is_hard(ours->mapping)) {
        return "our NAT sends from another port than the one that the peer lets in";
    }
    return "the peer's NAT or firewall does not let us in, or its own packets do not get out";
}

/* It did answer: to a probe, or because the peer's own packets made a path of it. */
static bool has_answered(const struct view *v, const struct cand_remote *c)
{
    for (uint8_t id = 1; id < PACKET_PATHS_MAX; id++) {
        const struct path *path = &v->p->paths.paths[id];
        if (path->id != 0 && path->where.kind == WHERE_DIRECT && path->proven &&
            addr_equal(&path->where.addr, &c->addr)) {
            return true;
        }
    }
    return c->answered;
}

static const char *candidate_reason(const struct view *v, const struct cand_remote *c)
{
    if (is_used(v, &c->addr)) {
        return "in use";
    }
    if (has_answered(v, c)) {
        return v->direct ? "answered; the path in use is as good or better"
                         : "answered, but has lost its trust since";
    }
    if (c->sent == 0) {
        return v->direct ? "not asked: a direct path is in use"
                         : "not asked yet: nothing is open for which a path would be looked for";
    }
    return silence_reason(v, c);
}

static void tell_candidates(const struct view *v, struct adit_why *out)
{
    const struct cand_peer *list = &v->p->candidates;
    for (size_t i = 0; i < list->count; i++) {
        const struct cand_remote *c = &list->list[i];
        uint64_t last = c->sent > 0 ? c->sent_ns[(c->sent - 1) % CAND_SENT_MAX] : 0;
        out->candidates[out->candidate_count++] =
            (struct adit_why_candidate){.kind = kind_text(c->source),
                                        .address = c->addr,
                                        .answered = has_answered(v, c),
                                        .probes = c->sent,
                                        .age_ns = age(last, v->now),
                                        .rtt_ns = c->answered ? c->rtt_ns : 0,
                                        .reason = candidate_reason(v, c)};
    }
}

static void tell_own(const struct view *v, struct adit_why *out)
{
    struct frame_candidate list[CAND_MAX];
    size_t count = cand_own_list(&v->p->node->own, list);
    for (size_t i = 0; i < count; i++) {
        out->own[out->own_count++] = (struct adit_why_own){
            .kind = kind_text((enum cand_source)list[i].source), .address = list[i].addr};
    }
}

/* --- paths --- */

static const char *direct_reason(const struct view *v, const struct path *path, bool trusted)
{
    if (v->doubt && path->id == v->p->paths.best) {
        return "in doubt: data goes by a relay, and by this path too in case that it is alive";
    }
    if (path->id == v->p->paths.best) {
        return trusted ? "in use: direct, and it answers"
                       : "in use without trust, for want of a relay: it did answer once";
    }
    if (trusted) {
        return "spare: the path in use is faster, or not clearly slower";
    }
    if (path->doubted) {
        return "left: data that went there was not acknowledged";
    }
    return path->proven ? "left: it has not answered for too long" : "it has not answered yet";
}

static const char *relay_reason(const struct view *v, const struct path *path)
{
    if (!path->usable) {
        return "this relay is not connected";
    }
    if (path->id == v->p->paths.best) {
        return "in use: the best relay, and no direct path is trusted";
    }
    if (v->doubt && path->id == v->p->ways.use) {
        return "carries the data while the direct path is in doubt";
    }
    if (path->doubted) {
        return "data that went there was not acknowledged";
    }
    return v->direct ? "spare: a direct path comes before a relay" : "spare: another relay is used";
}

static void tell_paths(const struct view *v, struct adit_why *out)
{
    for (uint8_t id = 1; id < PACKET_PATHS_MAX; id++) {
        const struct path *path = &v->p->paths.paths[id];
        if (path->id == 0) {
            continue;
        }
        bool direct = path->where.kind == WHERE_DIRECT;
        bool trusted = pathset_is_trusted(path, v->now);
        struct conn_path_info info = {0};
        (void)conn_path_info(v->p->conn, id, &info);
        out->paths[out->path_count++] = (struct adit_why_path){
            .kind = direct ? ADIT_PATH_DIRECT : ADIT_PATH_RELAY,
            .address = path->where.addr,
            .relay = direct ? NULL : v->p->node->relays[path->where.relay].name,
            .used = id == v->p->paths.best,
            .answered = path->proven,
            .trusted = trusted,
            .extra_socket = direct && path->where.socket != 0,
            .rtt_ns = info.srtt_ns != 0 ? info.srtt_ns : path->rtt_ns,
            .proof_ns = age(path->proven_ns, v->now),
            .bytes_sent = info.bytes_sent,
            .packets_sent = info.packets_sent,
            .packets_lost = info.packets_lost,
            .reason = direct ? direct_reason(v, path, trusted) : relay_reason(v, path)};
    }
}

/* --- the whole --- */

static const char *birthday_text(const struct peer *p)
{
    const struct birthday *b = &p->node->birthday;
    if (b->budget == 0) {
        return "off";
    }
    if (!birthday_is_with(b, p->index)) {
        return "none";
    }
    switch (b->state) {
    case BIRTHDAY_ASKING:
        return "asking";
    case BIRTHDAY_OPENING:
        return "opening";
    case BIRTHDAY_PROBING:
        return "probing";
    case BIRTHDAY_IDLE:
        break;
    }
    return "none";
}

/* One side's NAT is hard, the other's is not: ports have to be guessed. */
static const char *guessing_text(const struct view *v, bool ours)
{
    const struct birthday *b = &v->p->node->birthday;
    if (b->budget == 0) {
        return "relay: one NAT maps each destination to another port, and guessing ports is "
               "switched off";
    }
    if (birthday_is_with(b, v->p->index)) {
        return "relay: one NAT maps each destination to another port; ports are being guessed now";
    }
    return ours
               ? "relay: our NAT maps each destination to another port; the peer has to guess it, "
                 "and tries so from time to time"
               : "relay: the peer's NAT maps each destination to another port; guessing it has not "
                 "succeeded yet";
}

static const char *both_hard_text(const struct view *v)
{
    const struct node *n = v->p->node;
    if (n->birthday.budget > 0 && netcheck_is_sequence(&n->netcheck, ADDR_IPV4)) {
        return "relay: both NATs map each destination to another port; ours gives them out in "
               "sequence, and if the peer's does so too they will meet";
    }
    return "relay: both NATs map each destination to another port; only a port mapping on one of "
           "the routers, or IPv6, would help";
}

/* Direct paths are looked for, but none is trusted. */
static const char *search_text(const struct view *v)
{
    bool ours = is_hard(v->nat.ipv4.mapping);
    if (time_since(v->p->punch_ns, v->now) < NODE_BIRTHDAY_AFTER_NS) {
        return "relay: a direct path is being looked for right now";
    }
    if (v->p->candidates.count == 0) {
        return "relay: the peer has named no address at which to look for it";
    }
    if (is_udp_blocked(&v->nat.ipv4) && (is_udp_blocked(&v->nat.ipv6) || !v->nat.ipv6.tried)) {
        return "relay: UDP does not get through this network, no STUN server answers";
    }
    if (ours && v->p->hard) {
        return both_hard_text(v);
    }
    if (ours || v->p->hard) {
        return guessing_text(v, ours);
    }
    return v->proven > 0 ? "relay: there was a direct path, but it does not answer any more"
                         : "relay: none of the peer's addresses answers";
}

static const char *relay_text(const struct view *v)
{
    if (!v->p->node->punch) {
        return "relay: looking for direct paths is switched off here";
    }
    if (!v->p->punching) {
        return v->p->paths.pulse == PATHSET_QUIET
                   ? "relay: no data moves, so no direct path is looked for"
                   : "relay: nothing is open for which a direct path would be looked for";
    }
    return search_text(v);
}

static const char *text_of(const struct view *v)
{
    const struct peer *p = v->p;
    if (p->node->portal.stands && !v->direct && !v->relay) {
        return "a captive portal answers in the relays' place: log in there, with a browser";
    }
    if (!p->started) {
        return p->hs_reason != HS_NONE ? "no session: the peer has not answered a handshake yet"
                                       : "no session: none was wanted, or the peer did not answer";
    }
    if (v->direct) {
        return "direct: the best that there is";
    }
    if (v->relay) {
        return relay_text(v);
    }
    if (v->doubt) {
        return "direct, but in doubt: it did not answer in time; a relay carries the data until it "
               "does, or is given up";
    }
    return p->paths.best != 0 ? "direct, although it does not answer: there is no other path"
                              : "no path: neither a relay nor an address of the peer answers";
}

static struct view look(const struct peer *p, uint64_t now)
{
    struct view v = {.p = p, .now = now};
    const struct path *best = &p->paths.paths[p->paths.best];
    netcheck_report(&p->node->netcheck, &v.nat);
    v.direct = peer_is_direct(p, now);
    v.doubt = p->ways.all;
    v.relay = p->paths.best != 0 && best->where.kind == WHERE_RELAY;
    for (size_t i = 0; i < p->node->own.count; i++) {
        v.ipv4 |= p->node->own.list[i].addr.family == ADDR_IPV4;
        v.ipv6 |= p->node->own.list[i].addr.family == ADDR_IPV6;
    }
    for (uint8_t id = 1; id < PACKET_PATHS_MAX; id++) {
        const struct path *path = &p->paths.paths[id];
        v.proven += path->id != 0 && path->where.kind == WHERE_DIRECT && path->proven;
    }
    return v;
}

void node_why(const struct node *n, size_t peer, struct adit_why *out, uint64_t now)
{
    const struct peer *p = &n->peers[peer];
    struct view v = look(p, now);
    uint64_t wait = node_birthday_next_ns(p);
    bool waits = !birthday_is_with(&n->birthday, p->index) && wait != TIME_NEVER;
    *out = (struct adit_why){
        .name = p->name,
        .state = p->state,
        .text = text_of(&v),
        .searching = p->punching,
        .search_ns = p->punching ? time_since(p->punch_ns, now) : TIME_NEVER,
        .our_mapping = netcheck_mapping_text(v.nat.ipv4.mapping),
        .their_nat = p->hard ? "hard" : "easy or unknown",
        .birthday = birthday_text(p),
        .birthday_wait_ns = waits ? time_since(now, wait) : TIME_NEVER,
    };
    tell_candidates(&v, out);
    tell_own(&v, out);
    tell_paths(&v, out);
}
