/* What all connections of one node share, and what they count. Several may live in one process.
 */
#ifndef APP_CONTEXT_H
#define APP_CONTEXT_H

#include "app/gate.h"
#include "app/own.h"
#include "app/pool.h"
#include "app/resolver.h"
#include "policy/backoff.h"
#include "policy/config.h"
#include "session/front.h"

#include <adit/adit.h>
#include <base/log.h>

#include <stdint.h>
#include <uv.h>

enum {
    CONTEXT_CAUSES = 64,      /* causes above it count as CAUSE_FAILED */
    CONTEXT_DATAGRAM = 65536, /* the largest datagram */
    CONTEXT_HEADROOM = 512,   /* for a head that is put before it */
};

#define FRONT_COUNTER_TABLE(X)                                                                     \
    X(clients)         /* accepted */                                                              \
    X(clients_refused) /* closed at the ceiling clients_max, or without memory */                  \
    X(accept_paused)   /* listeners that waited for descriptors */                                 \
    X(strangers)       /* unix sockets: closed, the user may not */                                \
    X(requests)        /* complete requests of all protocols */                                    \
    X(connected)       /* answered with success, or by the target itself */                        \
    X(bad_protocol)    /* neither SOCKS nor HTTP */                                                \
    X(bad_requests)    /* malformed or not supported */                                            \
    X(slow_requests)   /* no request in time */                                                    \
    X(bad_logins)      /* no password where one is asked for, or a wrong one */                    \
    X(reopened)        /* opened once more, since the peer was just restarted */                   \
    X(held_off)        /* of these: not looked at, after too many wrong ones */                    \
    X(http_requests)   /* plain HTTP: requests answered, on whatever connection */                 \
    X(http_reused)     /* of these: over a connection that was there already */

#define EXIT_COUNTER_TABLE(X)                                                                      \
    X(requests)        /* streams opened by peers */                                               \
    X(connected)       /* targets reached */                                                       \
    X(over_peer_limit) /* refused at a ceiling of their peer */

/* Datagrams, at the front and at the exit; those of the tunnel are counted there. */
#define UDP_COUNTER_TABLE(X)                                                                       \
    X(associations)         /* UDP ASSOCIATE that was granted */                                   \
    X(associations_refused) /* at the ceiling associations_max */                                  \
    X(from_clients)                                                                                \
    X(to_clients)                                                                                  \
    X(strangers)        /* not from the client of the association */                               \
    X(fragments)        /* FRAG is not 0 */                                                        \
    X(malformed)        /* no head, or one without a target */                                     \
    X(refused_by_route) /* no route leads there */                                                 \
    X(dropped)          /* toward a peer or client: too large, too many, or nobody there */        \
    X(sent)             /* from here to targets */                                                 \
    X(received)         /* and from there */                                                       \
    X(not_allowed)      /* targets that the peer may not reach */                                  \
    X(too_many_targets) /* of one flow, or new ones too fast */                                    \
    X(unasked)          /* from somebody who was sent nothing */                                   \
    X(names_not_found)                                                                             \
    X(unsent) /* the system did not take it */

struct context_counters {
#define COUNTER_FIELD(name) uint64_t name;
    struct {
        FRONT_COUNTER_TABLE(COUNTER_FIELD)
        uint64_t failures[CONTEXT_CAUSES];
    } front;
    struct {
        EXIT_COUNTER_TABLE(COUNTER_FIELD)
        uint64_t failures[CONTEXT_CAUSES];
    } exit;
    struct {
        UDP_COUNTER_TABLE(COUNTER_FIELD)
    } udp;
#undef COUNTER_FIELD
};

struct context_limits {
    size_t clients_max;      /* applications at the front at once */
    size_t dials_max;        /* connections to targets being set up for peers at once */
    size_t binds_max;        /* BIND: ports that wait here at once for one peer */
    size_t exit_max;         /* connections for peers at once */
    size_t associations_max; /* UDP associations at once, and as many flows of peers */
};

struct context {
    uv_loop_t *loop;
    const struct config *config;
    struct adit *node;
    const struct log *log;
    struct own own;
    struct backoff backoff;
    struct front_times times;
    struct context_limits limits;
    struct context_counters counters;
    struct pool pool;
    struct resolver resolver;
    struct gate gate;
    size_t associations;                                   /* now */
    uint8_t datagram[CONTEXT_HEADROOM + CONTEXT_DATAGRAM]; /* the one being dealt with */
};

static inline void context_count_failure(uint64_t failures[CONTEXT_CAUSES], enum cause cause)
{
    failures[(unsigned)cause < CONTEXT_CAUSES ? cause : CAUSE_FAILED]++;
}

#endif
