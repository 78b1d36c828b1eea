/* One peer: its session, from the first handshake to the last stream. */
#include "node/node_internal.h"

#include <string.h>

/* --- life --- */

static struct conn *new_conn(struct peer *p)
{
    const struct node *n = p->node;
    struct conn_config config = {
        .limits = n->limits,
        .congestion = n->congestion,
        .even = memcmp(n->self.public.bytes, p->key.bytes, KEY_LEN) < 0,
        .rng = n->rng,
        .log = n->log,
    };
    return conn_new(&config);
}

static uint64_t new_epoch(struct node *n)
{
    uint64_t epoch;
    do {
        epoch = rng_u64(n->rng);
    } while (epoch == 0);
    return epoch;
}

static uint32_t relay_bits(const struct node *n, const struct node_peer_config *c)
{
    uint32_t bits = 0;
    size_t count = 0;
    for (size_t i = 0; c->relays && i < c->relay_count && count < NODE_PEER_RELAYS_MAX; i++) {
        bits |= UINT32_C(1) << c->relays[i];
        count++;
    }
    for (size_t i = 0; !c->relays && i < n->relay_count && count < NODE_PEER_RELAYS_MAX; i++) {
        bits |= n->relays[i].own ? UINT32_C(1) << i : 0;
        count += n->relays[i].own;
    }
    return bits;
}

int peer_init(struct peer *p, struct node *n, uint32_t index, const struct node_peer_config *c,
              uint64_t now)
{
    *p =
        (struct peer){.node = n,
                      .index = index,
                      .name = c->name,
                      .endpoint_count = c->endpoint_count < NODE_ENDPOINTS_MAX ? c->endpoint_count
                                                                               : NODE_ENDPOINTS_MAX,
                      .relays = relay_bits(n, c),
                      .home = NODE_RELAYS_MAX,
                      .epoch = new_epoch(n),
                      .hs_retry_ns = TIME_NEVER};
    memcpy(p->key.bytes, c->key, KEY_LEN);
    memcpy(p->psk, c->psk, sizeof(p->psk));
    STAILQ_INIT(&p->old);
    pathset_init(&p->paths, n->rng);
    cand_peer_init(&p->candidates, n->rng);
    for (size_t i = 0; i < 2; i++) {
        cookie_jar_init(&p->jar[i], &p->key);
    }
    for (uint32_t i = 0; i < n->relay_count; i++) {
        struct where where = where_relay(i);
        if (peer_has_relay(p, i)) {
            struct path *path = peer_path(p, &where, true, now);
            path->usable = false; /* until the relay is connected */
        }
    }
    p->conn = new_conn(p);
    return p->conn ? 0 : ERR_NO_MEMORY;
}

void peer_deinit(struct peer *p)
{
    struct old_session *old;
    while ((old = STAILQ_FIRST(&p->old)) != NULL) {
        STAILQ_REMOVE_HEAD(&p->old, link);
        conn_free(old->conn);
        mem_free(old);
    }
    conn_free(p->conn);
    keyring_clear_except(&p->keys, NULL);
    handshake_wipe(&p->hs);
    for (size_t i = 0; i < 2; i++) {
        cookie_jar_wipe(&p->jar[i]);
    }
    sodium_memzero(p->psk, sizeof(p->psk));
}

/* --- sessions --- */

static void retire_conn(struct peer *p, enum cause cause, struct old_session *old,
                        struct conn *fresh)
{
    struct conn_stats stats;
    conn_stats(p->conn, &stats);
    p->bytes_in += stats.bytes_in;
    p->bytes_out += stats.bytes_out;
    p->packets_lost += stats.packets_lost;
    conn_abandon(p->conn, cause);
    node_count_session(&p->node->counters, p->conn);
    old->conn = p->conn;
    old->generation = p->generation++;
    STAILQ_INSERT_TAIL(&p->old, old, link);
    p->conn = fresh;
}

bool peer_drop_session(struct peer *p, enum cause cause, bool ours)
{
    struct conn *fresh = new_conn(p);
    struct old_session *old = fresh ? mem_new(1, sizeof(*old)) : NULL;
    if (!old) {
        conn_free(fresh);
        LOG_AT(p->node->log, LOG_ERROR, "peer", "no_memory", "peer=%s", p->name);
        return false; /* the old one goes on; it is tried again with the next reason */
    }
    retire_conn(p, cause, old, fresh);
    p->started = false;
    p->opened = 0;
    p->chosen = 0;
    p->ways = (struct pathset_ways){0};
    p->sent_ns = 0;
    p->probe_number = 0;
    p->remote_epoch = 0;
    peer_candidates_forget(p);
    pathset_forget_proofs(&p->paths);
    for (size_t i = 0; i < PACKET_PATHS_MAX; i++) {
        replay_reset(&p->replay[i]);
    }
    if (ours) {
        /* Packet numbers start again: no key of the old session may ever see one of them. */
        keyring_clear_except(&p->keys, NULL);
        p->epoch = new_epoch(p->node);
    }
    p->changed = true;
    node_wake(p);
    return true;
}

static void start_session(struct peer *p, uint64_t epoch, uint64_t now)
{
    struct conn_peer_limits limits = {
        .session_window = p->remote.session_window,
        .stream_window = p->remote.stream_window,
        .streams_max = p->remote.streams_max,
        .max_ack_delay_ns = p->remote.max_ack_delay_us * NS_PER_US,
    };
    p->started = true;
    p->remote_epoch = epoch;
    p->session_ns = now;
    conn_start(p->conn, &limits, now);
}

bool peer_establish(struct peer *p, struct keyset *keys, const struct where *from, bool proof,
                    uint64_t now)
{
    uint64_t epoch = keys->tag;
    if (p->started && epoch != p->remote_epoch) {
        LOG_AT(p->node->log, LOG_INFO, "peer", "restarted", "peer=%s", p->name);
        p->restarts++;
        /* Not all but these: when both asked at once, the peer may use those of the other
         * handshake, under which we have sent nothing yet. */
        keyring_clear_except_tag(&p->keys, epoch);
        if (!peer_drop_session(p, CAUSE_PEER_RESTARTED, false)) {
            keyring_clear_except(&p->keys, NULL); /* they are for a session that we do not have */
            return false;
        }
    }
    if (!p->started) {
        start_session(p, epoch, now);
    }
    peer_candidates_hint(p, now);
    p->node->counters.handshakes_done++;
    p->handshake_ns = now;
    p->heard_ns = now;
    p->sent_ns = 0;
    p->hs_reason = HS_NONE;
    p->hs_retry_ns = TIME_NEVER;
    handshake_wipe(&p->hs); /* a late response would bring older keys, or a former life's */
    struct path *path = peer_path(p, from, false, now);
    if (path) {
        pathset_heard(&p->paths, path, now);
        if (proof) {
            pathset_acked(&p->paths, path, now, now);
        }
    }
    peer_settle(p, now);
    if (!peer_is_direct(p, now)) { /* else it is only the keys that are new */
        pathset_probe_all(&p->paths, now);
    }
    p->changed = true;
    node_wake(p);
    return true;
}

/* --- housekeeping --- */

/* New keys are no reason to be lively while streams sleep, or each renewal would be one. */
static uint64_t fresh_since(const struct peer *p)
{
    return conn_stream_wanted(p->conn) > 0 ? p->session_ns : p->handshake_ns;
}

/* When both ends made the present keys at the same moment, both would make the next ones: one of
 * them waits for the other. */
static uint64_t rekey_wait(const struct peer *p)
{
    bool late = memcmp(p->node->self.public.bytes, p->key.bytes, KEY_LEN) > 0;
    return late ? NODE_REKEY_WAIT_NS : 0;
}

static bool wants_rekey(const struct peer *p, uint64_t now)
{
    uint64_t wait = rekey_wait(p);
    return conn_is_active(p->conn) && keyring_wants_rekey(&p->keys, now > wait ? now - wait : now);
}

static enum pathset_pulse pulse_of(const struct peer *p, uint64_t now)
{
    if (!p->started) {
        return PATHSET_ASLEEP;
    }
    if (time_since(fresh_since(p), now) < NODE_FRESH_NS || peer_is_pinged(p, now)) {
        return PATHSET_BUSY;
    }
    if (conn_stream_wanted(p->conn) == 0) {
        return PATHSET_ASLEEP;
    }
    return time_since(p->active_ns, now) < NODE_BUSY_NS ? PATHSET_BUSY : PATHSET_QUIET;
}

static enum adit_peer_state state_of(const struct peer *p, uint64_t now)
{
    bool keys = (keyring_sender(&p->keys, now) != NULL);
    if (p->started && p->sent_ns != 0 && time_since(p->sent_ns, now) >= NODE_LOST_NS) {
        return ADIT_PEER_LOST;
    }
    if (p->started && keys) {
        return ADIT_PEER_CONNECTED;
    }
    return p->hs_reason != HS_NONE ? ADIT_PEER_CONNECTING : ADIT_PEER_IDLE;
}

static void set_state(struct peer *p, enum adit_peer_state state)
{
    static const char *const names[] = {"idle", "connecting", "connected", "lost"};
    if (state != p->state) {
        LOG_AT(p->node->log, LOG_INFO, "peer", "state", "peer=%s from=%s to=%s", p->name,
               names[p->state], names[state]);
        p->state = state;
        p->changed = true;
    }
}

void peer_settle(struct peer *p, uint64_t now)
{
    pathset_set_pulse(&p->paths, pulse_of(p, now), now);
    peer_paths_settle(p, now);
    peer_send_challenges(p, now);
    peer_candidates_settle(p, now);
    node_lifetime_settle(p, now);
    peer_ping_settle(p, now);
    bool stranded = !keyring_sender(&p->keys, now) || p->paths.best == 0;
    if (conn_stream_wanted(p->conn) > 0 && stranded) {
        peer_handshake_want(p, HS_DATA, now); /* its messages also go where no path is known */
    } else if (p->started && wants_rekey(p, now)) {
        peer_handshake_want(p, HS_REKEY, now);
    }
    set_state(p, state_of(p, now));
    node_nat_lively(p, now);
}

/* How long the streams have waited for a word of the peer. */
static uint64_t silence_begin(const struct peer *p)
{
    return p->heard_ns > p->waited_ns ? p->heard_ns : p->waited_ns;
}

void peer_tick(struct peer *p, uint64_t now)
{
    keyring_expire(&p->keys, now);
    if (p->started) {
        conn_tick(p->conn, now);
    }
    bool waiting = conn_stream_wanted(p->conn) > 0;
    if (p->started && waiting && time_since(silence_begin(p), now) > p->node->resume_timeout_ns) {
        LOG_AT(p->node->log, LOG_WARN, "peer", "given_up", "peer=%s", p->name);
        (void)peer_drop_session(p, CAUSE_PEER_LOST, true);
    } else if (waiting && p->sent_ns != 0 && time_since(p->sent_ns, now) >= NODE_RESTART_NS) {
        peer_handshake_want(p, HS_DATA, now);
    }
    peer_handshake_tick(p, now);
}

bool peer_is_called(const struct peer *p, uint64_t now)
{
    return p->initiation_ns != 0 && time_since(p->initiation_ns, now) < NODE_REPLY_NS;
}

/* The next moment at which pulse or state change by themselves. */
static uint64_t next_change(const struct peer *p, uint64_t now)
{
    if (!p->started) {
        return peer_is_called(p, now) ? p->initiation_ns + NODE_REPLY_NS : TIME_NEVER;
    }
    const uint64_t moments[] = {
        p->initiation_ns + NODE_REPLY_NS,
        conn_is_active(p->conn) ? time_add(keyring_rekey_ns(&p->keys), rekey_wait(p)) : TIME_NEVER,
        p->handshake_ns == 0 ? TIME_NEVER : fresh_since(p) + NODE_FRESH_NS,
        p->pinged_ns == 0 ? TIME_NEVER : p->pinged_ns + NODE_PING_NS,
        conn_stream_wanted(p->conn) == 0 ? TIME_NEVER : p->active_ns + NODE_BUSY_NS,
        p->sent_ns == 0 ? TIME_NEVER : p->sent_ns + NODE_RESTART_NS,
        p->sent_ns == 0 ? TIME_NEVER : p->sent_ns + NODE_LOST_NS,
        conn_stream_wanted(p->conn) == 0
            ? TIME_NEVER
            : time_add(silence_begin(p), p->node->resume_timeout_ns + 1),
    };
    uint64_t next = TIME_NEVER;
    for (size_t i = 0; i < sizeof(moments) / sizeof(moments[0]); i++) {
        next = moments[i] > now ? time_min(next, moments[i]) : next;
    }
    return next;
}

uint64_t peer_next_ns(const struct peer *p, uint64_t now)
{
    uint64_t next = time_min(next_change(p, now), p->hs_retry_ns);
    next = time_min(next, keyring_next_ns(&p->keys));
    if (p->started && (keyring_sender(&p->keys, now) != NULL)) {
        next = time_min(next, conn_next_ns(p->conn));
        next = time_min(next, pathset_next_ns(&p->paths, now));
        next = time_min(next, peer_candidates_next_ns(p));
    }
    return next;
}
