#include "transport/conn.h"

#include <base/check.h>
#include <base/clock.h>
#include <base/mem.h>

#include "transport/conn_internal.h"

enum { STREAM_WINDOWS = 2048 };
#define STREAM_WINDOW_LEAST (UINT64_C(16) << 10)

struct conn_limits conn_limits_of(uint64_t window)
{
    uint64_t stream = window / STREAM_WINDOWS;
    stream = stream > STREAM_WINDOW_LEAST ? stream : STREAM_WINDOW_LEAST;
    stream = stream < window ? stream : window;
    return (struct conn_limits){.session_window = window,
                                .session_window_max = window,
                                .stream_window = stream,
                                .stream_window_max = window / 2 > stream ? window / 2 : stream,
                                .send_buffer_max = window / 2 > stream ? window / 2 : stream,
                                .send_buffers_max = window,
                                .streams_max = 4096,
                                .max_ack_delay_ns = 25 * NS_PER_MS,
                                .datagrams_max = UINT64_C(1) << 20,
                                .datagram_age_ns = 250 * NS_PER_MS};
}

struct conn_limits conn_limits_default(void)
{
    return conn_limits_of(UINT64_C(64) << 20);
}

struct conn *conn_new(const struct conn_config *config)
{
    struct conn *c = mem_new(1, sizeof(*c));
    if (!c) {
        return NULL;
    }
    c->limits = config->limits;
    c->log = config->log;
    c->rng = config->rng;
    c->congestion = config->congestion == CONN_CONGESTION_CUBIC ? &cc_cubic : &cc_bbr;
    c->even = config->even;
    c->peer.max_ack_delay_ns = config->limits.max_ack_delay_ns;
    for (size_t i = 0; i < PACKET_PATHS_MAX; i++) {
        path_init(&c->paths[i]);
        ack_init(&c->acks[i]);
    }
    c->ours.limit = config->limits.streams_max;
    c->theirs.limit = config->limits.streams_max;
    ranges_init(&c->unseen, config->limits.streams_max + 1);
    TAILQ_INIT(&c->held);
    TAILQ_INIT(&c->events);
    conn_lanes_init(c);
    flow_init(&c->credit, config->limits.session_window, config->limits.session_window_max);
    conn_init_datagrams(c);
    return c;
}

void conn_free(struct conn *c)
{
    if (!c) {
        return;
    }
    size_t at = 0;
    struct stream *s;
    while ((s = table_next(&c->streams, &at)) != NULL) {
        conn_unlink(c, s);
        stream_free(s);
    }
    table_deinit(&c->streams);
    ring_spares_free(&c->spares);
    conn_free_datagrams(c);
    ranges_deinit(&c->unseen);
    for (size_t i = 0; i < PACKET_PATHS_MAX; i++) {
        path_deinit(&c->paths[i]);
        ack_deinit(&c->acks[i]);
    }
    mem_free(c);
}

void conn_start(struct conn *c, const struct conn_peer_limits *peer, uint64_t now)
{
    CHECK(!c->started);
    c->now = now;
    c->started = true;
    c->peer = *peer;
    c->send_limit = peer->session_window;
    c->ours.limit = peer->streams_max;
    size_t at = 0;
    struct stream *s;
    while ((s = table_next(&c->streams, &at)) != NULL) {
        s->send_limit = peer->stream_window;
        conn_count_buffer(c, s);
    }
}

/* --- paths --- */

void conn_path_open(struct conn *c, uint8_t path, size_t mtu, uint64_t now)
{
    CHECK(path > 0 && path < PACKET_PATHS_MAX);
    CHECK(mtu >= PACKET_MTU_BASE && mtu <= PACKET_MTU_MAX);
    c->now = now;
    if (c->paths[path].open) {
        conn_move_flight(c, &c->paths[path]);
        path_close(&c->paths[path]);
    }
    path_open(&c->paths[path], c->congestion, mtu, now);
}

void conn_path_search_mtu(struct conn *c, uint8_t path, size_t most, uint64_t now)
{
    CHECK(path > 0 && path < PACKET_PATHS_MAX && c->paths[path].open && most <= PACKET_MTU_MAX);
    c->now = now;
    pmtud_search(&c->paths[path].pmtud, most, now);
}

void conn_path_close(struct conn *c, uint8_t path, uint64_t now)
{
    CHECK(path > 0 && path < PACKET_PATHS_MAX);
    c->now = now;
    if (!c->paths[path].open) {
        return;
    }
    conn_move_flight(c, &c->paths[path]);
    path_close(&c->paths[path]);
    c->suspects &= ~(UINT32_C(1) << path);
    conn_leave_path(c, path);
    if (c->copy.path == path) {
        conn_path_copy(c, 0, false);
    }
}

void conn_path_block(struct conn *c, uint8_t path, bool blocked)
{
    CHECK(path > 0 && path < PACKET_PATHS_MAX);
    struct path *p = &c->paths[path];
    if (p->blocked && !blocked) {
        p->flight_ns = c->now;
        p->loss.pto_from_ns = c->now; /* what was not sent cannot be overdue */
    }
    p->blocked = p->open && blocked;
    if (p->blocked) {
        conn_copy_drop(c, path);
    }
}

bool conn_path_info(const struct conn *c, uint8_t path, struct conn_path_info *out)
{
    if (path >= PACKET_PATHS_MAX || !c->paths[path].open) {
        return false;
    }
    const struct path *p = &c->paths[path];
    *out = (struct conn_path_info){.srtt_ns = p->rtt.sampled ? p->rtt.smoothed : 0,
                                   .min_rtt_ns = p->rtt.sampled ? p->rtt.min : 0,
                                   .rttvar_ns = p->rtt.sampled ? p->rtt.variance : 0,
                                   .cwnd = p->cc.cwnd,
                                   .in_flight = p->in_flight,
                                   .mtu = p->mtu,
                                   .pto_count = p->loss.pto_count,
                                   .last_acked_ns = p->last_acked_ns,
                                   .acked_sent_ns = p->acked_sent_ns,
                                   .last_elicited_ns = p->last_elicited_ns,
                                   .packets_sent = p->packets_sent,
                                   .packets_lost = p->packets_lost,
                                   .bytes_sent = p->bytes_sent,
                                   .packets_received = p->packets_received};
    return true;
}

uint64_t conn_rtt(const struct conn *c)
{
    const struct rtt *r = &c->paths[c->used[FRAME_LANE_ANY]].rtt;
    return r->sampled ? r->smoothed : RTT_INITIAL_NS;
}

/* --- what it tells about itself --- */

bool conn_is_active(const struct conn *c)
{
    if (c->state == CONN_CLOSED) {
        return c->streams.count > 0;
    }
    if (c->streams.count > 0 || c->candidates.pending || c->credit_pending || c->streams_pending) {
        return true;
    }
    for (size_t i = 1; i < PACKET_PATHS_MAX; i++) {
        if (c->paths[i].in_flight > 0 || c->acks[i].due_ns != TIME_NEVER) {
            return true;
        }
    }
    return c->state == CONN_CLOSING;
}

size_t conn_stream_count(const struct conn *c)
{
    return c->streams.count;
}

size_t conn_stream_wanted(const struct conn *c)
{
    return c->streams.count - c->over_count;
}

void conn_stats(const struct conn *c, struct conn_stats *out)
{
    *out = c->stats;
    out->datagrams_lost += c->datagrams.parts.lost;
}

void conn_send_candidates(struct conn *c, const struct frame_candidate *list, size_t count)
{
    CHECK(count <= FRAME_CANDIDATES_MAX);
    if (count > 0) {
        memcpy(c->candidates.list, list, count * sizeof(*list));
    }
    c->candidates.count = count;
    c->candidates.version++;
    c->candidates.pending = true;
}
