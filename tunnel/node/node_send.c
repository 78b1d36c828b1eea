/* What leaves: single datagrams from the outbox first, then runs of data packets, peer by peer. */
#include "node/node_internal.h"

#include <string.h>

void node_wake(struct peer *p)
{
    if (!p->ready) {
        p->ready = true;
        TAILQ_INSERT_TAIL(&p->node->ready, p, ready_link);
    }
    if (!p->eventful) {
        p->eventful = true;
        TAILQ_INSERT_TAIL(&p->node->eventful, p, event_link);
    }
}

/* --- single packets --- */

static bool emit_relay(struct peer *p, size_t relay, const uint8_t *data, size_t len, bool envelope)
{
    struct relay_client *client = p->node->relays[relay].client;
    size_t head = envelope ? PACKET_ENVELOPE_LEN : 0;
    uint8_t *at = relay_client_reserve(client, p->key.bytes, head + len);
    if (!at) {
        return false;
    }
    memcpy(at, PACKET_ENVELOPE, head);
    memcpy(at + head, data, len);
    relay_client_commit(client, head + len);
    return true;
}

static bool emit_direct(struct node *n, const struct where *to, const uint8_t *data, size_t len)
{
    if (n->outbox_count == NODE_OUTBOX_MAX || len > sizeof(n->outbox[0].data)) {
        return false;
    }
    struct outgoing *o = &n->outbox[(n->outbox_first + n->outbox_count++) % NODE_OUTBOX_MAX];
    o->socket = to->socket;
    o->hops = n->hops;
    o->to = to->addr;
    o->len = len;
    memcpy(o->data, data, len);
    return true;
}

void node_emit(struct peer *p, const struct where *to, const uint8_t *data, size_t len,
               bool envelope)
{
    struct node *n = p->node;
    bool sent = to->kind == WHERE_RELAY ? emit_relay(p, to->relay, data, len, envelope)
                                        : emit_direct(n, to, data, len);
    n->counters.packets_out += sent;
    n->counters.packets_unsent += !sent;
}

static bool take_outbox(struct node *n, struct node_batch *out)
{
    if (n->outbox_count == 0) {
        return false;
    }
    const struct outgoing *o = &n->outbox[n->outbox_first];
    n->outbox_first = (n->outbox_first + 1) % NODE_OUTBOX_MAX;
    n->outbox_count--;
    memcpy(n->batch, o->data, o->len);
    *out = (struct node_batch){.socket = o->socket,
                               .hops = o->hops,
                               .to = o->to,
                               .data = n->batch,
                               .len = o->len,
                               .segment = o->len};
    return true;
}

/* --- data packets --- */

static void write_head(struct keyset *keys, uint8_t path, uint64_t number, uint8_t *at)
{
    struct packet_data_header header = {
        .path = path, .receiver = keys->remote_index, .number = number};
    packet_write_data(at, &header);
    keys->sent_packets++;
}

/* Seals the payload that stands behind the header's place in `at`; returns the packet's length. */
static size_t seal(struct keyset *keys, uint8_t path, uint64_t number, uint8_t *at, size_t len)
{
    write_head(keys, path, number, at);
    size_t sealed = aead_seal(&keys->send, path, number, at, PACKET_DATA_HEADER_LEN,
                              at + PACKET_DATA_HEADER_LEN, len);
    return PACKET_DATA_HEADER_LEN + sealed;
}

/* The same for a packet that somebody else seals. */
static size_t leave_open(struct keyset *keys, uint8_t path, uint64_t number, uint8_t *at,
                         size_t len)
{
    write_head(keys, path, number, at);
    return PACKET_DATA_OVERHEAD + len;
}

/* No more than waits already, and than the relay's rate allows: what is beyond would be sealed for
 * nothing. */
static bool relay_takes(struct relay_link *r, bool hasty, uint64_t now)
{
    size_t most = hasty ? NODE_RELAY_HASTY : NODE_RELAY_BACKLOG;
    if (relay_client_backlog(r->client) > most) {
        return false;
    }
    uint64_t ready = relay_client_ready_ns(r->client, NODE_RELAY_MTU, now);
    r->ready_ns = ready > now ? ready : 0;
    return ready <= now;
}

/* One packet straight into the relay's buffer. False when there was none, or no room for it. */
static bool fill_relay(struct peer *p, struct keyset *keys, const struct path *path, uint64_t now)
{
    struct relay_link *relay = &p->node->relays[path->where.relay];
    struct relay_client *client = relay->client;
    uint8_t *at = NULL;
    if (relay_takes(relay, p->node->hasty, now)) {
        at = relay_client_reserve(client, p->key.bytes, NODE_RELAY_MTU);
    }
    if (!at) {
        relay->blocked = true; /* until node_relay_sent, _tick or the relay's next connection */
        conn_path_block(p->conn, path->id, true);
        return false;
    }
    uint64_t number;
    size_t len = conn_output(p->conn, path->id, at + PACKET_DATA_HEADER_LEN,
                             NODE_RELAY_MTU - PACKET_DATA_OVERHEAD, &number, now);
    relay_client_commit(client, len == 0 ? 0 : seal(keys, path->id, number, at, len));
    p->node->counters.packets_out += len > 0;
    return len > 0;
}

/* A run of packets for one address: all of one size, only the last may be shorter. A first packet
 * that is not full stays alone, or those behind it would have to be as small; so does a probe for a
 * larger MTU. */
static bool fill_direct(struct peer *p, struct keyset *keys, const struct path *path,
                        struct node_batch *out, uint64_t now)
{
    struct node *n = p->node;
    struct conn_path_info info;
    CHECK(conn_path_info(p->conn, path->id, &info));
    *out = (struct node_batch){.socket = path->where.socket,
                               .to = path->where.addr,
                               .data = n->batch,
                               .segment = info.mtu};
    for (size_t i = 0; i < NODE_BATCH_SEGMENTS && out->len + info.mtu <= NODE_BATCH_BYTES; i++) {
        uint8_t *at = n->batch + out->len;
        size_t cap = i == 0 ? PACKET_MTU_MAX : info.mtu;
        uint64_t number;
        size_t len = conn_output(p->conn, path->id, at + PACKET_DATA_HEADER_LEN,
                                 cap - PACKET_DATA_OVERHEAD, &number, now);
        if (len == 0) {
            break;
        }
        size_t packet = keys->lent_send ? leave_open(keys, path->id, number, at, len)
                                        : seal(keys, path->id, number, at, len);
        out->len += packet;
        n->counters.packets_out++;
        if (packet != info.mtu) {
            out->segment = packet > info.mtu ? packet : info.mtu;
            break;
        }
    }
    out->key = keys->lent_send && out->len > 0 ? lentkey_hold(keys->lent_send) : NULL;
    return out->len > 0;
}

void node_batch_seal(const struct node_batch *b)
{
    for (size_t at = 0; b->key && at < b->len; at += b->segment) {
        size_t left = b->len - at;
        lentkey_seal(b->key, b->data + at, left < b->segment ? left : b->segment);
    }
}

void node_batch_release(struct node_batch *b)
{
    lentkey_release(b->key);
    b->key = NULL;
}

uint8_t *node_trade_buffer(struct node *n, uint8_t *fresh)
{
    uint8_t *used = n->batch;
    n->batch = fresh;
    return used;
}

/* True if a batch was filled. Relay paths are served on the way. */
static bool produce(struct peer *p, struct node_batch *out, uint64_t now)
{
    uint8_t id;
    while (p->started && (id = conn_next_path(p->conn, now)) != 0) {
        struct keyset *keys = keyring_sender(&p->keys, now);
        const struct path *path = pathset_get(&p->paths, id);
        CHECK(path);
        if (!keys) {
            peer_handshake_want(p, HS_DATA, now);
            return false;
        }
        bool filled;
        p->node->hasty = conn_is_hasty(p->conn, now);
        if (path->where.kind == WHERE_RELAY) {
            filled = fill_relay(p, keys, path, now);
        } else {
            filled = fill_direct(p, keys, path, out, now);
        }
        p->node->said = conn_take_said(p->conn) || p->node->said;
        if (filled && conn_has_writer(p->conn)) {
            node_wake(p); /* what left made room */
        }
        if (filled && p->sent_ns == 0 && conn_is_active(p->conn)) {
            p->sent_ns = now;
        }
        if (filled && path->where.kind == WHERE_DIRECT) {
            return true;
        }
        if (!filled && conn_next_path(p->conn, now) == id) {
            return false; /* it has nothing after all */
        }
    }
    return false;
}

static void rest(struct peer *p, uint64_t now)
{
    p->ready = false;
    TAILQ_REMOVE(&p->node->ready, p, ready_link);
    /* A deadline that has passed already waits for something that is not here (a key, room): no
     * spinning on it. */
    uint64_t next = peer_next_ns(p, now);
    (void)heap_set(&p->node->timers, &p->timer, next <= now ? now + NS_PER_MS : next);
}

bool node_is_hasty(const struct node *n)
{
    return n->hasty;
}

bool node_take_said(struct node *n)
{
    bool said = n->said;
    n->said = false;
    return said;
}

bool node_output(struct node *n, struct node_batch *out, uint64_t now)
{
    struct peer *p;
    n->hasty = false;
    for (;;) {
        if (take_outbox(n, out) || node_nat_output(n, out, now) ||
            node_lifetime_output(n, out, now) || node_renewal_output(n, out, now) ||
            node_sequence_output(n, out, now)) {
            return true;
        }
        p = TAILQ_FIRST(&n->ready);
        if (!p) {
            return false;
        }
        peer_settle(p, now);
        if (produce(p, out, now)) {
            TAILQ_REMOVE(&n->ready, p, ready_link);
            TAILQ_INSERT_TAIL(&n->ready, p, ready_link);
            return true;
        }
        rest(p, now);
    }
}
