/* Relays: their TCP bytes in and out, and what they mean for the peers. */
#include "node/node_internal.h"

#include <stdio.h>
#include <string.h>

static void on_state(struct node *n, size_t relay, bool up, uint64_t now)
{
    for (size_t i = 0; i < n->peer_count; i++) {
        peer_relay_changed(&n->peers[i], relay, up, now);
    }
}

/* Lets the paths over this relay go on once half of what may wait has left and the relay's rate
 * allows more. True if there was one that waited. */
static bool unblock(struct node *n, size_t relay, uint64_t now)
{
    struct relay_link *r = &n->relays[relay];
    r->ready_ns = r->ready_ns > now ? r->ready_ns : 0;
    if (!r->blocked || r->ready_ns != 0 ||
        relay_client_backlog(r->client) > NODE_RELAY_BACKLOG / 2) {
        return false;
    }
    r->blocked = false;
    bool any = false;
    struct where where = where_relay((uint32_t)relay);
    for (size_t i = 0; i < n->peer_count; i++) {
        struct path *path = pathset_find(&n->peers[i].paths, &where);
        if (path) {
            conn_path_block(n->peers[i].conn, path->id, false);
            node_wake(&n->peers[i]);
            any = true;
        }
    }
    return any;
}

static void on_packet(struct node *n, size_t relay, const struct relay_client_event *ev,
                      uint64_t now)
{
    struct public_key key;
    memcpy(key.bytes, ev->key, KEY_LEN);
    struct where from = where_relay((uint32_t)relay);
    n->relays[relay].heard_ns = now;
    size_t skip = 0;
    if (ev->len >= PACKET_ENVELOPE_LEN &&
        memcmp(ev->data, PACKET_ENVELOPE, PACKET_ENVELOPE_LEN) == 0) {
        skip = PACKET_ENVELOPE_LEN;
    }
    if (ev->len - skip > PACKET_MTU_MAX) {
        n->counters.packets_unknown++;
        return;
    }
    node_receive(n, &from, &key, ev->packet + skip, ev->len - skip, now);
}

static void on_peer_gone(struct node *n, size_t relay, const uint8_t *bytes, uint64_t now)
{
    struct public_key key;
    memcpy(key.bytes, bytes, KEY_LEN);
    struct peer *p = node_find_key(n, &key);
    if (p) {
        LOG_AT(n->log, LOG_DEBUG, "relay", "peer_gone", "peer=%s relay=%s", p->name,
               n->relays[relay].name);
        peer_relay_changed(p, relay, false, now);
    }
}

/* --- home --- */

static const char *name_of(const struct node *n, size_t relay)
{
    return relay < n->relay_count ? n->relays[relay].name : "none";
}

bool node_relay_is_good(const struct node *n, size_t relay)
{
    const struct relay_link *r = &n->relays[relay];
    return relay_client_state(r->client) == RELAY_CLIENT_UP && r->leave_ns == 0;
}

static bool has_good(const struct node *n)
{
    for (size_t i = 0; i < n->relay_count; i++) {
        if (n->relays[i].own && node_relay_is_good(n, i)) {
            return true;
        }
    }
    return false;
}

/* One that is about to end is a home only if there is no other. */
static void settle_home(struct node *n, uint64_t now)
{
    size_t was = n->home.home;
    bool any_good = has_good(n);
    for (size_t i = 0; i < n->relay_count; i++) {
        bool up = relay_client_state(n->relays[i].client) == RELAY_CLIENT_UP &&
                  (node_relay_is_good(n, i) || !any_good);
        relay_home_note(&n->home, i, up && n->relays[i].own,
                        relay_client_rtt_ns(n->relays[i].client));
    }
    if (!relay_home_choose(&n->home, now)) {
        return;
    }
    LOG_AT(n->log, LOG_INFO, "relay", "home", "relay=%s before=%s", name_of(n, n->home.home),
           name_of(n, was));
    for (size_t i = 0; i < n->relay_count; i++) {
        relay_client_set_preferred(n->relays[i].client, i == n->home.home);
    }
    node_home_changed(n, now);
}

uint64_t node_relay_next_ns(const struct node *n)
{
    uint64_t next = relay_home_next_ns(&n->home);
    for (size_t i = 0; i < n->relay_count; i++) {
        const struct relay_link *r = &n->relays[i];
        next = time_min(next, relay_client_next_ns(r->client));
        next = r->ready_ns != 0 ? time_min(next, r->ready_ns) : next;
        next = r->leave_ns != 0 ? time_min(next, r->leave_ns) : next;
    }
    return next;
}

/* --- what a relay says --- */

static void drain(struct node *n, size_t relay, uint64_t now)
{
    struct relay_link *r = &n->relays[relay];
    struct relay_client_event ev;
    while (relay_client_event(r->client, &ev)) {
        switch (ev.type) {
        case RELAY_CLIENT_EV_CONNECT:
            r->want_connect = true;
            break;
        case RELAY_CLIENT_EV_UP:
            node_portal_relay(n, relay, true, now);
            LOG_AT(n->log, LOG_INFO, "relay", "up", "relay=%s", r->name);
            r->why[0] = '\0';
            r->ready_ns = 0;
            (void)unblock(n, relay, now);
            on_state(n, relay, true, now);
            break;
        case RELAY_CLIENT_EV_DOWN:
            LOG_AT(n->log, LOG_INFO, "relay", "down", "relay=%s why=\"%s\"", r->name,
                   ev.text ? ev.text : "");
            (void)snprintf(r->why, sizeof(r->why), "%s", ev.text ? ev.text : "");
            r->want_close = true;
            node_leave_over(n, relay);
            on_state(n, relay, false, now);
            settle_home(n, now);
            node_portal_relay(n, relay, false, now);
            break;
        case RELAY_CLIENT_EV_PACKET:
            on_packet(n, relay, &ev, now);
            break;
        case RELAY_CLIENT_EV_PEER_GONE:
            on_peer_gone(n, relay, ev.key, now);
            break;
        case RELAY_CLIENT_EV_HEALTH:
            LOG_AT(n->log, LOG_WARN, "relay", "health", "relay=%s says=\"%.*s\"", r->name,
                   (int)(ev.len < 200 ? ev.len : 200), (const char *)ev.data);
            break;
        case RELAY_CLIENT_EV_RESTARTING:
            node_leave(n, relay, &ev, now);
            break;
        }
    }
    settle_home(n, now);
}

void node_relay_connected(struct node *n, size_t relay, uint64_t now)
{
    relay_client_connected(n->relays[relay].client, now);
    drain(n, relay, now);
}

void node_relay_disconnected(struct node *n, size_t relay, int err, uint64_t now)
{
    node_relay_failed(n, relay, err, NULL, now);
}

void node_relay_failed(struct node *n, size_t relay, int err, const char *why, uint64_t now)
{
    relay_client_failed(n->relays[relay].client, err, why, now);
    drain(n, relay, now);
}

void node_relay_input(struct node *n, size_t relay, const uint8_t *data, size_t len, uint64_t now)
{
    struct relay_client *client = n->relays[relay].client;
    while (len > 0) {
        size_t room = relay_client_room(client);
        size_t part = len < room ? len : room;
        if (part == 0 || relay_client_input(client, data, part, now) != 0) {
            break; /* it is going down: the rest belongs to nobody */
        }
        data += part;
        len -= part;
        drain(n, relay, now);
    }
    drain(n, relay, now);
}

size_t node_relay_output(struct node *n, size_t relay, const uint8_t **data)
{
    return relay_client_output(n->relays[relay].client, data);
}

bool node_relay_sent(struct node *n, size_t relay, size_t len, uint64_t now)
{
    relay_client_sent(n->relays[relay].client, len);
    return unblock(n, relay, now);
}

void node_relay_tick(struct node *n, uint64_t now)
{
    for (size_t i = 0; i < n->relay_count; i++) {
        if (relay_client_next_ns(n->relays[i].client) <= now) {
            relay_client_tick(n->relays[i].client, now);
        }
        if (n->relays[i].ready_ns != 0) {
            (void)unblock(n, i, now);
        }
    }
    node_leave_tick(n, now);
    for (size_t i = 0; i < n->relay_count; i++) {
        drain(n, i, now);
    }
}

/* Not fetched from here: this may be called for what a relay just said. */
void node_hurry_relay(struct node *n, size_t relay, uint64_t now)
{
    relay_client_hurry(n->relays[relay].client, now);
    n->hurried = true;
}
