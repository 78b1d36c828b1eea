/* Birthday probing: a way from a hard NAT (EDM: another outside port for each destination) to an
 * easy one (EIM) whose filter lets in only the addresses that it has sent to.
 *
 * The hard side opens many temporary sockets and sends once from each to the easy side's known
 * address: as many mappings, at ports that nobody knows. The easy side sends from its one socket to
 * random ports of the hard side's IP. With 256 mappings among 64512 ports one probe in 252 hits:
 * 1-(251/252)^n of n probes, that is 95 % after 754, 99.5 % after 1333, 99.9 % after 1738. Where
 * ports are given out in sequence all of them lie right above one that is known, so some of the
 * first probes go there.
 *
 * Both roles, one run at a time for a whole node, at least BIRTHDAY_REST_NS between the end of one
 * and the next:
 *
 *   easy  idle --ask--> asking --probe (the hard side has sockets open)--> probing --stop--> idle
 *   hard  idle --open (the easy side asks)--> opening --stop--> idle
 *
 * and from any of them by itself to idle at its end of time (birthday_tick). The driver knows how
 * the sides talk and whom it may send to; it sends a challenge for each output, and calls _heard
 * for what comes in authentic on a temporary socket: such a socket outlives the run, until
 * birthday_release. A run is over when the driver calls _stop because a path works.
 *
 * Sockets have numbers, 1..BIRTHDAY_NUMBERS_MAX; 0 is the shared one. birthday_changed tells when
 * the shell should bring its sockets in line with birthday_use.
 *
 * The first packet of each socket passes BIRTHDAY_OPENER_HOPS routers at most: enough to open the
 * NATs on our side, and some NATs keep off what came to them unasked, or answer it with an error
 * that closes what it had opened. The second round goes all the way, for who has more routers
 * before his NAT, and against loss.
 *
 * Bounds: a run sends at most BIRTHDAY_PROBES_MAX datagrams, one each BIRTHDAY_PROBE_NS, or two
 * from each socket, one each BIRTHDAY_OPEN_NS; after a pause never more than BIRTHDAY_BURST_MAX at
 * once.
 */
#ifndef PATH_BIRTHDAY_H
#define PATH_BIRTHDAY_H

#include <base/addr.h>
#include <base/clock.h>
#include <base/rng.h>

#include <stdbool.h>

#include "wire/frame.h"

enum {
    BIRTHDAY_SOCKETS_MAX = 256,                       /* of one run */
    BIRTHDAY_SOCKETS_MIN = 32,                        /* a run with fewer is not worth it */
    BIRTHDAY_NUMBERS_MAX = BIRTHDAY_SOCKETS_MAX + 64, /* with those kept of former runs */
    BIRTHDAY_PROBES_MAX = 1750,
    BIRTHDAY_NEAR_PROBES = 128, /* of these: near the known port, among the first 256 */
    BIRTHDAY_NEAR_STEP = 4,
    BIRTHDAY_BURST_MAX = 8,
    BIRTHDAY_PORT_MIN = 1024,
    BIRTHDAY_OPENER_HOPS = 5,
};

#define BIRTHDAY_PROBE_NS (6 * NS_PER_MS)
#define BIRTHDAY_OPEN_NS (2 * NS_PER_MS)
#define BIRTHDAY_REOPEN_NS (1 * NS_PER_S) /* the second round of the sockets */
#define BIRTHDAY_ASK_NS (3 * NS_PER_S)    /* how long an answer is waited for */
#define BIRTHDAY_RUN_NS (12 * NS_PER_S)   /* how long a run lasts at most */
#define BIRTHDAY_REST_NS (20 * NS_PER_S)  /* after a run; after a question that came to nothing: */
#define BIRTHDAY_PAUSE_NS (1 * NS_PER_S)

enum birthday_state {
    BIRTHDAY_IDLE,
    BIRTHDAY_ASKING,
    BIRTHDAY_OPENING,
    BIRTHDAY_PROBING,
};

/* What a temporary socket is for. */
enum birthday_use {
    BIRTHDAY_CLOSED,
    BIRTHDAY_TRIED, /* in the present run */
    BIRTHDAY_KEPT,  /* something came in by it */
};

enum { BIRTHDAY_NOBODY = 0x7fffffff };

struct birthday_socket {
    enum birthday_use use;
    uint32_t who; /* NOBODY: a spare one */
};

struct birthday_stats {
    uint64_t runs;    /* opening or probing */
    uint64_t won;     /* of these */
    uint64_t sent;    /* datagrams */
    uint64_t refused; /* wanted, but off, at rest, or another run is on */
};

struct birthday {
    unsigned budget; /* sockets; 0 = off */
    struct rng rng;
    enum birthday_state state;
    uint32_t who;      /* the run's */
    struct addr to;    /* opening: whole; probing: the port is a known one */
    uint64_t end_ns;   /* of the state */
    uint64_t next_ns;  /* when the next datagram is due */
    uint64_t ready_ns; /* no run before */
    unsigned sent;     /* in this run */
    uint8_t hops;      /* of the datagram that output gave last; 0 = as many as usual */
    unsigned tried_count;
    uint16_t tried[BIRTHDAY_SOCKETS_MAX];
    struct birthday_socket sockets[BIRTHDAY_NUMBERS_MAX + 1]; /* [0] stays unused */
    unsigned kept;
    bool changed;
    struct birthday_stats stats;
};

/* sockets: the most that a run may open, 0 = there are no runs, in neither role. */
void birthday_init(struct birthday *b, unsigned sockets, struct rng rng);

/* `who` is the caller's number of a peer. False: not now (see stats.refused). */
bool birthday_ask(struct birthday *b, uint32_t who, uint64_t now);
/* The peer asks to be sent to at `to`. */
bool birthday_open(struct birthday *b, uint32_t who, const struct addr *to, uint64_t now);
/* The peer has opened: an address of its NAT. False unless it was asked. */
bool birthday_probe(struct birthday *b, uint32_t who, const struct addr *known, uint64_t now);
/* The end of the run, if there is one. */
void birthday_stop(struct birthday *b, bool won, uint64_t now);

/* An authentic packet of `who` came in by this socket: it is kept. */
void birthday_heard(struct birthday *b, unsigned socket, uint32_t who);
/* A socket for something else than a run, kept until it is released: its number, 0 = none left. */
uint16_t birthday_spare(struct birthday *b);
/* A spare one that carries a path of `who` now: as if something had come in by it in a run. */
void birthday_hand(struct birthday *b, unsigned socket, uint32_t who);
/* A kept socket is of no use any more. */
void birthday_release(struct birthday *b, unsigned socket);

/* The next datagram; false if none is due. */
bool birthday_output(struct birthday *b, unsigned *socket, struct addr *to, uint64_t now);
/* Ends a run whose time is over: true then. */
bool birthday_tick(struct birthday *b, uint64_t now);
/* When output or tick has something to do. */
uint64_t birthday_next_ns(const struct birthday *b);
/* When the next run may begin, if the present one takes all its time. */
uint64_t birthday_ready_ns(const struct birthday *b);

bool birthday_is_with(const struct birthday *b, uint32_t who);
/* True once after sockets are wanted or no longer wanted. */
bool birthday_changed(struct birthday *b);
enum birthday_use birthday_use(const struct birthday *b, unsigned socket);

/* --- what a peer's list of candidates says (birthday_list.c) --- */

/* Two server-reflexive IPv4 candidates with one IP and different ports: another mapping for each
 * server. */
bool birthday_list_is_hard(const struct frame_candidate *list, size_t count);
/* The first CAND_BIRTHDAY, if its IP is that of a server-reflexive candidate in the list; *whole:
 * with its port. So nobody can be sent to whom the peer does not claim to be. */
bool birthday_list_sign(const struct frame_candidate *list, size_t count, struct addr *addr,
                        bool *whole);

#endif
