/* A NAT that ends a mapping so long after it was made, however much it is used: learned, and then a
 * new mapping is there before the old one ends.
 *
 * Learned from the shared socket: its mapped address changes while it is in use without a break,
 * and does so at the same age twice in a row (within an eighth, or RENEWAL_ALIKE_NS). That names
 * the side whose NAT it is, which the death of a path does not. Only ends whose moment is known
 * count: those that showed at once, because a path died or a peer saw us elsewhere, or that lie
 * between two answers close to each other; an ordinary refresh may find one 26 s late. What is
 * learned holds until the network changes, two ages in a row say something else, or a mapping is
 * seen that has outlived it.
 *
 * Then, RENEWAL_AHEAD of its life before the end, a STUN server is asked from a spare socket: it
 * has a mapping of its own, and that is made known to the peers. The driver opens the socket, tells
 * the peers and moves to it (node_renewal.c).
 *
 *     idle --due--> asking --answer--> idle (the spare socket serves; due again before its end)
 *                          --silence-> idle (due again at half of what is left)
 */
#ifndef PATH_RENEWAL_H
#define PATH_RENEWAL_H

#include <base/addr.h>

#include "path/stuntx.h"

#define RENEWAL_AHEAD 6 /* a sixth */
#define RENEWAL_ALIKE_NS (2 * NS_PER_S)
#define RENEWAL_DOUBT_NS (1 * NS_PER_S) /* between two questions because of doubts */
#define RENEWAL_LIFE_MIN_NS (20 * NS_PER_S)
#define RENEWAL_LIFE_MAX_NS (3600 * NS_PER_S)

struct renewal {
    struct rng rng;
    struct addr shared; /* that the shared socket is seen at; ADDR_NONE = not known */
    uint64_t begun_ns;  /* since when the shared socket has its mapping; 0 = not known */
    uint64_t latest_ns; /* or up to then: where they differ an end was found late */
    uint64_t seen_ns;   /* the mapping was still the same then; 0 = not known */
    uint64_t doubt_ns;  /* since when it may be another one; 0 = not known */
    uint64_t age_ns;    /* that the one before reached; 0 = not known */
    uint64_t life_ns;   /* learned; 0 = nothing */
    uint64_t made_ns;   /* of the mapping that serves; 0 = not known */
    uint64_t due_ns;
    bool asking;
    uint64_t asked_ns;
    struct addr server;
    enum stun_form form;
    struct stuntx tx;
    struct addr mapped; /* of the spare socket that serves; ADDR_NONE = the shared one does */
    uint64_t done, failed;
};

void renewal_init(struct renewal *r, struct rng rng);

/* --- learning: what is said of the shared socket while it is in use --- */

/* Something hints at its mapping having changed just now. True if a server is to be asked. */
bool renewal_doubt(struct renewal *r, uint64_t now);
/* A server says where it is seen; of another address than before, _changed tells. */
void renewal_seen(struct renewal *r, const struct addr *mapped, uint64_t now);
void renewal_changed(struct renewal *r, uint64_t now);
/* It is not in use any more: what it has later may be older or younger than it looks. */
void renewal_lapse(struct renewal *r);

/* --- renewing --- */

bool renewal_is_due(const struct renewal *r, uint64_t now);
void renewal_start(struct renewal *r, const struct addr *server, enum stun_form form, uint64_t now);
/* Nobody needs it now: the shared socket serves. Due again when that one's mapping is. */
void renewal_stop(struct renewal *r, uint64_t now);
/* How long before the end of a mapping the next one is made. */
uint64_t renewal_ahead_ns(const struct renewal *r);

/* On the spare socket: false if it is no answer to us. r->mapped is new when r->asking ends. */
bool renewal_input(struct renewal *r, const struct addr *from, const void *data, size_t len,
                   uint64_t now);
/* The next datagram for r->server, or 0. buf: at least 64 bytes. */
size_t renewal_output(struct renewal *r, uint8_t *buf, size_t cap, uint64_t now);
/* True when the question was given up: the socket is of no use. */
bool renewal_tick(struct renewal *r, uint64_t now);
uint64_t renewal_next_ns(const struct renewal *r);

#endif
