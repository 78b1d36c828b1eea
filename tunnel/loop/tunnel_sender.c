/* What another thread sends (loop/sender.h), if there is one: runs of data packets, and while any
 * of them are under way all that might overtake them. Alone it does not pay to wake a thread for a
 * few packets, and it would cost a request its time: these leave here.
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

int tunnel_open_sender(struct adit *a)
{
    return a->workers > 0 ? sender_open(a->loop, on_done, a, &a->sender) : 0;
}

static void take_back(struct adit *a, struct sender_job *j)
{
    struct tunnel_socket *s = &a->sockets[j->batch.socket];
    if (s->udp) {
        udp_uv_return(s->udp, &j->socket);
    }
    if (j->err != 0) {
        a->unsent += j->refused;
        tunnel_on_refusal(a, j->batch.socket, &j->batch.to, j->err);
    }
    sender_take(a->sender, j);
}

static void take_all_back(struct adit *a)
{
    size_t job;
    while (worker_done(a->sender->worker, &job)) {
        take_back(a, &a->sender->jobs[job]);
    }
}

bool tunnel_sender_has_room(struct adit *a)
{
    if (!a->sender) {
        return true;
    }
    take_all_back(a);
    size_t job;
    return worker_free(a->sender->worker, &job);
}

static struct sender_job *next_job(struct sender *s)
{
    size_t job;
    CHECK(worker_free(s->worker, &job));
    return &s->jobs[job];
}

bool tunnel_sender_send(struct adit *a, struct node_batch *b)
{
    struct udp_uv *udp = a->sockets[b->socket].udp;
    if (!b->key) {
        return false;
    }
    if (!a->sender || !udp || (b->len < WORTH_BYTES && worker_is_idle(a->sender->worker))) {
        node_batch_seal(b);
        node_batch_release(b);
        return false;
    }
    struct sender_job *j = next_job(a->sender);
    j->batch = *b;
    j->socket = udp_uv_lend(udp);
    j->buffer = node_trade_buffer(a->node, j->buffer);
    CHECK(j->buffer == b->data);
    sender_hand(a->sender, j);
    if (b->len > b->segment && b->socket == 0) {
        tunnel_watch_batches(a);
    }
    return true;
}

void tunnel_sender_settle(struct adit *a)
{
    if (a->sender && !worker_is_idle(a->sender->worker)) {
        worker_await(a->sender->worker);
        take_all_back(a);
    }
}

void tunnel_close_sender(struct adit *a)
{
    if (a->sender) {
        tunnel_sender_settle(a);
        sender_close(a->sender);
        a->sender = NULL;
    }
}
