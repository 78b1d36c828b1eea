/* Shared by cluster*.c only. */
#ifndef RELAY_CLUSTER_INTERNAL_H
#define RELAY_CLUSTER_INTERNAL_H

#include "relay/cluster.h"

#include <base/mem.h>

#include <sodium.h>

/* Keys are chosen by strangers: a keyed hash. The macro expands where `c` is the cluster. */
#define HASH_FUNCTION(data, len, out) (out) = cluster_hash(c, (data), (len))
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((void)(element))
#define uthash_malloc(size) mem_new(1, (size))
#define uthash_free(p, size) mem_free(p)
#include <uthash.h>

enum ask_state { ASK_WAITING, ASK_HERE, ASK_NOBODY };

/* What was asked about a key, or is known of it for a while. */
struct cluster_ask {
    uint8_t key[CLUSTERMSG_KEY];
    enum ask_state state;
    struct heap_node timer;
    bool told; /* in c->answered */
    uint64_t askers[CLUSTER_ASKERS_MAX];
    size_t count;
    TAILQ_ENTRY(cluster_ask) link;
    UT_hash_handle hh;
};

struct cluster_process {
    uint64_t id;
    uint64_t heard_ns;
    bool gone; /* its event waits */
};

unsigned cluster_hash(const struct cluster *c, const void *data, size_t len);
bool cluster_ask_event(struct cluster *c, struct cluster_event *ev);
void cluster_ask_tick(struct cluster *c, uint64_t now);
void cluster_ask_free_all(struct cluster *c);

#endif
