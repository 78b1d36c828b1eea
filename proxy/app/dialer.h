/* Reaches a target from this machine: resolves, asks policy, races addresses (session/dial.h).
 *
 * The two families of a name are asked for apart (app/resolver.h), and the race begins with what is
 * there. "localhost" and names below
 * it mean the loopback addresses without asking anybody (RFC 6761 section 6.3). This node's own
 * listeners (app/own.h) are dialled only if the list has just that address and port.
 */
#ifndef APP_DIALER_H
#define APP_DIALER_H

#include "app/context.h"
#include "app/tcp.h"
#include "policy/acl.h"
#include "proto/target.h"

#include <adit/cause.h>

struct dialer;

/* Who wants to go where. */
struct dialer_wish {
    struct target target;
    const struct acl *acl; /* NULL = everything is allowed; lives as long as the dialler */
    size_t owner;          /* of the questions to the resolver: a peer, or RESOLVER_FRONT */
    uint64_t timeout_ns;   /* 0: [exit] dial_timeout */
};

/* `done` is called once, from the loop: with a connection that is the user's from then on, or with
 * NULL and the cause. NULL without memory. */
struct dialer *dialer_start(struct context *ctx, const struct dialer_wish *wish,
                            void (*done)(void *user, struct tcp *tcp, enum cause cause),
                            void *user);
/* The same for a unix socket of this machine; nobody is asked whether it may be. */
struct dialer *dialer_start_unix(struct context *ctx, const char *path,
                                 void (*done)(void *user, struct tcp *tcp, enum cause cause),
                                 void *user);
/* Begins now what would begin in the loop's next round; `done` may be called before it returns. */
void dialer_hurry(struct dialer *d);
/* No call of `done` any more. */
void dialer_cancel(struct dialer *d);

#endif
