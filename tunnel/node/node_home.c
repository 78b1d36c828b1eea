/* Where a peer is to be found: each side tells the other its home relay (PROTOCOL.md 6).
 *
 * What is told are tags, and they are only compared with those of relays that we know: so nobody
 * brings us to a relay that our own configuration does not name. The home comes beside the peer's
 * configured relays, one at a time.
 */
#include "node/node_internal.h"

#include <string.h>

enum { TAGS = 2 }; /* of its key, of its place */

static size_t tags_of(const struct node *n, size_t relay, uint8_t tags[TAGS][RELAY_CLIENT_TAG])
{
    const struct relay_client *client = n->relays[relay].client;
    relay_client_place_tag(client, tags[0]);
    return relay_client_key_tag(client, tags[1]) ? 2 : 1;
}

/* Port 0: who does not know of tags takes them for addresses that are not worth a packet. */
static struct frame_candidate entry_of(const uint8_t tag[RELAY_CLIENT_TAG])
{
    struct frame_candidate entry = {.source = CAND_RELAY, .addr = {.family = ADDR_IPV6}};
    _Static_assert((int)RELAY_CLIENT_TAG == (int)sizeof(entry.addr.ip), "a tag is as long");
    memcpy(entry.addr.ip, tag, RELAY_CLIENT_TAG);
    return entry;
}

/* --- ours --- */

void node_home_changed(struct node *n, uint64_t now)
{
    if (n->home.home >= n->relay_count) {
        return; /* none: peers look for us where we were last */
    }
    n->home_version++;
    for (size_t i = 0; i < n->peer_count; i++) {
        if (n->peers[i].started && keyring_sender(&n->peers[i].keys, now)) {
            node_wake(&n->peers[i]);
        }
    }
}

size_t node_home_tell(const struct node *n, struct frame_candidate list[CAND_MAX], size_t count)
{
    uint8_t tags[TAGS][RELAY_CLIENT_TAG];
    if (n->home.home >= n->relay_count) {
        return count;
    }
    size_t told = tags_of(n, n->home.home, tags);
    count = count + told <= CAND_MAX ? count : CAND_MAX - told;
    for (size_t i = 0; i < told; i++) {
        list[count++] = entry_of(tags[i]);
    }
    return count;
}

/* --- a peer's --- */

static bool is_named(const struct frame_candidate *list, size_t count,
                     const uint8_t tag[RELAY_CLIENT_TAG])
{
    for (size_t i = 0; i < count; i++) {
        if (list[i].source == CAND_RELAY && memcmp(list[i].addr.ip, tag, RELAY_CLIENT_TAG) == 0) {
            return true;
        }
    }
    return false;
}

/* One of ours, or one where the peer is looked for anyway; other peers' are none of its business. A
 * relay's key says more than its place. */
static size_t find_named(const struct peer *p, const struct frame_candidate *list, size_t count)
{
    const struct node *n = p->node;
    size_t found = NODE_RELAYS_MAX;
    for (size_t i = 0; i < n->relay_count; i++) {
        uint8_t tags[TAGS][RELAY_CLIENT_TAG];
        size_t known = tags_of(n, i, tags);
        if (!n->relays[i].own && (p->relays >> i & 1) == 0) {
            continue;
        }
        if (known == TAGS && is_named(list, count, tags[1])) {
            return i;
        }
        if (found == NODE_RELAYS_MAX && is_named(list, count, tags[0])) {
            found = i;
        }
    }
    return found;
}

/* The former home's path stays as one that was learned: what is under way there still arrives. */
static void set_home(struct peer *p, size_t relay, uint64_t now)
{
    struct node *n = p->node;
    p->home = relay;
    for (uint8_t id = 1; id < PACKET_PATHS_MAX; id++) {
        struct path *path = pathset_get(&p->paths, id);
        if (path && path->where.kind == WHERE_RELAY) {
            path->configured = peer_has_relay(p, path->where.relay);
            path->preferred = false;
        }
    }
    if (relay == NODE_RELAYS_MAX) {
        return;
    }
    struct where where = where_relay((uint32_t)relay);
    struct path *path = peer_path(p, &where, true, now);
    if (path) {
        bool up = relay_client_state(n->relays[relay].client) == RELAY_CLIENT_UP;
        path->preferred = true;
        path->leaving = n->relays[relay].leave_ns != 0;
        pathset_set_usable(&p->paths, path, up, now);
        pathset_probe(&p->paths, path, now);
    }
    node_wake(p);
}

void node_home_list(struct peer *p, const struct frame_candidate *list, size_t count, uint64_t now)
{
    bool told = false;
    for (size_t i = 0; i < count; i++) {
        told = told || list[i].source == CAND_RELAY;
    }
    if (!told) {
        return;
    }
    struct node *n = p->node;
    size_t relay = find_named(p, list, count);
    n->counters.relays_unknown += relay == NODE_RELAYS_MAX;
    if (relay != p->home) {
        LOG_AT(n->log, LOG_INFO, "peer", "home", "peer=%s relay=%s", p->name,
               relay < n->relay_count ? n->relays[relay].name : "unknown");
        set_home(p, relay, now);
    }
}
