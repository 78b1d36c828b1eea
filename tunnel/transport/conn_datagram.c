/* Datagrams, both ways: two bounded queues, what leaves of the one and what comes into the other.
 *
 * A datagram waits in its queue only as long as it is worth something: whoever sent it has his own
 * idea of what to do when no answer comes, and a queue that is long delays all that follow.
 */
#include "transport/conn.h"

#include <base/err.h>

#include "transport/conn_internal.h"

enum {
    PART_LEAST = 64,    /* shorter parts are not worth their frame */
    TURN_BYTES = 8192,  /* streams that wait are passed over by so many bytes ... */
    STREAMS_SHARE = 3,  /* ... and each of theirs counts for so many of datagrams */
    FLOW_SHARE = 4,     /* one stream's part of a queue */
    PATHLESS_AGES = 40, /* without a path they wait so much longer */
};

void conn_init_datagrams(struct conn *c)
{
    size_t max = (size_t)c->limits.datagrams_max;
    for (size_t lane = 0; lane < FRAME_LANES; lane++) {
        dgramq_init(&c->datagrams.out[lane].queue, max);
    }
    dgramq_init(&c->datagrams.in, max);
    reassembly_init(&c->datagrams.parts);
}

void conn_free_datagrams(struct conn *c)
{
    for (size_t lane = 0; lane < FRAME_LANES; lane++) {
        c->stats.datagrams_expired += c->datagrams.out[lane].queue.count;
        dgramq_clear(&c->datagrams.out[lane].queue);
        c->datagrams.out[lane].sent = 0;
    }
    dgramq_clear(&c->datagrams.in);
    reassembly_clear(&c->datagrams.parts);
}

void conn_drop_flow(struct conn *c, const struct stream *s)
{
    if (s->flow && --c->datagrams.flows == 0) {
        conn_free_datagrams(c);
    }
}

static void note_flow(struct conn *c, struct stream *s)
{
    c->datagrams.flows += !s->flow;
    s->flow = true;
}

/* Room for `len` bytes more of one stream that has `held` waiting: one at least. */
static bool may_hold(const struct conn *c, size_t held, size_t len)
{
    return held == 0 || held + len <= c->limits.datagrams_max / FLOW_SHARE;
}

/* --- out --- */

static void pop_out(struct conn *c, enum frame_lane lane, struct stream *s, size_t len)
{
    if (s) {
        s->flow_out -= len;
    }
    dgramq_pop(&c->datagrams.out[lane].queue);
    c->datagrams.out[lane].sent = 0;
}

/* May the first one still leave? The time without any path does not count, within limits. One that
 * has begun goes on: else, when there is always too much, each would be given up half-way. */
static bool is_worth_sending(const struct conn *c, enum frame_lane lane, const struct dgram *d,
                             const struct stream *s)
{
    uint64_t age_ns = c->limits.datagram_age_ns;
    uint64_t ready_ns = c->datagrams.out[lane].ready_ns;
    bool fresh = time_since(d->at_ns > ready_ns ? d->at_ns : ready_ns, c->now) <= age_ns;
    bool begun = c->datagrams.out[lane].sent > 0;
    return s && stream_is_writable(s) && !s->control_held && s->lane == lane &&
           (fresh || begun || c->used[lane] == 0) &&
           time_since(d->at_ns, c->now) <= PATHLESS_AGES * age_ns;
}

/* The first one that may leave. */
static bool first_out(struct conn *c, enum frame_lane lane, struct dgram *d, struct stream **s)
{
    while (dgramq_first(&c->datagrams.out[lane].queue, d)) {
        *s = conn_find(c, d->stream);
        if (is_worth_sending(c, lane, d, *s)) {
            return true;
        }
        c->stats.datagrams_expired++;
        pop_out(c, lane, *s, d->len);
    }
    return false;
}

int conn_datagram_send(struct conn *c, uint64_t id, const void *data, size_t len, uint64_t now)
{
    struct dgram first;
    struct stream *other;
    c->now = now;
    struct stream *s = conn_find(c, id);
    if (!s) {
        return ERR_NOT_FOUND;
    }
    if (!stream_is_writable(s) || !s->hello_made || c->state != CONN_OPEN) {
        return ERR_STATE;
    }
    if (len > FRAME_DATAGRAM_MAX) {
        return ERR_TOO_LARGE;
    }
    enum frame_lane lane = (enum frame_lane)s->lane;
    struct dgramq *queue = &c->datagrams.out[lane].queue;
    (void)first_out(c, lane, &first, &other); /* old ones make room */
    const struct dgram d = {.stream = id, .at_ns = now, .data = data, .len = len};
    int err = may_hold(c, s->flow_out, len) ? dgramq_push(queue, &d) : ERR_NO_ROOM;
    if (err < 0) {
        c->stats.datagrams_refused++;
        return err;
    }
    note_flow(c, s);
    s->flow_out += len;
    return 0;
}

bool conn_has_datagram(struct conn *c, enum frame_lane lane)
{
    struct dgram d;
    struct stream *s;
    return !dgramq_is_empty(&c->datagrams.out[lane].queue) && first_out(c, lane, &d, &s);
}

bool conn_datagrams_yield(struct conn *c, enum frame_lane lane)
{
    struct conn_queue *beside = &c->queues[c->share[lane]];
    return beside->passed_over >= TURN_BYTES &&
           sched_next(&beside->sched, conn_send_left(c)) != NULL;
}

void conn_on_stream_sent(struct conn *c, const struct stream *s, size_t len)
{
    uint64_t share = (uint64_t)len * STREAMS_SHARE;
    uint64_t *over = &conn_queue_of(c, s)->passed_over;
    *over -= share < *over ? share : *over;
}

static void on_left(struct conn *c, struct stream *s, const struct dgram *d)
{
    c->stats.datagrams_out++;
    c->stats.bytes_out += d->len;
    pop_out(c, (enum frame_lane)s->lane, s, d->len);
}

static void write_whole(struct conn *c, struct writer *w, struct stream *s, const struct dgram *d)
{
    frame_write_datagram(w, d->stream, d->data, d->len);
    on_left(c, s, d);
}

static void write_part(struct conn *c, struct writer *w, struct stream *s, const struct dgram *d)
{
    size_t *sent = &c->datagrams.out[s->lane].sent;
    size_t left = d->len - *sent;
    size_t room = writer_room(w) - FRAME_PART_OVERHEAD;
    size_t len = left < room ? left : room;
    s->flow_number += *sent == 0;
    const struct frame_part part = {
        .stream = d->stream, .number = s->flow_number, .total = d->len, .offset = *sent};
    frame_write_datagram_part(w, &part, len);
    write_bytes(w, d->data + *sent, len);
    *sent += len;
    if (len == left) {
        on_left(c, s, d);
    }
}

static void pass_over(struct conn *c, const struct stream *s, size_t len)
{
    uint64_t *over = &conn_queue_of(c, s)->passed_over;
    *over = *over + len < 2 * TURN_BYTES ? *over + len : 2 * TURN_BYTES;
}

/* One that would fit into a packet of its own waits for it, unless this is as empty as packets
 * get. */
bool conn_write_datagram(struct conn *c, enum frame_lane lane, struct writer *w, bool fresh)
{
    struct dgram d;
    struct stream *s;
    if (!first_out(c, lane, &d, &s) || (s->local && !s->hello_sent)) {
        return false;
    }
    size_t room = writer_room(w);
    size_t whole = frame_datagram_overhead(d.stream, d.len) + d.len;
    size_t packet = (size_t)(w->end - w->start);
    bool begun = c->datagrams.out[lane].sent > 0;
    if (!begun && whole <= room) {
        write_whole(c, w, s, &d);
    } else if (room < FRAME_PART_OVERHEAD + PART_LEAST || (!fresh && !begun && whole <= packet)) {
        return false;
    } else {
        write_part(c, w, s, &d);
    }
    pass_over(c, s, room - writer_room(w));
    return true;
}

/* --- in --- */

static void take_in(struct conn *c, struct stream *s, const struct dgram *d)
{
    if (!may_hold(c, s->flow_in, d->len) || dgramq_push(&c->datagrams.in, d) < 0) {
        c->stats.datagrams_lost++;
        return;
    }
    s->flow_in += d->len;
    c->stats.datagrams_in++;
    c->stats.bytes_in += d->len;
}

/* Unlike bytes, a datagram makes no stream: one that overtook its open is lost. */
int conn_on_datagram(struct conn *c, const struct frame *f, uint64_t now)
{
    uint64_t id = f->u.datagram.stream;
    struct stream *s = conn_find(c, id);
    bool ours = (id & 1) == (c->even ? 0 : 1);
    if (!s && ours && id >> 1 >= c->ours.next) {
        return ERR_PROTOCOL;
    }
    if (!s || s->over_told || (!s->local && !s->hello_seen)) {
        c->stats.datagrams_lost++;
        return 0;
    }
    note_flow(c, s);
    struct dgram d = {
        .stream = id, .at_ns = now, .data = f->u.datagram.data, .len = f->u.datagram.len};
    if (f->type == FRAME_DATAGRAM_PART) {
        const struct reassembly_part part = {.stream = id,
                                             .number = f->u.datagram.number,
                                             .total = (size_t)f->u.datagram.total,
                                             .offset = (size_t)f->u.datagram.offset,
                                             .data = d.data,
                                             .len = d.len};
        d.data = reassembly_add(&c->datagrams.parts, &part, now);
        d.len = part.total;
    }
    if (d.data) {
        take_in(c, s, &d);
    }
    return 0;
}

bool conn_take_datagram(struct conn *c, struct conn_event *ev)
{
    struct dgram d;
    while (dgramq_first(&c->datagrams.in, &d)) {
        struct stream *s = conn_find(c, d.stream);
        dgramq_pop(&c->datagrams.in);
        if (s) {
            s->flow_in -= d.len;
        }
        if (s && !s->over_told) {
            ev->type = CONN_EVENT_DATAGRAM;
            ev->stream = d.stream;
            ev->u.datagram.data = d.data;
            ev->u.datagram.len = d.len;
            return true;
        }
        c->stats.datagrams_lost++;
    }
    return false;
}
