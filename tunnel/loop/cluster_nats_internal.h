/* Shared by cluster_nats.c (the loop's side) and cluster_nats_thread.c (the library's). */
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

enum { NATS_SUBJECT_MAX = 128, NATS_WHY_MAX = 192 };

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
    bool closed;   /* the library has given the connection up */
    bool up;
    uint64_t dropped_out, dropped_in, losses, slow; /* by the other threads */
    char why[NATS_WHY_MAX];                         /* of the last trouble, "" = told */
    uint64_t process;
    uint8_t hash_seed[16];
    struct nats_key *keys;
    struct nats_keys changes;
    natsOptions *options; /* the thread's */
};

unsigned nats_shared_hash(const struct nats_shared *s, const void *data, size_t len);
void nats_shared_use(struct nats_shared *s);
void nats_shared_leave(struct nats_shared *s);
/* Lets the loop look at what has changed. */
void nats_shared_wake(struct nats_shared *s);
/* 0, or an error and why it is none. */
int nats_thread_options(struct nats_shared *s, const struct cluster_nats_config *config,
                        const char **why);
/* The thread: takes one user's place. */
void nats_thread_run(void *shared);

#endif
