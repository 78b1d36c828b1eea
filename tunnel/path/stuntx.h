/* One STUN request on its way to one server: sent, sent again, answered or given up.
 *
 * The small part that the client of the shared socket (stunclient) and the behaviour tests
 * (netcheck) have in common. An answer counts only if it bears our transaction id and comes from
 * where it must come from: the id alone keeps out who cannot see our packets.
 */
#ifndef PATH_STUNTX_H
#define PATH_STUNTX_H

#include <base/clock.h>
#include <base/rng.h>

#include "wire/stun.h"

/* When to send: at 0 and then after rto, 2 rto, 4 rto ...; given up `wait` after the last one. */
struct stuntx_plan {
    uint64_t rto_ns;
    uint64_t wait_ns;
    uint8_t sends;
    /* RFC 8489 6.2.1 sends the same bytes again, and an answer to the second sending gives no round
     * trip time (Karn). With fresh ids each sending is a transaction of its own. */
    bool fresh_ids;
};

/* RFC 8489 6.2.1: 0, 500, 1500, 3500, 7500, 15500, 31500 ms, given up at 39.5 s. */
extern const struct stuntx_plan stuntx_plan_rfc8489;
/* 0, 100, 300, 700, 1500 ms, given up at 3 s, each with its own id: for measuring quickly. */
extern const struct stuntx_plan stuntx_plan_fast;
/* 0, 500, 1500 ms, given up at 3 s: where silence is an answer too. */
extern const struct stuntx_plan stuntx_plan_silence;
/* 0, 250, 750 ms, given up at 1.5 s: the same for somebody who watches. */
extern const struct stuntx_plan stuntx_plan_brief;

enum { STUNTX_SENDS_MAX = 7 };

struct stuntx {
    const struct stuntx_plan *plan; /* NULL = none begun */
    uint8_t id[STUN_TXID_LEN];      /* of the first sending; the n-th adds n to the last byte */
    uint8_t sent;                   /* sendings so far */
    bool open;                      /* an answer is still waited for */
    uint64_t sent_ns[STUNTX_SENDS_MAX];
    uint64_t next_ns; /* the next sending or the end; TIME_NEVER once closed */
};

/* A new id; the first sending is due at once. */
void stuntx_start(struct stuntx *t, const struct stuntx_plan *plan, struct rng rng, uint64_t now);
void stuntx_close(struct stuntx *t);

/* A sending is due: its bytes for a server of this form, counted as sent. 0 = nothing due. */
size_t stuntx_output(struct stuntx *t, enum stun_form form, uint8_t change, uint8_t *buf,
                     size_t cap, uint64_t now);
/* All sendings are out and the wait is over; the caller closes it. */
bool stuntx_is_over(const struct stuntx *t, uint64_t now);

/* Which sending this answer is to (0 = the first), or -1: none of this transaction's. Closed ones
 * are known until the next start, so that late answers do not count as strangers. */
int stuntx_match(const struct stuntx *t, const struct stun_message *m);
/* Round trip of the answer to that sending; 0 where it cannot be told. */
uint64_t stuntx_rtt(const struct stuntx *t, int sending, uint64_t now);

#endif
