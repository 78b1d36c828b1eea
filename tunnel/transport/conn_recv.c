/* From a payload to frames to streams.
 *
 * A packet for which there is no memory counts as not received: the peer sends its frames again.
 * So every frame must bear to come twice.
 */
#include "transport/conn.h"

#include <base/check.h>
#include <base/err.h>

#include "transport/conn_internal.h"

struct arrival {
    uint8_t from;
    uint64_t number;
    uint64_t now;
};

static bool is_local(const struct conn *c, uint64_t id)
{
    return (id & 1) == (c->even ? 0 : 1);
}

/* Notes that something came for the peer's stream `index`. */
static int mark_seen(struct conn *c, uint64_t index)
{
    if (index < c->theirs.next) {
        return ranges_remove(&c->unseen, index, index + 1);
    }
    int err = index > c->theirs.next ? ranges_add(&c->unseen, c->theirs.next, index) : 0;
    if (err == 0) {
        c->theirs.next = index + 1;
    }
    return err;
}

static int make_theirs(struct conn *c, uint64_t id, struct stream **out)
{
    struct stream *s = conn_add_stream(c, id, false);
    if (!s) {
        c->stats.streams_refused++;
        return ERR_NO_MEMORY;
    }
    if (mark_seen(c, id >> 1) < 0) {
        conn_forget_stream(c, s);
        return ERR_NO_MEMORY;
    }
    conn_update_limits(c);
    *out = s;
    return 0;
}

/* The stream that a frame names, made if it is a new one of the peer; NULL if it is gone. */
static int find_named(struct conn *c, uint64_t id, struct stream **out)
{
    *out = conn_find(c, id);
    if (*out) {
        return 0;
    }
    uint64_t index = id >> 1;
    if (is_local(c, id)) {
        return index < c->ours.next ? 0 : ERR_PROTOCOL;
    }
    if (index >= c->theirs.limit) {
        return ERR_STREAM_LIMIT;
    }
    if (index < c->theirs.next && !ranges_contains(&c->unseen, index)) {
        return 0;
    }
    return make_theirs(c, id, out);
}

/* How far `end` lies above what came before; ERR_FLOW_CONTROL if that is past a credit. */
static int count_new(const struct conn *c, const struct stream *s, uint64_t end, uint64_t *more)
{
    *more = end > s->in.top ? end - s->in.top : 0;
    bool over =
        *more > 0 && (end > s->credit.limit || *more > c->credit.limit - c->credit.received);
    return over ? ERR_FLOW_CONTROL : 0;
}

static int on_stream(struct conn *c, const struct frame *f, uint64_t now)
{
    struct stream *s;
    uint64_t more;
    uint64_t end = f->u.stream.offset + f->u.stream.len;
    bool fin = f->u.stream.fin;
    int err = find_named(c, f->u.stream.stream, &s);
    if (err < 0 || !s || stream_is_received(s)) {
        return err;
    }
    if ((err = recvbuf_check(&s->in, end, fin)) < 0 || (err = count_new(c, s, end, &more)) < 0) {
        return err;
    }
    bool was_readable = stream_is_readable(s);
    if (s->recv == STREAM_RECV_DISCARD) {
        recvbuf_skip(&s->in, end, fin);
        conn_consume_session(c, more, now);
    } else if (recvbuf_insert(&s->in, f->u.stream.offset, f->u.stream.data, f->u.stream.len, fin) <
               0) {
        return ERR_NO_MEMORY;
    }
    c->credit.received += more;
    c->stats.bytes_in += more;
    stream_update_recv(s);
    conn_relieve(c, s);
    if (!was_readable && stream_is_readable(s)) {
        conn_raise(c, s, STREAM_EVENT_READABLE);
    }
    conn_check_over(c, s);
    return 0;
}

/* All that came before it is here, and somebody may still read it. */
static bool has_unread(const struct stream *s, uint64_t final)
{
    return s->recv < STREAM_RECV_DISCARD && s->in.ready == final && s->in.read < final;
}

/* A reset behind bytes that all arrived before: it waits until they are read. */
static int on_reset_at_end(struct conn *c, struct stream *s, const struct frame *f)
{
    uint64_t final = f->u.reset.final_size;
    if (stream_is_received(
            s)) { /* the end came first: nothing of it is lost, but we send no more */
        if (s->send < STREAM_SEND_DONE && !s->over_told) {
            conn_end_stream_by_peer(c, s, f->u.reset.cause);
        }
        return 0;
    }
    int err = recvbuf_insert(&s->in, final, NULL, 0, true);
    if (err == 0) {
        conn_break_by_peer(c, s, f->u.reset.cause);
        stream_update_recv(s);
    }
    return err;
}

static int on_reset(struct conn *c, const struct frame *f, uint64_t now)
{
    struct stream *s;
    uint64_t more;
    uint64_t final = f->u.reset.final_size;
    int err = find_named(c, f->u.reset.stream, &s);
    if (err < 0 || !s || (stream_is_received(s) && !f->u.reset.at_end)) {
        return err;
    }
    if ((err = recvbuf_check(&s->in, final, true)) < 0 ||
        (err = count_new(c, s, final, &more)) < 0) {
        return err;
    }
    if (f->u.reset.at_end && (stream_is_received(s) || has_unread(s, final))) {
        return on_reset_at_end(c, s, f);
    }
    c->credit.received += more;
    conn_end_stream_by_peer(c, s, f->u.reset.cause);
    recvbuf_skip(&s->in, final, true);
    conn_consume_session(c, more, now);
    stream_update_recv(s);
    conn_check_over(c, s);
    return 0;
}

static int on_stop(struct conn *c, const struct frame *f)
{
    struct stream *s;
    int err = find_named(c, f->u.stop.stream, &s);
    if (err < 0 || !s) {
        return err;
    }
    bool sent = s->send == STREAM_SEND_DONE || s->send == STREAM_SEND_RESET_ACKED;
    if (!sent || !stream_is_received(s)) {
        conn_end_stream_by_peer(c, s, f->u.stop.cause);
    }
    return 0;
}

static int on_open(struct conn *c, const struct frame *f)
{
    struct stream *s;
    if (is_local(c, f->u.open.stream)) {
        return ERR_PROTOCOL;
    }
    int err = find_named(c, f->u.open.stream, &s);
    if (err < 0 || !s || s->hello_seen) {
        return err;
    }
    err = stream_text_set(&s->heard, f->u.open.data, f->u.open.len);
    if (err < 0) {
        return err;
    }
    s->hello_seen = true;
    if (!s->over_told) {
        conn_set_lane(c, s, f->u.open.lane);
    }
    conn_raise(c, s, STREAM_EVENT_HELLO);
    if (stream_is_readable(s)) {
        conn_raise(c, s, STREAM_EVENT_READABLE);
    }
    conn_check_over(c, s);
    return 0;
}

static int on_accept(struct conn *c, const struct frame *f)
{
    struct stream *s;
    if (!is_local(c, f->u.accept.stream)) {
        return ERR_PROTOCOL;
    }
    int err = find_named(c, f->u.accept.stream, &s);
    if (err < 0 || !s || s->hello_seen || s->over_told) {
        return err;
    }
    err = stream_text_set(&s->heard, f->u.accept.data, f->u.accept.len);
    if (err < 0) {
        return err;
    }
    s->hello_seen = true;
    conn_raise(c, s, STREAM_EVENT_HELLO);
    if (stream_is_readable(s)) {
        conn_raise(c, s, STREAM_EVENT_READABLE);
    }
    return 0;
}

static void on_max_data(struct conn *c, uint64_t limit)
{
    if (limit > c->send_limit) {
        c->send_limit = limit;
        conn_unblock(c);
    }
}

static int on_max_stream_data(struct conn *c, uint64_t id, uint64_t limit)
{
    struct stream *s;
    int err = find_named(c, id, &s);
    if (err < 0 || !s) {
        return err;
    }
    if (limit > s->send_limit) {
        s->send_limit = limit;
        conn_count_buffer(c, s);
        conn_want_data(c, s);
        conn_tell_writable(c, s);
    }
    return 0;
}

static void on_max_streams(struct conn *c, uint64_t limit)
{
    if (limit <= c->ours.limit) {
        return;
    }
    c->ours.limit = limit;
    struct stream *s;
    while ((s = TAILQ_FIRST(&c->held)) != NULL) {
        TAILQ_REMOVE(&c->held, s, control_link);
        s->control_held = false;
        conn_want_control(c, s, 0);
    }
}

/* The list has no version: one that an older packet of the same path brought is out of date. */
static void on_candidates(struct conn *c, const struct frame *f, const struct arrival *in)
{
    if (c->peer_candidates.path == in->from && in->number < c->peer_candidates.number) {
        return;
    }
    c->peer_candidates.path = in->from;
    c->peer_candidates.number = in->number;
    c->peer_candidates.count = f->u.candidates.count;
    memcpy(c->peer_candidates.list, f->u.candidates.list,
           f->u.candidates.count * sizeof(f->u.candidates.list[0]));
    c->candidates_event = true;
}

static void on_close(struct conn *c, const struct frame *f)
{
    c->state = CONN_CLOSED;
    c->closed_cause = f->u.close.cause;
    c->closed_event = true;
}

/* RFC 9000 13.2: what obliges the receiver to answer. */
static bool is_eliciting(enum frame_type type)
{
    return type != FRAME_PADDING && type != FRAME_ACK && type != FRAME_CLOSE;
}

static int on_frame(struct conn *c, const struct frame *f, const struct arrival *in)
{
    switch (f->type) {
    case FRAME_PADDING:
    case FRAME_PING:
        return 0;
    case FRAME_DATAGRAM:
    case FRAME_DATAGRAM_PART:
        return conn_on_datagram(c, f, in->now);
    case FRAME_ACK:
        return conn_on_ack(c, &f->u.ack, in->now);
    case FRAME_RESET:
        return on_reset(c, f, in->now);
    case FRAME_STOP:
        return on_stop(c, f);
    case FRAME_OPEN:
        return on_open(c, f);
    case FRAME_ACCEPT:
        return on_accept(c, f);
    case FRAME_STREAM:
        return on_stream(c, f, in->now);
    case FRAME_MAX_DATA:
        on_max_data(c, f->u.max.limit);
        return 0;
    case FRAME_MAX_STREAM_DATA:
        return on_max_stream_data(c, f->u.max.stream, f->u.max.limit);
    case FRAME_MAX_STREAMS:
        on_max_streams(c, f->u.max.limit);
        return 0;
    case FRAME_CANDIDATES:
        on_candidates(c, f, in);
        return 0;
    case FRAME_CLOSE:
        on_close(c, f);
        return 0;
    case FRAME_OPEN_BOUND: /* read as FRAME_OPEN */
    case FRAME_RESET_AT_END:
    case FRAME_PATH_CHALLENGE: /* the probe space's */
    case FRAME_PATH_RESPONSE:
        break;
    }
    return ERR_PROTOCOL;
}

int conn_input(struct conn *c, uint8_t from, uint64_t number, uint8_t reply, const uint8_t *data,
               size_t len, uint64_t now)
{
    if (from == 0 || from >= PACKET_PATHS_MAX || reply >= PACKET_PATHS_MAX) {
        return ERR_PROTOCOL;
    }
    c->now = now;
    struct ack *a = &c->acks[from];
    if (ack_has_seen(a, number)) {
        c->stats.packets_duplicate++;
        return 0;
    }
    const struct arrival in = {.from = from, .number = number, .now = now};
    bool eliciting = false;
    struct reader r = reader_of(data, len);
    while (c->state == CONN_OPEN && reader_left(&r) > 0) {
        int err = frame_read(&c->frame, &r);
        if (err == 0) {
            eliciting = eliciting || is_eliciting(c->frame.type);
            err = on_frame(c, &c->frame, &in);
        }
        if (err < 0) {
            return err == ERR_NO_MEMORY ? 0 : err;
        }
    }
    const struct rtt *rtt = &c->paths[reply != 0 ? reply : conn_path_used(c)].rtt;
    uint64_t period_ns = ack_period(rtt->sampled ? rtt->min : 0);
    size_t bytes = eliciting ? len : 0;
    if (ack_on_received(a, number, bytes, c->limits.max_ack_delay_ns, period_ns, now) == 0) {
        a->reply = reply;
        c->stats.packets_in++;
        c->paths[reply].packets_received++;
    }
    return 0;
}
