/* The ways to one peer: which exist, which of them prove themselves, which one to use.
 *
 * A path proves itself when the peer answers a challenge sent there, or acknowledges a packet that
 * went there. A direct path is trusted for PATHSET_TRUST_NS after a proof (while no data moves:
 * until the next keep-alive has had that long for its answer). Past that, or when the transport
 * suspects it, it is in doubt: packets go to the relay, which answers for them, and as copies to
 * the direct path too, so that it neither costs anything if it is dead nor is left if it is not.
 * A proof ends the doubt; without one the path is given up after PATHSET_DOUBT_NS, and the relay is
 * the choice until it proves itself again. While a direct path is trusted the relay stands by: what
 * is sent again after a probe timeout goes there too (RFC 9000 8.2 has the challenges, the
 * constants are magicsock's). A relay path is trusted while its relay is connected and the
 * transport does not suspect it; one where the peer has answered comes before one where it has not
 * yet.
 *
 *     unproven --answer--> proven --trust ends or suspect--> doubted --answer--> proven
 *
 * Keep-alives hold NATs' mappings open on both sides, so one of both that asks is enough: who has
 * answered waits a little longer than who asked before it asks by itself. The interval is the
 * default, less than the shortest time that NATs are known to forget in, until the driver has
 * measured better (lifetime.h). Nothing holds mappings of paths that are not in use.
 *
 * Choice: a trusted direct path, the one of before while it is in doubt, a relay, a direct path
 * that is not trusted. A relay that is about to end comes after the others of its kind. Among
 * direct paths the shorter round trip wins, by a clear margin; but one whose NATs' mappings are
 * renewed before one whose mappings are about to end, unless that is twice as fast (another way
 * altogether).
 *
 * Ids are the path ids on the wire (1 .. PACKET_PATHS_MAX-1).
 */
#ifndef PATH_PATHSET_H
#define PATH_PATHSET_H

#include <base/clock.h>
#include <base/rng.h>

#include <stdbool.h>
#include <stdint.h>

#include "path/where.h"
#include "wire/frame.h"
#include "wire/packet.h"

#define PATHSET_TRUST_NS (6500 * NS_PER_MS)  /* a direct path is used alone this long */
#define PATHSET_HEARTBEAT_NS (3 * NS_PER_S)  /* challenge to a path in use, while data moves */
#define PATHSET_KEEPALIVE_NS (17 * NS_PER_S) /* the same while streams are open but silent */
#define PATHSET_KEEPALIVE_JITTER_NS (500 * NS_PER_MS)
#define PATHSET_RARE_NS (3600 * NS_PER_S)        /* in quiet times, what nothing depends on */
#define PATHSET_PROBE_FIRST_NS (100 * NS_PER_MS) /* a path without proof: doubling from here */
#define PATHSET_PROBE_LAST_NS (5 * NS_PER_S)     /* ... to here; to RARE in quiet times */
#define PATHSET_FORGET_NS (45 * NS_PER_S)        /* a learned address never heard of again */
#define PATHSET_HOLD_NS (1 * NS_PER_S)           /* a suspected path is in doubt at least so long */
#define PATHSET_HOLD_LAST_NS (60 * NS_PER_S) /* doubling until something is acknowledged again */
#define PATHSET_DOUBT_NS (3 * NS_PER_S)      /* and no path is in doubt for longer */

/* How much life there is in the session: it sets how often paths are challenged. */
enum pathset_pulse {
    PATHSET_ASLEEP, /* nothing is open: no challenges at all */
    PATHSET_QUIET,  /* streams are open, no data moves */
    PATHSET_BUSY,
};

struct path {
    uint8_t id;      /* 0 = the slot is free */
    bool worked;     /* proved itself once, be it in a former session */
    bool proven;     /* at least once */
    bool doubted;    /* suspected by the transport since its last proof */
    bool usable;     /* relay: its relay is connected and knows the peer */
    bool leaving;    /* relay: its relay has said that it ends soon */
    bool preferred;  /* relay: the peer's home, if one is as good as the other */
    bool configured; /* never forgotten */
    uint8_t renewed; /* how many of its ends have a mapping that outlives the former one's */
    struct where where;
    uint8_t token[FRAME_CHALLENGE_LEN]; /* of the outstanding challenge */
    uint64_t sent_ns;                   /* when it left; TIME_NEVER = none outstanding */
    uint64_t asked_ns;                  /* when the last one left, outstanding or not */
    uint64_t probe_ns;                  /* when the next one is due */
    uint64_t interval_ns;               /* back-off while there is no answer */
    uint64_t proven_ns;                 /* last proof; 0 = never */
    uint64_t trusted_ns;                /* direct: how long that proof is enough */
    uint64_t heard_ns;                  /* last authentic packet from there */
    uint64_t doubted_ns;
    uint64_t hold_ns; /* how long it is held off from then */
    uint64_t rtt_ns;  /* smoothed, from challenges; 0 = none yet */
};

struct pathset {
    struct path paths[PACKET_PATHS_MAX]; /* [0] stays free */
    enum pathset_pulse pulse;
    uint8_t best;       /* the present choice, 0 = none */
    uint64_t unsure_ns; /* since when that is in doubt; 0 = it is not */
    uint64_t keep_ns;   /* between keep-alives: what the NATs on the way allow */
    uint8_t best_of[WHERE_KINDS];
    struct rng rng;
};

void pathset_init(struct pathset *s, struct rng rng);

/* The path to `where`, added if it is new. When all slots are taken the one least useful makes
 * room: *dropped is its id, else 0. NULL if none is less useful than a new one. */
struct path *pathset_add(struct pathset *s, const struct where *where, bool configured,
                         uint64_t now, uint8_t *dropped);
struct path *pathset_find(struct pathset *s, const struct where *where);
struct path *pathset_get(struct pathset *s, uint8_t id);
/* The slot is free then. */
void pathset_remove(struct pathset *s, uint8_t id);
/* Relay paths: whether the relay is connected and the peer there, as far as is known. */
void pathset_set_usable(struct pathset *s, struct path *p, bool usable, uint64_t now);
/* Relay paths: the relay ends soon. Another one is used as soon as the peer has answered there. */
void pathset_set_leaving(struct pathset *s, struct path *p, bool leaving);
void pathset_set_pulse(struct pathset *s, enum pathset_pulse pulse, uint64_t now);
/* The peer has begun a new life: where it was reached before proves nothing. */
void pathset_forget_proofs(struct pathset *s);
void pathset_set_keep(struct pathset *s, uint64_t keep_ns);
/* Challenges this path at once; every path. */
void pathset_probe(struct pathset *s, struct path *p, uint64_t now);
void pathset_probe_all(struct pathset *s, uint64_t now);

/* An authentic packet came from there. */
void pathset_heard(struct pathset *s, struct path *p, uint64_t now);
/* A packet that was sent there at `sent` was acknowledged at `at`. What left before a suspicion
 * does not end it: it may have been the last to get through. */
void pathset_acked(struct pathset *s, struct path *p, uint64_t sent, uint64_t at);
/* A response; its token names the path, whatever way it came. NULL if none waits for it. */
struct path *pathset_response(struct pathset *s, const uint8_t token[FRAME_CHALLENGE_LEN],
                              uint64_t now);
/* We answered a challenge of the peer's there. While data moves nobody asks unless something has
 * changed, perhaps where we are seen: we ask back, which tells. */
void pathset_answered(struct pathset *s, struct path *p, uint64_t now);
/* The transport got no answer to two probes in a row. Other ways through the same mapping, ours or
 * the peer's, that have not proved themselves since are worth nothing either until they do. */
void pathset_suspect(struct pathset *s, struct path *p, uint64_t now);

bool pathset_is_trusted(const struct path *p, uint64_t now);
/* Chooses anew; the id of the path to use, 0 = none. */
uint8_t pathset_choose(struct pathset *s, uint64_t now);

/* How packets that may go anywhere are to travel: by `use`, and copies of them by `also`, of all or
 * only of those after a probe timeout. 0 = none. After pathset_choose and _choose_of. */
struct pathset_ways {
    uint8_t use, also;
    bool all;
};
struct pathset_ways pathset_ways(const struct pathset *s, uint64_t now);

/* The best of one kind. It is the choice of all, after pathset_choose, if that is of this kind. */
uint8_t pathset_choose_of(struct pathset *s, enum where_kind kind, uint64_t now);

/* A challenge that is due: fills in its token and returns its path; NULL if none is due. */
struct path *pathset_output(struct pathset *s, uint64_t now);
/* When output or choose may have something new. */
uint64_t pathset_next_ns(const struct pathset *s, uint64_t now);

#endif
