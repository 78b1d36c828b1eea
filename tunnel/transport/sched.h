/* Which stream goes next: new and small ones before bulk, bulk in turns.
 *
 * A stream that has sent less than SCHED_FRESH_BYTES since everything of it was acknowledged is
 * fresh: a request, a page, a key stroke. The others take turns of SCHED_QUANTUM_BYTES. So small
 * things wait for no backup, and no backup starves.
 */
#ifndef TRANSPORT_SCHED_H
#define TRANSPORT_SCHED_H

#include "transport/stream.h"

enum { SCHED_FRESH_BYTES = 65536, SCHED_QUANTUM_BYTES = 65536 };

struct sched {
    struct stream_list fresh;
    struct stream_list bulk;
    struct stream_list blocked; /* for want of session credit */
};

void sched_init(struct sched *s);
/* Call whenever a stream may have got something to send; a second call changes nothing. */
void sched_add(struct sched *s, struct stream *st);
void sched_remove(struct sched *s, struct stream *st);
/* The next stream that can send with `session_left` new bytes, or NULL. Sets those aside that
 * cannot. */
struct stream *sched_next(struct sched *s, uint64_t session_left);
/* `len` bytes of the stream that next() gave left. */
void sched_on_sent(struct sched *s, struct stream *st, size_t len);
/* The session got credit. */
void sched_unblock(struct sched *s);
/* True if a stream waits whose turn may come. */
bool sched_is_waiting(const struct sched *s);

#endif
