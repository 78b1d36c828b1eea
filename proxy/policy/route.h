/* Where the connections of this node's applications go: a peer, straight out, or nowhere.
 *
 *   1. NAME.peer is the machine of peer NAME. An unknown NAME is refused: such a name must never
 *      leak to a resolver.
 *   2. [route] patterns: for a name the longest domain suffix (label by label), for an address
 *      the longest prefix. A name never meets a prefix: it is resolved where it goes to, not here.
 *   3. [route] default, which is `refuse` when the ini does not say.
 */
#ifndef POLICY_ROUTE_H
#define POLICY_ROUTE_H

#include "policy/config.h"

#include <base/addr.h>

#include <stdbool.h>
#include <stddef.h>

struct route {
    enum config_route_kind kind;
    size_t peer; /* ROUTE_PEER: index into config->peers */
    bool self;   /* ROUTE_PEER by NAME.peer: the peer's own machine is meant ("localhost" there) */
    const struct config_route *rule; /* the line that says so; NULL: NAME.peer, or none does */
};

/* `name` in lower case without a trailing dot (as struct target keeps it), or NULL for an address;
 * then `addr` is looked at. */
struct route route_decide(const struct config *config, const char *name, const struct addr *addr);

#endif
