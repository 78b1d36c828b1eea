/* Where a packet goes or came from: a socket of ours and a remote address, or a key's place on one
 * of our relays. */
#ifndef PATH_WHERE_H
#define PATH_WHERE_H

#include <base/addr.h>

enum where_kind {
    WHERE_NONE,
    WHERE_DIRECT,
    WHERE_RELAY,
    WHERE_KINDS,
};

struct where {
    enum where_kind kind;
    uint32_t relay;   /* index of the relay; the key there is the peer's */
    uint16_t socket;  /* direct: 0 = the shared one, else a temporary one of birthday.h */
    struct addr addr; /* direct */
};

static inline struct where where_direct(const struct addr *addr)
{
    return (struct where){.kind = WHERE_DIRECT, .addr = *addr};
}

static inline struct where where_direct_by(uint16_t socket, const struct addr *addr)
{
    return (struct where){.kind = WHERE_DIRECT, .socket = socket, .addr = *addr};
}

static inline struct where where_relay(uint32_t relay)
{
    return (struct where){.kind = WHERE_RELAY, .relay = relay};
}

static inline bool where_equal(const struct where *a, const struct where *b)
{
    if (a->kind != b->kind) {
        return false;
    }
    if (a->kind != WHERE_DIRECT) {
        return a->relay == b->relay;
    }
    return a->socket == b->socket && addr_equal(&a->addr, &b->addr);
}

#endif
