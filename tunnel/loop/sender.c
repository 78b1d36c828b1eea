#include "loop/sender.h"

#include <base/check.h>
#include <base/err.h>
#include <base/mem.h>

#include <errno.h>
#include <poll.h>

enum {
    FULL_POLL_MS = 20, /* so often a full socket's worker looks whether somebody waits for it */
};

/* --- the thread --- */

/* False if the loop cannot wait for that any longer. */
static bool await_room(const struct worker *w, int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    while (!worker_is_awaited(w)) {
        if (poll(&p, 1, FULL_POLL_MS) != 0) {
            return true;
        }
    }
    return false;
}

static void skip(struct sender_job *j, size_t len)
{
    j->batch.data += len;
    j->batch.len -= len;
}

static void send_job(const struct worker *w, struct sender_job *j)
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

static bool run(void *user, size_t job)
{
    struct sender *s = user;
    struct sender_job *j = &s->jobs[job];
    node_batch_seal(&j->batch);
    send_job(s->worker, j);
    return j->err != 0;
}

/* --- the loop --- */

static void on_done(void *user)
{
    struct sender *s = user;
    s->on_done(s->user);
}

void sender_hand(struct sender *s, struct sender_job *j)
{
    j->refused = 0;
    j->err = 0;
    worker_hand(s->worker);
}

void sender_take(struct sender *s, struct sender_job *j)
{
    node_batch_release(&j->batch);
    worker_take(s->worker);
}

/* --- open, close --- */

static void sender_free(struct sender *s)
{
    for (size_t i = 0; i < WORKER_JOBS; i++) {
        mem_free(s->jobs[i].buffer);
    }
    mem_free(s);
}

static int make_buffers(struct sender *s)
{
    for (size_t i = 0; i < WORKER_JOBS; i++) {
        s->jobs[i].buffer = mem_new(1, NODE_BATCH_BYTES);
        if (!s->jobs[i].buffer) {
            return ERR_NO_MEMORY;
        }
    }
    return 0;
}

int sender_open(uv_loop_t *loop, void (*done)(void *user), void *user, struct sender **out)
{
    static const struct worker_callbacks callbacks = {.run = run, .on_done = on_done};
    struct sender *s = mem_new(1, sizeof(*s));
    if (!s) {
        return ERR_NO_MEMORY;
    }
    s->on_done = done;
    s->user = user;
    int err = make_buffers(s);
    if (err == 0) {
        err = worker_open(loop, &callbacks, s, &s->worker);
    }
    if (err != 0) {
        sender_free(s);
        return err;
    }
    *out = s;
    return 0;
}

void sender_close(struct sender *s)
{
    size_t job;
    worker_await(s->worker);
    while (worker_done(s->worker, &job)) {
        sender_take(s, &s->jobs[job]);
    }
    worker_close(s->worker);
    sender_free(s);
}
