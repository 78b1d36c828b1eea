/* Shared by tunnel_uv.c (rounds, start, stop), tunnel_sockets.c (UDP), tunnel_config.c (a node out
 * of a configuration), tunnel_net.c (the network around), tunnel_router.c (mapped ports),
 * tunnel_portal.c (captive portals), tunnel_sender.c and tunnel_opener.c (threads that send and
 * that open), tunnel_spin.c (waits), tunnel_haste.c (others' turns) and tunnel_stream.c (streams
 * and what the program hung on them).
 */
#ifndef LOOP_TUNNEL_INTERNAL_H
#define LOOP_TUNNEL_INTERNAL_H

#include <adit/adit.h>

#include <base/mem.h>

#include <string.h>

/* Ids count upwards, one peer beside the other: a multiplication spreads them over the buckets. */
static inline unsigned tunnel_stream_hash(const void *stream)
{
    uint64_t id;
    memcpy(&id, stream, sizeof(id));
    return (unsigned)(id * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

#define uthash_malloc(size) mem_new(1, size)
#define uthash_free(p, size) mem_free(p)
#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION(key, len, hash) ((hash) = tunnel_stream_hash(key))
#include <uthash.h>
#include <uv.h>

#include "loop/channel_uv.h"
#include "loop/netmon_uv.h"
#include "loop/opener.h"
#include "loop/relay_link_uv.h"
#include "loop/resolve_uv.h"
#include "loop/sender.h"
#include "loop/spin.h"
#include "loop/udp_uv.h"
#include "loop/upnp_uv.h"
#include "os/udp_watch.h"

enum {
    TUNNEL_HOST_MAX = 256,
    TUNNEL_FILE_MAX = 1024,
};

/* What the program hung on a stream. */
struct stream_user {
    uint64_t stream;
    void *user;
    UT_hash_handle hh;
};

/* A configured endpoint whose name is looked up at each handshake. */
struct endpoint_lookup {
    struct adit *adit;
    size_t peer, endpoint;
    char host[TUNNEL_HOST_MAX];
    uint16_t port;
    struct resolve_uv *resolve;
};

struct stun_lookup {
    struct adit *adit;
    char host[TUNNEL_HOST_MAX];
    uint16_t port;
    bool derper;
    struct resolve_uv *resolve;
};

/* 0 is the shared one, the others are temporary; udp NULL = closed. */
struct tunnel_socket {
    struct adit *adit;
    unsigned number;
    struct udp_uv *udp;
    bool grown; /* has the buffers of one that carries streams */
};

struct relay_entry {
    char *name;
    char *host;
    char *host_header;
    char *path;
    uint16_t port;
    bool tls, websocket;
    struct relay_link_uv *link;
};

/* Small streams talk beside bulk: tunnel_haste.c. */
struct tunnel_haste {
    bool on;
    uint64_t until_ns;
    bool said;         /* words of theirs have just left */
    bool short_turns;  /* the system gives this thread short turns */
    uint64_t yield_ns; /* when others are let by next */
    uint64_t rest_ns;  /* and not before, whatever is said */
};

struct adit {
    uv_loop_t *loop;
    struct node *node;
    struct tunnel_socket sockets[NODE_SOCKETS_MAX + 1];
    struct udp_batch batch;    /* of all of them */
    struct channel_uv *portal; /* NULL: nobody is asked */
    size_t portal_relay;
    char portal_request[NODE_PORTAL_REQUEST_MAX];
    struct stream_uv_buffers portal_buffers;
    struct addr listen;
    bool offload;
    unsigned workers;
    struct sender *sender; /* NULL: everything leaves from the loop */
    struct opener *opener; /* NULL: everything is opened there */
    uv_timer_t watching;   /* while batches go out */
    struct udp_watch watch;
    uv_prepare_t prepare;
    uv_timer_t timer;
    const struct log *log;
    void (*handler)(void *user, const struct adit_event *ev);
    void *user;
    void (*stopped)(void *user);
    void *stopped_user;
    int open_handles;
    bool work; /* the node may have events or output */
    struct tunnel_haste haste;
    uv_idle_t idle; /* while the loop does not sleep, */
    struct spin spin;
    uint64_t waits_polled;
    struct spin_round round; /* after what this one has moved by now */
    bool stopping;
    bool stopped_links; /* relays and look-ups are gone; only the sockets are left */
    bool pumping;

    struct node_batch blocked; /* len 0 = none: a batch that the socket did not take yet */
    struct stream_user *streams;
    struct relay_entry relays[NODE_RELAYS_MAX];
    size_t relay_count;
    char **peer_names;
    size_t peer_count;
    struct endpoint_lookup *lookups; /* NODE_ENDPOINTS_MAX for each peer */
    struct stun_lookup *stun;
    size_t stun_count;
    struct netmon_uv *monitor;
    uv_timer_t look; /* at the interfaces, while somebody is being looked for */
    bool looking;
    uint64_t unsent_ns; /* when the node was last told that the system refused to send */
    uv_timer_t trim;    /* memory that many streams have left behind */
    unsigned dropped;   /* streams since then */
    uv_timer_t rebind;  /* the shared socket was lost: the next try to have another */
    unsigned rebinds;   /* tries that failed */
    bool portmap;
    struct upnp_uv *upnp; /* NULL: no ports are to be mapped */
    bool upnp_mapped;
    uint64_t router_checks; /* as far as upnp knows */
    bool *was_direct;       /* of each peer */
    uint64_t stop_ns;

    char state_file[TUNNEL_FILE_MAX];   /* empty = none */
    char recipes_file[TUNNEL_FILE_MAX]; /* the same */
    uint64_t stored_timestamp;
    uint64_t stored_recipes; /* their version */
    uint64_t unsent;
};

/* --- tunnel_uv.c --- */

/* Hands out events, sends what the node has, sets the timer. */
void tunnel_pump(struct adit *a);
/* Closes all that is still open. */
void tunnel_finish_stop(struct adit *a);
/* The socket that a->blocked waits for can be written to again. */
void tunnel_unblock(struct adit *a);

/* --- tunnel_haste.c --- */

/* The node has been asked for output: whether small streams talk, and have just spoken. */
void tunnel_note_haste(struct adit *a, bool hasty, bool said, uint64_t now);
/* At the end of a round of sending: how much is read next, and whether others are let by. */
void tunnel_make_haste(struct adit *a, uint64_t now);
void tunnel_end_haste(struct adit *a);

/* --- tunnel_spin.c --- */

/* 0 = it always sleeps. */
void tunnel_open_spin(struct adit *a, uint64_t limit_ns);
/* The loop has nothing to do, and polls. */
void tunnel_wait(struct adit *a);

/* --- tunnel_batches.c --- */

/* A batch went out by the shared socket: somebody looks whether batches arrive. */
void tunnel_watch_batches(struct adit *a);

/* --- tunnel_sender.c --- */

/* Starts it if it is configured. 0 or an error. */
int tunnel_open_sender(struct adit *a);
/* Does all that is under way, and ends it. */
void tunnel_close_sender(struct adit *a);
/* Takes back what is done. False if the node cannot be asked for output now: the pump comes again
 * when it can. */
bool tunnel_sender_has_room(struct adit *a);
/* True if the thread sends the batch. Otherwise it is sealed now, if it was not. */
bool tunnel_sender_send(struct adit *a, struct node_batch *b);
/* Waits for what is under way: a socket is going to change or to be closed. */
void tunnel_sender_settle(struct adit *a);

/* --- tunnel_opener.c --- */

/* Starts it if it is configured. 0 or an error. */
int tunnel_open_opener(struct adit *a);
/* What is under way is lost. */
void tunnel_close_opener(struct adit *a);
/* True if the batch is taken care of; it may lie in other memory then. False: whoever has read it
 * gives it to the node, which has taken all that came before. */
bool tunnel_opener_takes(struct adit *a, unsigned socket, struct udp_batch *b, uint64_t now);
/* Gives the node all that is under way. */
void tunnel_opener_settle(struct adit *a, uint64_t now);

/* --- tunnel_sockets.c --- */

/* The shared one. 0 or an error, with a log line. */
int tunnel_open_socket(struct adit *a, const struct adit_config *c);
/* Opens and closes temporary ones as the node wants them. */
void tunnel_adapt_sockets(struct adit *a);
void tunnel_close_sockets(struct adit *a);
/* The system took the shared one away: opens another one on the same port, in the loop's next round
 * or as soon as it can be had. */
void tunnel_rebind(struct adit *a);
/* Reads what has arrived on those that carry paths (udp_uv_catch_up). */
void tunnel_catch_up(struct adit *a, uint64_t now);

/* --- tunnel_config.c --- */

/* Copies what is kept of the configuration and makes the node. 0 or an error. */
int tunnel_make_node(struct adit *a, const struct adit_config *config);
/* Tells the node the endpoints that are addresses; names are looked up when it asks. */
void tunnel_tell_literals(struct adit *a, const struct adit_config *config);
void tunnel_free_config(struct adit *a);
/* The timestamp that may be used next has to be on disk before a message with it goes out. */
void tunnel_store_timestamp(struct adit *a);
/* How peers were reached, when that has changed. */
void tunnel_store_recipes(struct adit *a);

/* --- tunnel_net.c --- */

/* Tells the node this machine's addresses. */
void tunnel_look(struct adit *a);
/* Looks again from time to time, as long as the node is lively: often where the system does not
 * tell of changes. */
void tunnel_keep_looking(struct adit *a);
/* netmon_uv's: the network may be another one. */
void tunnel_on_change(void *user, unsigned what);
/* The system refused to send to this address (-errno). */
void tunnel_on_refusal(struct adit *a, unsigned socket, const struct addr *to, int err);
void tunnel_resolve_stun(struct adit *a);
void tunnel_stop_net(struct adit *a);

/* --- tunnel_router.c --- */

int tunnel_open_router(struct adit *a);
/* Tries what the node does not speak itself, if what it speaks brings nothing. */
void tunnel_settle_router(struct adit *a);
/* Something has changed with this peer. */
void tunnel_watch_path(struct adit *a, size_t peer);
/* Gives mapped ports back, and calls tunnel_finish_stop then, at the latest after 2 s. */
void tunnel_release_router(struct adit *a);

/* --- tunnel_portal.c --- */

void tunnel_ask_portal(struct adit *a, size_t relay);
void tunnel_close_portal(struct adit *a);

/* --- tunnel_stream.c --- */

void tunnel_stream_event(struct adit *a, const struct node_event *in, enum adit_event_type type);
void tunnel_free_streams(struct adit *a);

#endif
