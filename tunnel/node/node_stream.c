/* Streams seen from outside: an id that is unique over all peers and sessions.
 *
 *   peer (16 bits) | generation of the session (8) | stream id in its conn (40)
 *
 * A late call for a stream of a session that has ended finds nothing.
 */
#include "node/node_internal.h"

enum { HANDLE_PEER_SHIFT = 48, HANDLE_GENERATION_SHIFT = 40 };

#define HANDLE_ID_MASK ((UINT64_C(1) << HANDLE_GENERATION_SHIFT) - 1)

uint64_t stream_handle(const struct peer *p, uint8_t generation, uint64_t id)
{
    return (uint64_t)p->index << HANDLE_PEER_SHIFT |
           (uint64_t)generation << HANDLE_GENERATION_SHIFT | id;
}

size_t node_stream_peer(uint64_t stream)
{
    return (size_t)(stream >> HANDLE_PEER_SHIFT);
}

/* The peer whose present session the stream belongs to, or NULL; *id is its id there. */
static struct peer *find(struct node *n, uint64_t stream, uint64_t *id)
{
    size_t index = node_stream_peer(stream);
    if (index >= n->peer_count) {
        return NULL;
    }
    struct peer *p = &n->peers[index];
    *id = stream & HANDLE_ID_MASK;
    return (uint8_t)(stream >> HANDLE_GENERATION_SHIFT) == p->generation ? p : NULL;
}

int node_stream_open(struct node *n, size_t peer, const void *target, size_t len, uint64_t *stream,
                     uint64_t now)
{
    if (peer >= n->peer_count || n->stopping) {
        return ERR_NOT_FOUND;
    }
    struct peer *p = &n->peers[peer];
    uint64_t id;
    bool first = conn_stream_wanted(p->conn) == 0;
    int err = conn_stream_open(p->conn, target, len, &id);
    if (err != 0) {
        return err;
    }
    *stream = stream_handle(p, p->generation, id);
    p->active_ns = now;
    p->waited_ns = first ? now : p->waited_ns;
    if (!keyring_sender(&p->keys, now)) {
        peer_handshake_want(p, HS_DATA, now);
    }
    node_wake(p);
    return 0;
}

int node_stream_bind(struct node *n, uint64_t stream, enum frame_lane lane)
{
    uint64_t id;
    struct peer *p = find(n, stream, &id);
    return p ? conn_stream_bind(p->conn, id, lane) : ERR_NOT_FOUND;
}

int node_stream_accept(struct node *n, uint64_t stream, const void *info, size_t len)
{
    uint64_t id;
    struct peer *p = find(n, stream, &id);
    if (!p) {
        return ERR_NOT_FOUND;
    }
    node_wake(p);
    return conn_stream_accept(p->conn, id, info, len);
}

size_t node_stream_space(struct node *n, uint64_t stream, size_t want, uint8_t **at)
{
    uint64_t id;
    struct peer *p = find(n, stream, &id);
    return p ? conn_stream_space(p->conn, id, want, at) : 0;
}

void node_stream_wrote(struct node *n, uint64_t stream, size_t len)
{
    uint64_t id;
    struct peer *p = find(n, stream, &id);
    if (p) {
        conn_stream_wrote(p->conn, id, len);
        node_wake(p);
    }
}

int node_stream_finish(struct node *n, uint64_t stream)
{
    uint64_t id;
    struct peer *p = find(n, stream, &id);
    if (!p) {
        return ERR_NOT_FOUND;
    }
    node_wake(p);
    return conn_stream_finish(p->conn, id);
}

size_t node_stream_peek(struct node *n, uint64_t stream, const uint8_t **at, bool *fin)
{
    uint64_t id;
    struct peer *p = find(n, stream, &id);
    *fin = false;
    return p ? conn_stream_peek(p->conn, id, at, fin) : 0;
}

void node_stream_consume(struct node *n, uint64_t stream, size_t len, uint64_t now)
{
    uint64_t id;
    struct peer *p = find(n, stream, &id);
    if (p) {
        conn_stream_consume(p->conn, id, len, now);
        node_wake(p);
    }
}

int node_datagram_send(struct node *n, uint64_t stream, const void *data, size_t len, uint64_t now)
{
    uint64_t id;
    struct peer *p = find(n, stream, &id);
    if (!p) {
        return ERR_NOT_FOUND;
    }
    node_wake(p);
    return conn_datagram_send(p->conn, id, data, len, now);
}

int node_stream_break(struct node *n, uint64_t stream, enum cause cause)
{
    uint64_t id;
    struct peer *p = find(n, stream, &id);
    if (!p) {
        return ERR_NOT_FOUND;
    }
    node_wake(p);
    return conn_stream_break(p->conn, id, cause);
}

int node_stream_abort(struct node *n, uint64_t stream, enum cause cause)
{
    uint64_t id;
    struct peer *p = find(n, stream, &id);
    if (!p) {
        return ERR_NOT_FOUND;
    }
    node_wake(p);
    int err = conn_stream_abort(p->conn, id, cause);
    if (!p->started && conn_stream_wanted(p->conn) == 0) {
        /* The peer never heard of them: nothing is left to be told, even if it never comes. */
        (void)peer_drop_session(p, cause, false);
    }
    return err;
}
