/* Where the connections of this node's applications go: a peer, straight out, or nowhere.
 *
 *   1. NAME.peer is the machine of peer NAME, SERVICE.NAME.peer what its [serve] calls SERVICE. An
 *      unknown NAME is refused: such a name must never leak to a resolver.
 *   2. Lines of [route] that fit the target's host and port. The better host pattern wins: for a
 *      name the longest domain (label by label), for an address the longest prefix; a line without
 *      a host (":25") is worth less than any of these. Between lines of one host pattern the
 *      smaller range of ports wins. A name never meets a prefix: it is resolved where it goes to,
 *      not here. An address is looked at as acl_normalize sees it: 0.0.0.0 is loopback, a
 *      v4-mapped or NAT64 address the IPv4 address inside.
 *   3. What the listener has as its `exit`; else [route] default, which is `refuse` when the ini
 *      does not say.
 *
 * An exit that the user name asks for (policy/wish.h) stands in for 2 and 3, but for a line of 2
 * that says `refuse`: that one holds for everybody. A name in .peer still means that peer, so with
 * another exit it is refused.
 */
#ifndef POLICY_ROUTE_H
#define POLICY_ROUTE_H

#include "policy/config.h"

#include <stdbool.h>
#include <stddef.h>

struct route {
    enum config_route_kind kind;
    size_t peer; /* ROUTE_PEER: index into config->peers */
    bool self;   /* ROUTE_PEER by a name in .peer: the peer's own machine is meant */
    /* Which line decided; NULL: a name in .peer, a wish, or that nothing fits. */
    const struct config_route *line;
};

/* What the listener and the user have to say. */
struct route_choice {
    const struct config_route *exit; /* instead of [route] default; NULL or line 0: none */
    bool wished;                     /* `peer` is asked for */
    size_t peer;
};

/* `choice` NULL: none. */
struct route route_decide(const struct config *config, const struct target *target,
                          const struct route_choice *choice);

/* What a target in .peer is called at the peer's machine: "localhost:PORT", "SERVICE.peer:PORT" or
 * "unix:/PATH". Writes it and returns `out`. */
const char *route_name_there(const struct target *target, char out[TARGET_TEXT_MAX]);

#endif
