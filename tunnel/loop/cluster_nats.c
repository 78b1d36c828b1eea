/* The loop's side. */
#include "loop/cluster_nats_internal.h"

#include <base/check.h>
#include <base/err.h>
#include <base/rng.h>

#include <sodium.h>
#include <string.h>

#include "os/sysrng.h"

enum {
    RING_BYTES = 4 << 20,
    MESSAGES_MAX = 128, /* at a time, before the clients have their turn */
};

struct cluster_nats {
    struct nats_shared *shared;
    uv_async_t async;
    uv_thread_t thread;
    const struct cluster_nats_callbacks *callbacks; /* NULL once it is stopping */
    void *user;
    void (*done)(void *user);
    void *done_user;
    bool up;
    const struct log *log;
    struct relay_cluster_io_stats *stats;
    uint64_t dropped; /* here, in the ring out */
};

bool cluster_nats_is_there(void)
{
    return true;
}

/* --- what is shared --- */

static void free_shared(struct nats_shared *s)
{
    struct nats_key *k, *next;
    HASH_ITER (hh, s->keys, k, next) {
        HASH_DEL(s->keys, k);
        mem_free(k);
    }
    msgring_deinit(&s->out);
    msgring_deinit(&s->in);
    natsOptions_Destroy(s->options);
    uv_cond_destroy(&s->work);
    uv_mutex_destroy(&s->lock);
    mem_free(s);
}

void nats_shared_use(struct nats_shared *s)
{
    uv_mutex_lock(&s->lock);
    s->users++;
    uv_mutex_unlock(&s->lock);
}

void nats_shared_leave(struct nats_shared *s)
{
    uv_mutex_lock(&s->lock);
    CHECK(s->users > 0);
    bool last = --s->users == 0;
    uv_mutex_unlock(&s->lock);
    if (last) {
        free_shared(s);
    }
}

void nats_shared_wake(struct nats_shared *s)
{
    uv_mutex_lock(&s->lock);
    if (s->async) {
        (void)uv_async_send(s->async); /* fails only for what is no async handle */
    }
    uv_mutex_unlock(&s->lock);
}

unsigned nats_shared_hash(const struct nats_shared *s, const void *data, size_t len)
{
    uint8_t out[crypto_shorthash_BYTES];
    unsigned hash;
    crypto_shorthash(out, data, len, s->hash_seed);
    memcpy(&hash, out, sizeof(hash));
    return hash;
}

static struct nats_shared *new_shared(const struct cluster_nats_config *config)
{
    size_t ring = config->ring_bytes > 0 ? config->ring_bytes : RING_BYTES;
    struct nats_shared *s = mem_new(1, sizeof(*s));
    if (!s) {
        return NULL;
    }
    s->process = config->process;
    rng_fill(sys_rng(), s->hash_seed, sizeof(s->hash_seed));
    TAILQ_INIT(&s->changes);
    if (uv_mutex_init(&s->lock)) {
        mem_free(s);
        return NULL;
    }
    CHECK(uv_cond_init(&s->work) == 0); /* fails only for want of what the lock just got */
    if (msgring_init(&s->out, ring) || msgring_init(&s->in, ring)) {
        free_shared(s);
        return NULL;
    }
    return s;
}

/* --- what comes from the threads --- */

static void take_state(struct cluster_nats *c)
{
    char why[NATS_WHY_MAX];
    struct nats_shared *s = c->shared;
    uv_mutex_lock(&s->lock);
    bool up = s->up;
    memcpy(why, s->why, sizeof(why));
    s->why[0] = '\0';
    *c->stats = (struct relay_cluster_io_stats){.dropped_out = s->dropped_out + c->dropped,
                                                .dropped_in = s->dropped_in,
                                                .losses = s->losses,
                                                .slow = s->slow};
    uv_mutex_unlock(&s->lock);
    if (why[0]) {
        LOG_AT(c->log, LOG_WARN, "cluster", "trouble", "why=\"%s\"", why);
    }
    if (up != c->up) {
        c->up = up;
        c->callbacks->on_link(c->user, up);
    }
}

static void take_messages(struct cluster_nats *c)
{
    struct msgring_note note;
    const uint8_t *data;
    size_t len;
    for (int n = 0; n < MESSAGES_MAX && msgring_peek(&c->shared->in, &note, &data, &len); n++) {
        if (note.type == NATS_RING_NOBODY) {
            c->callbacks->on_nobody(c->user, note.key);
        } else {
            c->callbacks->on_message(c->user, data, len);
        }
        msgring_pop(&c->shared->in);
    }
    if (!msgring_is_empty(&c->shared->in)) {
        nats_shared_wake(c->shared);
    }
}

static void on_async_closed(uv_handle_t *handle)
{
    struct cluster_nats *c = handle->data;
    void (*done)(void *user) = c->done;
    void *user = c->done_user;
    mem_free(c);
    if (done) {
        done(user);
    }
}

static void end(struct cluster_nats *c)
{
    struct nats_shared *s = c->shared;
    CHECK(uv_thread_join(&c->thread) == 0);
    uv_mutex_lock(&s->lock);
    s->async = NULL;
    uv_mutex_unlock(&s->lock);
    nats_shared_leave(s);
    uv_close((uv_handle_t *)&c->async, on_async_closed);
}

static void on_async(uv_async_t *async)
{
    struct cluster_nats *c = async->data;
    if (c->callbacks) {
        take_state(c);
        take_messages(c);
        c->callbacks->on_turn_end(c->user);
        return;
    }
    uv_mutex_lock(&c->shared->lock);
    bool finished = c->shared->finished && !uv_is_closing((uv_handle_t *)async);
    uv_mutex_unlock(&c->shared->lock);
    if (finished) {
        end(c);
    }
}

/* --- what the relay wants --- */

static void signal_work(struct nats_shared *s)
{
    uv_mutex_lock(&s->lock);
    uv_cond_signal(&s->work);
    uv_mutex_unlock(&s->lock);
}

static struct nats_key *get_key(struct nats_shared *s, const uint8_t key[32], bool make)
{
    struct nats_key *k = NULL;
    HASH_FIND(hh, s->keys, key, sizeof(k->key), k);
    if (k || !make) {
        return k;
    }
    k = mem_new(1, sizeof(*k));
    if (!k) {
        return NULL;
    }
    memcpy(k->key, key, sizeof(k->key));
    HASH_ADD_KEYPTR(hh, s->keys, k->key, sizeof(k->key), k);
    if (!k->hh.tbl) {
        mem_free(k);
        return NULL;
    }
    return k;
}

static void want(struct cluster_nats *c, const uint8_t key[32], bool wanted)
{
    struct nats_shared *s = c->shared;
    uv_mutex_lock(&s->lock);
    struct nats_key *k = get_key(s, key, wanted);
    if (k) {
        k->wanted = wanted;
        if (!k->listed) {
            k->listed = true;
            TAILQ_INSERT_TAIL(&s->changes, k, link);
        }
        uv_cond_signal(&s->work);
    } else {
        c->dropped += wanted;
    }
    uv_mutex_unlock(&s->lock);
}

static void publish(struct cluster_nats *c, const struct relay_cluster_output *out)
{
    struct msgring_note note = {
        .type = (uint8_t)out->o.type, .flag = out->o.ask, .number = out->o.process};
    memcpy(note.key, out->o.key, sizeof(note.key));
    switch (msgring_put(&c->shared->out, &note, out->o.head, out->o.head_len, out->payload.data,
                        out->payload.len)) {
    case MSGRING_FULL:
        c->dropped++;
        break;
    case MSGRING_FIRST:
        signal_work(c->shared);
        break;
    case MSGRING_PUT:
        break;
    }
}

void cluster_nats_do(struct cluster_nats *c, const struct relay_cluster_output *out)
{
    switch (out->o.type) {
    case CLUSTER_SUBSCRIBE:
    case CLUSTER_UNSUBSCRIBE:
        want(c, out->o.key, out->o.type == CLUSTER_SUBSCRIBE);
        break;
    case CLUSTER_PUBLISH_KEY:
    case CLUSTER_PUBLISH_PROCESS:
    case CLUSTER_PUBLISH_ALL:
        publish(c, out);
        break;
    }
}

/* --- life --- */

int cluster_nats_start(uv_loop_t *loop, const struct cluster_nats_config *config,
                       const struct cluster_nats_callbacks *callbacks, void *user,
                       struct cluster_nats **out)
{
    const char *why = "";
    struct cluster_nats *c = mem_new(1, sizeof(*c));
    struct nats_shared *s = c ? new_shared(config) : NULL;
    if (!s) {
        mem_free(c);
        return ERR_NO_MEMORY;
    }
    *c = (struct cluster_nats){.shared = s,
                               .callbacks = callbacks,
                               .user = user,
                               .stats = config->stats,
                               .log = config->log};
    c->async.data = c;
    int err = nats_thread_options(s, config, &why);
    if (err) {
        LOG_AT(config->log, LOG_ERROR, "cluster", "not_usable", "why=\"%s\"", why);
    }
    err = err ? err : uv_async_init(loop, &c->async, on_async);
    if (err) {
        free_shared(s);
        mem_free(c);
        return err;
    }
    s->async = &c->async;
    s->users = 2; /* the thread and the loop */
    err = uv_thread_create(&c->thread, nats_thread_run, s);
    if (err) {
        s->async = NULL;
        free_shared(s);
        uv_close((uv_handle_t *)&c->async, on_async_closed);
        return err;
    }
    *out = c;
    return 0;
}

void cluster_nats_stop(struct cluster_nats *c, void (*done)(void *user), void *user)
{
    c->callbacks = NULL;
    c->done = done;
    c->done_user = user;
    uv_mutex_lock(&c->shared->lock);
    c->shared->stopping = true;
    uv_cond_signal(&c->shared->work);
    uv_mutex_unlock(&c->shared->lock);
    nats_shared_wake(c->shared); /* it may have finished already */
}
