/* How long the NAT keeps a mapping that nobody uses, so that keep-alives need not be more frequent.
 *
 * Measured on a socket of its own, so that no path is put at risk: it asks a STUN server, and again
 * after a moment, since some NATs keep those longer that were used more than once; then it is
 * silent for ever longer and asks whether it still has the same mapping. What it had to the last is
 * the result, less a margin.
 *
 *     off --start--> asking --answer--> asking again --the same--> silent 27 s ... 177 s --same-->
 *     and so on; another mapping, no answer, or the end of the list: done
 *
 * A NAT that gives a new mapping the same port as the old one cannot be measured so: the driver
 * must not start (RFC 5780 4.6 has a way, with servers that few have).
 */
#ifndef PATH_LIFETIME_H
#define PATH_LIFETIME_H

#include <base/addr.h>

#include "path/stuntx.h"

#define LIFETIME_AGAIN_NS (3 * NS_PER_S) /* between the first two questions */
#define LIFETIME_MARGIN_NS (2 * NS_PER_S)

enum lifetime_state {
    LIFETIME_OFF,
    LIFETIME_ASKING, /* twice */
    LIFETIME_SILENT, /* or asking after it */
    LIFETIME_DONE,
};

struct lifetime {
    enum lifetime_state state;
    struct rng rng;
    struct addr server;
    enum stun_form form;
    struct stuntx tx;
    struct addr mapped; /* ADDR_NONE = not answered yet */
    unsigned step;      /* of the list of silences */
    uint64_t due_ns;    /* of the next question */
    uint64_t good_ns;   /* the longest silence that was survived; 0 = none */
};

void lifetime_init(struct lifetime *l, struct rng rng);
void lifetime_start(struct lifetime *l, const struct addr *server, enum stun_form form,
                    uint64_t now);
/* Whoever uses it needs the socket no more in the states off and done. */
bool lifetime_is_running(const struct lifetime *l);
/* How far apart keep-alives may be, or 0 if it is not known. */
uint64_t lifetime_keep_ns(const struct lifetime *l);

/* All on the socket: false if it is no answer to us. */
bool lifetime_input(struct lifetime *l, const struct addr *from, const void *data, size_t len,
                    uint64_t now);
/* The next datagram for l->server, or 0. buf: at least 64 bytes. */
size_t lifetime_output(struct lifetime *l, uint8_t *buf, size_t cap, uint64_t now);
void lifetime_tick(struct lifetime *l, uint64_t now);
uint64_t lifetime_next_ns(const struct lifetime *l);

#endif
