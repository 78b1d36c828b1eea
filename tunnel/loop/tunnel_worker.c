/* What the worker (loop/worker.h) sends, if there is one: runs of data packets, and while any of
 * them are under way all that might overtake them. Alone it does not pay to wake a thread for a few
 * packets, and it would cost a request its time: these leave here.
 */
#include "loop/tunnel_internal.h"

#include <base/check.h>

/* What is worth waking the worker for. */
enum { WORTH_BYTES = 16 * 1024 };

static void on_done(void *user)
{
    struct adit *a = user;
    a->work = true;
}

int tunnel_open_worker(struct adit *a)
{
    return a->workers > 0 ? worker_open(a->loop, on_done, a, &a->worker) : 0;
}

static void take_back(struct adit *a, struct worker_job *j)
{
    struct tunnel_socket *s = &a->sockets[j->batch.socket];
    if (s->udp) {
        udp_uv_return(s->udp, &j->socket);
    }
    if (j->err != 0) {
        a->unsent += j->refused;
        tunnel_on_refusal(a, j->batch.socket, &j->batch.to, j->err);
    }
    node_batch_release(&j->batch);
    worker_take(a->worker);
}

static void take_all_back(struct adit *a)
{
    struct worker_job *j;
    while ((j = worker_done(a->worker)) != NULL) {
        take_back(a, j);
    }
}

bool tunnel_worker_has_room(struct adit *a)
{
    if (!a->worker) {
        return true;
    }
    take_all_back(a);
    return worker_free(a->worker) != NULL;
}

bool tunnel_worker_send(struct adit *a, struct node_batch *b)
{
    struct udp_uv *udp = a->sockets[b->socket].udp;
    if (!b->sealer) {
        return false;
    }
    if (!a->worker || !udp || (b->len < WORTH_BYTES && worker_is_idle(a->worker))) {
        node_batch_seal(b);
        node_batch_release(b);
        return false;
    }
    struct worker_job *j = worker_free(a->worker);
    CHECK(j);
    j->batch = *b;
    j->socket = udp_uv_lend(udp);
    j->buffer = node_trade_buffer(a->node, j->buffer);
    CHECK(j->buffer == b->data);
    worker_hand(a->worker);
    if (b->len > b->segment && b->socket == 0) {
        tunnel_watch_batches(a);
    }
    return true;
}

void tunnel_worker_settle(struct adit *a)
{
    if (a->worker && !worker_is_idle(a->worker)) {
        worker_await(a->worker);
        take_all_back(a);
    }
}

void tunnel_close_worker(struct adit *a)
{
    if (a->worker) {
        tunnel_worker_settle(a);
        worker_close(a->worker);
        a->worker = NULL;
    }
}
