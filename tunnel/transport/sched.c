#include "transport/sched.h"

void sched_init(struct sched *s)
{
    TAILQ_INIT(&s->fresh);
    TAILQ_INIT(&s->bulk);
    TAILQ_INIT(&s->blocked);
}

static struct stream_list *list_of(struct sched *s, const struct stream *st)
{
    switch ((enum stream_queue)st->queue) {
    case STREAM_QUEUE_FRESH:
        return &s->fresh;
    case STREAM_QUEUE_BULK:
        return &s->bulk;
    case STREAM_QUEUE_BLOCKED:
        return &s->blocked;
    case STREAM_QUEUE_NONE:
        break;
    }
    return NULL;
}

static void move(struct sched *s, struct stream *st, enum stream_queue to)
{
    struct stream_list *from = list_of(s, st);
    if (from) {
        TAILQ_REMOVE(from, st, sched_link);
    }
    st->queue = (uint8_t)to;
    if (to != STREAM_QUEUE_NONE) {
        TAILQ_INSERT_TAIL(list_of(s, st), st, sched_link);
    }
}

static enum stream_queue queue_for(const struct stream *st)
{
    return st->burst < SCHED_FRESH_BYTES ? STREAM_QUEUE_FRESH : STREAM_QUEUE_BULK;
}

void sched_add(struct sched *s, struct stream *st)
{
    bool waits = st->queue == STREAM_QUEUE_FRESH || st->queue == STREAM_QUEUE_BULK;
    if (waits || !stream_has_data(st)) {
        return;
    }
    move(s, st, queue_for(st));
}

void sched_remove(struct sched *s, struct stream *st)
{
    move(s, st, STREAM_QUEUE_NONE);
}

static struct stream *first_of(const struct sched *s)
{
    return TAILQ_EMPTY(&s->fresh) ? TAILQ_FIRST(&s->bulk) : TAILQ_FIRST(&s->fresh);
}

struct stream *sched_next(struct sched *s, uint64_t session_left)
{
    struct stream *st;
    while ((st = first_of(s)) != NULL) {
        struct range range;
        bool fin;
        if (stream_next(st, session_left, &range, &fin)) {
            return st;
        }
        move(s, st, stream_has_data(st) ? STREAM_QUEUE_BLOCKED : STREAM_QUEUE_NONE);
    }
    return NULL;
}

void sched_on_sent(struct sched *s, struct stream *st, size_t len)
{
    st->quantum += len;
    if (!stream_has_data(st)) {
        st->quantum = 0;
        move(s, st, STREAM_QUEUE_NONE);
    } else if (queue_for(st) != (enum stream_queue)st->queue ||
               st->quantum >= SCHED_QUANTUM_BYTES) {
        st->quantum = 0;
        move(s, st, queue_for(st));
    }
}

void sched_unblock(struct sched *s)
{
    struct stream *st;
    while ((st = TAILQ_FIRST(&s->blocked)) != NULL) {
        move(s, st, queue_for(st));
    }
}

bool sched_is_waiting(const struct sched *s)
{
    return first_of(s) != NULL;
}
