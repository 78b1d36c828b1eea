/* A thread that seals batches and sends them, so that a node that sends as fast as it can has two
 * cores for it: this one does all that a byte costs behind the frame.
 *
 * A ring of WORKER_JOBS jobs goes round between the two: the loop fills one and hands it over, the
 * worker does them in order, the loop takes them back in order. Each has its buffer, which changes
 * places with the node's (node_trade_buffer), so no byte is copied. There is no lock: each side
 * moves an index of its own. All functions are the loop's.
 */
#ifndef LOOP_WORKER_H
#define LOOP_WORKER_H

#include "node/node.h"
#include "os/udp.h"

#include <uv.h>

enum {
    WORKER_JOBS = 4, /* a round trip is longer by what waits here */
};

struct worker;

struct worker_job {
    /* The loop's part. */
    struct node_batch batch;
    struct udp_socket socket; /* lent by udp_lend; back with what it counted */
    uint8_t *buffer;          /* NODE_BATCH_BYTES: batch.data, unless the job is free */
    /* What became of it. */
    unsigned refused; /* datagrams that the system did not take: lost */
    int err;          /* why, of the first */
};

/* `on_done` comes on the loop after worker_free has said no, when there is room again, and when
 * something was refused. 0, ERR_NO_MEMORY or a libuv error. */
int worker_open(uv_loop_t *loop, void (*on_done)(void *user), void *user, struct worker **out);
/* Waits for what has been handed over. Jobs that nobody took back are released. */
void worker_close(struct worker *w);

/* The next job to be filled; NULL = all are under way. */
struct worker_job *worker_free(struct worker *w);
/* It goes over to the worker. */
void worker_hand(struct worker *w);
/* The oldest that is done, or NULL; then worker_take makes it free again. */
struct worker_job *worker_done(struct worker *w);
void worker_take(struct worker *w);
/* Everything has been taken back. */
bool worker_is_idle(const struct worker *w);
/* Returns when everything is done. A socket that is full is not waited for: what it does not take
 * is lost. */
void worker_await(struct worker *w);

#endif
