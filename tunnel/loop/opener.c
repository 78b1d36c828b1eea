#include "loop/opener.h"

#include <base/err.h>
#include <base/mem.h>

#include "os/udp.h"

static bool run(void *user, size_t job)
{
    struct opener *o = user;
    node_opening_open(&o->jobs[job].opening);
    return true;
}

static void on_done(void *user)
{
    struct opener *o = user;
    o->on_done(o->user);
}

static void opener_free(struct opener *o)
{
    for (size_t i = 0; i < WORKER_JOBS; i++) {
        mem_free(o->jobs[i].buffer);
    }
    mem_free(o);
}

static int make_buffers(struct opener *o)
{
    for (size_t i = 0; i < WORKER_JOBS; i++) {
        o->jobs[i].buffer = mem_new(1, UDP_BATCH_BYTES);
        if (!o->jobs[i].buffer) {
            return ERR_NO_MEMORY;
        }
    }
    return 0;
}

int opener_open(uv_loop_t *loop, void (*done)(void *user), void *user, struct opener **out)
{
    static const struct worker_callbacks callbacks = {.run = run, .on_done = on_done};
    struct opener *o = mem_new(1, sizeof(*o));
    if (!o) {
        return ERR_NO_MEMORY;
    }
    o->on_done = done;
    o->user = user;
    int err = make_buffers(o);
    if (err == 0) {
        err = worker_open(loop, &callbacks, o, &o->worker);
    }
    if (err != 0) {
        opener_free(o);
        return err;
    }
    *out = o;
    return 0;
}

void opener_close(struct opener *o)
{
    size_t job;
    worker_await(o->worker);
    while (worker_done(o->worker, &job)) {
        node_opening_drop(&o->jobs[job].opening);
        worker_take(o->worker);
    }
    worker_close(o->worker);
    opener_free(o);
}
