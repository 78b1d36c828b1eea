/* One UDP association at the front (RFC 1928 section 7): whose datagrams are taken, and what they
 * say. Bytes and addresses are handed in.
 *
 * The client sends from the address its TCP connection came from. Which port, it may have said in
 * its request; else the first good datagram settles it, for as long as the association lives. What
 * it said is not believed when the address beside the port is not the one seen: then there is a NAT
 * between, and the port is another, too.
 */
#ifndef SESSION_ASSOC_H
#define SESSION_ASSOC_H

#include "proto/udphead.h"

#include <stdbool.h>

struct assoc {
    struct addr client; /* ADDR_NONE: any of loopback; port 0: any */
    bool settled;       /* it has sent something good */
};

enum assoc_verdict {
    ASSOC_GOOD,
    ASSOC_STRANGER,  /* not the client's address and port */
    ASSOC_FRAGMENT,  /* FRAG is not 0: reassembling is optional, and nobody does it */
    ASSOC_MALFORMED, /* no head, or one without a target */
};

/* `client`: where its TCP connection came from; family ADDR_NONE = a unix socket. `said`: the
 * request's DST. */
void assoc_init(struct assoc *a, const struct addr *client, const struct target *said);
/* A datagram from the client's side; *head is set if it is good. */
enum assoc_verdict assoc_input(struct assoc *a, const struct addr *from, const void *data,
                               size_t len, struct udphead *head);
/* Where answers go; false before the first good datagram. */
bool assoc_client(const struct assoc *a, struct addr *out);

#endif
