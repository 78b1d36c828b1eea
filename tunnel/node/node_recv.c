/* What comes in: told apart by its first byte, authenticated, and given to the part it is for. */
#include "node/node_internal.h"

static void protocol_error(struct peer *p, int err, uint64_t now)
{
    p->broken_ns = now;
    p->node->counters.packets_protocol++;
    LOG_AT(p->node->log, LOG_WARN, "peer", "protocol_error", "peer=%s error=%s", p->name,
           err_name(err));
    (void)peer_drop_session(p, CAUSE_PROTOCOL, true);
}

/* An authentic packet: whoever holds the keys sent it from there just now. */
static void deliver(struct peer *p, const struct where *from, const struct packet_data_header *h,
                    const uint8_t *data, size_t len, uint64_t now)
{
    p->heard_ns = now;
    p->sent_ns = 0;
    if (from->socket != 0) {
        birthday_heard(&p->node->birthday, from->socket, p->index);
    }
    struct path *path = peer_path(p, from, false, now);
    if (path) {
        pathset_heard(&p->paths, path, now);
    }
    if (h->path == PACKET_PATH_PROBE) {
        peer_on_probe(p, from, data, len, now);
        return;
    }
    p->active_ns = now;
    uint8_t reply = path && (p->opened >> path->id & 1) ? path->id : 0;
    int err = conn_input(p->conn, h->path, h->number, reply, data, len, now);
    if (err != 0) {
        protocol_error(p, err, now);
    }
}

/* Keys are confirmed by a packet from there: then our response has arrived. It has arrived there if
 * it went nowhere else. */
static bool is_proof(const struct peer *p, const struct where *from)
{
    return p->replies_left == NODE_REPLIES_MAX && where_equal(&p->reply_way, from);
}

/* A data packet that may be opened. */
struct sealed {
    struct packet_data_header h;
    struct peer *peer;
    struct keyset *keys;
};

/* Fills in *out and returns NULL; or the counter of those that are dropped as this is to be. */
static inline uint64_t *expect(struct node *n, const struct public_key *relay_key,
                               const uint8_t *data, size_t len, uint64_t now, struct sealed *out)
{
    if (packet_read_data(&out->h, data, len) != 0) {
        return &n->counters.packets_unknown;
    }
    struct peer *p = node_find_index(n, out->h.receiver);
    struct keyset *keys = p ? keyring_find(&p->keys, out->h.receiver) : NULL;
    if (!keys || !keyring_usable(keys, now) ||
        (relay_key && !public_key_equal(relay_key, &p->key))) {
        return &n->counters.packets_no_session;
    }
    out->peer = p;
    out->keys = keys;
    /* The first packet of a new session: the windows are still those of the former one. */
    bool first = keys->tag != p->remote_epoch;
    return first || replay_check(&p->replay[out->h.path], out->h.number)
               ? NULL
               : &n->counters.packets_replayed;
}

/* It was expected just now, and was opened in place: it is authentic. */
static inline void accept(const struct sealed *s, const struct where *from, const uint8_t *data,
                          size_t len, uint64_t now)
{
    struct peer *p = s->peer;
    bool first = s->keys->tag != p->remote_epoch;
    /* The first packet under new keys may begin a new session, with windows and numbers of its
     * own; so this comes before the window is looked at for good. */
    if ((keyring_confirm(&p->keys, s->keys) || first) &&
        !peer_establish(p, s->keys, from, is_proof(p, from), now)) {
        return;
    }
    if (!replay_accept(&p->replay[s->h.path], s->h.number)) {
        p->node->counters.packets_replayed++;
        return;
    }
    deliver(p, from, &s->h, data + PACKET_DATA_HEADER_LEN, len - PACKET_DATA_OVERHEAD, now);
    node_wake(p);
}

static void on_data(struct node *n, const struct where *from, const struct public_key *relay_key,
                    uint8_t *data, size_t len, uint64_t now)
{
    struct sealed s;
    uint64_t *refused = expect(n, relay_key, data, len, now, &s);
    if (refused) {
        (*refused)++;
    } else if (aead_open(&s.keys->recv, s.h.path, s.h.number, data, PACKET_DATA_HEADER_LEN,
                         data + PACKET_DATA_HEADER_LEN, len - PACKET_DATA_HEADER_LEN) < 0) {
        n->counters.packets_unauthentic++;
    } else {
        accept(&s, from, data, len, now);
    }
}

void node_receive(struct node *n, const struct where *from, const struct public_key *relay_key,
                  uint8_t *data, size_t len, uint64_t now)
{
    n->counters.packets_in++;
    uint8_t type = packet_type(data, len);
    uint32_t index = 0;
    switch (type) {
    case PACKET_DATA:
        on_data(n, from, relay_key, data, len, now);
        return;
    case PACKET_INITIATION:
        peer_on_initiation(n, from, relay_key, data, len, now);
        return;
    case PACKET_RESPONSE:
    case PACKET_COOKIE:
        break;
    default:
        n->counters.packets_unknown++;
        return;
    }
    bool whole = handshake_receiver(&index, data, len) == 0;
    struct peer *p = whole ? node_find_index(n, index) : NULL;
    if (!p || (relay_key && !public_key_equal(relay_key, &p->key))) {
        n->counters.packets_no_session++;
    } else if (type == PACKET_RESPONSE) {
        peer_on_response(p, from, data, len, now);
    } else {
        peer_on_cookie(p, from, data, len, now);
    }
}

/* Somebody other than a session has to do with this datagram: it is done with. */
static inline bool intercept(struct node *n, unsigned socket, const struct addr *from,
                             const uint8_t *data, size_t len, uint64_t now)
{
    if (socket != 0 && node_socket_use(n, socket) == NODE_SOCKET_CLOSED) {
        return true; /* the last ones of a socket that is being closed */
    }
    bool taken = node_lifetime_input(n, socket, from, data, len, now) ||
                 node_renewal_input(n, socket, from, data, len, now) ||
                 node_sequence_input(n, socket, from, data, len, now) ||
                 (socket == 0 && node_nat_input(n, from, data, len, now));
    n->counters.packets_in += taken;
    return taken;
}

void node_input(struct node *n, unsigned socket, const struct addr *from, uint8_t *data, size_t len,
                uint64_t now)
{
    if (!intercept(n, socket, from, data, len, now)) {
        struct where where = where_direct_by((uint16_t)socket, from);
        node_receive(n, &where, NULL, data, len, now);
    }
}

/* --- opened elsewhere --- */

struct lentkey *node_key_for(struct node *n, const uint8_t *data, size_t len, uint64_t now)
{
    struct sealed s;
    return expect(n, NULL, data, len, now, &s) ? NULL : s.keys->lent_recv;
}

/* A key that the peer has no more is no key of another packet: nothing is opened under one key and
 * believed under another. */
static void on_opened(struct node *n, const struct where *from, const struct node_arrival *a,
                      uint64_t now)
{
    struct sealed s;
    uint64_t *refused = expect(n, NULL, a->data, a->len, now, &s);
    n->counters.packets_in++;
    if (refused) {
        (*refused)++;
    } else if (s.keys->lent_recv != a->key) {
        n->counters.packets_no_session++;
    } else if (!a->authentic) {
        n->counters.packets_unauthentic++;
    } else {
        accept(&s, from, a->data, a->len, now);
    }
}

void node_input_opened(struct node *n, unsigned socket, const struct node_arrival *a, uint64_t now)
{
    if (!intercept(n, socket, &a->from, a->data, a->len, now)) {
        struct where where = where_direct_by((uint16_t)socket, &a->from);
        on_opened(n, &where, a, now);
    }
}
