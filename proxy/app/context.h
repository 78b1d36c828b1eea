/* What all connections of one node share, and what they count. Several may live in one process.
 */
#ifndef APP_CONTEXT_H
#define APP_CONTEXT_H

#include "app/own.h"
#include "app/pool.h"
#include "policy/backoff.h"
#include "policy/config.h"
#include "session/front.h"

#include <adit/adit.h>
#include <base/log.h>

#include <stdint.h>
#include <uv.h>

enum { CONTEXT_CAUSES = 64 }; /* causes above it count as CAUSE_FAILED */

#define FRONT_COUNTER_TABLE(X)                                                                     \
    X(clients)         /* accepted */                                                              \
    X(clients_refused) /* closed at the ceiling clients_max, or without memory */                  \
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
    X(requests)  /* streams opened by peers */                                                     \
    X(connected) /* targets reached */

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
#undef COUNTER_FIELD
};

struct context_limits {
    size_t clients_max; /* applications at the front at once */
    size_t dials_max;   /* connections to targets being set up for peers at once */
    size_t exit_max;    /* connections for peers at once */
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
};

static inline void context_count_failure(uint64_t failures[CONTEXT_CAUSES], enum cause cause)
{
    failures[(unsigned)cause < CONTEXT_CAUSES ? cause : CAUSE_FAILED]++;
}

#endif
