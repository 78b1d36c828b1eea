/* Does anybody wait for short answers while bulk runs?
 *
 * A stream that has said all it had after a few kilobytes said a request, an answer, a key stroke;
 * what begins something long does not end there, and what ends it does not count. If bytes of
 * others waited here at that moment, or many had come since the stream spoke last, then the next
 * words of this stream, or the answer to it, stand behind bulk in whatever queue the caller keeps.
 * For a while it does well to keep these short.
 */
#include "transport/conn.h"

#include "transport/conn_internal.h"

enum { SMALL_BYTES = 4096, BULK_BYTES = 65536 };

#define HASTE_NS (100 * NS_PER_MS)

void conn_haste_note(struct conn *c, struct stream *s)
{
    if (s->burst > SMALL_BYTES) {
        s->large_ns = c->now;
    }
    if (s->burst > SMALL_BYTES || stream_has_data(s) ||
        (s->large_ns != 0 && time_since(s->large_ns, c->now) < HASTE_NS)) {
        return;
    }
    bool waits = !TAILQ_EMPTY(&conn_queue_of(c, s)->sched.bulk);
    uint64_t others = c->stats.bytes_in - s->in.top;
    if (waits || others - s->others_in >= BULK_BYTES) {
        c->haste_ns = time_add(c->now, HASTE_NS);
    }
    s->others_in = others;
    c->said = conn_is_hasty(c, c->now);
}

bool conn_is_hasty(const struct conn *c, uint64_t now)
{
    return now < c->haste_ns;
}

bool conn_take_said(struct conn *c)
{
    bool said = c->said;
    c->said = false;
    return said;
}
