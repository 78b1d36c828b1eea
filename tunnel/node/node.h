/* A whole node as a sans-I/O machine: handshakes, sessions, paths and relays of all its peers.
 *
 * The only folder that knows all cores. The shell (tunnel/loop, or the simulator) moves bytes:
 *
 *   in    node_input (datagrams), node_relay_* (a relay's TCP bytes), node_resolved, node_tick
 *   out   node_event until there is none, then node_output until there is none, then
 *         node_relay_output of each relay; then sleep until node_next_ns
 *
 * Everything a peer or a stranger does wrong is dropped and counted. Memory is taken when a node,
 * a session or a stream is made.
 */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include <base/log.h>
#include <base/rng.h>

#include <adit/cause.h>
#include <adit/stats.h>

#include "transport/conn.h"

struct node;
struct adit_why;

enum {
    NODE_PEERS_MAX = 4096,
    NODE_RELAYS_MAX = 16,
    NODE_ENDPOINTS_MAX = 4,   /* configured endpoints of one peer */
    NODE_ADDRESSES_MAX = 4,   /* addresses that one of them resolves to */
    NODE_BATCH_BYTES = 65000, /* one run of datagrams for one address */
    NODE_BATCH_SEGMENTS = 64,
    NODE_SOCKETS_MAX = 320, /* temporary ones: the greatest number */
};

struct node_relay_config {
    const char *name;
    const char *host_header; /* "host" or "host:port" */
    const char *path;
    bool home; /* of our own: we listen there */
    bool websocket;
    bool proxied; /* reached through an HTTP proxy: no portal stands before it */
};

struct node_peer_config {
    const char *name;
    uint8_t key[32];
    uint8_t psk[32]; /* zeros = none */
    size_t endpoint_count;
    const size_t *relays; /* NULL: every home relay */
    size_t relay_count;
};

struct node_config {
    uint8_t secret[32];
    struct conn_limits limits;
    enum conn_congestion congestion;
    bool seal_apart; /* runs of data packets come out unsealed: see node_batch_seal */
    bool open_apart; /* data packets may be opened elsewhere: see node_opening_add */
    uint64_t resume_timeout_ns;
    bool punch;                /* exchange candidates with peers and probe theirs */
    unsigned birthday_sockets; /* temporary ones of one run of birthday probing; 0 = none is done */
    const uint8_t *recipes;    /* what node_recipes gave in an earlier life; NULL = nothing */
    size_t recipes_len;
    uint64_t unix_ns;   /* wall clock at `now` of node_new, 0 if unknown */
    uint64_t timestamp; /* the last handshake timestamp that an earlier life may have used */
    const struct node_relay_config *relays;
    size_t relay_count;
    const struct node_peer_config *peers;
    size_t peer_count;
    struct rng rng;
    const struct log *log;
};

/* Copies the configuration. 0, ERR_NO_MEMORY, ERR_CRYPTO, ERR_NO_ROOM. */
int node_new(const struct node_config *config, uint64_t now, struct node **out);
void node_free(struct node *n);
/* Connects to the relays and greets every peer once. Call after the endpoints that are addresses
 * have been told by node_resolved. */
void node_start(struct node *n, uint64_t now);
/* Tells connected peers that this node goes. What it says comes out of node_output as usual. */
void node_stop(struct node *n, uint64_t now);

/* --- datagrams --- */

/* One datagram from the shared socket (0) or a temporary one; decrypted in place. */
void node_input(struct node *n, unsigned socket, const struct addr *from, uint8_t *data, size_t len,
                uint64_t now);

/* With open_apart: datagrams of one socket, in the order in which they came, whose data packets are
 * opened by whoever has the time, which may be another thread, before the node takes them. `count`
 * 0 and `key_count` 0 = none yet. */
enum { NODE_OPENING_MAX = 1024, NODE_OPENING_KEYS = 8 };

struct node_opening {
    unsigned socket;
    size_t count, key_count;
    size_t sealed; /* bytes of those that are to be opened */
    struct lentkey *keys[NODE_OPENING_KEYS];
    struct node_arrival {
        struct addr from;
        uint8_t *data;
        size_t len;
        struct lentkey *key; /* one of these; NULL = the node has to see to it itself */
        bool authentic;
    } arrivals[NODE_OPENING_MAX];
};

/* One more, no more than NODE_OPENING_MAX; lends its key. The memory is to stay as it is until
 * node_opening_input. */
void node_opening_add(struct node *n, struct node_opening *o, const struct addr *from,
                      uint8_t *data, size_t len, uint64_t now);
/* Opens them in place, in any thread, while nobody else touches `o`; several of these one after the
 * other, and by one thread at a time. */
void node_opening_open(struct node_opening *o);
/* As node_input for each of them, and as though it came only now: a packet whose keys are gone has
 * no session any more, and the second of two alike is a replay. Lets the keys go. */
void node_opening_input(struct node *n, struct node_opening *o, uint64_t now);
/* Only lets the keys go: the datagrams are lost. Without a node, too. */
void node_opening_drop(struct node_opening *o);

/* A run of datagrams for one address: `segment` bytes each, the last may be shorter. */
struct node_batch {
    unsigned socket; /* 0 = the shared one */
    unsigned hops;   /* it shall pass that many routers at most; 0 = as many as usual */
    struct addr to;
    uint8_t *data; /* valid until the next call of node_output */
    size_t len;
    size_t segment;
    struct lentkey *key; /* NULL: it may leave as it is */
};

/* False when there is nothing to send now. Also moves packets into the relays' buffers. */
bool node_output(struct node *n, struct node_batch *out, uint64_t now);
/* Small streams of the peer that was sent to last, directly or through a relay, talk beside bulk:
 * look at the sockets soon. */
bool node_is_hasty(const struct node *n);
/* True if words of such streams have left since it was last asked. */
bool node_take_said(struct node *n);

/* With seal_apart: a batch that has a key is sealed by whoever sends it, which may be another
 * thread, batch by batch; the others work on. Packets of one path are to leave in the order in
 * which they came out. */
void node_batch_seal(const struct node_batch *b);
/* Afterwards, sealed or not, on the node's thread: lets the key go. Others are left alone. */
void node_batch_release(struct node_batch *b);
/* The memory of the last batch becomes the caller's, and `fresh` (mem_new, NODE_BATCH_BYTES) the
 * node's. */
uint8_t *node_trade_buffer(struct node *n, uint8_t *fresh);

/* Temporary sockets, numbered 1..NODE_SOCKETS_MAX: each on a port of the system's choice, of the
 * shared socket's address. After NODE_EVENT_SOCKETS the shell opens and closes what it takes to
 * agree with this. One that cannot be opened is like one whose datagrams are lost. */
enum node_socket {
    NODE_SOCKET_CLOSED,
    NODE_SOCKET_TRIED, /* one of many that carry a few packets each */
    NODE_SOCKET_KEPT,  /* carries a path */
};

enum node_socket node_socket_use(const struct node *n, unsigned socket);

void node_tick(struct node *n, uint64_t now);
uint64_t node_next_ns(const struct node *n);

/* --- the network around --- */

/* All addresses of this machine's interfaces at which the shared socket listens, with its port. A
 * list that differs from the last one means that the machine has moved: everything is probed. */
void node_local_addresses(struct node *n, const struct addr *addrs, size_t count, uint64_t now);
/* A STUN server to be asked (RFC 8489); `derper`: in the form that a derper answers. */
void node_stun_server(struct node *n, const struct addr *addr, bool derper, uint64_t now);
/* The router of the default route and our address towards it, with the shared port; NULL = none.
 * It is asked to map the port (PCP, NAT-PMP) once somebody is looked for. */
void node_gateway(struct node *n, const struct addr *gateway, const struct addr *client,
                  uint64_t now);
/* Another network, or a long time unseen: what was learned does not count, everything is probed. */
void node_moved(struct node *n, uint64_t now);
/* The system refused to send to `to`. True if a proven path goes there: it is doubted, and all ways
 * to its peer are challenged. False: one of many guesses. */
bool node_unsent(struct node *n, unsigned socket, const struct addr *to, uint64_t now);
/* What the shell needs to know to try other protocols (UPnP) on the router. */
struct node_router {
    struct addr gateway, client; /* as node_gateway said; ADDR_NONE = none */
    bool silent;                 /* PCP and NAT-PMP have brought nothing */
    uint64_t checks;             /* grows when the router may have forgotten what was mapped */
};

void node_router(const struct node *n, struct node_router *out);
/* An outside address that was mapped in another way; NULL = no more. */
void node_port_mapped(struct node *n, const struct addr *external, uint64_t now);
/* A way was lost: the router may have forgotten its mappings. Asks it, not too often. */
void node_suspect_router(struct node *n, uint64_t now);
/* PCP and NAT-PMP hold no mapping, and none is being given back. */
bool node_router_is_free(const struct node *n);
/* Peers are being looked for or data moves: then it is worth looking at the interfaces. */
bool node_is_lively(const struct node *n);

/* --- relays: TCP connections that the shell holds --- */

void node_relay_connected(struct node *n, size_t relay, uint64_t now);
/* The connection failed or ended; err 0 = closed by the relay. */
void node_relay_disconnected(struct node *n, size_t relay, int err, uint64_t now);
/* The same, for a reason that can be told. */
void node_relay_failed(struct node *n, size_t relay, int err, const char *why, uint64_t now);
void node_relay_input(struct node *n, size_t relay, const uint8_t *data, size_t len, uint64_t now);
/* Bytes to write, valid until node_relay_sent has been told of all of them. */
size_t node_relay_output(struct node *n, size_t relay, const uint8_t **data);
/* True if paths that waited for room may go on: there may be output. */
bool node_relay_sent(struct node *n, size_t relay, size_t len, uint64_t now);

/* --- captive portals: whether somebody else answers in a relay's place (relay/portal.h) --- */

enum { NODE_PORTAL_REQUEST_MAX = 512 };

/* After NODE_EVENT_PORTAL_ASK: connects to the relay's host, over plain HTTP, and sends this;
 * `host` is that of the Host header. The request's length, or ERR_TOO_LARGE. */
int node_portal_request(struct node *n, const char *host, char out[NODE_PORTAL_REQUEST_MAX]);
void node_portal_input(struct node *n, const uint8_t *data, size_t len, uint64_t now);
/* The connection has ended, or there never was one. */
void node_portal_closed(struct node *n, uint64_t now);

/* --- events --- */

enum node_event_type {
    NODE_EVENT_STREAM_OPENED,
    NODE_EVENT_STREAM_ACCEPTED,
    NODE_EVENT_STREAM_READABLE,
    NODE_EVENT_STREAM_WRITABLE,
    NODE_EVENT_STREAM_RESET,
    NODE_EVENT_STREAM_GONE,
    NODE_EVENT_DATAGRAM,
    NODE_EVENT_PONG,          /* `pong` of `peer` */
    NODE_EVENT_PEER,          /* state or path changed */
    NODE_EVENT_RELAY_CONNECT, /* open a connection to `relay`, then node_relay_connected */
    NODE_EVENT_RELAY_CLOSE,   /* close the connection to `relay`, if there still is one */
    NODE_EVENT_PORTAL_ASK,    /* see node_portal_request */
    NODE_EVENT_PORTAL_CLOSE,  /* close that connection, if there still is one */
    NODE_EVENT_RESOLVE_STUN,  /* resolve the STUN servers, then node_stun_server for each */
    NODE_EVENT_SOCKETS,       /* see node_socket_use */
    NODE_EVENT_RESOLVE,       /* resolve `endpoint` of `peer`, then node_resolved */
};

struct node_event {
    enum node_event_type type;
    uint64_t stream;
    size_t peer;
    size_t relay;
    size_t endpoint;
    enum cause cause;
    uint8_t data[FRAME_TARGET_MAX]; /* opened: target; accepted: info */
    size_t len;
    const uint8_t *datagram; /* of `len` bytes, valid until the next node_event */
    struct adit_pong pong;
};

bool node_event(struct node *n, struct node_event *ev, uint64_t now);

/* The addresses of a configured endpoint (at most NODE_ADDRESSES_MAX are kept); 0 = none found. */
void node_resolved(struct node *n, size_t peer, size_t endpoint, const struct addr *addrs,
                   size_t count, uint64_t now);

/* The greatest handshake timestamp that may be used before this is asked again: the shell keeps it
 * on disk before it sends. Moves in steps of a minute. */
uint64_t node_timestamp(const struct node *n);

enum { NODE_RECIPES_LEN_MAX = 2048 };

/* How peers were reached from here before (path/recipe.h), to be kept over restarts: fills in the
 * bytes and returns their length. node_recipes_version changes when they do. */
size_t node_recipes(const struct node *n, uint8_t out[NODE_RECIPES_LEN_MAX]);
uint64_t node_recipes_version(const struct node *n);

/* --- streams: as in transport/conn.h; a stream id is unique over all peers and sessions --- */

int node_stream_open(struct node *n, size_t peer, const void *target, size_t len, uint64_t *stream,
                     uint64_t now);
/* As conn_stream_bind: direct paths only, or relay paths only. */
int node_stream_bind(struct node *n, uint64_t stream, enum frame_lane lane);
int node_stream_accept(struct node *n, uint64_t stream, const void *info, size_t len);
size_t node_stream_space(struct node *n, uint64_t stream, size_t want, uint8_t **at);
void node_stream_wrote(struct node *n, uint64_t stream, size_t len);
int node_stream_finish(struct node *n, uint64_t stream);
size_t node_stream_peek(struct node *n, uint64_t stream, const uint8_t **at, bool *fin);
void node_stream_consume(struct node *n, uint64_t stream, size_t len, uint64_t now);
int node_stream_abort(struct node *n, uint64_t stream, enum cause cause);
int node_stream_break(struct node *n, uint64_t stream, enum cause cause);
/* An unreliable message beside the stream's bytes. */
int node_datagram_send(struct node *n, uint64_t stream, const void *data, size_t len, uint64_t now);
/* Index of the stream's peer. */
size_t node_stream_peer(uint64_t stream);

/* --- looking --- */

/* As adit_ping. */
int node_ping(struct node *n, size_t peer, uint64_t *id, uint64_t now);

/* name is left to the caller. */
void node_peer_stats(const struct node *n, size_t peer, struct adit_peer_stats *out, uint64_t now);
void node_relay_stats(const struct node *n, size_t relay, struct adit_relay_stats *out);
/* See adit/why.h. */
void node_why(const struct node *n, size_t peer, struct adit_why *out, uint64_t now);
void node_nat_stats(const struct node *n, struct adit_nat_stats *out);
void node_counters(const struct node *n, struct adit_counters *out);

#endif
