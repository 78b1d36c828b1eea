#include "transport/conn.h"

#include <base/check.h>

#include "transport/conn_internal.h"

void conn_raise(struct conn *c, struct stream *s, uint8_t event)
{
    s->events |= event;
    /* A stream of the peer is unknown to the application until its open came. */
    if (!s->events_queued && (s->local || s->hello_seen)) {
        TAILQ_INSERT_TAIL(&c->events, s, event_link);
        s->events_queued = true;
    }
}

void conn_lower(struct conn *c, struct stream *s, uint8_t events)
{
    s->events &= (uint8_t)~events;
    if (s->events == 0 && s->events_queued) {
        TAILQ_REMOVE(&c->events, s, event_link);
        s->events_queued = false;
    }
}

static void take_hello(struct stream *s, struct conn_event *ev)
{
    ev->type = s->local ? CONN_EVENT_ACCEPTED : CONN_EVENT_OPENED;
    ev->u.text.len = s->heard.len;
    if (s->heard.len > 0) {
        memcpy(ev->u.text.data, s->heard.data, s->heard.len);
    }
    stream_text_clear(&s->heard);
}

static void take_stream_event(struct conn *c, struct stream *s, struct conn_event *ev)
{
    uint8_t bit = (uint8_t)(s->events & -s->events);
    ev->stream = s->id;
    switch (bit) {
    case STREAM_EVENT_HELLO:
        take_hello(s, ev);
        break;
    case STREAM_EVENT_READABLE:
        ev->type = CONN_EVENT_READABLE;
        break;
    case STREAM_EVENT_WRITABLE:
        ev->type = CONN_EVENT_WRITABLE;
        break;
    case STREAM_EVENT_RESET:
        ev->type = CONN_EVENT_RESET;
        ev->cause = s->event_cause;
        break;
    case STREAM_EVENT_GONE:
        ev->type = CONN_EVENT_GONE;
        conn_drop_stream(c, s);
        return;
    default:
        NEVER();
    }
    conn_lower(c, s, bit);
}

static bool take_session_event(struct conn *c, struct conn_event *ev)
{
    for (uint8_t i = 1; c->suspects != 0 && i < PACKET_PATHS_MAX; i++) {
        if (c->suspects & UINT32_C(1) << i) {
            c->suspects &= ~(UINT32_C(1) << i);
            ev->type = CONN_EVENT_PATH_SUSPECT;
            ev->path = i;
            return true;
        }
    }
    if (c->candidates_event) {
        c->candidates_event = false;
        ev->type = CONN_EVENT_CANDIDATES;
        ev->u.candidates.count = c->peer_candidates.count;
        memcpy(ev->u.candidates.list, c->peer_candidates.list, sizeof(ev->u.candidates.list));
        return true;
    }
    if (c->closed_event) {
        c->closed_event = false;
        ev->type = CONN_EVENT_PEER_CLOSED;
        ev->cause = c->closed_cause;
        return true;
    }
    return false;
}

bool conn_event(struct conn *c, struct conn_event *ev)
{
    ev->stream = 0;
    ev->cause = 0;
    ev->path = 0;
    struct stream *s = TAILQ_FIRST(&c->events);
    struct stream *writer = s ? NULL : conn_next_writer(c);
    if (writer) {
        conn_raise(c, writer, STREAM_EVENT_WRITABLE);
        s = writer;
    }
    if (s) {
        take_stream_event(c, s, ev);
        return true;
    }
    return conn_take_datagram(c, ev) || take_session_event(c, ev);
}
