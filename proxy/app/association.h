/* A UDP association at the front (RFC 1928 section 7): the socket that its client sends to, and a
 * carrier for what comes there. Lives as long as the client's TCP connection.
 */
#ifndef APP_ASSOCIATION_H
#define APP_ASSOCIATION_H

#include "app/carrier.h"
#include "session/assoc.h"

struct association;

/* `at`: the address that the client has reached, where it will send its datagrams, too; `client`:
 * where it came from, ADDR_NONE = a unix socket. `said`: the request's DST. 0 and the address to
 * tell it, or the cause. */
enum cause association_start(struct context *ctx, const struct addr *at, const struct addr *client,
                             const struct target *said, struct association **out);
/* Where the client sends. */
struct addr association_address(const struct association *a);
void association_stop(struct association *a);

#endif
