/* Round trips to a peer's node: a challenge on the path in use, which is answered at once where it
 * arrives, unlike a packet with data, whose acknowledgement may wait for company.
 *
 * A peer that is pinged is lively: a session is set up, direct paths are looked for.
 */
#include "node/node_internal.h"

enum { PING_FRAMES_MAX = 32 };

bool peer_is_pinged(const struct peer *p, uint64_t now)
{
    return p->pinged_ns != 0 && time_since(p->pinged_ns, now) < NODE_PING_NS;
}

/* A free one, or the one that was asked for longest ago. */
static struct ping *take_slot(struct peer *p)
{
    struct ping *oldest = &p->pings[0];
    for (size_t i = 0; i < NODE_PINGS_MAX; i++) {
        struct ping *ping = &p->pings[i];
        if (ping->state == PING_NONE) {
            return ping;
        }
        oldest = ping->asked_ns < oldest->asked_ns ? ping : oldest;
    }
    return oldest;
}

int node_ping(struct node *n, size_t peer, uint64_t *id, uint64_t now)
{
    if (peer >= n->peer_count || n->stopping) {
        return ERR_NOT_FOUND;
    }
    struct peer *p = &n->peers[peer];
    *id = ++n->ping_id;
    *take_slot(p) = (struct ping){.state = PING_WANTED, .asked_ns = now, .pong.id = *id};
    p->pinged_ns = now;
    if (!keyring_sender(&p->keys, now)) {
        peer_handshake_want(p, HS_DATA, now);
    }
    node_wake(p);
    return 0;
}

static void tell_way(const struct peer *p, struct ping *ping)
{
    bool direct = ping->where.kind == WHERE_DIRECT;
    ping->pong.kind = direct ? ADIT_PATH_DIRECT : ADIT_PATH_RELAY;
    if (direct) {
        ping->pong.address = ping->where.addr;
    } else {
        ping->pong.relay = p->node->relays[ping->where.relay].name;
    }
}

static void send_ping(struct peer *p, struct ping *ping, uint64_t now)
{
    uint8_t buf[PING_FRAMES_MAX];
    struct writer w = writer_of(buf, sizeof(buf));
    ping->state = PING_SENT;
    ping->sent_ns = now;
    ping->where = p->paths.paths[p->paths.best].where;
    tell_way(p, ping);
    rng_fill(p->node->rng, ping->token, sizeof(ping->token));
    frame_write_challenge(&w, ping->token);
    peer_send_probe(p, &ping->where, &w, now);
}

void peer_ping_settle(struct peer *p, uint64_t now)
{
    bool ready = p->started && p->paths.best != 0 && keyring_sender(&p->keys, now) != NULL;
    for (size_t i = 0; i < NODE_PINGS_MAX; i++) {
        struct ping *ping = &p->pings[i];
        bool waits = ping->state == PING_WANTED || ping->state == PING_SENT;
        if (waits && time_since(ping->asked_ns, now) >= NODE_PING_NS) {
            ping->state = PING_NONE;
        } else if (ready && ping->state == PING_WANTED) {
            send_ping(p, ping, now);
        }
    }
}

bool peer_on_pong(struct peer *p, const uint8_t token[FRAME_CHALLENGE_LEN], uint64_t now)
{
    for (size_t i = 0; i < NODE_PINGS_MAX; i++) {
        struct ping *ping = &p->pings[i];
        if (ping->state != PING_SENT || memcmp(ping->token, token, FRAME_CHALLENGE_LEN) != 0) {
            continue;
        }
        ping->state = PING_ANSWERED;
        ping->pong.rtt_ns = time_since(ping->sent_ns, now);
        struct path *path = pathset_find(&p->paths, &ping->where);
        if (path) {
            pathset_acked(&p->paths, path, ping->sent_ns, now);
        }
        return true;
    }
    return false;
}

bool peer_ping_event(struct peer *p, struct node_event *ev)
{
    for (size_t i = 0; i < NODE_PINGS_MAX; i++) {
        struct ping *ping = &p->pings[i];
        if (ping->state == PING_ANSWERED) {
            ping->state = PING_NONE;
            *ev =
                (struct node_event){.type = NODE_EVENT_PONG, .peer = p->index, .pong = ping->pong};
            return true;
        }
    }
    return false;
}
