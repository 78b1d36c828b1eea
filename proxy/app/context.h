/* What all connections of one node share, and what they count. Several may live in one process.
 */
#ifndef APP_CONTEXT_H
#define APP_CONTEXT_H

#include "app/pool.h"
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
    X(requests)        /* complete SOCKS requests */                                               \
    X(connected)       /* answered with success */                                                 \
    X(bad_protocol)    /* not SOCKS5 */                                                            \
    X(bad_requests)    /* SOCKS5, but malformed or not supported */                                \
    X(slow_requests)   /* no request in time */

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
