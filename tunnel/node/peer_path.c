/* Which way a peer's packets go: joins the pathset (what proves itself) and the conn (what is in
 * flight where). */
#include "node/node_internal.h"

enum { PROBE_MAX = 128 };

static void close_path(struct peer *p, uint8_t id, uint64_t now)
{
    if (id != 0 && p->opened >> id & 1) {
        p->opened &= ~(UINT32_C(1) << id);
        conn_path_close(p->conn, id, now);
    }
}

struct path *peer_path(struct peer *p, const struct where *where, bool configured, uint64_t now)
{
    uint8_t dropped;
    struct path *path = pathset_add(&p->paths, where, configured, now, &dropped);
    close_path(p, dropped, now);
    return path;
}

bool peer_is_direct(const struct peer *p, uint64_t now)
{
    const struct path *best = &p->paths.paths[p->paths.best];
    return p->paths.best != 0 && best->where.kind == WHERE_DIRECT && pathset_is_trusted(best, now);
}

void peer_drop_socket(struct peer *p, uint16_t socket, uint64_t now)
{
    for (uint8_t id = 1; id < PACKET_PATHS_MAX; id++) {
        const struct path *path = pathset_get(&p->paths, id);
        if (path && path->where.kind == WHERE_DIRECT && path->where.socket == socket) {
            pathset_remove(&p->paths, id);
            close_path(p, id, now);
            node_wake(p);
        }
    }
}

/* A relay's connection may have died without a word: it is asked, and made anew if need be. */
void peer_suspect(struct peer *p, uint8_t id, uint64_t now)
{
    struct path *path = pathset_get(&p->paths, id);
    if (!path) {
        return;
    }
    pathset_suspect(&p->paths, path, now);
    if (path->where.kind == WHERE_RELAY) {
        node_hurry_relay(p->node, path->where.relay, now);
    } else if (path->where.socket == 0) {
        node_renewal_doubt(p->node, now); /* has our NAT moved us? */
    }
    node_wake(p);
}

bool peer_has_relay(const struct peer *p, size_t relay)
{
    return (p->relays >> relay & 1) != 0 || p->home == relay;
}

void peer_relay_changed(struct peer *p, size_t relay, bool up, uint64_t now)
{
    struct where where = where_relay((uint32_t)relay);
    struct path *path = pathset_find(&p->paths, &where);
    if (!path) {
        return; /* neither configured nor has the peer ever used it */
    }
    pathset_set_usable(&p->paths, path, up, now);
    if (up && p->hs_reason != HS_NONE) {
        /* Do not wait for the next try: this may be the only way. The peer may be on its way back
         * to the relay too, so try often at first. */
        p->hs_attempts = p->hs_reason == HS_GREET ? p->hs_attempts : 0;
        p->hs_retry_ns = now;
        peer_handshake_tick(p, now);
    }
    node_wake(p);
}

/* --- challenges --- */

void peer_send_probe(struct peer *p, const struct where *to, struct writer *frames, uint64_t now)
{
    struct keyset *keys = keyring_sender(&p->keys, now);
    if (!keys) {
        return;
    }
    uint8_t packet[PACKET_DATA_OVERHEAD + PROBE_MAX];
    CHECK(!frames->failed && writer_len(frames) <= PROBE_MAX);
    struct packet_data_header h = {
        .path = PACKET_PATH_PROBE, .receiver = keys->remote_index, .number = p->probe_number++};
    packet_write_data(packet, &h);
    memcpy(packet + PACKET_DATA_HEADER_LEN, frames->start, writer_len(frames));
    size_t sealed = aead_seal(&keys->send, h.path, h.number, packet, PACKET_DATA_HEADER_LEN,
                              packet + PACKET_DATA_HEADER_LEN, writer_len(frames));
    keys->sent_packets++;
    node_emit(p, to, packet, PACKET_DATA_HEADER_LEN + sealed, false);
}

void peer_send_challenges(struct peer *p, uint64_t now)
{
    struct path *path;
    while (keyring_sender(&p->keys, now) && (path = pathset_output(&p->paths, now)) != NULL) {
        uint8_t buf[PROBE_MAX];
        struct writer w = writer_of(buf, sizeof(buf));
        frame_write_challenge(&w, path->token);
        peer_send_probe(p, &path->where, &w, now);
        if (path->proven && p->sent_ns == 0) {
            p->sent_ns = now;
        }
    }
}

static void on_challenge(struct peer *p, const struct where *from, const struct frame *f,
                         uint64_t now)
{
    uint8_t buf[PROBE_MAX];
    struct writer w = writer_of(buf, sizeof(buf));
    frame_write_response(&w, f->u.path.token, from->kind == WHERE_DIRECT ? &from->addr : NULL);
    peer_send_probe(p, from, &w, now);
    struct path *path = pathset_find(&p->paths, from);
    if (path) {
        pathset_answered(&p->paths, path, now);
    }
}

/* An answer to a challenge of ours proves the way; it is a STUN answer too (RFC 8489). */
static void on_response(struct peer *p, const struct where *from, const struct frame *f,
                        uint64_t now)
{
    bool proof = pathset_response(&p->paths, f->u.path.token, now) != NULL ||
                 peer_on_punched(p, f->u.path.token, now) || peer_on_pong(p, f->u.path.token, now);
    if (proof && from->socket == 0) { /* others' mappings are of no use to other peers */
        node_nat_observed(p->node, &f->u.path.seen, now);
    }
}

/* One challenge of a packet is answered: where it says that it came from need not be the peer's,
 * and what goes there shall be little more than what came. */
void peer_on_probe(struct peer *p, const struct where *from, const uint8_t *data, size_t len,
                   uint64_t now)
{
    struct reader r = reader_of(data, len);
    bool challenged = false;
    while (reader_left(&r) > 0) {
        struct frame f;
        if (frame_read(&f, &r) != 0) {
            p->node->counters.packets_protocol++;
            return;
        }
        if (f.type == FRAME_PATH_CHALLENGE && !challenged) {
            on_challenge(p, from, &f, now);
            challenged = true;
        } else if (f.type == FRAME_PATH_RESPONSE) {
            on_response(p, from, &f, now);
        } else if (f.type != FRAME_PADDING) {
            p->node->counters.packets_protocol++;
            return;
        }
    }
}

/* --- settling --- */

/* The conn knows the paths that may carry data: relays, and direct ones that proved themselves. */
static void open_paths(struct peer *p, uint64_t now)
{
    for (uint8_t id = 1; id < PACKET_PATHS_MAX; id++) {
        const struct path *path = pathset_get(&p->paths, id);
        bool open = p->opened >> id & 1;
        if (path && !open && path->usable && (path->proven || path->where.kind == WHERE_RELAY)) {
            bool relay = path->where.kind == WHERE_RELAY;
            conn_path_open(p->conn, id, relay ? NODE_RELAY_MTU : PACKET_MTU_BASE, now);
            if (!relay) {
                conn_path_search_mtu(p->conn, id, PACKET_MTU_MAX, now);
            }
            p->opened |= UINT32_C(1) << id;
        }
    }
}

/* An acknowledgement is as good a proof as the answer to a challenge. */
static void take_proofs(struct peer *p)
{
    for (uint8_t id = 1; id < PACKET_PATHS_MAX; id++) {
        struct conn_path_info info;
        struct path *path = pathset_get(&p->paths, id);
        if (path && conn_path_info(p->conn, id, &info) && info.last_acked_ns > path->proven_ns) {
            pathset_acked(&p->paths, path, info.acked_sent_ns, info.last_acked_ns);
        }
    }
}

static void log_choice(const struct peer *p, uint8_t id)
{
    char text[ADDR_TEXT_MAX];
    const struct path *path = &p->paths.paths[id];
    if (id == 0) {
        LOG_AT(p->node->log, LOG_INFO, "path", "none", "peer=%s", p->name);
    } else if (path->where.kind == WHERE_DIRECT) {
        LOG_AT(p->node->log, LOG_INFO, "path", "direct", "peer=%s address=%s rtt_us=%llu", p->name,
               addr_format(&path->where.addr, text), (unsigned long long)path->rtt_ns / NS_PER_US);
    } else {
        LOG_AT(p->node->log, LOG_INFO, "path", "relay", "peer=%s relay=%s", p->name,
               p->node->relays[path->where.relay].name);
    }
}

/* Streams that are bound to a kind of path go on the best of that kind, trusted or not: they have
 * no other. */
static void use_path(struct peer *p, enum frame_lane lane, uint8_t id, uint64_t now)
{
    const struct path *old = pathset_get(&p->paths, conn_path_used_for(p->conn, lane));
    conn_path_use_for(p->conn, lane, id, old && !pathset_is_trusted(old, now), now);
}

/* Doubt also ends without a proof: when nothing is sent any more, or no relay stands by. */
static void log_doubt(struct peer *p, bool doubt, uint64_t now)
{
    bool proof = p->paths.paths[p->paths.best].proven_ns >= p->doubted_ns;
    p->doubted_ns = doubt ? now : p->doubted_ns;
    LOG_AT(p->node->log, LOG_INFO, "path",
           doubt   ? "doubted"
           : proof ? "confirmed"
                   : "doubt_dropped",
           "peer=%s", p->name);
}

static void use_ways(struct peer *p, uint64_t now)
{
    struct pathset_ways ways = pathset_ways(&p->paths, now);
    bool same = ways.use == p->ways.use && ways.also == p->ways.also && ways.all == p->ways.all;
    use_path(p, FRAME_LANE_ANY, ways.use, now);
    if (same && conn_path_copies(p->conn) == ways.also) {
        return;
    }
    if (ways.all != p->ways.all && p->chosen == p->paths.best) {
        log_doubt(p, ways.all, now);
    }
    bool open = p->opened >> ways.also & 1;
    conn_path_copy(p->conn, open ? ways.also : 0, ways.all);
    p->ways = ways;
}

void peer_paths_settle(struct peer *p, uint64_t now)
{
    take_proofs(p);
    open_paths(p, now);
    node_renewal_mark(p);
    uint8_t id = pathset_choose(&p->paths, now);
    uint8_t direct = pathset_choose_of(&p->paths, WHERE_DIRECT, now);
    uint8_t relay = pathset_choose_of(&p->paths, WHERE_RELAY, now);
    if (!p->started) {
        return;
    }
    use_ways(p, now);
    use_path(p, FRAME_LANE_DIRECT, direct, now);
    use_path(p, FRAME_LANE_RELAY, relay, now);
    if (id == p->chosen) {
        return;
    }
    p->chosen = id;
    p->path_changes++;
    p->changed = true;
    log_choice(p, id);
}
