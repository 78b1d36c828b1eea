/* Acknowledgements that come in, and what becomes of the frames of packets that arrived or were
 * lost. Each frame's fate may be told more than once (it went out again, on another path), so
 * all of this changes nothing the second time.
 */
#include "transport/conn.h"

#include <base/check.h>
#include <base/err.h>

#include "transport/conn_internal.h"
#include "wire/varint.h"

static void learn(uint64_t *known, uint64_t value)
{
    *known = value > *known ? value : *known;
}

/* What a newer frame has overtaken, or another one has brought, needs no repetition. */
static bool is_missing(uint64_t lost, uint64_t latest, uint64_t known)
{
    return lost == latest && lost > known;
}

static void on_stream_frame_acked(struct conn *c, struct stream *s, const struct sent_record *r)
{
    switch ((enum sent_type)r->type) {
    case SENT_STREAM:
        stream_on_data_acked(s, r->from, r->len, r->fin);
        conn_count_buffer(c, s);
        conn_tell_writable(c, s);
        conn_want_data(c, s);
        conn_settle_break(c, s);
        break;
    case SENT_HELLO:
        s->hello_acked = true;
        stream_text_clear(&s->say);
        break;
    case SENT_RESET:
        if (s->send == STREAM_SEND_RESET) {
            stream_set_send(s, STREAM_SEND_RESET_ACKED);
        }
        break;
    case SENT_MAX_STREAM_DATA:
        learn(&s->credit.known, r->from);
        return;
    case SENT_STOP:
    case SENT_MAX_DATA:
    case SENT_MAX_STREAMS:
    case SENT_CANDIDATES:
    case SENT_ACK:
        return;
    }
    conn_check_over(c, s);
}

static void on_stream_frame_lost(struct conn *c, struct stream *s, const struct sent_record *r)
{
    uint8_t again = 0;
    switch ((enum sent_type)r->type) {
    case SENT_STREAM:
        stream_on_data_lost(s, r->from, r->len, r->fin);
        conn_count_buffer(c, s);
        conn_want_data(c, s);
        return;
    case SENT_HELLO:
        again = s->hello_made && !s->hello_acked ? STREAM_CONTROL_HELLO : 0;
        break;
    case SENT_RESET:
        again = s->send == STREAM_SEND_RESET ? STREAM_CONTROL_RESET : 0;
        break;
    case SENT_STOP:
        again = stream_is_received(s) ? 0 : STREAM_CONTROL_STOP;
        break;
    case SENT_MAX_STREAM_DATA:
        again = s->recv == STREAM_RECV_OPEN && is_missing(r->from, s->credit.limit, s->credit.known)
                    ? STREAM_CONTROL_CREDIT
                    : 0;
        break;
    case SENT_MAX_DATA:
    case SENT_MAX_STREAMS:
    case SENT_CANDIDATES:
    case SENT_ACK:
        return;
    }
    if (again != 0) {
        conn_want_control(c, s, again);
    }
}

static void on_session_frame_acked(struct conn *c, const struct sent_record *r)
{
    if (r->type == SENT_MAX_DATA) {
        learn(&c->credit.known, r->from);
    } else if (r->type == SENT_MAX_STREAMS) {
        learn(&c->theirs.known, r->from);
    } else if (r->type == SENT_CANDIDATES) {
        learn(&c->candidates.known, r->from);
    } else if (r->type == SENT_ACK) {
        ack_on_confirmed(&c->acks[r->id], r->from);
    }
}

static void on_session_frame_lost(struct conn *c, const struct sent_record *r)
{
    if (r->type == SENT_MAX_DATA) {
        c->credit_pending |= is_missing(r->from, c->credit.limit, c->credit.known);
    } else if (r->type == SENT_MAX_STREAMS) {
        c->streams_pending |= is_missing(r->from, c->theirs.limit, c->theirs.known);
    } else if (r->type == SENT_CANDIDATES) {
        c->candidates.pending |= is_missing(r->from, c->candidates.version, c->candidates.known);
    }
}

static bool is_of_stream(const struct sent_record *r)
{
    return r->type <= SENT_MAX_STREAM_DATA;
}

static void on_arrived(struct conn *c, const struct path *p, const struct sent_packet *packet)
{
    for (size_t i = 0; i < packet->records; i++) {
        const struct sent_record *r = sentmap_record(&p->sent, packet, i);
        struct stream *s = is_of_stream(r) ? conn_find(c, r->id) : NULL;
        if (s) {
            on_stream_frame_acked(c, s, r);
        } else {
            on_session_frame_acked(c, r);
        }
    }
}

void conn_requeue(struct conn *c, const struct path *p, const struct sent_packet *packet)
{
    for (size_t i = 0; i < packet->records && !packet->copy; i++) {
        const struct sent_record *r = sentmap_record(&p->sent, packet, i);
        struct stream *s = is_of_stream(r) ? conn_find(c, r->id) : NULL;
        if (s) {
            on_stream_frame_lost(c, s, r);
        } else {
            on_session_frame_lost(c, r);
        }
    }
}

void conn_move_flight(struct conn *c, struct path *p)
{
    for (uint64_t n = p->loss.scan; n < p->sent.next; n++) {
        struct sent_packet *packet = sentmap_find(&p->sent, n);
        if (packet && packet->state == SENT_FLYING) {
            path_settle(p, packet, SENT_MOVED);
            pmtud_on_probe_lost(&p->pmtud, n, c->now);
            conn_requeue(c, p, packet);
        }
    }
    p->loss.loss_ns = TIME_NEVER;
    p->probes = 0;
}

void conn_detect_lost(struct conn *c, struct path *p, uint64_t now)
{
    bool persistent = false;
    uint64_t pto_ns = path_pto(p, c->peer.max_ack_delay_ns);
    uint64_t number;
    while (loss_next(&p->loss, &p->sent, &p->rtt, now, &number)) {
        struct sent_packet *packet = sentmap_find(&p->sent, number);
        path_settle(p, packet, SENT_LOST);
        if (packet->probe) {
            pmtud_on_probe_lost(&p->pmtud, number, now);
            continue;
        }
        if (!packet->eliciting) {
            continue;
        }
        if (pmtud_on_lost(&p->pmtud, number, packet->bytes, p->sent.next, now)) {
            path_update_mtu(p);
        }
        p->packets_lost++;
        c->stats.packets_lost++;
        path_on_lost(p, number, packet, now);
        persistent |= loss_is_persistent(&p->loss, &p->sent, number, pto_ns);
        conn_requeue(c, p, packet);
    }
    if (persistent) {
        p->cc.ops->on_persistent(&p->cc, now);
        p->rtt.min = p->rtt.latest;
    }
}

/* --- acknowledgements --- */

static void on_packet_acked(struct conn *c, struct path *p, uint64_t number, uint64_t in_flight)
{
    struct sent_packet *packet = sentmap_find(&p->sent, number);
    enum sent_state was = (enum sent_state)packet->state;
    path_settle(p, packet, SENT_ACKED);
    loss_on_acked(&p->loss, number);
    if (packet->sent_ns > p->acked_sent_ns) {
        p->acked_sent_ns = packet->sent_ns;
    }
    if (packet->eliciting && was == SENT_FLYING) {
        const struct cc_ack ack = {.number = number,
                                   .sent_ns = packet->sent_ns,
                                   .bytes = packet->bytes,
                                   .in_flight = p->in_flight + packet->bytes,
                                   .app_limited = path_was_limited(p, number, in_flight)};
        rate_on_acked(&p->rate, &packet->stamp, packet->sent_ns, packet->bytes, c->now);
        p->cc.ops->on_ack(&p->cc, &ack, &p->rtt, c->now);
    } else if (packet->eliciting && was == SENT_LOST && !packet->probe) {
        path_on_spurious(p, number, packet, c->now);
    }
    if (pmtud_on_acked(&p->pmtud, number, packet->bytes, c->now)) {
        path_update_mtu(p);
        LOG_AT(c->log, LOG_DEBUG, "conn", "path_mtu", "bytes=%zu", p->mtu);
    }
    on_arrived(c, p, packet);
}

/* The first packet from `number` on, below `end`, that is not known as acknowledged. */
static uint64_t next_unacked(const struct sentmap *m, uint64_t number, uint64_t end)
{
    if (number < m->first) {
        number = m->first;
    }
    return number < end ? sentmap_skip_acked(m, number) : number;
}

/* RFC 9002 5.1: only if the largest is newly acknowledged, and something ack-eliciting is. */
static void sample_rtt(struct conn *c, struct path *p, const struct frame_ack *ack, uint64_t now)
{
    const struct sent_packet *largest = sentmap_find(&p->sent, ack->ranges[0].last);
    if (!largest || largest->state != SENT_FLYING) {
        return;
    }
    bool eliciting = false;
    for (size_t i = 0; i < ack->count && !eliciting; i++) {
        uint64_t end = ack->ranges[i].last + 1;
        uint64_t n = next_unacked(&p->sent, ack->ranges[i].first, end);
        for (; n < end && !eliciting; n = next_unacked(&p->sent, n + 1, end)) {
            eliciting = sentmap_find(&p->sent, n)->eliciting;
        }
    }
    if (!eliciting) {
        return;
    }
    if (!p->rtt.sampled) {
        p->loss.sampled_ns = now;
    }
    rtt_sample(&p->rtt, time_since(largest->sent_ns, now), ack->delay_us * NS_PER_US,
               c->peer.max_ack_delay_ns);
}

/* True if something was newly acknowledged. */
static bool settle_range(struct conn *c, struct path *p, const struct frame_range *r,
                         uint64_t in_flight)
{
    uint64_t end = r->last + 1;
    uint64_t n = next_unacked(&p->sent, r->first, end);
    bool any = n < end;
    for (; n < end; n = next_unacked(&p->sent, n + 1, end)) {
        on_packet_acked(c, p, n, in_flight);
    }
    return any;
}

/* Of a packet that cannot have come to the peer (RFC 9000 13.1, 21.4). */
static bool is_made_up(const struct path *p, const struct frame_ack *ack)
{
    bool made_up = ack->ranges[0].last >= p->sent.next;
    for (size_t i = 0; i < ack->count && !made_up; i++) {
        made_up = skip_is_within(&p->skip, ack->ranges[i].first, ack->ranges[i].last);
    }
    return made_up;
}

int conn_on_ack(struct conn *c, const struct frame_ack *ack, uint64_t now)
{
    if (ack->path == PACKET_PATH_PROBE || ack->path >= PACKET_PATHS_MAX) {
        return ERR_PROTOCOL;
    }
    struct path *p = &c->paths[ack->path];
    if (is_made_up(p, ack)) {
        return ERR_PROTOCOL;
    }
    if (!p->open || ack->delay_us > VARINT_MAX / NS_PER_US) {
        return 0;
    }
    sample_rtt(c, p, ack, now);
    uint64_t in_flight = p->in_flight;
    bool any = false;
    for (size_t i = ack->count; i > 0; i--) {
        any |= settle_range(c, p, &ack->ranges[i - 1], in_flight);
    }
    if (!any) {
        return 0;
    }
    p->last_acked_ns = now;
    p->loss.pto_count = 0;
    p->probes = 0;
    p->suspect = false;
    conn_detect_lost(c, p, now);
    path_on_acks(p, now);
    path_update_pace(p, now);
    path_trim(p, c->peer.max_ack_delay_ns, now);
    return 0;
}
