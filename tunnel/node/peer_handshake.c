/* How we ask a peer for keys: initiations out on every way that could work, and its response. Who
 * is asked is in peer_answer.c.
 *
 * What differs from WireGuard: one initiation travels over all ways at once, and the payload
 * carries the session's epochs, so that both sides agree whether a session goes on.
 */
#include "node/node_internal.h"

enum { WAYS_MAX = NODE_ENDPOINTS_MAX * NODE_ADDRESSES_MAX + NODE_RELAYS_MAX + PACKET_PATHS_MAX };

uint64_t peer_aeads(void)
{
    return PARAMS_AEAD_CHACHA20POLY1305 |
           (aead_available(AEAD_AES256GCM) ? (uint64_t)PARAMS_AEAD_AES256GCM : 0);
}

enum aead_kind peer_choose_aead(uint64_t both)
{
    return both & PARAMS_AEAD_AES256GCM ? AEAD_AES256GCM : AEAD_CHACHA20POLY1305;
}

struct cookie_jar *peer_jar(struct peer *p, const struct where *where)
{
    return &p->jar[where->kind == WHERE_RELAY];
}

struct params peer_params(const struct peer *p, uint64_t aead, uint64_t now)
{
    const struct conn_limits *limits = &p->node->limits;
    struct params params = {
        .epoch = p->epoch,
        .peer_epoch = p->started ? p->remote_epoch : 0,
        .version = PARAMS_VERSION,
        .aead = aead,
        .session_window = limits->session_window,
        .stream_window = limits->stream_window,
        .streams_max = limits->streams_max,
        .max_ack_delay_us = limits->max_ack_delay_ns / NS_PER_US,
    };
    if (!peer_is_direct(p, now)) {
        peer_candidates_put(p, &params);
    }
    return params;
}

/* New keys after a handshake; NULL if the other side chose an AEAD that we do not have. */
struct keyset *peer_install(struct peer *p, struct handshake *h, enum aead_kind kind,
                            bool initiator, uint64_t now)
{
    struct keyring_offer offer = {.kind = kind,
                                  .initiator = initiator,
                                  .lend_send = p->node->seal_apart,
                                  .lend_recv = p->node->open_apart,
                                  .local_index = h->local_index,
                                  .remote_index = h->remote_index,
                                  .tag = p->remote.epoch};
    handshake_keys(h, offer.send, offer.recv);
    struct keyset *keys = keyring_install(&p->keys, &offer, now);
    sodium_memzero(&offer, sizeof(offer));
    return keys;
}

/* --- asking --- */

static void add_way(struct where *ways, size_t *count, const struct where *way)
{
    for (size_t i = 0; i < *count; i++) {
        if (where_equal(&ways[i], way)) {
            return;
        }
    }
    CHECK(*count < WAYS_MAX);
    ways[(*count)++] = *way;
}

/* Every way that could work: connected relays, configured endpoints, paths that worked before. New
 * keys for a session that is well need no more than the path it uses, at first. */
static size_t collect_ways(struct peer *p, struct where *ways, uint64_t now)
{
    size_t count = 0;
    if (p->hs_reason == HS_REKEY && p->hs_attempts == 0 && peer_is_direct(p, now)) {
        add_way(ways, &count, &p->paths.paths[p->paths.best].where);
        return count;
    }
    for (uint32_t i = 0; i < p->node->relay_count; i++) {
        enum relay_client_state state = relay_client_state(p->node->relays[i].client);
        if (peer_has_relay(p, i) && state == RELAY_CLIENT_UP) {
            struct where way = where_relay(i);
            add_way(ways, &count, &way);
        }
    }
    for (size_t i = 0; i < p->endpoint_count; i++) {
        for (size_t k = 0; k < p->endpoints[i].count; k++) {
            struct where way = where_direct(&p->endpoints[i].addrs[k]);
            add_way(ways, &count, &way);
        }
    }
    for (uint8_t id = 1; id < PACKET_PATHS_MAX; id++) {
        const struct path *path = pathset_get(&p->paths, id);
        if (path && path->worked && path->where.kind == WHERE_DIRECT) {
            add_way(ways, &count, &path->where);
        }
    }
    return count;
}

/* A fresh initiation each time, so that each has a timestamp of its own. */
static void send_initiation(struct peer *p, const struct where *ways, size_t count, uint64_t now)
{
    struct node *n = p->node;
    struct params params = peer_params(p, peer_aeads(), now);
    params.timestamp_ns = node_take_timestamp(n, now);
    uint8_t payload[PARAMS_LEN_MAX];
    uint8_t packet[HANDSHAKE_MAX];
    p->hs_index = node_new_index(p);
    struct handshake_draft draft = {.index = p->hs_index,
                                    .payload = payload,
                                    .payload_len = params_encode(payload, &params),
                                    .jar = peer_jar(p, &ways[0]),
                                    .rng = n->rng,
                                    .now = now};
    handshake_start(&p->hs, &n->self, &p->key, p->psk);
    int len = handshake_write_initiation(&p->hs, &draft, packet, sizeof(packet));
    if (len < 0) {
        LOG_AT(n->log, LOG_ERROR, "handshake", "failed", "peer=%s error=%s", p->name,
               err_name(len));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        cookie_jar_stamp(peer_jar(p, &ways[i]), packet, (size_t)len, now);
        node_emit(p, &ways[i], packet, (size_t)len, true);
    }
    LOG_AT(n->log, LOG_DEBUG, "handshake", "sent", "peer=%s ways=%zu attempt=%u", p->name, count,
           p->hs_attempts + 1);
}

/* 1, 2, 4 s, then every REKEY_TIMEOUT; after REKEY_ATTEMPT_TIME three times as slow. */
static uint64_t retry_delay(const struct peer *p)
{
    uint64_t delay = REKEY_TIMEOUT_NS;
    if (p->hs_attempts <= 3) {
        delay = NS_PER_S << (p->hs_attempts > 0 ? p->hs_attempts - 1 : 0);
    } else if (p->hs_attempts > REKEY_ATTEMPT_TIME_NS / REKEY_TIMEOUT_NS) {
        delay = 3 * REKEY_TIMEOUT_NS;
    }
    return delay + rng_below(p->node->rng, REKEY_TIMEOUT_JITTER_NS);
}

static void ask_resolver(struct peer *p)
{
    for (size_t i = 0; i < p->endpoint_count; i++) {
        p->endpoints[i].want_resolve = true;
    }
    node_wake(p);
}

/* Is it worth trying, or trying still? */
static bool worthwhile(const struct peer *p, enum hs_reason reason, uint64_t now)
{
    if (conn_stream_wanted(p->conn) > 0) {
        return true;
    }
    switch (reason) {
    case HS_GREET:
        return p->hs_attempts < NODE_GREET_ATTEMPTS;
    case HS_REKEY:
        return keyring_sender(&p->keys, now) != NULL;
    case HS_DATA:
        return peer_is_pinged(p, now);
    case HS_NONE:
        return false;
    }
    return false;
}

void peer_handshake_want(struct peer *p, enum hs_reason reason, uint64_t now)
{
    if (p->node->stopping) {
        return;
    }
    if (p->hs_reason == HS_GREET && reason > HS_GREET) {
        /* Now it is urgent: no waiting for the end of a greeting's long interval. */
        uint64_t soonest = p->hs_attempts > 0 ? p->hs_sent_ns + NS_PER_S : now;
        p->hs_retry_ns = time_min(p->hs_retry_ns, soonest > now ? soonest : now);
        p->hs_attempts = p->hs_attempts > 0;
        p->hs_reason = reason;
        peer_handshake_tick(p, now);
        node_wake(p);
        return;
    }
    if (p->hs_reason != HS_NONE) {
        p->hs_reason = reason > p->hs_reason ? reason : p->hs_reason;
        return;
    }
    if (reason == HS_DATA && !worthwhile(p, reason, now)) {
        return; /* only what can wait: a list of candidates, the end of a stream */
    }
    p->hs_reason = reason;
    p->hs_attempts = 0;
    p->hs_retry_ns = now;
    ask_resolver(p);
    peer_handshake_tick(p, now);
}

/* No answer by any way: do the relays hear us at all? */
static void hurry_relays(struct peer *p, uint64_t now)
{
    for (size_t i = 0; i < p->node->relay_count; i++) {
        if (peer_has_relay(p, i)) {
            node_hurry_relay(p->node, i, now);
        }
    }
}

void peer_handshake_tick(struct peer *p, uint64_t now)
{
    if (p->hs_reason == HS_NONE || p->hs_retry_ns > now || p->node->stopping) {
        return;
    }
    if (!worthwhile(p, p->hs_reason, now)) {
        p->hs_reason = HS_NONE;
        p->hs_retry_ns = TIME_NEVER;
        handshake_wipe(&p->hs);
        return;
    }
    struct where ways[WAYS_MAX];
    size_t count = collect_ways(p, ways, now);
    if (p->hs_attempts > 0) {
        ask_resolver(p); /* the network or the peer may have moved */
    }
    if (p->hs_attempts == 1) {
        hurry_relays(p, now);
    }
    if (count > 0) {
        send_initiation(p, ways, count, now);
        p->sent_ns = p->started && p->sent_ns == 0 ? now : p->sent_ns;
    }
    if (count > 0 || p->hs_reason != HS_GREET) {
        p->hs_attempts++;
        p->hs_sent_ns = now;
        p->hs_retry_ns = now + retry_delay(p);
    } else {
        p->hs_retry_ns =
            TIME_NEVER; /* a relay that comes up or the resolver brings us here again */
    }
    node_wake(p);
}

/* Addresses that no name stands for any more are kept only as long as they are of use. */
static void forget_stale(struct peer *p)
{
    for (uint8_t id = 1; id < PACKET_PATHS_MAX; id++) {
        struct path *path = pathset_get(&p->paths, id);
        bool named = !path || path->where.kind != WHERE_DIRECT;
        for (size_t i = 0; i < p->endpoint_count; i++) {
            for (size_t k = 0; k < p->endpoints[i].count; k++) {
                named = named || addr_equal(&path->where.addr, &p->endpoints[i].addrs[k]);
            }
        }
        if (!named) {
            path->configured = false;
        }
    }
}

void node_resolved(struct node *n, size_t peer, size_t endpoint, const struct addr *addrs,
                   size_t count, uint64_t now)
{
    struct peer *p = &n->peers[peer];
    CHECK(endpoint < p->endpoint_count);
    struct endpoint *e = &p->endpoints[endpoint];
    bool fresh = false;
    size_t kept = count < NODE_ADDRESSES_MAX ? count : NODE_ADDRESSES_MAX;
    for (size_t i = 0; i < kept; i++) {
        fresh = fresh || i >= e->count || !addr_equal(&e->addrs[i], &addrs[i]);
        e->addrs[i] = addrs[i];
    }
    e->count = kept > 0 ? kept : e->count; /* an old address may still be right */
    forget_stale(p);
    if (fresh && p->hs_reason != HS_NONE) {
        p->hs_retry_ns = now;
        peer_handshake_tick(p, now);
    }
    for (size_t i = 0; i < kept; i++) {
        struct where where = where_direct(&addrs[i]);
        (void)peer_path(p, &where, true, now);
    }
    node_wake(p);
}

/* --- what comes back --- */

void peer_on_response(struct peer *p, const struct where *from, const uint8_t *data, size_t len,
                      uint64_t now)
{
    struct node *n = p->node;
    uint8_t payload[HANDSHAKE_PAYLOAD_MAX];
    size_t payload_len;
    struct params params;
    int err = handshake_read_response(&p->hs, data, len, payload, &payload_len);
    if (err == ERR_STATE || err == ERR_NOT_FOUND) {
        n->counters
            .handshakes_replayed++; /* that one is over: the answer came by several ways, or late */
        return;
    }
    if (err != 0) {
        n->counters.handshakes_invalid++;
        return;
    }
    if (params_decode(&params, payload, payload_len) != 0 || (params.aead & ~peer_aeads()) != 0) {
        n->counters.handshakes_invalid++;
        handshake_wipe(&p->hs);
        return;
    }
    p->remote = params;
    struct keyset *keys = peer_install(p, &p->hs, peer_choose_aead(params.aead), true, now);
    if (keys) {
        if (peer_establish(p, keys, from, true, now) && peer_is_direct(p, now)) {
            /* The peer waits for a packet under the new keys before it uses them. */
            pathset_probe(&p->paths, pathset_get(&p->paths, p->paths.best), now);
        }
    }
}

/* The first cookie is used at once. Who refuses it and sends another one waits for the next try: or
 * each answer would bring forth an initiation. */
void peer_on_cookie(struct peer *p, const struct where *from, const uint8_t *data, size_t len,
                    uint64_t now)
{
    struct cookie_jar *jar = peer_jar(p, from);
    bool first = !cookie_jar_is_full(jar, now);
    if (handshake_read_cookie(jar, data, len, now) == 0 && first && p->hs_reason != HS_NONE) {
        p->hs_retry_ns = now;
        peer_handshake_tick(p, now);
    }
}
