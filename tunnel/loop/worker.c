#include "loop/worker.h"

#include <base/check.h>
#include <base/err.h>
#include <base/mem.h>

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>

enum {
    FULL_POLL_MS = 20, /* so often a full socket's worker looks whether somebody waits for it */
};

/* Indices only grow: jobs [taken, done) wait for the loop, [done, handed) for the worker. Each is
 * written by one thread. */
struct worker {
    uv_async_t async;
    uv_thread_t thread;
    uv_sem_t work;     /* one for each job, and one for the end */
    uv_sem_t progress; /* while somebody awaits */
    void (*on_done)(void *user);
    void *user;
    size_t taken;         /* the loop's alone */
    atomic_size_t handed; /* by the loop */
    atomic_size_t done;   /* by the worker */
    atomic_bool wanted;   /* the loop waits for room */
    atomic_bool awaited;  /* the loop stands still until all is done */
    atomic_bool ending;
    struct worker_job jobs[WORKER_JOBS];
};

/* --- the thread --- */

/* False if the loop cannot wait for that any longer. */
static bool await_room(struct worker *w, int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    while (!atomic_load(&w->awaited)) {
        if (poll(&p, 1, FULL_POLL_MS) != 0) {
            return true;
        }
    }
    return false;
}

static void skip(struct worker_job *j, size_t len)
{
    j->batch.data += len;
    j->batch.len -= len;
}

static void send_job(struct worker *w, struct worker_job *j)
{
    struct node_batch *b = &j->batch;
    while (b->len > 0) {
        size_t sent = 0;
        int err = udp_send(&j->socket, &b->to, b->data, b->len, b->segment, &sent);
        skip(j, err == 0 ? b->len : sent);
        if (err == 0 || (err == -EAGAIN && await_room(w, j->socket.fd))) {
            continue;
        }
        j->err = j->err != 0 ? j->err : err;
        j->refused++;
        skip(j, b->len < b->segment ? b->len : b->segment);
    }
}

/* The job is the loop's as soon as `done` says so. */
static void finish(struct worker *w, bool tell)
{
    atomic_store(&w->done, atomic_load(&w->done) + 1);
    if (atomic_exchange(&w->wanted, false) || tell) {
        (void)uv_async_send(&w->async); /* fails only for what is no async handle */
    }
    if (atomic_load(&w->awaited)) {
        uv_sem_post(&w->progress);
    }
}

static void run(void *arg)
{
    struct worker *w = arg;
    for (;;) {
        uv_sem_wait(&w->work);
        size_t at = atomic_load(&w->done);
        if (at == atomic_load(&w->handed)) {
            CHECK(atomic_load(&w->ending));
            return;
        }
        struct worker_job *j = &w->jobs[at % WORKER_JOBS];
        node_batch_seal(&j->batch);
        send_job(w, j);
        finish(w, j->err != 0);
    }
}

/* --- the loop --- */

struct worker_job *worker_free(struct worker *w)
{
    size_t handed = atomic_load(&w->handed);
    if (handed - w->taken < WORKER_JOBS) {
        return &w->jobs[handed % WORKER_JOBS];
    }
    atomic_store(&w->wanted, true);
    if (atomic_load(&w->done) != w->taken) { /* one was done just before that could be seen */
        (void)uv_async_send(&w->async);
    }
    return NULL;
}

void worker_hand(struct worker *w)
{
    size_t handed = atomic_load(&w->handed);
    CHECK(handed - w->taken < WORKER_JOBS);
    struct worker_job *j = &w->jobs[handed % WORKER_JOBS];
    j->refused = 0;
    j->err = 0;
    atomic_store(&w->handed, handed + 1);
    uv_sem_post(&w->work);
}

struct worker_job *worker_done(struct worker *w)
{
    return atomic_load(&w->done) != w->taken ? &w->jobs[w->taken % WORKER_JOBS] : NULL;
}

void worker_take(struct worker *w)
{
    CHECK(atomic_load(&w->done) != w->taken);
    w->taken++;
}

bool worker_is_idle(const struct worker *w)
{
    return atomic_load(&w->handed) == w->taken;
}

void worker_await(struct worker *w)
{
    atomic_store(&w->awaited, true);
    while (atomic_load(&w->done) != atomic_load(&w->handed)) {
        uv_sem_wait(&w->progress); /* more posts than jobs only mean one more look */
    }
    atomic_store(&w->awaited, false);
}

static void on_async(uv_async_t *async)
{
    struct worker *w = async->data;
    w->on_done(w->user);
}

/* --- open, close --- */

static void worker_delete(struct worker *w)
{
    for (size_t i = 0; i < WORKER_JOBS; i++) {
        mem_free(w->jobs[i].buffer);
    }
    mem_free(w);
}

static bool make_buffers(struct worker *w)
{
    for (size_t i = 0; i < WORKER_JOBS; i++) {
        w->jobs[i].buffer = mem_new(1, NODE_BATCH_BYTES);
        if (!w->jobs[i].buffer) {
            return false;
        }
    }
    return true;
}

static void on_closed(uv_handle_t *handle)
{
    worker_delete(handle->data);
}

static int start(struct worker *w, uv_loop_t *loop)
{
    int err = uv_sem_init(&w->work, 0);
    if (err != 0) {
        return err;
    }
    err = uv_sem_init(&w->progress, 0);
    if (err != 0) {
        uv_sem_destroy(&w->work);
        return err;
    }
    err = uv_thread_create(&w->thread, run, w);
    if (err == 0) {
        err = uv_async_init(loop, &w->async, on_async);
        if (err == 0) {
            return 0;
        }
        atomic_store(&w->ending, true);
        uv_sem_post(&w->work);
        CHECK(uv_thread_join(&w->thread) == 0);
    }
    uv_sem_destroy(&w->progress);
    uv_sem_destroy(&w->work);
    return err;
}

int worker_open(uv_loop_t *loop, void (*on_done)(void *user), void *user, struct worker **out)
{
    struct worker *w = mem_new(1, sizeof(*w));
    if (!w) {
        return ERR_NO_MEMORY;
    }
    w->on_done = on_done;
    w->user = user;
    w->async.data = w;
    int err = make_buffers(w) ? start(w, loop) : ERR_NO_MEMORY;
    if (err != 0) {
        worker_delete(w);
        return err;
    }
    *out = w;
    return 0;
}

void worker_close(struct worker *w)
{
    worker_await(w);
    atomic_store(&w->ending, true);
    uv_sem_post(&w->work);
    CHECK(uv_thread_join(&w->thread) == 0);
    uv_sem_destroy(&w->work);
    uv_sem_destroy(&w->progress);
    struct worker_job *j;
    while ((j = worker_done(w)) != NULL) {
        node_batch_release(&j->batch);
        worker_take(w);
    }
    uv_close((uv_handle_t *)&w->async, on_closed);
}
