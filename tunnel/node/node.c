#include "node/node_internal.h"

#include <string.h>

/* --- life --- */

static int init_relays(struct node *n, const struct node_config *c)
{
    relay_home_init(&n->home);
    portal_init(&n->portal, n->rng);
    for (size_t i = 0; i < c->relay_count; i++) {
        struct relay_client_config relay = {.host = c->relays[i].host_header,
                                            .path = c->relays[i].path,
                                            .websocket = c->relays[i].websocket,
                                            .rng = n->rng,
                                            .log = n->log};
        memcpy(relay.secret, n->self.secret.bytes, KEY_LEN);
        memcpy(relay.public_key, n->self.public.bytes, KEY_LEN);
        struct relay_client *client = relay_client_new(&relay);
        sodium_memzero(relay.secret, sizeof(relay.secret));
        if (!client) {
            return ERR_NO_MEMORY;
        }
        n->relays[n->relay_count++] = (struct relay_link){.client = client,
                                                          .name = c->relays[i].name,
                                                          .own = c->relays[i].home,
                                                          .proxied = c->relays[i].proxied};
    }
    return 0;
}

static int init_peers(struct node *n, const struct node_config *c, uint64_t now)
{
    n->peers = mem_new(c->peer_count + 1, sizeof(struct peer));
    if (!n->peers || heap_init(&n->timers, c->peer_count + 1) != 0) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < c->peer_count; i++) {
        int err = peer_init(&n->peers[i], n, (uint32_t)i, &c->peers[i], now);
        if (err != 0) {
            return err;
        }
        n->peer_count++;
    }
    return 0;
}

static int init_parts(struct node *n, const struct node_config *c, uint64_t now)
{
    struct secret_key secret;
    memcpy(secret.bytes, c->secret, KEY_LEN);
    int err = key_pair_of(&n->self, &secret);
    secret_key_wipe(&secret);
    if (err != 0) {
        return err;
    }
    cookie_checker_init(&n->checker, &n->self.public);
    throttle_init(&n->throttle, n->rng);
    n->batch = mem_new(1, NODE_BATCH_BYTES);
    if (!n->batch) {
        return ERR_NO_MEMORY;
    }
    err = init_relays(n, c);
    return err != 0 ? err : init_peers(n, c, now);
}

int node_new(const struct node_config *c, uint64_t now, struct node **out)
{
    if (c->peer_count > NODE_PEERS_MAX || c->relay_count > NODE_RELAYS_MAX) {
        return ERR_NO_ROOM;
    }
    struct node *n = mem_new(1, sizeof(*n));
    if (!n) {
        return ERR_NO_MEMORY;
    }
    TAILQ_INIT(&n->ready);
    TAILQ_INIT(&n->eventful);
    n->limits = c->limits;
    n->congestion = c->congestion;
    n->seal_apart = c->seal_apart;
    n->open_apart = c->open_apart;
    n->resume_timeout_ns = c->resume_timeout_ns;
    n->punch = c->punch;
    n->rng = c->rng;
    n->log = c->log;
    n->unix_offset = c->unix_ns > now ? c->unix_ns - now : 0;
    n->timestamp = n->timestamp_max = c->timestamp;
    n->index_mask = rng_u32(n->rng);
    stunclient_init(&n->stun, NULL, n->rng);
    netcheck_init(&n->netcheck, n->rng);
    cand_own_init(&n->own);
    portmap_init(&n->portmap, n->rng, n->log);
    guess_init(&n->guess);
    birthday_init(&n->birthday, c->punch ? c->birthday_sockets : 0, n->rng);
    recipes_init(&n->recipes);
    lifetime_init(&n->lifetime, n->rng);
    renewal_init(&n->renewal, n->rng);
    sequence_init(&n->sequence, n->rng);
    if (c->recipes && recipes_import(&n->recipes, c->recipes, c->recipes_len) != 0) {
        LOG_AT(n->log, LOG_WARN, "node", "recipes_unreadable", "bytes=%zu", c->recipes_len);
    }
    int err = init_parts(n, c, now);
    if (err != 0) {
        node_free(n);
        return err;
    }
    *out = n;
    return 0;
}

void node_free(struct node *n)
{
    if (!n) {
        return;
    }
    for (size_t i = 0; i < n->peer_count; i++) {
        peer_deinit(&n->peers[i]);
    }
    for (size_t i = 0; i < n->relay_count; i++) {
        relay_client_free(n->relays[i].client);
    }
    heap_deinit(&n->timers);
    cookie_checker_wipe(&n->checker);
    key_pair_wipe(&n->self);
    mem_free(n->peers);
    mem_free(n->batch);
    mem_free(n);
}

void node_start(struct node *n, uint64_t now)
{
    for (size_t i = 0; i < n->relay_count; i++) {
        relay_client_start(n->relays[i].client, now);
    }
    for (size_t i = 0; i < n->peer_count; i++) {
        peer_handshake_want(&n->peers[i], HS_GREET, now);
    }
    node_relay_tick(n, now);
}

void node_stop(struct node *n, uint64_t now)
{
    n->stopping = true;
    portmap_stop(&n->portmap, now);
    for (size_t i = 0; i < n->peer_count; i++) {
        struct peer *p = &n->peers[i];
        p->hs_reason = HS_NONE;
        p->hs_retry_ns = TIME_NEVER;
        if (p->started && keyring_sender(&p->keys, now)) {
            conn_close(p->conn, CAUSE_PEER_CLOSED, "");
        }
        node_wake(p);
    }
}

/* --- finding peers --- */

struct peer *node_find_key(struct node *n, const struct public_key *key)
{
    for (size_t i = 0; i < n->peer_count; i++) {
        if (public_key_equal(&n->peers[i].key, key)) {
            return &n->peers[i];
        }
    }
    return NULL;
}

/* An index is the peer's number and random bits, under a mask of the node: found without a table,
 * guessed no better than a random one, and of use only with the key that belongs to it. */
enum { INDEX_PEER_BITS = 12 };

uint32_t node_new_index(struct peer *p)
{
    uint32_t index;
    do {
        uint32_t random = rng_u32(p->node->rng) << INDEX_PEER_BITS;
        index = (random | p->index) ^ p->node->index_mask;
    } while (index == 0 || keyring_find(&p->keys, index) != NULL);
    return index;
}

struct peer *node_find_index(struct node *n, uint32_t index)
{
    uint32_t i = (index ^ n->index_mask) & ((UINT32_C(1) << INDEX_PEER_BITS) - 1);
    return i < n->peer_count ? &n->peers[i] : NULL;
}

/* --- time --- */

/* Greater than any before, also across restarts: a board without a clock battery gets in too. */
uint64_t node_take_timestamp(struct node *n, uint64_t now)
{
    uint64_t unix_ns = n->unix_offset == 0 ? 0 : n->unix_offset + now;
    n->timestamp = unix_ns > n->timestamp ? unix_ns : n->timestamp + 1;
    if (n->timestamp > n->timestamp_max) {
        n->timestamp_max = n->timestamp + NODE_TIMESTAMP_STEP_NS;
    }
    return n->timestamp;
}

uint64_t node_timestamp(const struct node *n)
{
    return n->timestamp_max;
}

size_t node_recipes(const struct node *n, uint8_t out[NODE_RECIPES_LEN_MAX])
{
    return recipes_export(&n->recipes, out);
}

uint64_t node_recipes_version(const struct node *n)
{
    return n->recipes.version;
}

void node_tick(struct node *n, uint64_t now)
{
    node_relay_tick(n, now);
    node_portal_tick(n, now);
    node_nat_tick(n, now);
    node_birthday_tick(n, now);
    node_lifetime_tick(n, now);
    node_renewal_tick(n, now);
    node_sequence_tick(n, now);
    struct heap_node *first;
    while ((first = heap_first(&n->timers)) != NULL && first->at <= now) {
        struct peer *p = container_of(first, struct peer, timer);
        heap_remove(&n->timers, first);
        peer_tick(p, now);
        node_wake(p);
    }
}

uint64_t node_next_ns(const struct node *n)
{
    uint64_t next = time_min(heap_next(&n->timers), node_nat_next_ns(n));
    next = time_min(next, node_birthday_next_release_ns(n));
    next = time_min(next, lifetime_next_ns(&n->lifetime));
    next = time_min(next, portal_next_ns(&n->portal));
    next = time_min(next, node_renewal_next_ns(n));
    next = time_min(next, sequence_next_ns(&n->sequence));
    return time_min(next, node_relay_next_ns(n));
}
