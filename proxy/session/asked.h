/* Whom a flow has sent datagrams to: only they may answer it.
 *
 * Address-and-port filtering, as RFC 4787 section 5 names it: a flow's socket can be found by
 * anybody who scans ports, and what strangers send there is none of the application's business.
 * There is a ceiling for targets, and for how fast new ones come: a flow is no port scanner.
 */
#ifndef SESSION_ASKED_H
#define SESSION_ASKED_H

#include <base/addr.h>
#include <base/clock.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

/* Silence after which a target is forgotten (RFC 4787 REQ-5: not before 2 minutes). */
#define ASKED_NS (300 * NS_PER_S)

enum {
    ASKED_MAX = 1024,      /* targets at once */
    ASKED_NEW_PER_S = 128, /* new ones in the long run ... */
    ASKED_NEW_BURST = 512, /* ... and in a moment */
};

struct asked_entry;

struct asked {
    struct asked_entry *table;               /* by address */
    TAILQ_HEAD(asked_list, asked_entry) old; /* the longest silent first */
    size_t count;
    uint64_t tokens; /* new targets that may come now */
    uint64_t filled_ns;
};

void asked_init(struct asked *a, uint64_t now);
void asked_deinit(struct asked *a);

/* A datagram goes to this address and port. 0, ERR_NO_ROOM (too many, or new ones too fast) or
 * ERR_NO_MEMORY: do not send it. */
int asked_add(struct asked *a, const struct addr *to, uint64_t now);
/* May who sent this answer? */
bool asked_has(struct asked *a, const struct addr *from, uint64_t now);

#endif
