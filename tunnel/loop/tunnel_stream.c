/* Streams of the seam: each has something of the program's hung on it. */
#include "loop/tunnel_internal.h"

#include <base/err.h>

#include "os/sysclock.h"
#include "os/trim.h"

/* So many streams leave memory behind that is worth giving back, once none has gone for a while and
 * the sessions have let go of their buffers. */
enum { TRIM_STREAMS = 64, TRIM_AFTER_MS = 2500 };

static struct stream_user *find_stream(struct adit *a, uint64_t stream)
{
    struct stream_user *s;
    HASH_FIND(hh, a->streams, &stream, sizeof(stream), s);
    return s;
}

static bool add_stream(struct adit *a, uint64_t stream, void *user)
{
    struct stream_user *s = mem_new(1, sizeof(*s));
    if (!s) {
        return false;
    }
    s->stream = stream;
    s->user = user;
    HASH_ADD(hh, a->streams, stream, sizeof(stream), s);
    if (!s->hh.tbl) { /* no memory for the table */
        mem_free(s);
        return false;
    }
    return true;
}

static void on_trim(uv_timer_t *timer)
{
    struct adit *a = timer->data;
    a->dropped = 0;
    trim_memory();
}

static void drop_stream(struct adit *a, struct stream_user *s)
{
    HASH_DEL(a->streams, s);
    mem_free(s);
    if (++a->dropped >= TRIM_STREAMS && !a->stopping) {
        (void)uv_timer_start(&a->trim, on_trim, TRIM_AFTER_MS, 0);
    }
}

void tunnel_stream_event(struct adit *a, const struct node_event *in, enum adit_event_type type)
{
    struct stream_user *s = find_stream(a, in->stream);
    if (type == ADIT_EVENT_OPENED && !s) {
        if (!add_stream(a, in->stream, NULL)) {
            (void)node_stream_abort(a->node, in->stream, CAUSE_LIMIT);
            return;
        }
        s = find_stream(a, in->stream);
    }
    if (!s) {
        return; /* the program has abandoned it */
    }
    struct adit_event ev = {.type = type,
                            .stream = in->stream,
                            .user = s->user,
                            .peer = in->peer,
                            .cause = in->cause,
                            .data = type == ADIT_EVENT_DATAGRAM ? in->datagram : in->data,
                            .len = in->len};
    if (type == ADIT_EVENT_RESET || type == ADIT_EVENT_GONE) {
        drop_stream(a, s);
    }
    a->handler(a->user, &ev);
}

void tunnel_free_streams(struct adit *a)
{
    struct stream_user *s, *next;
    HASH_ITER (hh, a->streams, s, next) {
        drop_stream(a, s);
    }
}

/* --- calls --- */

/* The program has done something, so something has come. */
static void mark(struct adit *a)
{
    adit_stir(a);
    a->work = true;
}

int adit_open(struct adit *a, size_t peer, const void *target, size_t len, void *user,
              uint64_t *stream)
{
    int err = node_stream_open(a->node, peer, target, len, stream, sys_now_ns());
    if (err != 0) {
        return err;
    }
    mark(a);
    if (!add_stream(a, *stream, user)) {
        (void)node_stream_abort(a->node, *stream, CAUSE_LIMIT);
        return ERR_NO_MEMORY;
    }
    return 0;
}

int adit_bind(struct adit *a, uint64_t stream, enum adit_lane lane)
{
    static const enum frame_lane lanes[] = {[ADIT_LANE_ANY] = FRAME_LANE_ANY,
                                            [ADIT_LANE_DIRECT] = FRAME_LANE_DIRECT,
                                            [ADIT_LANE_RELAY] = FRAME_LANE_RELAY};
    return node_stream_bind(a->node, stream, lanes[lane]);
}

int adit_accept(struct adit *a, uint64_t stream, const void *info, size_t len)
{
    mark(a);
    return node_stream_accept(a->node, stream, info, len);
}

void adit_set_user(struct adit *a, uint64_t stream, void *user)
{
    struct stream_user *s = find_stream(a, stream);
    if (s) {
        s->user = user;
    }
}

size_t adit_space(struct adit *a, uint64_t stream, size_t want, uint8_t **at)
{
    return node_stream_space(a->node, stream, want, at);
}

void adit_wrote(struct adit *a, uint64_t stream, size_t len)
{
    mark(a);
    node_stream_wrote(a->node, stream, len);
}

void adit_finish(struct adit *a, uint64_t stream)
{
    mark(a);
    (void)node_stream_finish(a->node, stream);
}

size_t adit_peek(struct adit *a, uint64_t stream, const uint8_t **at, bool *fin)
{
    return node_stream_peek(a->node, stream, at, fin);
}

void adit_consume(struct adit *a, uint64_t stream, size_t len)
{
    mark(a);
    node_stream_consume(a->node, stream, len, sys_now_ns());
}

int adit_datagram_send(struct adit *a, uint64_t stream, const void *data, size_t len)
{
    mark(a);
    return node_datagram_send(a->node, stream, data, len, sys_now_ns());
}

void adit_abort(struct adit *a, uint64_t stream, enum cause cause)
{
    struct stream_user *s = find_stream(a, stream);
    if (s) {
        drop_stream(a, s);
    }
    mark(a);
    (void)node_stream_abort(a->node, stream, cause);
}

void adit_break(struct adit *a, uint64_t stream, enum cause cause)
{
    struct stream_user *s = find_stream(a, stream);
    if (s) {
        drop_stream(a, s);
    }
    mark(a);
    (void)node_stream_break(a->node, stream, cause);
}
