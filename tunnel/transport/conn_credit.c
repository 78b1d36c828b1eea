/* What the peer may send, and so how much may lie unread here.
 *
 * The session's window is all that its streams may leave unread here together. So
 * that stopped readers cannot use it up, what a stream's window may be falls with the square of
 * what the others have left free of three quarters of it: half of those at first, a quarter of that
 * when half is gone. So the n-th large one that stops takes about 2 / n^2, and the last quarter
 * remains for windows of the size that every stream begins with. A new stream gets credit in
 * advance besides, so that an answer of some 100 kB need not wait for more; all such advances
 * together stay below an eighth of the window, and one that is used up counts no more.
 */
#include "transport/conn.h"

#include <base/check.h>

#include "transport/conn_internal.h"

enum {
    GRANT_SHARE = 8, /* of the session's window, for all advances */
    GRANT_PART = 4,  /* of what is left of that, for one */
    TURN_PART = 16,  /* of the most that a stream may get, for one turn */
};

/* Who reads gets so much at least, as long as there is plenty: where many streams take turns of
 * that size on a fast path, a small window would cut each turn short. It is not used up within half
 * a round trip then, so no stream's window would ever grow for it. */
#define TURN_WINDOW (UINT64_C(256) << 10)
#define GRANT_MAX (UINT64_C(256) << 10)

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* --- credit for the peer --- */

void conn_consume_session(struct conn *c, uint64_t len, uint64_t now)
{
    if (len > 0 && flow_consume(&c->credit, len, conn_rtt(c), now)) {
        c->credit_pending = true;
    }
}

/* The largest window that the stream may have now. */
static uint64_t window_share(const struct conn *c, const struct stream *s)
{
    uint64_t unread = c->credit.received - c->credit.consumed;
    uint64_t own = s->in.top - s->in.read;
    uint64_t others = unread > own ? unread - own : 0;
    uint64_t pool = c->credit.window_max / 4 * 3;
    uint64_t left = pool > others ? pool - others : 0;
    uint64_t permille = left * 1000 / most(pool, 1);
    return left * permille / 2000;
}

static void bound_window(struct conn *c, struct stream *s)
{
    uint64_t share = window_share(c, s);
    flow_narrow(&s->credit, share);
    s->credit.window_max = least(c->limits.stream_window_max, most(share, s->credit.window_min));
}

void conn_consume_stream(struct conn *c, struct stream *s, uint64_t len, uint64_t now)
{
    if (s->granted > 0 && s->credit.consumed + len >= s->granted) {
        conn_end_grant(c, s);
    }
    bound_window(c, s);
    if (flow_is_due(&s->credit, len)) {
        flow_widen(&s->credit, least(TURN_WINDOW, s->credit.window_max / TURN_PART));
    }
    if (flow_consume(&s->credit, len, conn_rtt(c), now) && s->recv == STREAM_RECV_OPEN) {
        /* One stream must be able to use its window whatever the session's. */
        flow_widen(&c->credit, s->credit.window + s->credit.window / 2);
        conn_want_control(c, s, STREAM_CONTROL_CREDIT);
    }
}

/* A reader that has taken all there is waits for a lost packet; meanwhile the peer may use up the
 * window. It is not the reader that is slow then. */
void conn_relieve(struct conn *c, struct stream *s)
{
    bool reads = s->recv == STREAM_RECV_OPEN && s->in.read == s->in.ready && s->in.read > 0;
    uint64_t left = s->credit.limit > s->in.top ? s->credit.limit - s->in.top : 0;
    if (!reads || left > s->credit.window / 4) {
        return;
    }
    bound_window(c, s);
    if (flow_press(&s->credit)) {
        flow_widen(&c->credit, s->credit.window + s->credit.window / 2);
        conn_want_control(c, s, STREAM_CONTROL_CREDIT);
    }
}

void conn_grant(struct conn *c, struct stream *s)
{
    uint64_t pool = c->credit.window_max / GRANT_SHARE;
    uint64_t grant = pool > c->granted ? (pool - c->granted) / GRANT_PART : 0;
    grant = least(least(grant, GRANT_MAX), s->credit.window_max);
    if (grant < 2 * s->credit.window) {
        return;
    }
    s->granted = grant;
    c->granted += grant;
    flow_grant(&s->credit, grant);
    s->control |= STREAM_CONTROL_CREDIT; /* goes with open or accept */
}

void conn_end_grant(struct conn *c, struct stream *s)
{
    CHECK(c->granted >= s->granted);
    c->granted -= s->granted;
    s->granted = 0;
}
