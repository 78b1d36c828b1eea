/* A thread (loop/worker.h) that seals batches and sends them, so that a node that sends as fast as
 * it can has two cores for it: this one does all that a byte costs behind the frame.
 *
 * Each job has its buffer, which changes places with the node's (node_trade_buffer), so no byte is
 * copied. The loop fills and takes back jobs[i] as worker_free and worker_done say.
 */
#ifndef LOOP_SENDER_H
#define LOOP_SENDER_H

#include "loop/worker.h"
#include "node/node.h"
#include "os/udp.h"

struct sender_job {
    /* The loop's part. */
    struct node_batch batch;
    struct udp_socket socket; /* lent by udp_lend; back with what it counted */
    uint8_t *buffer;          /* NODE_BATCH_BYTES: batch.data, unless the job is free */
    /* What became of it; the loop hears at once of what was refused. */
    unsigned refused; /* datagrams that the system did not take: lost */
    int err;          /* why, of the first */
};

struct sender {
    struct worker *worker;
    void (*on_done)(void *user);
    void *user;
    struct sender_job jobs[WORKER_JOBS];
};

/* `on_done` as in worker.h. 0, ERR_NO_MEMORY or a libuv error. */
int sender_open(uv_loop_t *loop, void (*on_done)(void *user), void *user, struct sender **out);
/* Waits for what is under way. A socket that is full is not waited for, by this and worker_await:
 * what it does not take is lost. */
void sender_close(struct sender *s);

/* Hands over the job that worker_free has named. */
void sender_hand(struct sender *s, struct sender_job *j);
/* Takes back the one that worker_done has named: its key goes, its buffer stays. */
void sender_take(struct sender *s, struct sender_job *j);

#endif
