/* Measuring the way to a peer: a stream that carries nothing of use, as fast as it goes.
 *
 * Its target is "!bench up SECONDS" or "!bench down SECONDS", which no host is called. The peer
 * takes it if its ini has `[node] bench = yes`; up to BENCH_MAX at once, each BENCH_SECONDS_MAX at
 * most.
 *
 *   up    the opener sends for so long and finishes; the peer throws it away, and answers with how
 *         many bytes came: 8 bytes, big-endian
 *   down  the peer sends for so long and finishes
 */
#ifndef APP_BENCH_H
#define APP_BENCH_H

#include "app/context.h"

#include <adit/adit.h>

#include <stdbool.h>
#include <sys/queue.h>

enum {
    BENCH_MAX = 4,
    BENCH_SECONDS_MAX = 10,
};

struct bench_end;

/* Of one node: those of peers and our own. */
struct benches {
    struct context *ctx;
    size_t count;
    LIST_HEAD(, bench_end) list;
};

struct bench_wish {
    size_t peer;
    bool up;
    unsigned seconds; /* 1 .. BENCH_SECONDS_MAX */
    enum adit_lane lane;
};

struct bench_result {
    enum cause cause; /* CAUSE_NONE: it went through */
    uint64_t bytes;   /* that arrived */
    uint64_t took_ns;
};

void benches_init(struct benches *b, struct context *ctx);
void benches_stop(struct benches *b);

/* A stream that a peer opened is one of these; then bench_accept takes or aborts it. */
bool bench_is_meant(const struct adit_event *ev);
void bench_accept(struct benches *b, const struct adit_event *ev);

/* `over` is called once, from the loop. NULL at the ceiling or without memory. */
struct bench_end *bench_start(struct benches *b, const struct bench_wish *wish,
                              void (*over)(void *user, const struct bench_result *result),
                              void *user);
/* `over` will not come. */
void bench_cancel(struct bench_end *e);

#endif
