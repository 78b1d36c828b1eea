/* Publishing and subscribing: everything here runs on threads that are not the loop's. */
#include "loop/cluster_nats_internal.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum { LAST_FLUSH_MS = 500 };

static void lock(struct nats_shared *s)
{
    uv_mutex_lock(&s->lock);
}

static void unlock(struct nats_shared *s)
{
    uv_mutex_unlock(&s->lock);
}

static void count(struct nats_shared *s, uint64_t *counter)
{
    lock(s);
    (*counter)++;
    unlock(s);
}

/* --- what comes in --- */

static void on_sub_over(void *user)
{
    nats_shared_leave(user);
}

static void deliver(struct nats_shared *s, const struct msgring_note *note, const void *data,
                    size_t len)
{
    switch (msgring_put(&s->in, note, data, len, NULL, 0)) {
    case MSGRING_FULL:
        count(s, &s->dropped_in);
        break;
    case MSGRING_FIRST:
        nats_shared_wake(s);
        break;
    case MSGRING_PUT:
        break;
    }
}

/* The server's answer for whoever does not listen names the key in its subject. */
static void deliver_nobody(struct nats_shared *s, const char *subject)
{
    struct msgring_note note = {.type = NATS_RING_NOBODY};
    const char *hex = strrchr(subject, '.');
    size_t len;
    if (hex &&
        sodium_hex2bin(note.key, sizeof(note.key), hex + 1, strlen(hex + 1), NULL, &len, NULL) ==
            0 &&
        len == sizeof(note.key)) {
        deliver(s, &note, NULL, 0);
    }
}

/* What is no relay's goes no further, so it takes no room from what is. */
static void deliver_message(struct nats_shared *s, const void *data, size_t len)
{
    const struct msgring_note note = {.type = NATS_RING_MESSAGE};
    const uint8_t *message = data;
    if (len > NATS_MESSAGE_MAX || (s->sealed && !cluster_seal_opens(&s->seal, message, len))) {
        count(s, &s->forged);
        nats_shared_wake(s);
        return;
    }
    size_t skip = s->sealed ? CLUSTER_SEAL_LEN : 0;
    deliver(s, &note, message + skip, len - skip);
}

static void on_message(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *user)
{
    struct nats_shared *s = user;
    (void)nc;
    (void)sub;
    if (natsMsg_IsNoResponders(msg)) {
        deliver_nobody(s, natsMsg_GetSubject(msg));
    } else {
        deliver_message(s, natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg));
    }
    natsMsg_Destroy(msg);
}

/* --- subjects --- */

static const char *subject_of_key(char out[NATS_SUBJECT_MAX], const uint8_t key[32])
{
    char hex[65];
    sodium_bin2hex(hex, sizeof(hex), key, 32);
    (void)snprintf(out, NATS_SUBJECT_MAX, NATS_SUBJECTS "key.%s", hex);
    return out;
}

static const char *subject_of_process(char out[NATS_SUBJECT_MAX], uint64_t process,
                                      const uint8_t key[32])
{
    char hex[65];
    sodium_bin2hex(hex, sizeof(hex), key, 32);
    (void)snprintf(out, NATS_SUBJECT_MAX, NATS_SUBJECTS "process.%016llx.%s",
                   (unsigned long long)process, hex);
    return out;
}

/* --- subscribing --- */

static natsSubscription *subscribe(struct nats_shared *s, natsConnection *nc, const char *subject)
{
    natsSubscription *sub = NULL;
    nats_shared_use(s);
    if (natsConnection_Subscribe(&sub, nc, subject, on_message, s) != NATS_OK) {
        nats_shared_leave(s);
        return NULL;
    }
    /* The library's own ceiling is 64 MiB for each. */
    (void)natsSubscription_SetPendingLimits(sub, s->pending_max, NATS_PENDING_BYTES);
    if (natsSubscription_SetOnCompleteCB(sub, on_sub_over, s) != NATS_OK) {
        natsSubscription_Destroy(sub); /* s stays for ever, which is better than too short */
        return NULL;
    }
    return sub;
}

/* With the lock held, which is let go of around calls of the library. */
static void settle_key(struct nats_shared *s, natsConnection *nc, struct nats_key *k)
{
    char subject[NATS_SUBJECT_MAX];
    bool wanted = k->wanted;
    if (wanted == (k->sub != NULL)) {
        return;
    }
    unlock(s);
    if (wanted) {
        k->sub = subscribe(s, nc, subject_of_key(subject, k->key));
    } else {
        (void)natsSubscription_Unsubscribe(k->sub);
        natsSubscription_Destroy(k->sub);
        k->sub = NULL;
    }
    lock(s);
    s->dropped_out += wanted && !k->sub;
}

static void settle_keys(struct nats_shared *s, natsConnection *nc)
{
    struct nats_key *k;
    while ((k = TAILQ_FIRST(&s->changes))) {
        TAILQ_REMOVE(&s->changes, k, link);
        k->listed = false;
        settle_key(s, nc, k);
        if (!k->wanted && !k->sub && !k->listed) {
            HASH_DEL(s->keys, k);
            mem_free(k);
        }
    }
}

/* The connection is over: the next one begins with all that is wanted. */
static void forget_subs(struct nats_shared *s)
{
    struct nats_key *k, *next;
    lock(s);
    HASH_ITER (hh, s->keys, k, next) {
        natsSubscription_Destroy(k->sub); /* NULL is fine */
        k->sub = NULL;
        if (!k->listed) {
            k->listed = true;
            TAILQ_INSERT_TAIL(&s->changes, k, link);
        }
    }
    unlock(s);
}

/* --- publishing --- */

static natsStatus publish_on(natsConnection *nc, const char *own, const struct msgring_note *note,
                             const uint8_t *data, size_t len)
{
    char subject[NATS_SUBJECT_MAX];
    if (note->type == CLUSTER_PUBLISH_ALL) {
        return natsConnection_Publish(nc, NATS_SUBJECTS "all", data, (int)len);
    }
    if (note->type == CLUSTER_PUBLISH_PROCESS) {
        return natsConnection_Publish(nc, subject_of_process(subject, note->number, note->key),
                                      data, (int)len);
    }
    subject_of_key(subject, note->key);
    return note->flag ? natsConnection_PublishRequest(nc, subject, own, data, (int)len)
                      : natsConnection_Publish(nc, subject, data, (int)len);
}

static natsStatus publish(struct nats_shared *s, natsConnection *nc,
                          const struct msgring_note *note, const uint8_t *data, size_t len)
{
    char own[NATS_SUBJECT_MAX]; /* where an answer may come */
    subject_of_process(own, s->process, note->key);
    if (!s->sealed) {
        return publish_on(nc, own, note, data, len);
    }
    if (len > NATS_MESSAGE_MAX - CLUSTER_SEAL_LEN) {
        return NATS_MAX_PAYLOAD;
    }
    memcpy(s->outgoing + CLUSTER_SEAL_LEN, data, len);
    cluster_seal_close(&s->seal, s->outgoing, CLUSTER_SEAL_LEN + len);
    return publish_on(nc, own, note, s->outgoing, CLUSTER_SEAL_LEN + len);
}

static void publish_all(struct nats_shared *s, natsConnection *nc, bool up)
{
    struct msgring_note note;
    const uint8_t *data;
    size_t len;
    while (msgring_peek(&s->out, &note, &data, &len)) {
        if (!up || publish(s, nc, &note, data, len) != NATS_OK) {
            count(s, &s->dropped_out);
        }
        msgring_pop(&s->out);
        lock(s);
        bool changed = !TAILQ_EMPTY(&s->changes) || s->up != up;
        unlock(s);
        if (changed) {
            return;
        }
    }
}

/* --- the thread --- */

static bool has_work(struct nats_shared *s)
{
    return s->stopping || s->closed || !TAILQ_EMPTY(&s->changes) || !msgring_is_empty(&s->out);
}

/* Until it is to stop and everything is said, or the connection is lost. */
static void work(struct nats_shared *s, natsConnection *nc)
{
    bool stopping, closed;
    do {
        lock(s);
        while (!has_work(s)) {
            uv_cond_wait(&s->work, &s->lock);
        }
        settle_keys(s, nc);
        bool up = s->up;
        stopping = s->stopping;
        closed = s->closed;
        unlock(s);
        publish_all(s, nc, up);
    } while (!closed && (!stopping || !msgring_is_empty(&s->out)));
}

static void serve(struct nats_shared *s, natsConnection *nc)
{
    char subject[NATS_SUBJECT_MAX];
    (void)snprintf(subject, sizeof(subject), NATS_SUBJECTS "process.%016llx.*",
                   (unsigned long long)s->process);
    natsSubscription *all = subscribe(s, nc, NATS_SUBJECTS "all");
    natsSubscription *mine = subscribe(s, nc, subject);
    work(s, nc);
    (void)natsConnection_FlushTimeout(nc, LAST_FLUSH_MS);
    natsConnection_Close(nc);
    forget_subs(s);
    natsSubscription_Destroy(all);
    natsSubscription_Destroy(mine);
    natsConnection_Destroy(nc);
}

void nats_thread_run(void *shared)
{
    struct nats_shared *s = shared;
    natsConnection *nc;
    while ((nc = nats_connect(s))) {
        serve(s, nc);
    }
    lock(s);
    s->finished = true;
    unlock(s);
    nats_shared_wake(s);
    nats_shared_leave(s);
}
