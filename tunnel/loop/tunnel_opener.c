/* What another thread opens (loop/opener.h), if there is one: batches of what comes in, and while
 * any of them are under way all that comes after them, so that nothing overtakes. Alone it does not
 * pay to wake a thread for a few packets, and it would cost a request its time: these are opened
 * here.
 */
#include "loop/tunnel_internal.h"

#include "os/sysclock.h"

/* What is worth waking the thread for. */
enum { WORTH_BYTES = 32 * 1024 };

static void take_opened(struct adit *a, uint64_t now)
{
    size_t job;
    while (worker_done(a->opener->worker, &job)) {
        node_opening_input(a->node, &a->opener->jobs[job].opening, now);
        worker_take(a->opener->worker);
    }
}

static void on_done(void *user)
{
    struct adit *a = user;
    adit_stir(a);
    take_opened(a, sys_now_ns());
    tunnel_pump(a);
}

int tunnel_open_opener(struct adit *a)
{
    return a->workers > 1 ? opener_open(a->loop, on_done, a, &a->opener) : 0;
}

void tunnel_close_opener(struct adit *a)
{
    if (a->opener) {
        opener_close(a->opener);
        a->opener = NULL;
    }
}

void tunnel_opener_settle(struct adit *a, uint64_t now)
{
    if (a->opener) {
        worker_await(a->opener->worker);
        take_opened(a, now);
    }
}

/* When all jobs are under way the thread is what limits: then the loop has time to wait. */
static struct opener_job *next_job(struct adit *a, uint64_t now)
{
    size_t job;
    while (!worker_free(a->opener->worker, &job)) {
        worker_await_one(a->opener->worker);
        take_opened(a, now);
    }
    return &a->opener->jobs[job];
}

/* A batch in which little is to be opened (there are others than sessions who send) is no work for
 * the thread after all, unless it would overtake. */
static void hand_over(struct adit *a, struct opener_job *j, uint64_t now)
{
    if (j->opening.sealed < WORTH_BYTES && worker_is_idle(a->opener->worker)) {
        node_opening_open(&j->opening);
        node_opening_input(a->node, &j->opening, now);
    } else {
        worker_hand(a->opener->worker);
    }
}

bool tunnel_opener_takes(struct adit *a, unsigned socket, struct udp_batch *b, uint64_t now)
{
    if (!a->opener) {
        return false;
    }
    take_opened(a, now);
    if (udp_batch_bytes(b) < WORTH_BYTES && worker_is_idle(a->opener->worker)) {
        return false;
    }
    if (b->datagrams > NODE_OPENING_MAX) {
        tunnel_opener_settle(a, now);
        return false;
    }
    struct opener_job *j = next_job(a, now);
    struct udp_datagram d;
    j->opening.socket = socket;
    while (udp_batch_next(b, &d)) {
        node_opening_add(a->node, &j->opening, &d.from, d.data, d.len, now);
    }
    j->buffer = udp_batch_trade(b, j->buffer);
    hand_over(a, j, now);
    return true;
}
