/* One relay of a cluster: what it publishes, what it subscribes to, and whom of the others it
 * knows.
 *
 * The relays of a cluster share a messaging system (NATS) and nothing else. Each key that is
 * connected to one of them is a subject that this one subscribes to, so a packet for it is
 * published there by any other and finds its way; a packet that came from the cluster never goes
 * back into it. Logins are told to all (`claim`): the newest one of a key has it, whoever has an
 * older one closes that. Stamps that order them come from a clock that all relays share: unix time,
 * put ahead whenever somebody is heard whose clock is ahead. Relays say that they live every
 * CLUSTER_ALIVE_NS; one that has been silent for CLUSTER_DEAD_NS is gone, and with it what was
 * connected there.
 *
 * Signalling to a key that is not known to be anywhere is *asked*: the one that has it says so. The
 * messaging itself may tell that nobody listens (cluster_nobody), or nobody answers within
 * CLUSTER_ASK_NS; then the asker hears it, and for a second nothing is published for that key.
 *
 * A core for the relay server, which owns the keys, drains the events after each call, and hands
 * the outputs to its shell. Outputs that the shell does not fetch wait under the ceilings below.
 */
#ifndef RELAY_CLUSTER_H
#define RELAY_CLUSTER_H

#include <base/clock.h>
#include <base/heap.h>
#include <base/log.h>
#include <base/rng.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "wire/clustermsg.h"

#define CLUSTER_ALIVE_NS (2 * NS_PER_S)
#define CLUSTER_DEAD_NS (7 * NS_PER_S)
#define CLUSTER_ASK_NS (1 * NS_PER_S)
#define CLUSTER_NOBODY_NS (1 * NS_PER_S)      /* so long that is believed */
#define CLUSTER_HERE_NS (10 * NS_PER_S)       /* and so long the contrary */
#define CLUSTER_GRACE_NS (3 * NS_PER_S)       /* without messaging, before others count as away */
#define CLUSTER_RESYNC_NS (2 * NS_PER_S)      /* all keys are claimed again no more often */
#define CLUSTER_STALE_NS (30 * NS_PER_S)      /* older messages are not believed */
#define CLUSTER_STAMP_MAX (UINT64_C(1) << 62) /* the year 2116: no clock says so */

enum {
    CLUSTER_ASKERS_MAX = 4, /* who hear of one key that it is not there; the others ask again */
    CLUSTER_LEFT_MAX = 64,  /* keys that have left, waiting to be told of */
    CLUSTER_HERE_MAX = 64,  /* answers waiting to be sent */
    CLUSTER_HEAD_MAX = CLUSTERMSG_LIST_MAX,
};

struct cluster_limits {   /* 0 = the value in brackets */
    size_t processes_max; /* relays that are known [256] */
    size_t asks_max;      /* keys asked for, or answered lately [4096] */
    size_t far_max;       /* the server's: senders elsewhere that were received from [65536] */
    size_t queue_max;     /* packets that wait for the shell [1024] */
};

struct cluster_stats {
    uint64_t packets_out, bytes_out; /* published; payload */
    uint64_t packets_in, bytes_in;   /* for clients of ours */
    uint64_t strays;                 /* for keys that are not here (any more) */
    uint64_t asked, not_here;        /* signalling that asked; that found nobody */
    uint64_t moved;                  /* connections closed for a newer one elsewhere */
    uint64_t unknown;                /* messages that make no sense here */
    uint64_t stale;                  /* messages of long ago */
    uint64_t dropped;                /* packets: no messaging, or too many waiting */
    uint64_t refused;                /* askers, relays, keys: past a ceiling */
    uint64_t links;                  /* times that the messaging came up */
};

/* Part of each key that is connected here. */
struct cluster_key {
    TAILQ_ENTRY(cluster_key) link;
    const uint8_t *key;
    uint64_t login_ns; /* the newest one */
    bool due;          /* it is in a list: to be subscribed to, then to be claimed */
    bool subscribed;   /* if it is due: in the second of them */
    bool moved;        /* a newer connection is elsewhere: it has not left */
};

enum cluster_output_type {
    CLUSTER_SUBSCRIBE,
    CLUSTER_UNSUBSCRIBE,
    CLUSTER_PUBLISH_KEY,     /* to the subject of `key` */
    CLUSTER_PUBLISH_PROCESS, /* to the one relay, about `key` */
    CLUSTER_PUBLISH_ALL,
};

struct cluster_output {
    enum cluster_output_type type;
    uint8_t key[CLUSTERMSG_KEY];
    uint64_t process;
    bool ask; /* if nobody listens, cluster_nobody shall be called */
    size_t head_len;
    uint8_t head[CLUSTER_HEAD_MAX]; /* the message, or what stands before a packet's payload */
};

enum cluster_event_type {
    CLUSTER_EV_NOT_HERE,     /* key, askers */
    CLUSTER_EV_PROCESS_GONE, /* process */
    CLUSTER_EV_RESYNC,       /* every key is to be claimed (cluster_claim) */
};

struct cluster_event {
    enum cluster_event_type type;
    uint64_t process;
    uint8_t key[CLUSTERMSG_KEY];
    uint64_t askers[CLUSTER_ASKERS_MAX];
    size_t count;
};

struct cluster_ask;
struct cluster_process;

struct cluster_config {
    struct cluster_limits limits;
    uint64_t unix_offset; /* unix time in ns - now */
    struct rng rng;
    const struct log *log; /* may be NULL */
};

struct cluster {
    struct cluster_limits limits; /* filled in */
    struct cluster_stats stats;
    uint64_t id;     /* of this process, never 0 */
    uint64_t offset; /* the shared clock - now */
    const struct log *log;
    bool up;
    uint64_t down_ns; /* since when it is not */
    uint64_t alive_at;
    uint64_t resync_ns; /* when the last one was */
    bool want_resync;   /* as soon as that may be */
    bool resync;        /* its event waits */
    bool want_alive, want_bye;

    struct cluster_process *processes;
    size_t process_count;

    struct cluster_ask *asks; /* by key */
    uint8_t hash_seed[16];
    struct heap timers; /* of asks */
    TAILQ_HEAD(, cluster_ask) answered;

    TAILQ_HEAD(cluster_keys, cluster_key) fresh; /* to be subscribed to */
    struct cluster_keys due;                     /* to be claimed */
    struct {
        uint8_t key[CLUSTERMSG_KEY];
        bool tell;
    } left[CLUSTER_LEFT_MAX];
    size_t left_count, left_told;
    struct cluster_here {
        uint8_t key[CLUSTERMSG_KEY];
        uint64_t process;
    } here[CLUSTER_HERE_MAX];
    size_t here_first, here_count;
};

/* 0 or ERR_NO_MEMORY. */
int cluster_init(struct cluster *c, const struct cluster_config *config, uint64_t now);
/* The keys that it knows must not be used any more. */
void cluster_deinit(struct cluster *c);
uint64_t cluster_stamp(const struct cluster *c, uint64_t now);

/* --- what is connected here --- */

/* The newest connection of the key is here; `key` stays where it is until it leaves. */
void cluster_join(struct cluster *c, struct cluster_key *k, const uint8_t *key, uint64_t now);
/* When its newest login was, by the clock that all share. */
uint64_t cluster_key_stamp(const struct cluster *c, const struct cluster_key *k);
/* Says again that it is here. */
void cluster_claim(struct cluster *c, struct cluster_key *k);
/* Its last connection ended, or was closed for a newer one elsewhere (k->moved). */
void cluster_leave(struct cluster *c, struct cluster_key *k);
/* Messages come for a key that is not here: no more of them. */
void cluster_unsubscribe(struct cluster *c, const uint8_t key[CLUSTERMSG_KEY]);
/* Says to the relay `process` that the key is here. */
void cluster_say_here(struct cluster *c, const uint8_t key[CLUSTERMSG_KEY], uint64_t process);
/* The process ends: says so. */
void cluster_bye(struct cluster *c);

/* --- who else is where (cluster_ask.c) --- */

enum cluster_way {
    CLUSTER_WAY_PUBLISH,
    CLUSTER_WAY_ASK,     /* publish as an asked packet */
    CLUSTER_WAY_NOBODY,  /* the key is nowhere */
    CLUSTER_WAY_NOTHING, /* no messaging just now: drop it and say nothing */
};

/* How a packet to a key that is not here shall go. `asker` is told later if need be; 0: a packet
 * that does not ask. */
enum cluster_way cluster_way(struct cluster *c, const uint8_t key[CLUSTERMSG_KEY], uint64_t asker,
                             uint64_t now);
/* The key is at another relay, as that has just said. */
void cluster_found(struct cluster *c, const uint8_t key[CLUSTERMSG_KEY], uint64_t now);
/* Nobody listens to the key. */
void cluster_nobody(struct cluster *c, const uint8_t key[CLUSTERMSG_KEY], uint64_t now);
/* Nothing is known of the key. */
void cluster_forget(struct cluster *c, const uint8_t key[CLUSTERMSG_KEY]);

/* --- driving it --- */

/* The messaging works, or does not. */
void cluster_link(struct cluster *c, bool up, uint64_t now);
/* A message came from there: its clock and its life count. False: it is not to be believed. */
bool cluster_heard(struct cluster *c, uint64_t process, uint64_t stamp, uint64_t now);
void cluster_process_ended(struct cluster *c, uint64_t process);
void cluster_tick(struct cluster *c, uint64_t now);
uint64_t cluster_next_ns(const struct cluster *c);
bool cluster_event(struct cluster *c, struct cluster_event *ev);
/* Everything but packets, which the server has itself. False when there is nothing. */
bool cluster_output(struct cluster *c, struct cluster_output *out, uint64_t now);
size_t cluster_process_count(const struct cluster *c);

#endif
