/* Which address of a target to try, and when: "Happy Eyeballs Version 2" (RFC 8305).
 *
 * The addresses of both families come from questions of their own, in whatever order. With the
 * first IPv6 address the race begins at once, with IPv4 alone DIAL_RESOLUTION_DELAY later (section
 * 3); so a name server that keeps quiet about one family delays the other hardly. Families take
 * turns (section 4), beginning with IPv6, or, where nothing is resolved, with the first address;
 * within one the resolver's order stays, which is RFC 6724's. The next attempt starts when one
 * failed, or DIAL_DELAY after the last one (section 5); the first to connect wins. Policy looks at
 * each address here, after resolving and right before it is dialled: what the list does not allow
 * is never tried.
 *
 *     dial_init, dial_add..., dial_start                             all is known, or
 *     dial_init, dial_wait, (dial_add..., dial_answered) twice       names
 *         -> TRY{slot, addr}... -> DONE{slot} | FAILED{cause}
 *
 * On DONE and on FAILED the caller closes all other attempts; so it does when it gives up.
 */
#ifndef SESSION_DIAL_H
#define SESSION_DIAL_H

#include "policy/acl.h"

#include <adit/cause.h>
#include <base/addr.h>
#include <base/clock.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DIAL_ADDRS_MAX = 16, /* more are not tried */
};

#define DIAL_DELAY (250 * NS_PER_MS)           /* section 8, "Connection Attempt Delay" */
#define DIAL_RESOLUTION_DELAY (50 * NS_PER_MS) /* section 8, "Resolution Delay" */

enum dial_event_type {
    DIAL_EVENT_NONE,
    DIAL_EVENT_TRY,
    DIAL_EVENT_DONE,
    DIAL_EVENT_FAILED,
};

struct dial_event {
    enum dial_event_type type;
    size_t slot;      /* TRY, DONE: which address, < DIAL_ADDRS_MAX */
    struct addr addr; /* TRY: with the port */
    enum cause cause; /* FAILED */
};

enum dial_slot {
    DIAL_SLOT_WAITING,
    DIAL_SLOT_DUE,
    DIAL_SLOT_TRYING,
    DIAL_SLOT_OVER,
};

struct dial {
    struct addr addrs[DIAL_ADDRS_MAX];
    enum dial_slot slots[DIAL_ADDRS_MAX];
    size_t count;
    size_t running;          /* attempts that are due or under way */
    bool waits_v4, waits_v6; /* addresses of that family may still come */
    bool racing, finished;
    uint8_t turn;           /* the family that is next; ADDR_NONE: of the first address */
    struct dial_event last; /* DONE or FAILED, until it is taken */
    enum cause cause;       /* the most telling one so far */
    uint64_t timeout_ns, last_try, next_try, deadline;
};

/* `timeout_ns`: for the answers and all attempts together. */
void dial_init(struct dial *d, uint64_t timeout_ns);
/* Takes one address (with the port) unless `acl` forbids it; `name` is what was asked for, NULL if
 * an address was. `acl` NULL = everything is allowed. Doubles are dropped. */
void dial_add(struct dial *d, const struct acl *acl, const char *name, const struct addr *addr);
/* Policy forbids the target whatever it resolves to, or an address that is not added. */
void dial_forbid(struct dial *d);
/* The cause if nothing comes of it, unless an attempt has a better one to tell. */
void dial_blame(struct dial *d, enum cause cause);
/* All addresses are there: begin. */
void dial_start(struct dial *d, uint64_t now);
/* Those of both families are asked for: the time runs. */
void dial_wait(struct dial *d, uint64_t now);
/* All of this family (ADDR_IPV4, ADDR_IPV6) have been added; no more of it come. */
void dial_answered(struct dial *d, uint8_t family, uint64_t now);

void dial_connected(struct dial *d, size_t slot);
/* `err` is a negative system error. */
void dial_attempt_failed(struct dial *d, size_t slot, int err, uint64_t now);
void dial_tick(struct dial *d, uint64_t now);
uint64_t dial_next_ns(const struct dial *d);
/* False when there is none. */
bool dial_event(struct dial *d, struct dial_event *ev);

/* The cause for a negative system error of connect(2); one table. */
enum cause dial_cause(int err);

#endif
