/* Room in our send buffers: who may bring how much, and when.
 *
 * What is read from an application long before it leaves has gone out of the processor's caches by
 * then, and with a hundred streams that all bring what they have, everything has. So no more waits
 * in a queue's streams together than the next batches take. Streams that found no room stand in a
 * line; as bytes leave, the first of them is told, brings its turn, and goes to the end. The rest
 * waits in the applications' own sockets.
 *
 * A little beside that is always taken from who has little here: what a key stroke or a request
 * costs must not depend on who else is talking. What the peer's credit does not cover yet waits
 * apart, up to a bound for each stream, so that readers that have stopped hold up nobody.
 */
#include "transport/conn.h"

#include <base/check.h>

#include "transport/conn_internal.h"

enum {
    BUFFER_LEAST = 65536, /* what one stream may hold in any case */
    UNSENT_MAX = 262144,  /* of a queue's streams together, sendable and not sent yet */
    READ_BYTES = 65536,  /* so much has to be free before a writer is told, or half of UNSENT_MAX */
    SMALL_BYTES = 16384, /* taken of who has little here, whatever the others have */
    ROOM_LEAST = 32768,  /* who found its own buffer full is told again when so much is free */
};

/* What one stream brings before it is the next one's turn: what the path takes in TURN_NS, within
 * these. The larger, the fewer reads, writes and wake-ups at both ends; the smaller, the sooner
 * comes everybody's turn. */
enum { TURN_LEAST = 65536, TURN_MOST = 262144 };
#define TURN_NS (200 * NS_PER_US)

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* --- accounts --- */

/* What could leave as far as the stream's own credit goes. */
static uint64_t unsent_of(const struct stream *s)
{
    uint64_t end = least(s->out.end, s->send_limit);
    return s->hello_sent && s->send <= STREAM_SEND_FINISHED && end > s->out.sent ? end - s->out.sent
                                                                                 : 0;
}

void conn_count_buffer(struct conn *c, struct stream *s)
{
    uint64_t held = s->send <= STREAM_SEND_FINISHED ? sendbuf_held(&s->out) : 0;
    uint64_t unsent = unsent_of(s);
    struct conn_queue *q = conn_queue_of(c, s);
    CHECK(c->buffered >= s->buffered && q->unsent >= s->unsent);
    c->buffered = c->buffered - s->buffered + held;
    q->unsent = q->unsent - s->unsent + unsent;
    s->buffered = held;
    s->unsent = unsent;
}

void conn_forget_buffer(struct conn *c, struct stream *s)
{
    c->buffered -= s->buffered;
    conn_queue_of(c, s)->unsent -= s->unsent;
    s->buffered = s->unsent = 0;
}

/* --- bounds --- */

/* What the stream's buffer may hold whatever the others wait for. */
static uint64_t own_most(const struct conn *c, const struct stream *s)
{
    uint64_t others = c->buffered - s->buffered;
    uint64_t total = c->limits.send_buffers_max;
    uint64_t share = total > others ? (total - others) / 2 : 0;
    uint64_t covered =
        s->hello_sent && s->send_limit > s->out.base ? s->send_limit - s->out.base : 0;
    return most(least(share, covered + BUFFER_LEAST), BUFFER_LEAST);
}

static bool has_own_room(const struct conn *c, const struct stream *s)
{
    uint64_t held = sendbuf_held(&s->out);
    uint64_t bound = least(own_most(c, s), s->out.max);
    return held + least(ROOM_LEAST, s->out.max / 4) <= bound;
}

static const struct path *path_of(const struct conn *c, const struct stream *s)
{
    return &c->paths[c->used[s->lane]];
}

/* For all of the queue together: on a slow path less. */
static uint64_t unsent_most(const struct conn *c, const struct stream *s)
{
    return least(UNSENT_MAX, path_of(c, s)->cc.cwnd + BUFFER_LEAST);
}

static uint64_t turn_of(const struct conn *c, const struct stream *s)
{
    uint64_t rate = path_of(c, s)->pacer.rate;
    uint64_t turn = least(most(rate / (NS_PER_S / TURN_NS), TURN_LEAST), TURN_MOST);
    return turn - turn % READ_BYTES;
}

/* Is so much free of the queue's that a writer may be told? */
static bool has_turn(const struct conn *c, const struct stream *s, uint64_t *left)
{
    const struct conn_queue *q = &c->queues[c->share[s->lane]];
    uint64_t bound = unsent_most(c, s);
    *left = bound > q->unsent ? bound - q->unsent : 0;
    return *left >= least(READ_BYTES, bound / 2);
}

/* What it may bring now. Who has the turn, or nobody to wait for, brings it in few large pieces. */
static uint64_t may_bring(struct conn *c, const struct stream *s)
{
    uint64_t held = sendbuf_held(&s->out);
    uint64_t small = held <= SMALL_BYTES / 2 ? SMALL_BYTES - held : 0;
    uint64_t left;
    if (!has_turn(c, s, &left)) {
        return small;
    }
    bool alone = TAILQ_EMPTY(&conn_queue_of(c, s)->waiting);
    uint64_t turn = alone && s->turn == 0 ? turn_of(c, s) : s->turn;
    return most(small, least(turn, left));
}

void conn_fit_buffer(struct conn *c, struct stream *s)
{
    s->out.fit = (size_t)least(own_most(c, s), sendbuf_held(&s->out) + may_bring(c, s));
}

/* --- turns --- */

void conn_note_brought(struct conn *c, struct stream *s, size_t len)
{
    s->turn =
        s->turn < len + SMALL_BYTES ? 0 : s->turn - len; /* a small rest is not worth a read */
    conn_count_buffer(c, s);
}

void conn_leave_line(struct conn *c, struct stream *s)
{
    if (s->room_queued) {
        TAILQ_REMOVE(&conn_queue_of(c, s)->waiting, s, room_link);
        s->room_queued = false;
    }
}

void conn_tell_writable(struct conn *c, struct stream *s)
{
    if (!s->wants_room || s->room_queued || !stream_is_writable(s) || !has_own_room(c, s)) {
        return;
    }
    struct stream_list *line = &conn_queue_of(c, s)->waiting;
    if (s->turn > 0) {
        TAILQ_INSERT_HEAD(line, s, room_link); /* it goes on with its turn */
    } else {
        TAILQ_INSERT_TAIL(line, s, room_link);
    }
    s->room_queued = true;
}

void conn_want_room(struct conn *c, struct stream *s)
{
    s->wants_room = true;
    conn_tell_writable(c, s);
}

bool conn_has_writer(const struct conn *c)
{
    uint64_t left;
    for (size_t lane = 0; lane < FRAME_LANES; lane++) {
        const struct stream *s = TAILQ_FIRST(&c->queues[lane].waiting);
        if (s && has_turn(c, s, &left)) {
            return true;
        }
    }
    return false;
}

/* Who meanwhile has no room of its own left is told when it has some. */
static struct stream *next_of(struct conn *c, struct conn_queue *q)
{
    struct stream *s;
    uint64_t left;
    while ((s = TAILQ_FIRST(&q->waiting)) != NULL && has_turn(c, s, &left)) {
        conn_leave_line(c, s);
        if (stream_is_writable(s) && has_own_room(c, s)) {
            return s;
        }
    }
    return NULL;
}

struct stream *conn_next_writer(struct conn *c)
{
    for (size_t lane = 0; lane < FRAME_LANES; lane++) {
        struct stream *s = next_of(c, &c->queues[lane]);
        if (s) {
            s->wants_room = false;
            s->turn = s->turn > 0 ? s->turn : turn_of(c, s);
            return s;
        }
    }
    return NULL;
}
