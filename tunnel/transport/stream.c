#include "transport/stream.h"

#include <base/check.h>
#include <base/err.h>
#include <base/mem.h>

#include <inttypes.h>
#include <string.h>

static const char *const send_names[] = {"open", "finished", "done", "reset", "reset_acked"};
static const char *const recv_names[] = {"open",    "size_known", "complete",
                                         "discard", "done",       "reset"};

struct stream *stream_new(uint64_t id, bool local, const struct stream_config *config)
{
    struct stream *s = mem_new(1, sizeof(*s));
    if (!s) {
        return NULL;
    }
    s->id = id;
    s->local = local;
    s->log = config->log;
    s->send_limit = config->send_limit;
    sendbuf_init(&s->out, config->send_buffer_max);
    recvbuf_init(&s->in);
    s->out.ring.spares = s->in.ring.spares = config->spares;
    flow_init(&s->credit, config->window, config->window_max);
    return s;
}

void stream_free(struct stream *s)
{
    CHECK(!s->control_queued && !s->control_held && !s->events_queued);
    CHECK(s->queue == STREAM_QUEUE_NONE);
    sendbuf_deinit(&s->out);
    recvbuf_deinit(&s->in);
    stream_text_clear(&s->say);
    stream_text_clear(&s->heard);
    mem_free(s);
}

void stream_set_send(struct stream *s, enum stream_send to)
{
    LOG_AT(s->log, LOG_TRACE, "stream", "send", "id=%" PRIu64 " from=%s to=%s", s->id,
           send_names[s->send], send_names[to]);
    s->send = (uint8_t)to;
}

void stream_set_recv(struct stream *s, enum stream_recv to)
{
    LOG_AT(s->log, LOG_TRACE, "stream", "recv", "id=%" PRIu64 " from=%s to=%s", s->id,
           recv_names[s->recv], recv_names[to]);
    s->recv = (uint8_t)to;
}

int stream_text_set(struct stream_text *t, const void *data, size_t len)
{
    stream_text_clear(t);
    t->data = mem_new(1, len);
    if (!t->data) {
        return ERR_NO_MEMORY;
    }
    if (len > 0) {
        memcpy(t->data, data, len);
    }
    t->len = len;
    return 0;
}

void stream_text_clear(struct stream_text *t)
{
    mem_free(t->data);
    *t = (struct stream_text){0};
}

/* --- sending --- */

bool stream_is_writable(const struct stream *s)
{
    return s->send == STREAM_SEND_OPEN && !s->breaking;
}

bool stream_next(const struct stream *s, uint64_t session_left, struct range *out, bool *fin)
{
    if (!s->hello_sent || s->send > STREAM_SEND_FINISHED) {
        return false;
    }
    uint64_t limit = s->out.high + session_left;
    if (limit > s->send_limit) {
        limit = s->send_limit;
    }
    bool bytes = sendbuf_next(&s->out, limit, out);
    uint64_t end = bytes ? out->end : s->out.sent;
    *fin = s->send == STREAM_SEND_FINISHED && end == s->out.end;
    if (bytes) {
        return true;
    }
    *out = (struct range){end, end};
    return *fin && !s->fin_sent;
}

bool stream_has_data(const struct stream *s)
{
    struct range range;
    bool fin;
    return stream_next(s, UINT64_MAX / 2, &range, &fin);
}

uint64_t stream_on_sent(struct stream *s, const struct range *range, bool fin)
{
    uint64_t high = s->out.high;
    if (range->start < range->end) {
        sendbuf_on_sent(&s->out, range->start, range->end);
    }
    s->fin_sent = s->fin_sent || fin;
    s->burst += range->end - range->start;
    return s->out.high - high;
}

void stream_on_data_acked(struct stream *s, uint64_t from, uint64_t len, bool fin)
{
    if (s->send > STREAM_SEND_FINISHED) {
        return;
    }
    if (len > 0) {
        sendbuf_on_acked(&s->out, from, from + len);
    }
    if (fin) {
        s->fin_acked = s->fin_sent = true;
    }
    if (!sendbuf_is_empty(&s->out)) {
        return;
    }
    s->burst = 0;
    if (s->fin_acked) {
        stream_set_send(s, STREAM_SEND_DONE);
        sendbuf_deinit(&s->out);
    }
}

void stream_on_data_lost(struct stream *s, uint64_t from, uint64_t len, bool fin)
{
    if (s->send > STREAM_SEND_FINISHED) {
        return;
    }
    if (len > 0) {
        sendbuf_on_lost(&s->out, from, from + len);
    }
    if (fin && !s->fin_acked) {
        s->fin_sent = false;
    }
}

bool stream_reset(struct stream *s, uint64_t cause)
{
    if (s->send > STREAM_SEND_FINISHED) {
        return false;
    }
    s->cause = cause;
    sendbuf_deinit(&s->out);
    stream_set_send(s, STREAM_SEND_RESET);
    return true;
}

bool stream_breaks_now(const struct stream *s)
{
    bool acked =
        s->send == STREAM_SEND_OPEN ? sendbuf_is_empty(&s->out) : s->send == STREAM_SEND_DONE;
    return s->breaking && !s->over_told && acked;
}

/* --- receiving --- */

bool stream_is_readable(const struct stream *s)
{
    return s->hello_seen && s->recv < STREAM_RECV_DISCARD && recvbuf_is_readable(&s->in);
}

bool stream_is_received(const struct stream *s)
{
    return s->recv >= STREAM_RECV_DONE;
}

void stream_update_recv(struct stream *s)
{
    if (s->in.final == RECVBUF_FINAL_UNKNOWN || stream_is_received(s)) {
        return;
    }
    enum stream_recv to = STREAM_RECV_SIZE_KNOWN;
    if (s->recv == STREAM_RECV_DISCARD) {
        to = STREAM_RECV_RESET;
    } else if (recvbuf_is_complete(&s->in)) {
        to = s->fin_seen && s->in.read == s->in.final ? STREAM_RECV_DONE : STREAM_RECV_COMPLETE;
    }
    if (to != s->recv) {
        stream_set_recv(s, to);
    }
    if (to == STREAM_RECV_DONE) {
        recvbuf_deinit(&s->in);
    }
}

uint64_t stream_discard(struct stream *s)
{
    if (s->recv >= STREAM_RECV_DISCARD) {
        return 0;
    }
    uint64_t unread = s->in.top - s->in.read;
    recvbuf_deinit(&s->in);
    recvbuf_skip(&s->in, s->in.top, false);
    stream_set_recv(s, STREAM_RECV_DISCARD);
    stream_update_recv(s);
    return unread;
}

bool stream_is_over(const struct stream *s)
{
    bool sent = s->send == STREAM_SEND_DONE || s->send == STREAM_SEND_RESET_ACKED;
    bool told = !s->hello_made || s->hello_acked;
    return sent && told && stream_is_received(s) && (s->local || s->hello_seen);
}
