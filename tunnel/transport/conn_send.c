/* What goes into the next packet: acknowledgements, control frames, datagrams, stream data, in this
 * order. */
#include "transport/conn.h"

#include <base/check.h>

#include "transport/conn_internal.h"

enum {
    ACK_ROOM = 512,    /* so that acknowledgements leave room for data */
    ACK_LEAST = 48,    /* room for the shortest useful one */
    STREAM_LEAST = 32, /* a shorter piece of a stream is not worth its frame */
    CONTROL_LEN = 25,  /* type and three varints */
    CANDIDATE_LEN = 20,
};

#define HOLD_NS (10 * NS_PER_MS) /* pause after a packet for which there was no memory */

struct build {
    struct conn *c;
    struct path *p;
    struct writer w;
    bool eliciting;
    bool single; /* must not be copied: its frames belong to a lane, or may come once only */
};

static bool has_room(const struct build *b, size_t len)
{
    return writer_room(&b->w) >= len && sentmap_noted(&b->p->sent) < SENTMAP_PER_PACKET_MAX;
}

static void note(struct build *b, struct sent_record record)
{
    sentmap_note(&b->p->sent, &record);
    b->eliciting = b->eliciting || record.type != SENT_ACK;
    b->single = b->single || record.type == SENT_CANDIDATES;
}

/* --- acknowledgements --- */

uint8_t conn_reply_path(const struct conn *c, uint8_t from)
{
    const struct path *p = &c->paths[c->acks[from].reply];
    if (p->open && !p->blocked) {
        return c->acks[from].reply;
    }
    uint8_t used = c->used[FRAME_LANE_ANY];
    return used != 0 && !c->paths[used].blocked ? used : 0;
}

static bool is_ack_due(const struct conn *c, uint8_t path, uint64_t now)
{
    for (uint8_t from = 1; from < PACKET_PATHS_MAX; from++) {
        if (c->acks[from].due_ns <= now && conn_reply_path(c, from) == path) {
            return true;
        }
    }
    return false;
}

static void write_ack(struct build *b, uint8_t from, uint64_t now)
{
    struct frame_ack ack;
    if (!has_room(b, ACK_LEAST) || !ack_make(&b->c->acks[from], &ack, now)) {
        return;
    }
    ack.path = from;
    size_t room = writer_room(&b->w) < ACK_ROOM ? writer_room(&b->w) : ACK_ROOM;
    struct writer part = writer_of(b->w.at, room);
    frame_write_ack(&part, &ack);
    if (part.failed) {
        return;
    }
    b->w.at = part.at;
    note(b, (struct sent_record){.type = SENT_ACK, .id = from, .from = ack.ranges[0].last});
    ack_on_sent(&b->c->acks[from]);
}

/* Those that are due; together with data all that have something new to tell. */
static void write_acks(struct build *b, uint8_t path, bool with_data, uint64_t now)
{
    for (uint8_t from = 1; from < PACKET_PATHS_MAX; from++) {
        const struct ack *a = &b->c->acks[from];
        bool wanted = a->due_ns <= now || (with_data && (a->due_ns != TIME_NEVER || a->along));
        if (wanted && conn_reply_path(b->c, from) == path) {
            write_ack(b, from, now);
        }
    }
}

/* A receiver's packets are never acknowledged, so its ranges pile up: a ping now and then, once a
 * round trip at most, gets it an acknowledgement of its acknowledgements (RFC 9000 13.2.4). */
static bool asks_for_ack(const struct build *b, uint8_t path, uint64_t now)
{
    const struct path *p = b->p;
    uint64_t pause = p->rtt.sampled ? p->rtt.smoothed : RTT_INITIAL_NS;
    if (p->loss.eliciting > 0 || time_since(p->last_elicited_ns, now) < pause) {
        return false;
    }
    for (uint8_t from = 1; from < PACKET_PATHS_MAX; from++) {
        struct ack *a = &b->c->acks[from];
        if (ack_wants_confirmation(a) && conn_reply_path(b->c, from) == path) {
            ack_on_asked(a);
            return true;
        }
    }
    return false;
}

/* --- control frames --- */

static void write_session_limits(struct build *b)
{
    struct conn *c = b->c;
    if (c->credit_pending && has_room(b, CONTROL_LEN)) {
        frame_write_max(&b->w, FRAME_MAX_DATA, 0, c->credit.limit);
        note(b, (struct sent_record){.type = SENT_MAX_DATA, .from = c->credit.limit});
        c->credit_pending = false;
    }
    if (c->streams_pending && has_room(b, CONTROL_LEN)) {
        frame_write_max(&b->w, FRAME_MAX_STREAMS, 0, c->theirs.limit);
        note(b, (struct sent_record){.type = SENT_MAX_STREAMS, .from = c->theirs.limit});
        c->streams_pending = false;
    }
    size_t len = 4 + CANDIDATE_LEN * c->candidates.count;
    if (c->candidates.pending && has_room(b, len)) {
        frame_write_candidates(&b->w, c->candidates.list, c->candidates.count);
        note(b, (struct sent_record){.type = SENT_CANDIDATES, .from = c->candidates.version});
        c->candidates.pending = false;
    }
}

static void write_hello(struct build *b, struct stream *s)
{
    if (s->local) {
        frame_write_open_bound(&b->w, s->id, (enum frame_lane)s->lane, s->say.data, s->say.len);
    } else {
        frame_write_accept(&b->w, s->id, s->say.data, s->say.len);
    }
    note(b, (struct sent_record){.type = SENT_HELLO, .id = s->id});
    s->hello_sent = true;
    conn_count_buffer(b->c, s);
    conn_tell_writable(b->c, s);
    conn_want_data(b->c, s);
}

static void write_one_control(struct build *b, struct stream *s, uint8_t frame)
{
    switch (frame) {
    case STREAM_CONTROL_HELLO:
        write_hello(b, s);
        break;
    case STREAM_CONTROL_RESET:
        frame_write_reset(&b->w, s->id, s->cause, s->out.high, s->breaking);
        note(b, (struct sent_record){.type = SENT_RESET, .id = s->id});
        break;
    case STREAM_CONTROL_STOP:
        frame_write_stop(&b->w, s->id, s->cause);
        note(b, (struct sent_record){.type = SENT_STOP, .id = s->id});
        break;
    case STREAM_CONTROL_CREDIT:
        frame_write_max(&b->w, FRAME_MAX_STREAM_DATA, s->id, s->credit.limit);
        note(b, (struct sent_record){
                    .type = SENT_MAX_STREAM_DATA, .id = s->id, .from = s->credit.limit});
        break;
    default:
        NEVER();
    }
}

/* False if one of them did not fit. */
static bool write_stream_control(struct build *b, struct stream *s)
{
    while (s->control != 0) {
        uint8_t frame = (uint8_t)(s->control & -s->control);
        size_t text = frame == STREAM_CONTROL_HELLO ? s->say.len : 0;
        if (!has_room(b, CONTROL_LEN + text)) {
            return false;
        }
        s->control &= (uint8_t)~frame;
        b->single = b->single || s->lane != FRAME_LANE_ANY;
        write_one_control(b, s, frame);
    }
    return true;
}

static void write_control(struct build *b, struct conn_queue *q)
{
    struct conn *c = b->c;
    struct stream *s;
    while ((s = TAILQ_FIRST(&q->control)) != NULL) {
        bool held = s->local && !s->hello_sent && s->id >> 1 >= c->ours.limit;
        if (!held && !write_stream_control(b, s)) {
            return;
        }
        TAILQ_REMOVE(&q->control, s, control_link);
        s->control_queued = false;
        if (held) {
            TAILQ_INSERT_TAIL(&c->held, s, control_link);
            s->control_held = true;
        }
    }
}

/* --- data --- */

/* One frame of the stream; false if the packet is full. */
static bool write_stream(struct build *b, struct stream *s)
{
    struct range range;
    bool fin;
    bool any = stream_next(s, conn_send_left(b->c), &range, &fin);
    CHECK(any);
    uint64_t len = range.end - range.start;
    size_t overhead = frame_stream_overhead(s->id, range.start);
    if (!has_room(b, overhead + (size_t)(len < STREAM_LEAST ? len : STREAM_LEAST))) {
        return false;
    }
    if (len > writer_room(&b->w) - overhead) {
        len = writer_room(&b->w) - overhead;
        range.end = range.start + len;
        fin = false;
    }
    frame_write_stream(&b->w, s->id, range.start, (size_t)len, fin);
    uint8_t *to = write_space(&b->w, (size_t)len);
    CHECK(to);
    sendbuf_read(&s->out, range.start, to, (size_t)len);
    b->single = b->single || s->lane != FRAME_LANE_ANY;
    uint64_t fresh = stream_on_sent(s, &range, fin);
    conn_count_buffer(b->c, s);
    b->c->send_used += fresh;
    b->c->stats.bytes_out += fresh;
    note(b, (struct sent_record){.type = SENT_STREAM,
                                 .id = s->id,
                                 .from = range.start,
                                 .len = (uint32_t)len,
                                 .fin = fin});
    sched_on_sent(&conn_queue_of(b->c, s)->sched, s, (size_t)len);
    conn_on_stream_sent(b->c, s, (size_t)len);
    conn_haste_note(b->c, s);
    return true;
}

static void write_streams(struct build *b, struct conn_queue *q)
{
    struct stream *s;
    while (has_room(b, STREAM_LEAST) && (s = sched_next(&q->sched, conn_send_left(b->c))) != NULL) {
        if (!write_stream(b, s)) {
            break;
        }
    }
}

/* They leave no record: nothing is done when they are lost. */
static void write_datagrams(struct build *b, enum frame_lane lane)
{
    bool fresh = true;
    while (!dgramq_is_empty(&b->c->datagrams.out[lane].queue) &&
           !conn_datagrams_yield(b->c, lane) && conn_write_datagram(b->c, lane, &b->w, fresh)) {
        fresh = false;
        b->eliciting = true;
        b->single = true; /* a stream's bytes arrive once however often they come; these do not */
    }
}

/* What may go on the path: that of its lanes, and the session's with those that are not bound. */
static void write_data(struct build *b, uint8_t path)
{
    struct conn *c = b->c;
    if (c->used[FRAME_LANE_ANY] == path) {
        write_session_limits(b);
    }
    for (size_t lane = 0; lane < FRAME_LANES; lane++) {
        if (c->used[lane] == path) {
            write_control(b, &c->queues[lane]);
        }
    }
    for (size_t lane = 0; lane < FRAME_LANES; lane++) {
        if (c->used[lane] == path) {
            write_datagrams(b, (enum frame_lane)lane);
        }
    }
    for (size_t lane = 0; lane < FRAME_LANES; lane++) {
        if (c->used[lane] == path) {
            write_streams(b, &c->queues[lane]);
        }
    }
}

/* --- packets --- */

static bool may_send_data(struct conn *c, uint8_t path, uint64_t now)
{
    const struct path *p = &c->paths[path];
    return conn_carries(c, path) && (p->probes > 0 || path_can_send(p, now)) &&
           conn_has_data(c, path);
}

static bool wants_packet(struct conn *c, uint8_t path, uint64_t now)
{
    const struct path *p = &c->paths[path];
    uint8_t used = c->used[FRAME_LANE_ANY];
    if (!p->open || p->blocked || p->hold_ns > now) {
        return false;
    }
    if (c->state == CONN_CLOSING) {
        return path == used || used == 0 || c->paths[used].blocked;
    }
    return p->probes > 0 || is_ack_due(c, path, now) || may_send_data(c, path, now);
}

uint8_t conn_next_path(struct conn *c, uint64_t now)
{
    c->now = now;
    if (!c->started || c->state == CONN_CLOSED) {
        return 0;
    }
    if (c->copy.len > 0) {
        return c->copy.path;
    }
    uint8_t used = c->used[FRAME_LANE_ANY];
    if (used != 0 && wants_packet(c, used, now)) {
        return used;
    }
    for (uint8_t i = 1; i < PACKET_PATHS_MAX; i++) {
        if (i != used && wants_packet(c, i, now)) {
            return i;
        }
    }
    return 0;
}

static void write_close(struct build *b)
{
    frame_write_close(&b->w, b->c->closing.cause, b->c->closing.text);
    b->c->state = CONN_CLOSED;
}

static void write_payload(struct build *b, uint8_t path, uint64_t now)
{
    bool probing = b->p->probes > 0;
    bool data = may_send_data(b->c, path, now);
    write_acks(b, path, data || probing, now);
    if (data) {
        write_data(b, path);
    }
    bool alone = !b->eliciting && writer_room(&b->w) > 0;
    if (alone && (probing || (writer_len(&b->w) > 0 && asks_for_ack(b, path, now)))) {
        frame_write_ping(&b->w);
        b->eliciting = true;
    }
}

/* Data is about to go there: may a probe for a larger MTU go first? It must leave alone, and must
 * not take the place of data that is overdue. */
static size_t probe_size(struct conn *c, uint8_t path, size_t cap, uint64_t now)
{
    struct path *p = &c->paths[path];
    if (c->state != CONN_OPEN || p->probes > 0 || p->loss.pto_count > 0 || !p->rtt.sampled) {
        return 0;
    }
    size_t size = pmtud_wants(&p->pmtud, now);
    bool fits = size > 0 && size - PACKET_DATA_OVERHEAD <= cap && p->in_flight + size <= p->cc.cwnd;
    return fits && may_send_data(c, path, now) ? size : 0;
}

static void write_probe(struct build *b)
{
    frame_write_ping(&b->w);
    frame_write_padding(&b->w, writer_room(&b->w));
    b->eliciting = true;
}

/* After the second timeout in a row it may be the size that does not get through. */
static size_t largest_packet(const struct path *p)
{
    bool doubtful = p->probes > 0 && p->loss.pto_count > 1;
    return doubtful ? p->pmtud.base : p->mtu;
}

/* What follows from a packet having left. */
static void on_output(struct build *b, uint8_t path, uint64_t number, bool probe, bool copy)
{
    struct conn *c = b->c;
    struct path *p = b->p;
    c->stats.packets_out++;
    if (probe) {
        sentmap_find(&p->sent, number)->probe = true;
        pmtud_on_sent(&p->pmtud, number);
    }
    if (copy && b->eliciting && !b->single) {
        conn_copy_take(c, p, sentmap_find(&p->sent, number), b->w.start, writer_len(&b->w));
    }
    bool carries = conn_carries(c, path);
    if (carries && conn_has_data(c, path)) {
        return;
    }
    rate_mark_limited(&p->rate, p->in_flight);
    if (c->state == CONN_OPEN && carries) {
        p->limited_end = p->sent.next;
    }
}

/* The packet of the path's own. */
static size_t build(struct conn *c, uint8_t path, uint8_t *buf, size_t cap, uint64_t *number,
                    uint64_t now)
{
    struct path *p = &c->paths[path];
    /* A second probe says it all once more; where copies do that by another path, it stays a ping:
     * what they bring home must not hide that this path is silent. */
    if (p->probes > 0 && c->copy.path == 0 && conn_carries(c, path) && !conn_has_data(c, path)) {
        conn_requeue_oldest(c, path);
    }
    size_t probe = probe_size(c, path, cap, now);
    bool copy = probe == 0 && c->state == CONN_OPEN && conn_copy_is_wanted(c, path, now);
    size_t room = (probe > 0 ? probe : largest_packet(p)) - PACKET_DATA_OVERHEAD;
    room = copy && conn_copy_room(c) < room ? conn_copy_room(c) : room;
    struct build b = {.c = c, .p = p, .w = writer_of(buf, cap < room ? cap : room)};
    if (c->state == CONN_CLOSING) {
        write_close(&b);
    } else if (probe > 0) {
        write_probe(&b);
    } else {
        write_payload(&b, path, now);
    }
    CHECK(!b.w.failed);
    size_t len = writer_len(&b.w);
    if (len > 0) {
        *number = path_on_sent(p, len + PACKET_DATA_OVERHEAD, b.eliciting, now);
        on_output(&b, path, *number, probe > 0, copy);
        path_skip_number(p, c->rng, now);
    }
    return len;
}

size_t conn_output(struct conn *c, uint8_t path, uint8_t *buf, size_t cap, uint64_t *number,
                   uint64_t now)
{
    CHECK(path > 0 && path < PACKET_PATHS_MAX);
    c->now = now;
    struct path *p = &c->paths[path];
    if (!c->started || c->state == CONN_CLOSED || !p->open || p->sent.next > PACKET_NUMBER_MAX) {
        return 0;
    }
    bool copy = c->copy.len > 0;
    if (copy && path != c->copy.path) {
        return 0; /* that first: there is room for one */
    }
    if (sentmap_reserve(&p->sent) < 0) {
        p->hold_ns = now + HOLD_NS;
        conn_copy_drop(c, path);
        return 0;
    }
    return copy ? conn_copy_put(c, buf, cap, number, now) : build(c, path, buf, cap, number, now);
}
