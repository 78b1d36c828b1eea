/* Reaches a target through another proxy: [exit] upstream. Names are not resolved here, so policy
 * has nothing but the name to look at: `any`, or a HOST that is spelled the same. What is on this
 * machine is none of that proxy's business.
 */
#ifndef APP_UPSTREAM_H
#define APP_UPSTREAM_H

#include "app/dialer.h"

struct upstream;

/* Is there one, and for this target? `udp`: of a datagram. */
bool upstream_is_for(const struct context *ctx, const struct target *target, bool udp);
/* What the list (NULL: anything) says of a target that is not resolved here. */
bool upstream_allows(const struct acl *acl, const struct target *target);
/* As dialer_start. */
struct upstream *upstream_start(struct context *ctx, const struct dialer_wish *wish,
                                void (*done)(void *user, struct tcp *tcp, enum cause cause),
                                void *user);
/* Asks it to carry datagrams, which only SOCKS5 can: with another one `done` gets CAUSE_FAILED.
 * With the connection it gets, in *relay, where they are to be sent while the connection lives;
 * `relay` lives as long as the upstream. `owner` as in dialer.h. */
struct upstream *upstream_associate(struct context *ctx, size_t owner, struct addr *relay,
                                    void (*done)(void *user, struct tcp *tcp, enum cause cause),
                                    void *user);
/* No call of `done` any more. */
void upstream_cancel(struct upstream *u);

#endif
