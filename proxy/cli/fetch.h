/* What `curl --socks5-hostname` does, for `adit demo`: one GET through a SOCKS5 port. */
#ifndef CLI_FETCH_H
#define CLI_FETCH_H

#include "app/pool.h"
#include "proto/target.h"

#include <adit/cause.h>
#include <base/addr.h>

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct fetch;

struct fetch_result {
    const char *error; /* NULL if an answer came; static */
    enum cause cause;  /* why the SOCKS port refuses, or NONE */
    unsigned status;   /* of HTTP */
    const char *body;  /* valid during the call */
    size_t body_len;
};

/* `done` is called once, from the loop. NULL without memory. */
struct fetch *fetch_start(uv_loop_t *loop, struct pool *pool, const struct addr *socks,
                          const struct target *target,
                          void (*done)(void *user, const struct fetch_result *result), void *user);
/* No call of `done` any more. */
void fetch_cancel(struct fetch *f);

#endif
