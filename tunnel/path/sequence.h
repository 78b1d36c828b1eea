/* Two NATs that both give out their ports in sequence, another one for each destination: meeting
 * where neither side can be found (birthday.h needs one that can).
 *
 * Each side asks a STUN server from SEQUENCE_SOCKETS fresh sockets at once: the outside ports show
 * the step from one to the next, and so where the next mappings will be. Told to each other, that
 * is enough: our i-th packet goes to where one of the peer's next mappings will be, and leaves from
 * our i-th one, so it meets the peer's packet that was sent to that one.
 *
 * Others behind the same NATs open mappings meanwhile, and shift ours; only the sum `s` of both
 * sides' shifts matters. Were both to send to the next ports in their order, none would meet unless
 * s is 0. So one side, the wide one, goes faster: for each SEQUENCE_HOLD packets it leaves out one
 * of the peer's ports.
 *
 *     narrow: its k-th packet to the peer's next + k          leaves from its next + k + its shift
 *     wide:   its j-th to the peer's next + j + j / HOLD      leaves from its next + j + its shift
 *     they meet where j / HOLD = s: HOLD times, for each s up to about SEQUENCE_COUNT / (HOLD + 1)
 *
 * All packets of a side leave from the first of its fresh sockets: no mapping of it is older than
 * the run, which would make a gap in the order. Both sides do the same; which of them is the wide
 * one the driver knows, and tells them apart.
 *
 *   idle --start--> asking --answers--> told --the peer's numbers--> sending --time--> idle
 *                     (to sending at once if the peer's numbers came first)
 *
 * The first round passes SEQUENCE_OPENER_HOPS routers at most, as in birthday.h: it opens our
 * NATs and does not disturb the peer's. The others go all the way. A run is over when the driver
 * calls _stop because a path works, or by itself at its end of time (sequence_tick).
 *
 * Bounds: one run at a time for a node, SEQUENCE_COUNT * SEQUENCE_ROUNDS datagrams in it, one each
 * SEQUENCE_SEND_NS, never more than SEQUENCE_BURST_MAX at once; SEQUENCE_REST_NS between runs.
 */
#ifndef PATH_SEQUENCE_H
#define PATH_SEQUENCE_H

#include <base/addr.h>
#include <base/clock.h>
#include <base/rng.h>

#include <stdbool.h>

#include "path/stuntx.h"
#include "wire/frame.h"

enum {
    SEQUENCE_SOCKETS = 3,
    SEQUENCE_COUNT = 96,
    SEQUENCE_HOLD = 2,
    SEQUENCE_ROUNDS = 4,
    SEQUENCE_STEP_MAX = 16, /* ports further apart than this are no sequence */
    SEQUENCE_BURST_MAX = 8,
    SEQUENCE_OPENER_HOPS = 5,
};

#define SEQUENCE_OPEN_NS (1 * NS_PER_MS) /* until the shell has opened the sockets */
#define SEQUENCE_ASK_NS (800 * NS_PER_MS)
#define SEQUENCE_TOLD_NS (1200 * NS_PER_MS) /* how long the peer's numbers are waited for */
#define SEQUENCE_SEND_NS (2 * NS_PER_MS)
#define SEQUENCE_ROUND_NS (500 * NS_PER_MS)
#define SEQUENCE_RUN_NS (2500 * NS_PER_MS)
#define SEQUENCE_REST_NS (20 * NS_PER_S) /* after a run; after one that was not answered: */
#define SEQUENCE_PAUSE_NS (1 * NS_PER_S)

enum sequence_state {
    SEQUENCE_IDLE,
    SEQUENCE_ASKING,
    SEQUENCE_TOLD,
    SEQUENCE_SENDING,
};

/* Where a side's next mappings will be. */
struct sequence_numbers {
    struct addr next; /* ADDR_NONE: not known */
    int step;
};

struct sequence_stats {
    uint64_t runs; /* that sent */
    uint64_t won;  /* of these */
    uint64_t sent; /* datagrams, without STUN */
};

struct sequence {
    struct rng rng;
    enum sequence_state state;
    uint32_t who; /* the caller's number of the peer */
    bool wide;
    struct addr server;
    enum stun_form form;
    struct stuntx tx[SEQUENCE_SOCKETS];
    struct addr mapped[SEQUENCE_SOCKETS]; /* ADDR_NONE = not answered yet */
    struct sequence_numbers ours, theirs;
    uint64_t end_ns; /* of the state */
    uint64_t begun_ns, next_ns;
    uint64_t ready_ns; /* no run before */
    unsigned sent;
    uint8_t hops; /* of the datagram that output gave last; 0 = as many as usual */
    struct sequence_stats stats;
};

void sequence_init(struct sequence *s, struct rng rng);

/* A run with peer `who`; `server` is the one to ask. False: not now. */
bool sequence_start(struct sequence *s, uint32_t who, bool wide, const struct addr *server,
                    enum stun_form form, uint64_t now);
/* The peer's numbers, if a run with it waits for them. */
void sequence_meet(struct sequence *s, uint32_t who, const struct sequence_numbers *theirs,
                   uint64_t now);
void sequence_stop(struct sequence *s, bool won, uint64_t now);

/* On the n-th fresh socket: false if it is no answer to us. */
bool sequence_input(struct sequence *s, unsigned n, const struct addr *from, const void *data,
                    size_t len, uint64_t now);
/* The next request for s->server, by the *n-th socket; 0 = none is due. buf: at least 64 bytes. */
size_t sequence_ask(struct sequence *s, unsigned *n, uint8_t *buf, size_t cap, uint64_t now);
/* The next datagram from the first socket; false if none is due. */
bool sequence_output(struct sequence *s, struct addr *to, uint64_t now);
/* Ends a run whose time is over: true then. */
bool sequence_tick(struct sequence *s, uint64_t now);
/* When ask, output or tick has something to do. */
uint64_t sequence_next_ns(const struct sequence *s);

bool sequence_is_with(const struct sequence *s, uint32_t who);
/* Until then new mappings for something else would spoil the run; 0 if there is none. */
uint64_t sequence_calm_ns(const struct sequence *s);

/* What is said in the list of candidates, two entries CAND_SEQUENCE: the next mapping and the one
 * after it. False if that is not in it, or of an IP that is no reflexive one in the same list. */
bool sequence_list_numbers(const struct frame_candidate *list, size_t count,
                           struct sequence_numbers *out);
void sequence_list_tell(const struct sequence_numbers *n, struct frame_candidate out[2]);

#endif
