/* Where datagrams of one flow leave from this machine, for a peer or an application of its own: one
 * UDP socket for each family, toward any number of targets.
 *
 * Policy looks at each target's address after resolving and right before the datagram is sent. What
 * peers send to where [exit] upstream leads goes through it (app/upstream_udp.h), names unresolved.
 * Multicast and broadcast are never reached, and names in .peer have no meaning here. Only who was
 * sent to may answer (session/asked.h). Everything that is dropped is counted.
 */
#ifndef APP_OUTLET_H
#define APP_OUTLET_H

#include "app/context.h"
#include "app/names.h"
#include "app/udpsock.h"
#include "policy/acl.h"
#include "session/asked.h"

struct outlet {
    struct context *ctx;
    const struct acl *acl;
    udpsock_received *received;
    void *user;
    struct udpsock *udp[2];        /* IPv4, IPv6; NULL until needed */
    struct upstream_udp *upstream; /* NULL until needed */
    size_t owner;
    struct asked asked;
    struct names names;
    uint64_t used_ns;
};

/* `owner` as in resolver.h; `acl` lives as long as the outlet. `received` gets what comes back, in
 * a buffer with CONTEXT_HEADROOM. */
void outlet_init(struct outlet *o, struct context *ctx, size_t owner, const struct acl *acl,
                 udpsock_received *received, void *user);
void outlet_deinit(struct outlet *o);
void outlet_send(struct outlet *o, const struct target *t, const uint8_t *data, size_t len);
/* Closes sockets on which nothing has moved for so long that nobody answers any more. */
void outlet_tick(struct outlet *o);

#endif
