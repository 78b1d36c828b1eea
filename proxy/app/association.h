/* A UDP association at the front (RFC 1928 section 7): the socket that its client sends to, and a
 * carrier for what comes there. Lives as long as the client's TCP connection.
 */
#ifndef APP_ASSOCIATION_H
#define APP_ASSOCIATION_H

#include "app/carrier.h"
#include "session/assoc.h"

struct association;

struct association_options {
    struct addr at;            /* that the client has reached: there it sends its datagrams, too */
    struct addr client;        /* where it came from; ADDR_NONE = a unix socket */
    const struct target *said; /* the request's DST */
    struct carrier_way way;
};

/* CAUSE_NONE, or why not. */
enum cause association_start(struct context *ctx, const struct association_options *options,
                             struct association **out);
/* Where the client sends. */
struct addr association_address(const struct association *a);
void association_stop(struct association *a);

#endif
