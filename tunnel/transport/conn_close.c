/* The end of streams and of the session. */
#include "transport/conn.h"

#include <base/check.h>
#include <base/err.h>

#include "transport/conn_internal.h"

#include <string.h>

void conn_unlink(struct conn *c, struct stream *s)
{
    if (s->control_queued) {
        TAILQ_REMOVE(&conn_queue_of(c, s)->control, s, control_link);
    }
    if (s->control_held) {
        TAILQ_REMOVE(&c->held, s, control_link);
    }
    if (s->events_queued) {
        TAILQ_REMOVE(&c->events, s, event_link);
    }
    s->control_queued = s->control_held = s->events_queued = false;
    conn_leave_line(c, s);
    sched_remove(&conn_queue_of(c, s)->sched, s);
}

/* Out of every list and every account; its memory is all that is left. */
static void take_out(struct conn *c, struct stream *s)
{
    conn_unlink(c, s);
    conn_end_grant(c, s);
    conn_forget_buffer(c, s);
    c->over_count -= s->over_told;
    conn_drop_flow(c, s);
    table_remove(&c->streams, s->id);
    (s->local ? &c->ours : &c->theirs)->open--;
}

void conn_drop_stream(struct conn *c, struct stream *s)
{
    take_out(c, s);
    (s->local ? &c->ours : &c->theirs)->gone++;
    stream_free(s);
    conn_update_limits(c);
}

void conn_forget_stream(struct conn *c, struct stream *s)
{
    take_out(c, s);
    c->stats.streams_opened--;
    c->stats.streams_refused++;
    stream_free(s);
}

void conn_update_limits(struct conn *c)
{
    uint64_t limit = c->theirs.gone + c->limits.streams_max;
    uint64_t left = c->theirs.limit - c->theirs.next;
    if (limit > c->theirs.limit && left <= c->limits.streams_max / 2) {
        c->theirs.limit = limit;
        c->streams_pending = true;
    }
}

void conn_check_over(struct conn *c, struct stream *s)
{
    if (!stream_is_over(s) || (s->events & STREAM_EVENT_GONE)) {
        return;
    }
    s->control = 0;
    conn_raise(c, s, STREAM_EVENT_GONE);
}

/* Nothing of a stream that is given up needs its lane any more; that it is, has to arrive even if
 * the lane never has a path. The peer then hears of no target. */
static void release(struct conn *c, struct stream *s)
{
    if (s->lane != FRAME_LANE_ANY && s->local && !s->hello_acked) {
        stream_text_clear(&s->say);
    }
    conn_set_lane(c, s, FRAME_LANE_ANY);
}

static void end_sending(struct conn *c, struct stream *s, uint64_t cause)
{
    if (!s->local && !s->hello_acked) {
        s->control &= (uint8_t)~STREAM_CONTROL_HELLO; /* an accept means nothing any more */
        s->hello_made = false;
    }
    release(c, s);
    if (stream_reset(s, cause)) {
        conn_count_buffer(c, s);
        sched_remove(&conn_queue_of(c, s)->sched, s);
        conn_want_control(c, s, STREAM_CONTROL_RESET);
    }
}

static void end_receiving(struct conn *c, struct stream *s)
{
    uint64_t unread = stream_discard(s);
    s->control &= (uint8_t)~STREAM_CONTROL_CREDIT;
    conn_consume_session(c, unread, c->now);
}

void conn_end_stream(struct conn *c, struct stream *s, uint64_t cause)
{
    conn_lower(c, s, STREAM_EVENT_READABLE | STREAM_EVENT_WRITABLE);
    c->over_count += !s->over_told;
    s->over_told = true;
    s->broken = false;
    end_sending(c, s, cause);
    end_receiving(c, s);
    conn_check_over(c, s);
}

void conn_end_stream_by_peer(struct conn *c, struct stream *s, uint64_t cause)
{
    bool told = s->over_told;
    conn_end_stream(c, s, cause);
    if (!told) {
        s->event_cause = cause;
        conn_raise(c, s, STREAM_EVENT_RESET);
    }
}

void conn_break_by_peer(struct conn *c, struct stream *s, uint64_t cause)
{
    conn_lower(c, s, STREAM_EVENT_WRITABLE);
    s->broken = true;
    s->event_cause = cause;
    end_sending(c, s, cause);
}

int conn_stream_abort(struct conn *c, uint64_t id, uint64_t cause)
{
    struct stream *s = conn_find(c, id);
    if (!s || stream_is_over(s)) {
        return ERR_NOT_FOUND;
    }
    if (s->over_told) {
        return 0;
    }
    s->cause = cause;
    conn_end_stream(c, s, cause);
    if (!stream_is_received(s)) {
        conn_want_control(c, s, STREAM_CONTROL_STOP);
    }
    return 0;
}

int conn_stream_break(struct conn *c, uint64_t id, uint64_t cause)
{
    struct stream *s = conn_find(c, id);
    if (!s || stream_is_over(s)) {
        return ERR_NOT_FOUND;
    }
    if (s->over_told || s->breaking) {
        return 0;
    }
    if (!s->hello_made || s->send > STREAM_SEND_DONE) {
        return conn_stream_abort(c, id, cause);
    }
    conn_lower(c, s, STREAM_EVENT_READABLE | STREAM_EVENT_WRITABLE);
    s->wants_room = false;
    s->breaking = true;
    s->cause = cause;
    end_receiving(c, s);
    conn_settle_break(c, s);
    return 0;
}

void conn_settle_break(struct conn *c, struct stream *s)
{
    if (!stream_breaks_now(s)) {
        return;
    }
    c->over_count++;
    s->over_told = true;
    release(c, s);
    sendbuf_deinit(&s->out);
    stream_set_send(s, STREAM_SEND_RESET);
    conn_count_buffer(c, s);
    sched_remove(&conn_queue_of(c, s)->sched, s);
    conn_want_control(c, s, STREAM_CONTROL_RESET);
}

void conn_close(struct conn *c, uint64_t cause, const char *text)
{
    if (c->state != CONN_OPEN) {
        return;
    }
    c->state = c->started ? CONN_CLOSING : CONN_CLOSED;
    c->closing.cause = cause;
    size_t len = strlen(text);
    if (len > FRAME_CLOSE_TEXT_MAX) {
        len = FRAME_CLOSE_TEXT_MAX;
    }
    memcpy(c->closing.text, text, len);
    c->closing.text[len] = '\0';
}

/* Ends a stream on this side alone. A stream that the application never heard of just goes. */
static void abandon_stream(struct conn *c, struct stream *s, uint64_t cause)
{
    bool unknown = !s->local && (!s->hello_seen || (s->events & STREAM_EVENT_HELLO));
    if (unknown) {
        conn_drop_stream(c, s);
        return;
    }
    bool told = s->over_told || (s->events & STREAM_EVENT_GONE);
    conn_end_stream(c, s, cause);
    s->control = 0;
    if (!told) {
        s->event_cause = cause;
        conn_raise(c, s, STREAM_EVENT_RESET);
    }
    conn_raise(c, s, STREAM_EVENT_GONE);
}

void conn_abandon(struct conn *c, uint64_t cause)
{
    c->state = CONN_CLOSED;
    size_t at = 0;
    struct stream *s;
    while ((s = table_next(&c->streams, &at)) != NULL) {
        size_t count = c->streams.count;
        abandon_stream(c, s, cause);
        if (c->streams.count < count) {
            at--; /* another may have moved to its slot */
        }
    }
}
