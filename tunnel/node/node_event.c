#include "node/node_internal.h"

#include <string.h>

/* A cause off the wire: a number that is not in our table counts as FAILED. */
static enum cause known_cause(uint64_t cause)
{
    switch ((enum cause)cause) {
#define KNOWN(upper, lower, number, text) case CAUSE_##upper:
        CAUSE_TABLE(KNOWN)
#undef KNOWN
        return (enum cause)cause;
    }
    return CAUSE_FAILED;
}

/* --- one peer --- */

/* True if the shell has to hear of it. Only the present session (`current`) acts on the others. */
static bool translate(struct peer *p, uint8_t generation, const struct conn_event *in,
                      struct node_event *out, uint64_t now)
{
    bool current = generation == p->generation;
    *out = (struct node_event){.peer = p->index,
                               .stream = stream_handle(p, generation, in->stream),
                               .cause = known_cause(in->cause)};
    switch (in->type) {
    case CONN_EVENT_OPENED:
    case CONN_EVENT_ACCEPTED:
        out->type =
            in->type == CONN_EVENT_OPENED ? NODE_EVENT_STREAM_OPENED : NODE_EVENT_STREAM_ACCEPTED;
        out->len = in->u.text.len;
        memcpy(out->data, in->u.text.data, in->u.text.len);
        return current;
    case CONN_EVENT_READABLE:
        out->type = NODE_EVENT_STREAM_READABLE;
        return current;
    case CONN_EVENT_WRITABLE:
        out->type = NODE_EVENT_STREAM_WRITABLE;
        return current;
    case CONN_EVENT_RESET:
        out->type = NODE_EVENT_STREAM_RESET;
        return true;
    case CONN_EVENT_GONE:
        out->type = NODE_EVENT_STREAM_GONE;
        return true;
    case CONN_EVENT_DATAGRAM:
        out->type = NODE_EVENT_DATAGRAM;
        out->datagram = in->u.datagram.data;
        out->len = in->u.datagram.len;
        return current;
    case CONN_EVENT_PATH_SUSPECT:
        if (current) {
            peer_suspect(p, in->path, now);
        }
        return false;
    case CONN_EVENT_PEER_CLOSED:
        if (current) {
            LOG_AT(p->node->log, LOG_INFO, "peer", "closed", "peer=%s", p->name);
            (void)peer_drop_session(p, out->cause, true);
        }
        return false;
    case CONN_EVENT_CANDIDATES:
        if (current) {
            peer_on_candidates(p, in->u.candidates.list, in->u.candidates.count, now);
        }
        return false;
    }
    return false;
}

static bool old_event(struct peer *p, struct node_event *ev, uint64_t now)
{
    struct old_session *old;
    while ((old = STAILQ_FIRST(&p->old)) != NULL) {
        struct conn_event in;
        while (conn_event(old->conn, &in)) {
            if (translate(p, old->generation, &in, ev, now)) {
                return true;
            }
        }
        STAILQ_REMOVE_HEAD(&p->old, link);
        conn_free(old->conn);
        mem_free(old);
    }
    return false;
}

static bool resolve_event(struct peer *p, struct node_event *ev)
{
    for (size_t i = 0; i < p->endpoint_count; i++) {
        if (p->endpoints[i].want_resolve) {
            p->endpoints[i].want_resolve = false;
            *ev = (struct node_event){.type = NODE_EVENT_RESOLVE, .peer = p->index, .endpoint = i};
            return true;
        }
    }
    return false;
}

static bool peer_event(struct peer *p, struct node_event *ev, uint64_t now)
{
    if (old_event(p, ev, now) || resolve_event(p, ev)) {
        return true;
    }
    struct conn_event in;
    while (conn_event(p->conn, &in)) {
        if (translate(p, p->generation, &in, ev, now)) {
            return true;
        }
        if (old_event(p, ev, now)) {
            return true;
        }
    }
    if (peer_ping_event(p, ev)) {
        return true;
    }
    if (p->changed) {
        p->changed = false;
        *ev = (struct node_event){.type = NODE_EVENT_PEER, .peer = p->index};
        return true;
    }
    return false;
}

/* --- all --- */

static bool relay_event(struct node *n, struct node_event *ev)
{
    for (size_t i = 0; i < n->relay_count; i++) {
        struct relay_link *r = &n->relays[i];
        if (r->want_close || r->want_connect) {
            bool close = r->want_close;
            *ev = (struct node_event){
                .type = close ? NODE_EVENT_RELAY_CLOSE : NODE_EVENT_RELAY_CONNECT, .relay = i};
            r->want_connect = close && r->want_connect;
            r->want_close = false;
            return true;
        }
    }
    return false;
}

bool node_event(struct node *n, struct node_event *ev, uint64_t now)
{
    if (n->hurried) {
        n->hurried = false;
        node_relay_tick(n, now);
    }
    if (relay_event(n, ev) || node_portal_event(n, ev)) {
        return true;
    }
    if (n->want_stun_names) {
        n->want_stun_names = false;
        *ev = (struct node_event){.type = NODE_EVENT_RESOLVE_STUN};
        return true;
    }
    struct peer *p;
    while ((p = TAILQ_FIRST(&n->eventful)) != NULL) {
        if (peer_event(p, ev, now)) {
            return true;
        }
        p->eventful = false;
        TAILQ_REMOVE(&n->eventful, p, event_link);
    }
    if (birthday_changed(&n->birthday)) { /* last: what peers said may have brought it about */
        *ev = (struct node_event){.type = NODE_EVENT_SOCKETS};
        return true;
    }
    return false;
}
