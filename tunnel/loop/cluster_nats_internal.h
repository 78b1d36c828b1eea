/* Shared by cluster_nats.c (the loop's side), cluster_nats_connect.c and cluster_nats_thread.c (the
 * library's). */
#ifndef LOOP_CLUSTER_NATS_INTERNAL_H
#define LOOP_CLUSTER_NATS_INTERNAL_H

#include "loop/cluster_nats.h"

#include <base/mem.h>

#define uthash_malloc(size) mem_new(1, size)
#define uthash_free(p, size) mem_free(p)
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((void)(element))
/* Keys are chosen by strangers: a keyed hash. Expands where `s` is the shared state. */
#define HASH_FUNCTION(data, len, out) (out) = nats_shared_hash(s, (data), (len))
#include <nats/nats.h>
#include <sys/queue.h>
#include <uthash.h>

#include "loop/msgring.h"
#include "relay/cluster_seal.h"

enum {
    NATS_SUBJECT_MAX = 128,
    NATS_WHY_MAX = 256,
    NATS_HOST_MAX = 256,
    NATS_SERVERS_MAX = 16,
    NATS_MESSAGE_MAX = CLUSTER_SEAL_LEN + CLUSTERMSG_MAX,
    NATS_PENDING_MAX = 8192, /* messages of one subscription that the library holds for us */
    NATS_PENDING_BYTES = 4 << 20,
};

#define NATS_SUBJECTS "adit.relay.1."

/* In the notes of the rings. */
enum { NATS_RING_OUT, NATS_RING_MESSAGE, NATS_RING_NOBODY };

/* A key that is subscribed to, or is to be, or no longer. Made by the loop, ended by the thread. */
struct nats_key {
    uint8_t key[32];
    bool wanted;
    bool listed;           /* in the list of changes */
    natsSubscription *sub; /* the thread's */
    TAILQ_ENTRY(nats_key) link;
    UT_hash_handle hh;
};

TAILQ_HEAD(nats_keys, nats_key);

struct nats_server {
    char *url;
    const char *host;       /* part of it, without the login */
    char why[NATS_WHY_MAX]; /* it could not be connected to the last time */
    bool due;               /* that is to be told */
};

/* What both sides and the library's threads use. The last of them frees it: callbacks may come
 * until the connection and all subscriptions have said that they are over. */
struct nats_shared {
    uv_mutex_t lock; /* of all but the rings, which have their own */
    uv_cond_t work;  /* something is to be published, subscribed to, or it is over */
    struct msgring out, in;
    size_t users;
    uv_async_t *async; /* NULL once the loop does not listen any more */
    bool stopping;
    bool finished; /* the thread has no more to do */
    bool closed;   /* the connection is over */
    bool up;
    uint64_t dropped_out, dropped_in, losses, slow, forged; /* by the other threads */
    char why[NATS_WHY_MAX];                                 /* of the last trouble, "" = told */
    struct nats_server servers[NATS_SERVERS_MAX];
    size_t servers_count;
    size_t server_at; /* the thread's: that it is connected to, or tries */
    bool sealed;
    struct cluster_seal seal;
    uint8_t *outgoing; /* the thread's: a message while it is sealed */
    int pending_max;
    uint64_t process;
    uint8_t hash_seed[16];
    struct nats_key *keys;
    struct nats_keys changes;
    char *ca, *credentials; /* files; NULL = none */
    bool tls;
};

unsigned nats_shared_hash(const struct nats_shared *s, const void *data, size_t len);
void nats_shared_use(struct nats_shared *s);
void nats_shared_leave(struct nats_shared *s);
/* Lets the loop look at what has changed. */
void nats_shared_wake(struct nats_shared *s);
/* 0, or an error and why it is none; undone by nats_connect_deinit in any case. */
int nats_connect_init(struct nats_shared *s, const struct cluster_nats_config *config,
                      char why[NATS_WHY_MAX]);
void nats_connect_deinit(struct nats_shared *s);
/* On one line. */
void nats_copy_why(char out[NATS_WHY_MAX], const char *text);
/* The thread's: one of the servers, sooner or later; NULL: it is to stop. */
natsConnection *nats_connect(struct nats_shared *s);
/* The thread: takes one user's place. */
void nats_thread_run(void *shared);

#endif
