/* Asks STUN servers from the node's shared socket under which address the world sees it.
 *
 * Several servers, IPv4 and IPv6, each with the form of request that it answers (RFC 8489; a derper
 * wants its own). For each: the mapped address, the round trip, and since when.
 *
 *     waiting --due, and needed--> asking --answer--> waiting (20..26 s, see below)
 *                                  asking --silence or an error--> waiting, TIMEOUT
 *
 * Nothing is sent while nobody needs it (stunclient_need), so an idle node costs nothing. While it
 * is needed, of each family only the keeper (the server that answered fastest) is asked every
 * 20..26 s, uniformly drawn: that is enough to keep the NAT's mapping alive and to notice that it
 * moved. All others are asked every 5 minutes, and at once when the keeper falls silent or reports
 * a change. A server that does not answer is asked half as often each time, down to every 3 min.
 *
 * The shell's loop, for every datagram on the shared socket that stun_is_message:
 *     stunclient_input(c, from, data, len, now)      false = not an answer to us: netcheck's, or
 *                                                    a stranger's
 * and after any call that may have changed something, or when _next_ns has come:
 *     stunclient_tick(c, now);
 *     while ((len = stunclient_output(c, &to, buf, sizeof(buf), now)) > 0) send(to, buf, len);
 *     while (stunclient_event(c, &ev)) ...           hand MAPPED on to netcheck and candidates
 *
 * Servers that a name resolves to are added by address; sending goes to them and nowhere else.
 */
#ifndef PATH_STUNCLIENT_H
#define PATH_STUNCLIENT_H

#include <base/clock.h>
#include <base/rng.h>

#include <stdbool.h>

#include "path/stuntx.h"

enum { STUNCLIENT_SERVERS_MAX = 16 };

#define STUNCLIENT_REFRESH_MIN_NS (20 * NS_PER_S)
#define STUNCLIENT_REFRESH_MAX_NS (26 * NS_PER_S)
#define STUNCLIENT_ROUND_NS (300 * NS_PER_S)
#define STUNCLIENT_BACKOFF_MAX_NS (180 * NS_PER_S)
/* A mapped address older than this is asked for again before a peer is told of it. */
#define STUNCLIENT_FRESH_NS (27 * NS_PER_S)

struct stunclient_server {
    bool used; /* the slot */
    struct addr addr;
    enum stun_form form;
    struct stuntx tx;
    uint64_t due_ns;    /* when to ask next, if needed */
    uint64_t rtt_ns;    /* of the last clean measurement; 0 = none yet */
    uint64_t heard_ns;  /* the last answer; meaningless while mapped.family is ADDR_NONE */
    uint64_t since_ns;  /* when the request left that first found this mapping ... */
    uint64_t order;     /* ... and its place among all that were sent */
    uint64_t asked;     /* the place of the present transaction's first sending */
    struct addr mapped; /* ADDR_NONE = never answered since the last forget */
    struct addr other;  /* OTHER-ADDRESS: the server can do RFC 5780's tests */
    bool rewritten;     /* MAPPED-ADDRESS was not XOR-MAPPED-ADDRESS: something edits payloads */
    uint8_t silent;     /* rounds without an answer in a row */
    uint16_t error;     /* of the last one that failed; 0 = silence */
    bool tell_mapped, tell_timeout; /* events to come */
};

struct stunclient_stats {
    uint64_t sent, answered, timeouts, changes;
    uint64_t refused;   /* error responses */
    uint64_t malformed; /* answers to us without a usable address */
    uint64_t strangers; /* STUN, but no answer to us, or from elsewhere */
    uint64_t no_room;   /* servers past the ceiling */
};

struct stunclient {
    struct stunclient_server servers[STUNCLIENT_SERVERS_MAX];
    const struct stuntx_plan *plan;
    bool needed;
    bool tell_changed_ipv4, tell_changed_ipv6;
    struct addr changed_to_ipv4, changed_to_ipv6; /* the change that was told last */
    struct rng rng;
    struct stunclient_stats stats;
};

enum stunclient_event_type {
    STUNCLIENT_MAPPED,  /* server, addr, rtt_ns (0 = not measured), since_ns, order: every answer */
    STUNCLIENT_CHANGED, /* family: a server that named one address now names another */
    STUNCLIENT_TIMEOUT, /* server, error (0 = silence) */
};

struct stunclient_event {
    enum stunclient_event_type type;
    int server;
    enum addr_family family;
    struct addr addr;
    uint64_t rtt_ns;
    uint64_t since_ns;
    uint64_t order;
    uint16_t error;
};

/* plan: NULL = stuntx_plan_fast. */
void stunclient_init(struct stunclient *c, const struct stuntx_plan *plan, struct rng rng);

/* The server's number, also if it is known already; ERR_NO_ROOM past the ceiling. It is asked at
 * once if answers are needed. */
int stunclient_add(struct stunclient *c, const struct addr *server, enum stun_form form,
                   uint64_t now);

/* Whether anybody wants to know: peers are being sought, or mappings must be kept alive. Not
 * needed = nothing is sent; results stay, with their age. */
void stunclient_need(struct stunclient *c, bool needed, uint64_t now);
/* Asks all servers now, if needed: before candidates are told to a peer, after a lost path. */
void stunclient_ask_all(struct stunclient *c, uint64_t now);
/* Asks only the one that holds the mapping: there is a reason to think that it has changed. */
void stunclient_ask_keeper(struct stunclient *c, enum addr_family family, uint64_t now);
/* As stunclient_ask_all after a rebind or on another network: what was known holds no longer. */
void stunclient_forget(struct stunclient *c, uint64_t now);

/* False: not an answer to us, or a forged one. */
bool stunclient_input(struct stunclient *c, const struct addr *from, const void *data, size_t len,
                      uint64_t now);
/* The next datagram for *to, or 0. buf: at least 64 bytes. */
size_t stunclient_output(struct stunclient *c, struct addr *to, uint8_t *buf, size_t cap,
                         uint64_t now);
void stunclient_tick(struct stunclient *c, uint64_t now);
uint64_t stunclient_next_ns(const struct stunclient *c);
/* False when there is none. One event of a kind for each server: the newest. */
bool stunclient_event(struct stunclient *c, struct stunclient_event *ev);

/* NULL if there is no such server. */
const struct stunclient_server *stunclient_get(const struct stunclient *c, int server);
/* The server of this family (of the address it names) with the shortest round trip that has a
 * result; NULL if none. */
const struct stunclient_server *stunclient_best(const struct stunclient *c,
                                                enum addr_family family);

#endif
