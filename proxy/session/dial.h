/* Which address of a target to try, and when: "Happy Eyeballs" (RFC 8305) over resolved addresses.
 *
 * Families take turns, beginning with that of the first address (the resolver's order is
 * RFC 6724's). The next attempt starts when one failed, or DIAL_DELAY after the last one; the
 * first to connect wins. Policy looks at each address here, after resolving and right before it
 * is dialled: what the list does not allow is never tried.
 *
 *     dial_init, dial_add..., dial_start -> TRY{slot, addr}... -> DONE{slot} | FAILED{cause}
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

#define DIAL_DELAY (250 * NS_PER_MS) /* RFC 8305 section 5, "Connection Attempt Delay" */
#define DIAL_TIMEOUT (20 * NS_PER_S) /* for all attempts together */

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
    DIAL_SLOT_TRYING,
    DIAL_SLOT_OVER,
};

struct dial {
    struct addr addrs[DIAL_ADDRS_MAX];
    enum dial_slot slots[DIAL_ADDRS_MAX];
    size_t count;
    size_t next;  /* first slot not tried yet */
    size_t tried; /* TRY events given out of the `next` that are due */
    size_t running;
    bool started, finished;
    struct dial_event last; /* DONE or FAILED, until it is taken */
    enum cause cause;       /* the most telling one so far */
    uint64_t next_try, deadline;
};

void dial_init(struct dial *d);
/* Takes one address (with the port) unless `acl` forbids it; `name` is what was asked for, NULL if
 * an address was. `acl` NULL = everything is allowed. Doubles are dropped. */
void dial_add(struct dial *d, const struct acl *acl, const char *name, const struct addr *addr);
/* Policy forbids the target whatever it resolves to, or an address that is not added. */
void dial_forbid(struct dial *d);
/* No more addresses: order them and begin. */
void dial_start(struct dial *d, uint64_t now);

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
