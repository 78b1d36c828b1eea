/* Names that a flow's datagrams go to: each is resolved once and remembered for a minute; what goes
 * there meanwhile waits, within narrow limits.
 */
#ifndef APP_NAMES_H
#define APP_NAMES_H

#include "app/resolver.h"
#include "proto/target.h"

#include <stdint.h>
#include <sys/queue.h>

enum {
    NAMES_MAX = 64,              /* remembered at once */
    NAMES_WAITING_MAX = 16,      /* datagrams that wait for an answer, */
    NAMES_WAITING_BYTES = 65536, /* and their bytes */
};

struct names_entry;

/* The name's addresses, in the resolver's order and without a port; count 0 = it has none. */
typedef void names_found(void *user, const struct target *t, const struct addr *addrs, size_t count,
                         const uint8_t *data, size_t len);

struct names {
    struct resolver *resolver;
    size_t owner;
    names_found *found;
    void *user;
    LIST_HEAD(, names_entry) list;
    size_t count, waiting, waiting_bytes;
};

/* `owner` as in resolver.h. */
void names_init(struct names *n, struct resolver *resolver, size_t owner, names_found *found,
                void *user);
void names_deinit(struct names *n);
/* Calls `found` with this datagram: at once or later. False: at a ceiling, it was dropped. */
bool names_send(struct names *n, const struct target *t, const uint8_t *data, size_t len);

#endif
