/* A relay that has said that it ends soon (DERP's frame Restarting): elsewhere first.
 *
 * What peers sent and are sent moves to other relays while this one still forwards, so that nothing
 * is lost; the home moves, too. Then nobody needs it any more, and the connection is closed, so
 * that the relay need not wait for us. Where there is no other relay all stays as it is until it
 * ends; the relay client knows when it may be back.
 */
#include "node/node_internal.h"

static void mark_paths(struct node *n, size_t relay, bool leaving, uint64_t now)
{
    struct where where = where_relay((uint32_t)relay);
    for (size_t i = 0; i < n->peer_count; i++) {
        struct peer *p = &n->peers[i];
        struct path *path = pathset_find(&p->paths, &where);
        if (!path || path->leaving == leaving) {
            continue;
        }
        pathset_set_leaving(&p->paths, path, leaving);
        if (leaving) {
            pathset_probe_all(&p->paths, now); /* where else is the peer? */
        }
        node_wake(p);
    }
}

void node_leave(struct node *n, size_t relay, const struct relay_client_event *said, uint64_t now)
{
    struct relay_link *r = &n->relays[relay];
    n->counters.relay_restarts++;
    if (r->leave_ns == 0) {
        LOG_AT(n->log, LOG_INFO, "relay", "restarting",
               "relay=%s reconnect_in_ms=%llu try_for_ms=%llu", r->name,
               (unsigned long long)(said->reconnect_in_ns / NS_PER_MS),
               (unsigned long long)(said->try_for_ns / NS_PER_MS));
        r->heard_ns = now;
        mark_paths(n, relay, true, now);
    }
    r->leave_ns = now + NODE_LEAVE_QUIET_NS;
    r->leave_end_ns = relay_client_restart_ns(r->client);
}

void node_leave_over(struct node *n, size_t relay)
{
    if (n->relays[relay].leave_ns != 0) {
        n->relays[relay].leave_ns = 0;
        mark_paths(n, relay, false, 0);
    }
}

/* --- letting go --- */

/* One that is asleep sends nothing, and asks again where the other is when it wakes. */
static bool is_used(const struct peer *p, size_t relay)
{
    struct conn_path_info info;
    bool awake = p->started && p->paths.pulse != PATHSET_ASLEEP;
    for (uint8_t id = 1; id < PACKET_PATHS_MAX; id++) {
        const struct path *path = &p->paths.paths[id];
        if (path->id == 0 || path->where.kind != WHERE_RELAY || path->where.relay != relay) {
            continue;
        }
        bool chosen = p->paths.best == id || p->paths.best_of[WHERE_RELAY] == id;
        return (awake && chosen) || (conn_path_info(p->conn, id, &info) && info.in_flight > 0);
    }
    return false;
}

/* Somebody talks by it, or could not find us elsewhere. */
static bool is_needed(const struct node *n, size_t relay, uint64_t now)
{
    bool elsewhere = !n->relays[relay].own;
    for (size_t i = 0; i < n->relay_count; i++) {
        elsewhere = elsewhere || (n->relays[i].own && node_relay_is_good(n, i));
    }
    if (!elsewhere || time_since(n->relays[relay].heard_ns, now) < NODE_LEAVE_QUIET_NS) {
        return true;
    }
    for (size_t i = 0; i < n->peer_count; i++) {
        if (is_used(&n->peers[i], relay)) {
            return true;
        }
    }
    return false;
}

void node_leave_tick(struct node *n, uint64_t now)
{
    for (size_t i = 0; i < n->relay_count; i++) {
        struct relay_link *r = &n->relays[i];
        if (r->leave_ns == 0 || r->leave_ns > now) {
            continue;
        }
        r->leave_ns = now + NODE_LEAVE_QUIET_NS;
        if (now >= r->leave_end_ns) {
            LOG_AT(n->log, LOG_INFO, "relay", "stays", "relay=%s", r->name);
            node_leave_over(n, i);
        } else if (!is_needed(n, i, now)) {
            relay_client_leave(r->client, now);
        }
    }
}
