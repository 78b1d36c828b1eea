#include "loop/worker.h"

#include <base/check.h>
#include <base/err.h>
#include <base/mem.h>

#include <stdatomic.h>

/* Indices only grow: jobs [taken, done) wait for the loop, [done, handed) for the worker. Each is
 * written by one thread. */
struct worker {
    uv_async_t async;
    uv_thread_t thread;
    uv_sem_t work;     /* one for each job, and one for the end */
    uv_sem_t progress; /* while somebody awaits */
    const struct worker_callbacks *callbacks;
    void *user;
    size_t taken;         /* the loop's alone */
    atomic_size_t handed; /* by the loop */
    atomic_size_t done;   /* by the worker */
    atomic_bool wanted;   /* the loop waits for room */
    atomic_bool awaited;  /* the loop stands still until something is done */
    atomic_bool ending;
};

/* --- the thread --- */

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
        finish(w, w->callbacks->run(w->user, at % WORKER_JOBS));
    }
}

bool worker_is_awaited(const struct worker *w)
{
    return atomic_load(&w->awaited);
}

/* --- the loop --- */

bool worker_free(struct worker *w, size_t *job)
{
    size_t handed = atomic_load(&w->handed);
    if (handed - w->taken < WORKER_JOBS) {
        *job = handed % WORKER_JOBS;
        return true;
    }
    atomic_store(&w->wanted, true);
    if (atomic_load(&w->done) != w->taken) { /* one was done just before that could be seen */
        (void)uv_async_send(&w->async);
    }
    return false;
}

void worker_hand(struct worker *w)
{
    size_t handed = atomic_load(&w->handed);
    CHECK(handed - w->taken < WORKER_JOBS);
    atomic_store(&w->handed, handed + 1);
    uv_sem_post(&w->work);
}

bool worker_done(const struct worker *w, size_t *job)
{
    *job = w->taken % WORKER_JOBS;
    return atomic_load(&w->done) != w->taken;
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

/* More posts than jobs only mean one more look. */
static void await(struct worker *w, size_t index)
{
    atomic_store(&w->awaited, true);
    while (atomic_load(&w->done) < index) {
        uv_sem_wait(&w->progress);
    }
    atomic_store(&w->awaited, false);
}

void worker_await(struct worker *w)
{
    await(w, atomic_load(&w->handed));
}

void worker_await_one(struct worker *w)
{
    CHECK(!worker_is_idle(w));
    await(w, w->taken + 1);
}

static void on_async(uv_async_t *async)
{
    struct worker *w = async->data;
    w->callbacks->on_done(w->user);
}

/* --- open, close --- */

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
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

int worker_open(uv_loop_t *loop, const struct worker_callbacks *callbacks, void *user,
                struct worker **out)
{
    CHECK(callbacks->run && callbacks->on_done);
    struct worker *w = mem_new(1, sizeof(*w));
    if (!w) {
        return ERR_NO_MEMORY;
    }
    w->callbacks = callbacks;
    w->user = user;
    w->async.data = w;
    int err = start(w, loop);
    if (err != 0) {
        mem_free(w);
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
    uv_close((uv_handle_t *)&w->async, on_closed);
}
