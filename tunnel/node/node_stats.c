#include "node/node_internal.h"

static uint64_t age(uint64_t then, uint64_t now)
{
    return then == 0 ? TIME_NEVER : time_since(then, now);
}

static enum adit_aead aead_of(const struct peer *p, uint64_t now)
{
    const struct keyset *keys = keyring_sender(&p->keys, now);
    switch (keys ? keys->send.kind : AEAD_NONE) {
    case AEAD_CHACHA20POLY1305:
        return ADIT_AEAD_CHACHA20POLY1305;
    case AEAD_AES256GCM:
        return ADIT_AEAD_AES256GCM;
    case AEAD_NONE:
        break;
    }
    return ADIT_AEAD_NONE;
}

void node_peer_stats(const struct node *n, size_t peer, struct adit_peer_stats *out, uint64_t now)
{
    const struct peer *p = &n->peers[peer];
    struct conn_stats conn;
    conn_stats(p->conn, &conn);
    *out = (struct adit_peer_stats){
        .name = p->name,
        .state = p->state,
        .aead = aead_of(p, now),
        .streams = conn_stream_wanted(p->conn),
        .bytes_in = p->bytes_in + conn.bytes_in,
        .bytes_out = p->bytes_out + conn.bytes_out,
        .packets_lost = p->packets_lost + conn.packets_lost,
        .handshake_age_ns = age(p->handshake_ns, now),
        .heard_age_ns = age(p->heard_ns, now),
        .path_changes = p->path_changes,
        .restarts_seen = p->restarts,
        .home_relay = p->home < n->relay_count ? n->relays[p->home].name : NULL,
    };
    memcpy(out->key, p->key.bytes, sizeof(out->key));
    if (p->paths.best == 0) {
        return;
    }
    const struct path *path = &p->paths.paths[p->paths.best];
    struct conn_path_info info;
    bool open = conn_path_info(p->conn, path->id, &info);
    out->path.rtt_ns = open && info.srtt_ns != 0 ? info.srtt_ns : path->rtt_ns;
    out->path.mtu = open ? info.mtu : 0;
    out->path.cwnd = open ? info.cwnd : 0;
    out->path.in_flight = open ? info.in_flight : 0;
    out->path.probe_timeouts = open ? info.pto_count : 0;
    out->path.kind = path->where.kind == WHERE_DIRECT ? ADIT_PATH_DIRECT : ADIT_PATH_RELAY;
    if (path->where.kind == WHERE_DIRECT) {
        out->path.address = path->where.addr;
    } else {
        out->path.relay = n->relays[path->where.relay].name;
    }
}

/* Made, but more than the relay said that it would take. */
static uint64_t dropped_of(const struct relay_link *r)
{
    return relay_client_stats(r->client)->dropped_rate;
}

void node_relay_stats(const struct node *n, size_t relay, struct adit_relay_stats *out)
{
    const struct relay_link *r = &n->relays[relay];
    enum relay_client_state state = relay_client_state(r->client);
    *out = (struct adit_relay_stats){
        .name = r->name,
        .state = state == RELAY_CLIENT_UP     ? ADIT_RELAY_UP
                 : state == RELAY_CLIENT_IDLE ? ADIT_RELAY_IDLE
                                              : ADIT_RELAY_CONNECTING,
        .rtt_ns = relay_client_rtt_ns(r->client),
        .dropped = dropped_of(r),
        .home = relay == n->home.home,
        .why = r->why[0] ? r->why : NULL,
    };
}

void node_count_session(struct adit_counters *to, const struct conn *c)
{
    struct conn_stats stats;
    conn_stats(c, &stats);
    to->streams_refused += stats.streams_refused;
    to->datagrams_in += stats.datagrams_in;
    to->datagrams_out += stats.datagrams_out;
    to->datagrams_refused += stats.datagrams_refused;
    to->datagrams_expired += stats.datagrams_expired;
    to->datagrams_lost += stats.datagrams_lost;
}

void node_counters(const struct node *n, struct adit_counters *out)
{
    *out = n->counters;
    for (size_t i = 0; i < n->relay_count; i++) {
        out->relay_dropped += dropped_of(&n->relays[i]);
    }
    out->birthday_runs = n->birthday.stats.runs;
    out->birthday_won = n->birthday.stats.won;
    out->birthday_sent = n->birthday.stats.sent;
    out->sequence_runs = n->sequence.stats.runs;
    out->sequence_won = n->sequence.stats.won;
    out->sequence_sent = n->sequence.stats.sent;
    out->guesses_refused = n->guess.refused;
    for (size_t i = 0; i < n->peer_count; i++) {
        node_count_session(out, n->peers[i].conn);
        out->path_changes += n->peers[i].path_changes;
    }
}
