/* BIND (RFC 1928 section 4): waits on this machine for one connection from an expected host.
 *
 * It listens on a port of the system's choice, at that address of this machine which leads to the
 * expected host, and takes one connection from that host's address. From which port it comes is not
 * looked at: FTP's data connections come from another one than the control connection goes to.
 */
#ifndef APP_BINDER_H
#define APP_BINDER_H

#include "app/context.h"
#include "app/tcp.h"
#include "policy/acl.h"
#include "proto/target.h"

#define BINDER_NS (120 * NS_PER_S) /* how long it waits */

/* What a stream's target says that is to be bound at the exit: "bind HOST:PORT". */
#define BINDER_TARGET_PREFIX "bind "
enum { BINDER_TARGET_MAX = sizeof(BINDER_TARGET_PREFIX) + TARGET_TEXT_MAX };

struct binder;

struct binder_options {
    struct context *ctx;
    const struct target *expected; /* copied */
    const struct acl *acl;         /* who may be expected; it lives as long as the binder */
    size_t owner;                  /* of the question to the resolver: a peer, or RESOLVER_FRONT */
    /* It is listened at `at`; then, once and last, `done`: with a connection that is the user's
     * from then on, or with NULL and the cause. Both from the loop. */
    void (*listening)(void *user, const struct addr *at);
    void (*done)(void *user, struct tcp *tcp, enum cause cause);
    void *user;
};

/* NULL without memory. */
struct binder *binder_start(const struct binder_options *options);
/* No call any more. */
void binder_stop(struct binder *b);

#endif
