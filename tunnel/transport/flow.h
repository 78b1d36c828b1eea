/* Credit in bytes, of the session or of one stream (RFC 9000 section 4), as the receiver sees it.
 *
 * New credit is announced when a quarter of the window is used up. The window tunes itself: it
 * doubles, up to its ceiling, when a quarter is consumed within half a round trip, since then it is
 * the window that limits the peer; so it comes to two to four times what the path holds. It halves,
 * down to where it began, when a quarter takes sixteen round trips.
 */
#ifndef TRANSPORT_FLOW_H
#define TRANSPORT_FLOW_H

#include <stdbool.h>
#include <stdint.h>

struct flow {
    uint64_t limit;    /* what the peer may send up to, as announced */
    uint64_t known;    /* a limit that the peer has confirmed */
    uint64_t received; /* session: of all streams together; stream: kept by recvbuf */
    uint64_t consumed; /* by the application */
    uint64_t window;
    uint64_t window_min;
    uint64_t window_max;
    uint64_t raised_ns; /* when the limit last rose; 0 = never */
};

void flow_init(struct flow *f, uint64_t window, uint64_t window_max);
/* True if the limit rose: announce it. */
bool flow_consume(struct flow *f, uint64_t len, uint64_t rtt_ns, uint64_t now);
/* Would it rise if `len` bytes were consumed? */
bool flow_is_due(const struct flow *f, uint64_t len);
/* At least this window from now on, within the ceiling. */
void flow_widen(struct flow *f, uint64_t window);
/* No more than this from now on, but not less than at first. What was announced holds. */
void flow_narrow(struct flow *f, uint64_t window);
/* Twice the window, announced at once; false at the ceiling. */
bool flow_press(struct flow *f);
/* Announces `limit` before anything came. */
void flow_grant(struct flow *f, uint64_t limit);

#endif
