/* Whether it pays to look again for a moment before the loop sleeps.
 *
 * A process that sleeps has to be woken, and the processor that it left idle, too: 5 to 50 µs,
 * which is most of what a request between programs close by takes. So where answers come soon, the
 * loop goes on polling instead, for the limit's time at most, and lets others by at each turn. What
 * it does is learnt from the waits themselves, whether they were slept through or not: a peer
 * beyond a real network answers too late, and is waited for asleep from the fifth time on. Waits
 * for peers and for applications here are told apart.
 *
 * Not while bulk moves, since who looks too early gets small batches; nor where others want the
 * processor: a yield then costs what the system lets them run, a thousand times a wake-up.
 */
#ifndef LOOP_SPIN_H
#define LOOP_SPIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What one round of the loop moved. */
struct spin_round {
    size_t bytes; /* by UDP, both ways */
    bool sent;    /* something went to a peer: it is the one who is waited for */
};

struct spin {
    uint64_t limit_ns; /* 0 = never */
    uint64_t since_ns; /* the wait under way began; TIME_NEVER = none is */
    bool for_peer;
    uint8_t score[2];          /* of waits for applications, and for peers */
    uint64_t bulk_until_ns;    /* bulk has moved, and may go on */
    uint64_t crowded_until_ns; /* others want the processor, */
    uint64_t crowded_ns;       /* and for so long no one looked whether they still do */
};

void spin_init(struct spin *s, uint64_t limit_ns);
/* A round is over, and the loop is going to wait. */
void spin_wait(struct spin *s, const struct spin_round *r, uint64_t now);
/* Whether to go on polling. False without a wait under way. */
bool spin_pays(const struct spin *s, uint64_t now);
/* Others were let by, from when to when. */
void spin_yielded(struct spin *s, uint64_t from_ns, uint64_t now);
/* Something came: the wait is over, if there was one. Timers do not count. */
void spin_wake(struct spin *s, uint64_t now);

#endif
