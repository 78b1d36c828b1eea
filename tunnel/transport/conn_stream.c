/* The application's calls on streams. */
#include "transport/conn.h"

#include <base/check.h>
#include <base/err.h>

#include "transport/conn_internal.h"

struct stream *conn_add_stream(struct conn *c, uint64_t id, bool local)
{
    const struct stream_config config = {.send_buffer_max = (size_t)c->limits.send_buffer_max,
                                         .send_limit = c->peer.stream_window,
                                         .window = c->limits.stream_window,
                                         .window_max = c->limits.stream_window_max,
                                         .spares = &c->spares,
                                         .log = c->log};
    struct stream *s = stream_new(id, local, &config);
    if (!s) {
        return NULL;
    }
    if (table_add(&c->streams, s) < 0) {
        stream_free(s);
        return NULL;
    }
    struct conn_ids *ids = local ? &c->ours : &c->theirs;
    ids->open++;
    c->stats.streams_opened++;
    s->others_in = c->stats.bytes_in;
    conn_grant(c, s);
    return s;
}

void conn_want_control(struct conn *c, struct stream *s, uint8_t frames)
{
    s->control |= frames;
    if (s->control != 0 && !s->control_queued && !s->control_held) {
        TAILQ_INSERT_TAIL(&conn_queue_of(c, s)->control, s, control_link);
        s->control_queued = true;
    }
}

static int say_hello(struct conn *c, struct stream *s, const void *data, size_t len)
{
    CHECK(len <= FRAME_TARGET_MAX);
    int err = stream_text_set(&s->say, data, len);
    if (err < 0) {
        return err;
    }
    s->hello_made = true;
    conn_want_control(c, s, STREAM_CONTROL_HELLO);
    return 0;
}

int conn_stream_open(struct conn *c, const void *target, size_t len, uint64_t *id)
{
    if (c->state != CONN_OPEN) {
        return ERR_CLOSED;
    }
    if (c->ours.open >= c->limits.streams_max || c->ours.next >= c->ours.limit) {
        c->stats.streams_refused++;
        return ERR_NO_ROOM;
    }
    uint64_t new_id = c->ours.next << 1 | (c->even ? 0 : 1);
    struct stream *s = conn_add_stream(c, new_id, true);
    if (!s) {
        c->stats.streams_refused++;
        return ERR_NO_MEMORY;
    }
    int err = say_hello(c, s, target, len);
    if (err < 0) {
        conn_forget_stream(c, s);
        return err;
    }
    c->ours.next++;
    *id = new_id;
    return 0;
}

int conn_stream_bind(struct conn *c, uint64_t id, enum frame_lane lane)
{
    struct stream *s = conn_find(c, id);
    if (!s) {
        return ERR_NOT_FOUND;
    }
    if (!s->local || s->hello_sent || s->over_told) {
        return ERR_STATE;
    }
    conn_set_lane(c, s, lane);
    return 0;
}

int conn_stream_accept(struct conn *c, uint64_t id, const void *info, size_t len)
{
    struct stream *s = conn_find(c, id);
    if (!s) {
        return ERR_NOT_FOUND;
    }
    if (s->local || s->hello_made || s->send > STREAM_SEND_FINISHED) {
        return ERR_STATE;
    }
    return say_hello(c, s, info, len);
}

/* The stream if it can be written to. The peer's opener is told before the first byte. */
static struct stream *find_writable(struct conn *c, uint64_t id)
{
    struct stream *s = conn_find(c, id);
    if (!s || !stream_is_writable(s)) {
        return NULL;
    }
    if (!s->hello_made && say_hello(c, s, NULL, 0) < 0) {
        c->starved = s->wants_room = true;
        return NULL;
    }
    return s;
}

/* For want of memory, or until its turn comes. */
static void found_no_room(struct conn *c, struct stream *s)
{
    if (sendbuf_room(&s->out) > 0) {
        c->starved = s->wants_room = true;
    } else {
        conn_want_room(c, s);
    }
}

size_t conn_stream_space(struct conn *c, uint64_t id, size_t want, uint8_t **at)
{
    struct stream *s = find_writable(c, id);
    if (!s) {
        return 0;
    }
    conn_fit_buffer(c, s);
    size_t room = sendbuf_space(&s->out, want, at);
    if (room == 0 && want > 0) {
        found_no_room(c, s);
    }
    return room;
}

void conn_stream_wrote(struct conn *c, uint64_t id, size_t len)
{
    struct stream *s = conn_find(c, id);
    if (len == 0 || !s || !stream_is_writable(s)) {
        return;
    }
    sendbuf_wrote(&s->out, len);
    conn_note_brought(c, s, len);
    conn_want_data(c, s);
}

size_t conn_stream_write(struct conn *c, uint64_t id, const void *data, size_t len)
{
    struct stream *s = find_writable(c, id);
    if (!s) {
        return 0;
    }
    conn_fit_buffer(c, s);
    size_t taken = sendbuf_write(&s->out, data, len);
    conn_note_brought(c, s, taken);
    if (taken < len) {
        found_no_room(c, s);
    }
    if (taken > 0) {
        conn_want_data(c, s);
    }
    return taken;
}

int conn_stream_finish(struct conn *c, uint64_t id)
{
    struct stream *s = conn_find(c, id);
    if (!s) {
        return ERR_NOT_FOUND;
    }
    if (!stream_is_writable(s)) {
        return ERR_STATE;
    }
    if (!s->hello_made) {
        int err = say_hello(c, s, NULL, 0);
        if (err < 0) {
            return err;
        }
    }
    s->wants_room = false;
    stream_set_send(s, STREAM_SEND_FINISHED);
    conn_want_data(c, s);
    return 0;
}

/* The end was seen and all bytes taken: the receiving side is done. */
static void update_read(struct conn *c, struct stream *s)
{
    if (s->broken) {
        if (s->in.read == s->in.final) {
            conn_end_stream_by_peer(c, s, s->event_cause);
        }
        return;
    }
    stream_update_recv(s);
    if (s->recv == STREAM_RECV_DONE) {
        conn_check_over(c, s);
    }
}

size_t conn_stream_peek(struct conn *c, uint64_t id, const uint8_t **at, bool *fin)
{
    *at = NULL;
    *fin = false;
    struct stream *s = conn_find(c, id);
    if (!s) {
        return 0;
    }
    if (s->recv == STREAM_RECV_DONE) {
        *fin = true;
        return 0;
    }
    if (!stream_is_readable(s)) {
        return 0;
    }
    size_t len = recvbuf_peek(&s->in, at, fin);
    *fin = *fin && !s->broken; /* a RESET comes there */
    s->fin_seen = s->fin_seen || *fin;
    if (len == 0) {
        update_read(c, s);
    }
    return len;
}

void conn_stream_consume(struct conn *c, uint64_t id, size_t len, uint64_t now)
{
    c->now = now;
    struct stream *s = conn_find(c, id);
    if (!s || s->recv >= STREAM_RECV_DISCARD) {
        return;
    }
    recvbuf_consume(&s->in, len);
    conn_consume_session(c, len, now);
    conn_consume_stream(c, s, len, now);
    update_read(c, s);
}
