/* Candidates: addresses at which a node may be reachable. Ours, to be told to peers; a peer's, to
 * be probed.
 *
 * Ours (cand_own): gathered from the interfaces, STUN, port mappings and the configuration; one
 * entry for each address, whichever sources name it. `version` changes when the list does: then
 * the candidates frame goes out again.
 *
 *     netmon:      cand_own_replace(o, CAND_HOST, addrs, count, now)     with the shared port
 *     stunclient:  cand_own_add(o, CAND_REFLEXIVE, addr, now)            at every MAPPED
 *     portmap:     cand_own_replace(o, CAND_MAPPED, ...)                 also with none, when lost
 *     netcheck:    cand_own_replace(o, CAND_PREDICTED, ...)
 *
 * A peer's (cand_peer): a probe is a path challenge, whose token comes from here, so that
 * candidates take none of the few places of a pathset before they have proved themselves. All are
 * probed at the same moment, so one that is worth something is found after one round trip however
 * many stale ones surround it; each then has its own back-off:
 *
 *     due --output--> waiting 100 ms, 200 ms ... 5 s --CAND_STALE_NS without answer--> 60 s
 *         --answered--> rests: it is a path now, and pathset's to look after
 *
 * A new candidates frame is the starting gun: what it names is probed at once, what it no longer
 * names is dropped. Whoever drives this sends nothing while no session needs a path.
 */
#ifndef PATH_CAND_H
#define PATH_CAND_H

#include <base/addr.h>
#include <base/clock.h>
#include <base/rng.h>

#include <stdbool.h>

#include "wire/frame.h"

/* On the wire as well: do not renumber. */
enum cand_source {
    CAND_HOST = 1,           /* of an interface */
    CAND_REFLEXIVE = 2,      /* as a STUN server saw us */
    CAND_MAPPED = 3,         /* a port mapping on the router */
    CAND_PEER_REFLEXIVE = 4, /* as a peer saw us; where a peer's packet came from */
    CAND_PREDICTED = 5,      /* where the next mapping of a hard NAT will probably be */
    CAND_CONFIGURED = 6,     /* written in the ini */
    CAND_BIRTHDAY = 7,       /* no candidate, but a sign; see birthday.h and PROTOCOL.md 6 */
    CAND_RENEWED = 8,        /* reflexive, and outlives the others: PROTOCOL.md 6 */
    CAND_SEQUENCE = 9,       /* no candidate, but a sign; see sequence.h */
    CAND_RELAY = 10,         /* no address, but the tag of a relay: PROTOCOL.md 6 */
};

enum {
    CAND_MAX = FRAME_CANDIDATES_MAX,
    CAND_SENT_MAX = 8, /* probes to one candidate whose answers still count */
    CAND_SEEN_MAX = 8, /* addresses of ours that nobody but a peer has seen: it may say anything */
};

#define CAND_KEEP_NS (310 * NS_PER_S)     /* an observed address of ours that is seen no more */
#define CAND_SEEN_NS (30 * NS_PER_S)      /* before what a peer has seen makes room for others */
#define CAND_PREDICTED_NS (30 * NS_PER_S) /* a prediction */
#define CAND_PROBE_FIRST_NS (100 * NS_PER_MS)
#define CAND_PROBE_LAST_NS (5 * NS_PER_S)
#define CAND_STALE_NS (45 * NS_PER_S)
#define CAND_PROBE_STALE_NS (60 * NS_PER_S)
/* To all addresses of one peer together: a full list needs 128 in its first second. It bounds what
 * a peer can make us send by naming others' addresses in ever new lists. */
#define CAND_PROBES_PER_S_MAX 160

/* --- ours --- */

struct cand {
    struct addr addr;
    uint8_t sources;      /* bit n = enum cand_source n */
    uint64_t observed_ns; /* by STUN or a peer */
    uint64_t predicted_ns;
};

struct cand_own {
    size_t count;
    struct cand list[CAND_MAX]; /* the most useful first */
    uint32_t version;
    uint64_t useless; /* addresses that nobody could use */
    uint64_t no_room; /* refused or pushed out at the ceiling */
};

void cand_own_init(struct cand_own *o);
/* True if the list changed. */
bool cand_own_add(struct cand_own *o, enum cand_source source, const struct addr *addr,
                  uint64_t now);
/* These are all the addresses of this source now. */
bool cand_own_replace(struct cand_own *o, enum cand_source source, const struct addr *addrs,
                      size_t count, uint64_t now);
/* Drops what has not been observed for long, and old predictions. */
bool cand_own_expire(struct cand_own *o, uint64_t now);
/* When expire may have something to drop. */
uint64_t cand_own_next_ns(const struct cand_own *o);
/* For the frame, the most useful first. Loopback addresses are told only if there are no others. */
size_t cand_own_list(const struct cand_own *o, struct frame_candidate out[CAND_MAX]);

/* --- a peer's --- */

struct cand_remote {
    struct addr addr;
    enum cand_source source;
    bool answered;                      /* since the last start */
    uint64_t rtt_ns;                    /* of the probe that was answered; 0 = unknown */
    uint64_t start_ns;                  /* when probing it began */
    uint64_t wait_ns;                   /* back-off */
    uint64_t next_ns;                   /* next probe, TIME_NEVER once answered */
    uint8_t token[FRAME_CHALLENGE_LEN]; /* of the first probe; the n-th adds n to the last byte */
    uint8_t sent;                       /* probes since the start, counted round */
    uint64_t sent_ns[CAND_SENT_MAX];    /* the last ones, by number */
};

struct cand_peer {
    struct rng rng;
    size_t count;
    struct cand_remote list[CAND_MAX]; /* the most useful first */
    uint64_t second_ns;                /* start of the second ... */
    unsigned second_count;             /* ... in which so many probes went out */
    uint64_t probes;
    uint64_t not_worth; /* not probed */
    uint64_t no_room;
};

void cand_peer_init(struct cand_peer *p, struct rng rng);
/* A candidates frame of this peer, authenticated. `own` tells what is not worth a probe. */
void cand_peer_take(struct cand_peer *p, const struct frame_candidate *list, size_t count,
                    const struct cand_own *own, uint64_t now);
/* The first entries of such a list, as a handshake has them: what is new is probed at once, the
 * rest stays as it is. */
void cand_peer_hint(struct cand_peer *p, const struct frame_candidate *list, size_t count,
                    const struct cand_own *own, uint64_t now);
/* Probes all of them anew, at once: our own network changed, or a direct path died. */
void cand_peer_restart(struct cand_peer *p, uint64_t now);
/* A path response: the candidate that its token was sent to, whatever way it came back; NULL if
 * none. It rests from now on; make it a path. */
const struct cand_remote *
cand_peer_response(struct cand_peer *p, const uint8_t token[FRAME_CHALLENGE_LEN], uint64_t now);
/* The peer told us of it. */
bool cand_peer_is_named(const struct cand_peer *p, const struct addr *addr);

/* The next address to send a path challenge to now, with this token; most useful first. False if
 * none is due. */
bool cand_peer_output(struct cand_peer *p, struct addr *to, uint8_t token[FRAME_CHALLENGE_LEN],
                      uint64_t now);
uint64_t cand_peer_next_ns(const struct cand_peer *p);

/* Whether a peer may sensibly be looked for there: not if unspecified, multicast, reserved,
 * link-local (its zone means nothing to us), without a port, one of our own candidates, or
 * loopback unless we have nothing but loopback ourselves. */
bool cand_is_worth(const struct addr *addr, const struct cand_own *own);

#endif
