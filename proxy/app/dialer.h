/* Reaches a target from this machine: resolves, asks policy, races addresses (session/dial.h).
 *
 * Names are resolved on libuv's thread pool, so the loop never waits. "localhost" and names below
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

/* `done` is called once, from the loop: with a connection that is the user's from then on, or with
 * NULL and the cause. `acl` NULL = everything is allowed; it lives as long as the dialler. NULL
 * without memory. */
struct dialer *dialer_start(struct context *ctx, const struct target *target, const struct acl *acl,
                            void (*done)(void *user, struct tcp *tcp, enum cause cause),
                            void *user);
/* The same for a unix socket of this machine; nobody is asked whether it may be. */
struct dialer *dialer_start_unix(struct context *ctx, const char *path,
                                 void (*done)(void *user, struct tcp *tcp, enum cause cause),
                                 void *user);
/* No call of `done` any more. */
void dialer_cancel(struct dialer *d);

#endif
