/* The node's own doors: TCP listeners, forwarded UDP ports, the sockets of UDP associations. What
 * goes out from here for somebody else must not come in again there: it would be taken for one of
 * this machine's applications.
 */
#ifndef APP_OWN_H
#define APP_OWN_H

#include <base/addr.h>

#include <stdbool.h>
#include <sys/queue.h>

struct own_place {
    LIST_ENTRY(own_place) entry;
    struct addr addr; /* with the port that the system gave */
    bool udp;         /* else TCP: they have their ports apart */
};

struct own {
    LIST_HEAD(, own_place) places;
};

void own_init(struct own *o);
void own_add(struct own *o, struct own_place *p);
void own_remove(struct own_place *p);

/* Would a connection to `a`, or a datagram, arrive at one of them? A listener for all addresses is
 * met at every address that this machine has now. */
bool own_has(const struct own *o, const struct addr *a, bool udp);

#endif
