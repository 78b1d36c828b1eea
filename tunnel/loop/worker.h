/* A thread that does jobs for the loop, in the order in which they are handed over.
 *
 * A ring of WORKER_JOBS jobs goes round between the two: the loop fills one and hands it over, the
 * worker does them in order, the loop takes them back in order. There is no lock: each side moves
 * an index of its own. What a job is, is its user's business: here it is a number below
 * WORKER_JOBS, whose memory belongs to one side at a time. All functions are the loop's, but for
 * worker_is_awaited.
 */
#ifndef LOOP_WORKER_H
#define LOOP_WORKER_H

#include <uv.h>

#include <stdbool.h>
#include <stddef.h>

enum {
    WORKER_JOBS = 4, /* a round trip is longer by what waits here */
};

struct worker;

struct worker_callbacks {
    /* On the worker's thread. True: the loop is to hear that it is done. */
    bool (*run)(void *user, size_t job);
    /* On the loop: because of that, or after worker_free has said no, when there is room again. */
    void (*on_done)(void *user);
};

/* `callbacks` must live as long as the worker. 0, ERR_NO_MEMORY or a libuv error. */
int worker_open(uv_loop_t *loop, const struct worker_callbacks *callbacks, void *user,
                struct worker **out);
/* Waits for what has been handed over; no callback comes any more. Jobs that nobody took back can
 * be asked for before this by worker_await and worker_done. */
void worker_close(struct worker *w);

/* True: *job is the next one to be filled; false: all are under way. */
bool worker_free(struct worker *w, size_t *job);
/* It goes over to the worker. */
void worker_hand(struct worker *w);
/* True: *job is the oldest that is done; then worker_take makes it free again. */
bool worker_done(const struct worker *w, size_t *job);
void worker_take(struct worker *w);
/* Everything has been taken back. */
bool worker_is_idle(const struct worker *w);
/* Returns when everything is done, or the oldest at least. */
void worker_await(struct worker *w);
void worker_await_one(struct worker *w);
/* For `run`: the loop stands still until this job is done. */
bool worker_is_awaited(const struct worker *w);

#endif
