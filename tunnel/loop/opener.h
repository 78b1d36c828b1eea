/* A thread (loop/worker.h) that opens what comes in, before the node takes it.
 *
 * Each job has a buffer for what a udp_batch reads, which changes places with the batch's
 * (udp_batch_trade): while one is away, the next is read. The loop fills and takes back jobs[i] as
 * worker_free and worker_done say.
 */
#ifndef LOOP_OPENER_H
#define LOOP_OPENER_H

#include "loop/worker.h"
#include "node/node.h"

struct opener_job {
    struct node_opening opening;
    uint8_t *buffer; /* UDP_BATCH_BYTES: where its datagrams are, unless the job is free */
};

struct opener {
    struct worker *worker;
    void (*on_done)(void *user);
    void *user;
    struct opener_job jobs[WORKER_JOBS];
};

/* `on_done` comes on the loop after each job. 0, ERR_NO_MEMORY or a libuv error. */
int opener_open(uv_loop_t *loop, void (*on_done)(void *user), void *user, struct opener **out);
/* What is under way is lost. */
void opener_close(struct opener *o);

#endif
