/* The loop's side. */
#include "loop/cluster_nats_internal.h"

#include <base/check.h>
#include <base/err.h>
#include <base/rng.h>

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "os/sysrng.h"

enum {
    RING_BYTES = 4 << 20,
    MESSAGES_MAX = 128, /* at a time, before the clients have their turn */
    TOLD_MS = 60000,
    PATIENCE_MS = 3500, /* an attempt to connect takes 2 s at most, a last flush half of one */
};

/* Trouble that the log has already. */
struct told {
    char why[NATS_WHY_MAX];
    uint64_t at_ms;
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
    uint64_t losses; /* that the callbacks know of */
    struct told trouble, forgery;
    uint64_t forged;     /* that trouble has looked at */
    uv_timer_t patience; /* with the thread, at the end */
    size_t handles;      /* not closed yet */
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
    nats_connect_deinit(s);
    cluster_seal_deinit(&s->seal);
    mem_free(s->outgoing);
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
    s->pending_max = config->pending_max > 0 ? (int)config->pending_max : NATS_PENDING_MAX;
    s->sealed = config->secret != NULL;
    if (s->sealed) {
        cluster_seal_init(&s->seal, config->secret, sys_rng());
        s->outgoing = mem_new(1, NATS_MESSAGE_MAX);
    }
    rng_fill(sys_rng(), s->hash_seed, sizeof(s->hash_seed));
    TAILQ_INIT(&s->changes);
    /* They fail only for want of what the memory just got. */
    CHECK(uv_mutex_init(&s->lock) == 0 && uv_cond_init(&s->work) == 0);
    if ((s->sealed && !s->outgoing) || msgring_init(&s->out, ring) || msgring_init(&s->in, ring)) {
        free_shared(s);
        return NULL;
    }
    return s;
}

/* --- what comes from the threads --- */

/* The same trouble is told once a minute. */
static void tell_trouble(struct cluster_nats *c, struct told *told, const char *why)
{
    uint64_t now = uv_now(c->async.loop);
    if (strcmp(why, told->why) == 0 && now - told->at_ms < TOLD_MS) {
        return;
    }
    (void)snprintf(told->why, sizeof(told->why), "%s", why);
    told->at_ms = now;
    LOG_AT(c->log, LOG_WARN, "cluster", "trouble", "why=\"%s\"", why);
}

static void tell_servers(struct cluster_nats *c)
{
    char why[NATS_WHY_MAX];
    struct nats_shared *s = c->shared;
    for (size_t i = 0; i < s->servers_count; i++) {
        uv_mutex_lock(&s->lock);
        bool due = s->servers[i].due;
        memcpy(why, s->servers[i].why, sizeof(why));
        s->servers[i].due = false;
        uv_mutex_unlock(&s->lock);
        if (due && why[0]) {
            LOG_AT(c->log, LOG_WARN, "cluster", "cannot_connect", "server=%s why=\"%s\"",
                   s->servers[i].host, why);
        }
    }
}

/* A connection that was lost and is there again, too, is told of: messages are missing. */
static void tell_link(struct cluster_nats *c, bool up, uint64_t losses)
{
    bool lost = losses != c->losses;
    c->losses = losses;
    if (c->up && (lost || !up)) {
        c->up = false;
        c->callbacks->on_link(c->user, false);
    }
    if (up && !c->up) {
        c->up = true;
        c->callbacks->on_link(c->user, true);
    }
}

static void take_stats(struct cluster_nats *c)
{
    struct nats_shared *s = c->shared;
    uv_mutex_lock(&s->lock);
    *c->stats = (struct relay_cluster_io_stats){.dropped_out = s->dropped_out + c->dropped,
                                                .dropped_in = s->dropped_in,
                                                .losses = s->losses,
                                                .slow = s->slow,
                                                .forged = s->forged};
    uv_mutex_unlock(&s->lock);
}

static void take_state(struct cluster_nats *c)
{
    char why[NATS_WHY_MAX];
    struct nats_shared *s = c->shared;
    uint64_t forged = c->forged;
    uv_mutex_lock(&s->lock);
    bool up = s->up;
    uint64_t losses = s->losses;
    c->forged = s->forged;
    memcpy(why, s->why, sizeof(why));
    s->why[0] = '\0';
    uv_mutex_unlock(&s->lock);
    if (why[0]) {
        tell_trouble(c, &c->trouble, why);
    }
    if (c->forged > forged) {
        tell_trouble(c, &c->forgery,
                     "messages that no relay with our cluster_secret has written are dropped");
    }
    tell_servers(c);
    tell_link(c, up, losses);
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

static void on_handle_closed(uv_handle_t *handle)
{
    struct cluster_nats *c = handle->data;
    void (*done)(void *user) = c->done;
    void *user = c->done_user;
    if (--c->handles > 0) {
        return;
    }
    mem_free(c);
    if (done) {
        done(user);
    }
}

static void close_handles(struct cluster_nats *c)
{
    uv_close((uv_handle_t *)&c->async, on_handle_closed);
    uv_close((uv_handle_t *)&c->patience, on_handle_closed);
}

static void end(struct cluster_nats *c)
{
    struct nats_shared *s = c->shared;
    uv_mutex_lock(&s->lock);
    s->async = NULL;
    uv_mutex_unlock(&s->lock);
    nats_shared_leave(s);
    close_handles(c);
}

/* The library waits without limit for a server that begins with TLS and does not go on. The thread
 * stays where it is; it ends with the process. */
static void on_patience_over(uv_timer_t *timer)
{
    struct cluster_nats *c = timer->data;
    LOG_AT(c->log, LOG_WARN, "cluster", "left_behind", "a connection that is being made");
    end(c);
}

static void on_async(uv_async_t *async)
{
    struct cluster_nats *c = async->data;
    if (c->callbacks) {
        take_state(c);
        take_messages(c);
        take_stats(c); /* what found no room did so before the last that had it was taken */
        c->callbacks->on_turn_end(c->user);
        return;
    }
    uv_mutex_lock(&c->shared->lock);
    bool finished = c->shared->finished;
    uv_mutex_unlock(&c->shared->lock);
    if (finished && !uv_is_closing((uv_handle_t *)async)) {
        CHECK(uv_thread_join(&c->thread) == 0);
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
    char why[NATS_WHY_MAX];
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
    int err = nats_connect_init(s, config, why);
    if (err) {
        LOG_AT(config->log, LOG_ERROR, "cluster", "not_usable", "why=\"%s\"", why);
    }
    err = err ? err : uv_async_init(loop, &c->async, on_async);
    if (err) {
        free_shared(s);
        mem_free(c);
        return err;
    }
    CHECK(uv_timer_init(loop, &c->patience) == 0); /* it cannot fail, says libuv */
    c->async.data = c->patience.data = c;
    c->handles = 2;
    s->async = &c->async;
    s->users = 2; /* the thread and the loop */
    err = uv_thread_create(&c->thread, nats_thread_run, s);
    if (err) {
        free_shared(s);
        close_handles(c);
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
    CHECK(uv_timer_start(&c->patience, on_patience_over, PATIENCE_MS, 0) == 0);
}
