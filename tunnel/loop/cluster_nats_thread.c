/* The side of the library: everything here runs on threads that are not the loop's. */
#include "loop/cluster_nats_internal.h"

#include <base/clock.h>
#include <base/err.h>

#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum {
    RECONNECT_WAIT_MS = 250, /* before the same server is tried again */
    RECONNECT_JITTER_MS = 100,
    CONNECT_TIMEOUT_MS = 2000,
    PING_INTERVAL_MS = 2000,
    PINGS_OUT_MAX = 2,
    WRITE_DEADLINE_MS = 2000,
    LAST_FLUSH_MS = 500,
};

#define AGAIN_NS (2 * NS_PER_S)

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

/* --- what the library says --- */

static void set_up(struct nats_shared *s, bool up, const char *why)
{
    lock(s);
    s->losses += s->up && !up;
    s->up = up;
    (void)snprintf(s->why, sizeof(s->why), "%s", why);
    uv_cond_signal(&s->work);
    unlock(s);
    nats_shared_wake(s);
}

static void on_connected(natsConnection *nc, void *user)
{
    (void)nc;
    set_up(user, true, "");
}

static void on_disconnected(natsConnection *nc, void *user)
{
    const char *why = NULL;
    (void)natsConnection_GetLastError(nc, &why);
    set_up(user, false, why ? why : "");
}

static void on_closed(natsConnection *nc, void *user)
{
    struct nats_shared *s = user;
    (void)nc;
    lock(s);
    s->closed = true;
    unlock(s);
    set_up(s, false, "");
    nats_shared_leave(s);
}

static void on_error(natsConnection *nc, natsSubscription *sub, natsStatus err, void *user)
{
    struct nats_shared *s = user;
    (void)nc;
    (void)sub;
    lock(s);
    s->slow += err == NATS_SLOW_CONSUMER;
    (void)snprintf(s->why, sizeof(s->why), "%s", natsStatus_GetText(err));
    unlock(s);
    nats_shared_wake(s);
}

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

static void on_message(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *user)
{
    struct nats_shared *s = user;
    (void)nc;
    (void)sub;
    if (natsMsg_IsNoResponders(msg)) {
        deliver_nobody(s, natsMsg_GetSubject(msg));
    } else {
        const struct msgring_note note = {.type = NATS_RING_MESSAGE};
        deliver(s, &note, natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg));
    }
    natsMsg_Destroy(msg);
}

/* --- options --- */

static bool wants_tls(const struct cluster_nats_config *config)
{
    bool tls = config->ca != NULL;
    for (size_t i = 0; i < config->url_count; i++) {
        tls = tls || strncmp(config->urls[i], "tls://", 6) == 0;
    }
    return tls;
}

static natsStatus set_security(natsOptions *o, const struct cluster_nats_config *config)
{
    natsStatus err = NATS_OK;
    if (config->credentials) {
        err = natsOptions_SetUserCredentialsFromFiles(o, config->credentials, NULL);
    }
    if (err == NATS_OK && wants_tls(config)) {
        err = natsOptions_SetSecure(o, true);
    }
    if (err == NATS_OK && config->ca) {
        err = natsOptions_LoadCATrustedCertificates(o, config->ca);
    }
    return err;
}

static natsStatus set_times(natsOptions *o)
{
    const natsStatus all[] = {
        natsOptions_SetTimeout(o, CONNECT_TIMEOUT_MS),
        natsOptions_SetMaxReconnect(o, -1),
        natsOptions_SetReconnectWait(o, RECONNECT_WAIT_MS),
        natsOptions_SetReconnectJitter(o, RECONNECT_JITTER_MS, RECONNECT_JITTER_MS),
        natsOptions_SetPingInterval(o, PING_INTERVAL_MS),
        natsOptions_SetMaxPingsOut(o, PINGS_OUT_MAX),
        natsOptions_SetWriteDeadline(o, WRITE_DEADLINE_MS),
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (all[i] != NATS_OK) {
            return all[i];
        }
    }
    return NATS_OK;
}

/* One thread delivers, so that messages keep their order. */
static natsStatus set_habits(natsOptions *o, struct nats_shared *s)
{
    const natsStatus all[] = {
        natsOptions_SetName(o, "adit relay"),
        natsOptions_SetNoEcho(o, true),
        natsOptions_SetNoRandomize(o, true), /* the first in the ini is the nearest */
        natsOptions_SetSendAsap(o, true),    /* the library would wait 1 ms for more */
        natsOptions_UseGlobalMessageDelivery(o, true),
        natsOptions_SetRetryOnFailedConnect(o, true, on_connected, s),
        natsOptions_SetReconnectedCB(o, on_connected, s),
        natsOptions_SetDisconnectedCB(o, on_disconnected, s),
        natsOptions_SetClosedCB(o, on_closed, s),
        natsOptions_SetErrorHandler(o, on_error, s),
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (all[i] != NATS_OK) {
            return all[i];
        }
    }
    return NATS_OK;
}

int nats_thread_options(struct nats_shared *s, const struct cluster_nats_config *config,
                        const char **why)
{
    const char *urls[16];
    natsStatus err = natsOptions_Create(&s->options);
    size_t n = 0;
    for (; n < config->url_count && n < sizeof(urls) / sizeof(urls[0]); n++) {
        urls[n] = config->urls[n];
    }
    err = err ? err : natsOptions_SetServers(s->options, urls, (int)n);
    err = err ? err : set_times(s->options);
    err = err ? err : set_habits(s->options, s);
    err = err ? err : set_security(s->options, config);
    *why = natsStatus_GetText(err);
    return err ? ERR_REFUSED : 0;
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

static natsStatus publish(struct nats_shared *s, natsConnection *nc,
                          const struct msgring_note *note, const uint8_t *data, size_t len)
{
    char subject[NATS_SUBJECT_MAX];
    char reply[NATS_SUBJECT_MAX];
    if (note->type == CLUSTER_PUBLISH_ALL) {
        return natsConnection_Publish(nc, NATS_SUBJECTS "all", data, (int)len);
    }
    if (note->type == CLUSTER_PUBLISH_PROCESS) {
        return natsConnection_Publish(nc, subject_of_process(subject, note->number, note->key),
                                      data, (int)len);
    }
    subject_of_key(subject, note->key);
    if (!note->flag) {
        return natsConnection_Publish(nc, subject, data, (int)len);
    }
    return natsConnection_PublishRequest(
        nc, subject, subject_of_process(reply, s->process, note->key), data, (int)len);
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

/* Until it is to stop and everything is said, or the library gives up. */
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

static natsConnection *connect_to(struct nats_shared *s)
{
    natsConnection *nc = NULL;
    lock(s);
    s->closed = false;
    unlock(s);
    nats_shared_use(s); /* until on_closed */
    natsStatus err = natsConnection_Connect(&nc, s->options);
    if (!nc) {
        nats_shared_leave(s);
        set_up(s, false, natsStatus_GetText(err));
    } else if (err == NATS_OK) {
        set_up(s, true, "");
    }
    return nc;
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

/* The library goes on connecting by itself, unless a server says twice that it does not want us. */
static bool is_over(struct nats_shared *s)
{
    lock(s);
    if (!s->stopping) {
        (void)uv_cond_timedwait(&s->work, &s->lock, AGAIN_NS);
    }
    bool over = s->stopping;
    unlock(s);
    return over;
}

void nats_thread_run(void *shared)
{
    struct nats_shared *s = shared;
    do {
        natsConnection *nc = connect_to(s);
        if (nc) {
            serve(s, nc);
        }
    } while (!is_over(s));
    natsOptions_Destroy(s->options);
    s->options = NULL;
    lock(s);
    s->finished = true;
    unlock(s);
    nats_shared_wake(s);
    nats_shared_leave(s);
}
