/* Whole nodes and relays in virtual time.
 *
 * Every node runs the real machine of tunnel/node with real keys, driven as tunnel/loop drives it.
 * Datagrams travel over links (link.h), one for each direction between two nodes; relays are real
 * relay_server cores, reached through ordered byte pipes with a delay and a bounded window. Nodes
 * and relays can be killed at any moment and started again.
 *
 * Node i knows all others as peers, in order: fleet_peer() gives the index.
 *
 * ADIT_LOG=debug in the environment prints what the nodes log, with the virtual time;
 * ADIT_TEST=PATTERN runs only tests of that name.
 */
#ifndef SIM_FLEET_H
#define SIM_FLEET_H

#include <base/log.h>

#include <sys/queue.h>

#include "crypto/keys.h"
#include "node/node.h"
#include "relay/relay_server.h"
#include "relay/stun_server.h"
#include "sim/fleet_app.h"
#include "sim/link.h"
#include "sim/natbox.h"
#include "sim/world.h"

enum { FLEET_SEEN_MAX = 4096, FLEET_DEAD_MAX = 31 };
enum { FLEET_NODES_MAX = 4, FLEET_RELAYS_MAX = 3, FLEET_WAKES_MAX = 250 };

struct fleet;
struct fleet_node;
struct fleet_opening;

struct fleet_config {
    const char *name; /* of the program */
    uint64_t seed;
    size_t nodes, relays;
    struct link_config udp;  /* between any two nodes */
    uint64_t relay_delay_ns; /* one way, to any relay */
    uint64_t relay_rate_bps;
    uint64_t relay_client_bytes_per_s; /* that a relay lets one client send; 0 = no limit */
    bool seal_apart;                   /* as with a thread that sends: batches come out unsealed */
    bool open_apart;                   /* as with one that opens: see fleet_opening.c */
    uint64_t resume_timeout_ns;
    struct conn_limits limits;
    bool blind;  /* no node has an endpoint of another: fleet_know() */
    bool no_udp; /* all links are down */
    /* With NATs (fleet_nat.c): nodes exchange candidates, links only have a delay. */
    bool nats;
    struct natbox_config nat[FLEET_NODES_MAX];
    size_t stun_servers;
    unsigned birthday_sockets;
    size_t dead_addresses[FLEET_NODES_MAX]; /* further ones of the node, where nobody listens */
    size_t foreign_relays[FLEET_NODES_MAX]; /* so many of its first ones are not its own */
    bool first_relay_only;                  /* no node looks for a peer at another */
    bool all_alike;                         /* relays: every node has all of them as its home */
};

/* One direction of a TCP connection: ordered, and nothing is lost while it lives. */
struct fleet_segment;
struct fleet_pipe {
    struct world *world;
    struct world_event event;
    STAILQ_HEAD(, fleet_segment) segments;
    uint64_t delay_ns, rate_bps, free_ns;
    size_t flying;
    uint64_t bytes, count; /* taken, in so many segments */
    bool held;             /* nothing arrives: cut, or its reader pauses */
    void (*deliver)(struct fleet_pipe *pipe, const uint8_t *data, size_t len);
};

/* A node's connection to a relay. */
struct fleet_conn {
    struct fleet_node *node;
    size_t relay;
    uint64_t id; /* at the relay; 0 = not connected */
    bool connecting, cut, paused;
    struct world_event connect;
    struct fleet_pipe up, down;
};

struct fleet_relay {
    struct fleet *fleet;
    size_t index;
    char name[8];
    struct relay_server *server; /* NULL: dead */
    bool draining;               /* takes no one any more */
    struct world_event tick;
};

struct fleet_wire {
    struct fleet_node *from, *to;
    struct link link;
};

struct fleet_node {
    struct fleet *fleet;
    size_t index;
    struct key_pair keys;
    struct addr addr;
    struct log log;
    struct node *node; /* NULL: dead */
    struct fleet_app app;
    struct world_event tick;
    struct fleet_wire wires[FLEET_NODES_MAX];
    struct fleet_conn conns[FLEET_RELAYS_MAX];
    bool knows[FLEET_NODES_MAX]; /* has an endpoint of that node */
    bool unresolved;             /* its resolver finds nothing */
    bool one_stun_server;        /* with NATs: knows the first one only */
    bool no_clock;               /* does not know the time of day */
    bool forgetful;              /* keeps no timestamp */
    uint64_t stored_timestamp;
    uint8_t recipes[NODE_RECIPES_LEN_MAX]; /* kept over restarts */
    size_t recipes_len;
    uint64_t peer_events;
    uint64_t portal_questions;
    uint64_t datagrams_out, bytes_out, datagrams_in, bytes_in, resolves;
    struct fleet_opening *opening; /* with open_apart, while it lives */
    struct natbox nat;
    struct addr *seen; /* with NATs: its candidates, and where its packets came from, ever */
    size_t seen_count;
    bool asleep;
    uint64_t strays;  /* with NATs: sent to neither a server nor such an address of another node */
    uint64_t guesses; /* of these: guessed ports of another node's IP; no strays */
    uint64_t second, second_count;        /* with NATs: datagrams in this second ... */
    uint64_t second_peak;                 /* ... and in the fullest one */
    unsigned sockets, sockets_peak;       /* temporary ones that are open */
    uint16_t ports[NODE_SOCKETS_MAX + 1]; /* with NATs: inside ones of these, another each time */
    unsigned ports_given;
    uint64_t ticks, idle_ticks;
    uint64_t recent[FLEET_WAKES_MAX]; /* when the last idle ticks were */
};

struct fleet {
    struct world world;
    struct fleet_config config;
    struct fleet_node nodes[FLEET_NODES_MAX];
    struct fleet_relay relays[FLEET_RELAYS_MAX];
    struct stun_server stun; /* with NATs: of all servers */
    LIST_HEAD(, fleet_flight) flights;
    uint64_t next_seed; /* of streams */
    bool portal;        /* a captive portal stands before all relays */
    /* False: the datagram is lost. Called for each one that leaves. */
    bool (*filter)(struct fleet *f, size_t from, size_t to, const uint8_t *data, size_t len);
    void *user;
};

/* Two nodes and one relay; 20 ms and 100 Mbit/s each way, to the relay as well. */
struct fleet_config fleet_config_default(const char *name, uint64_t seed);

/* Relays run, nodes do not yet. */
struct fleet *fleet_new(const struct fleet_config *config);
void fleet_free(struct fleet *f);

/* --- nodes --- */

void fleet_start(struct fleet *f, size_t node);
void fleet_start_all(struct fleet *f);
/* As kill -9: the other side hears nothing, only relays see the connection end. */
void fleet_kill(struct fleet *f, size_t node);
/* As a lid that closes: the node does nothing, and hears nothing, until it wakes; then its shell
 * has noticed that the clock jumped. */
void fleet_sleep(struct fleet *f, size_t node);
void fleet_wake(struct fleet *f, size_t node);
/* Says goodbye first. */
void fleet_stop(struct fleet *f, size_t node);
/* The node has another address from now on; packets to the former one vanish. */
void fleet_move(struct fleet *f, size_t node, const struct addr *addr);
/* `node` has an endpoint of `other` from its next start on. */
void fleet_know(struct fleet *f, size_t node, size_t other);
size_t fleet_peer(size_t node, size_t other);
/* Lets a node say what it wants to after a call from outside. */
void fleet_drive(struct fleet *f, size_t node);
/* A datagram out of nowhere. */
void fleet_inject(struct fleet *f, size_t to, const struct addr *from, const uint8_t *data,
                  size_t len);

/* The same to a temporary socket. */
void fleet_inject_by(struct fleet *f, size_t to, unsigned socket, const struct addr *from,
                     const uint8_t *data, size_t len);

/* --- the network --- */

void fleet_udp_way(struct fleet *f, size_t from, size_t to, bool up);
/* All links, both directions. */
void fleet_udp(struct fleet *f, bool up);
/* Connections to it are reset. */
void fleet_relay_kill(struct fleet *f, size_t relay);
void fleet_relay_start(struct fleet *f, size_t relay);
/* As SIGTERM: it tells its clients to come back after `wait_ns`, and accepts no one any more. It
 * ends when it is killed. */
void fleet_relay_drain(struct fleet *f, size_t relay, uint64_t wait_ns);
/* Clients that are connected to it now. */
size_t fleet_relay_clients(const struct fleet *f, size_t relay);
/* Bytes between the two wait until it is healed. */
void fleet_relay_cut(struct fleet *f, size_t node, size_t relay, bool cut);

/* --- time --- */

void fleet_run(struct fleet *f, uint64_t ns);
/* Until every stream of every node is over; fails the test if that takes longer. Returns how long
 * it took. */
uint64_t fleet_finish(struct fleet *f, uint64_t ns);
/* Until the node's path to the other is of that kind; fails the test if that takes longer. */
uint64_t fleet_until_path(struct fleet *f, size_t node, size_t other, enum adit_path_kind kind,
                          uint64_t ns);

/* --- looking and doing --- */

uint64_t fleet_open(struct fleet *f, size_t node, size_t other, struct fleet_plan plan);
struct adit_peer_stats fleet_stats(const struct fleet *f, size_t node, size_t other);
struct adit_counters fleet_counters(const struct fleet *f, size_t node);
/* What the node has sent and received by now as its provider counts it: with the headers of UDP and
 * IP; to relays with those of TCP and TLS, and an acknowledgement for each segment. */
uint64_t fleet_traffic(const struct fleet *f, size_t node);
void fleet_assert_path(const struct fleet *f, size_t node, size_t other, enum adit_path_kind kind);

/* --- fleet_nat.c, for fleet.c --- */

void fleet_nat_init(struct fleet_node *n);
void fleet_nat_deinit(struct fleet *f);
void fleet_nat_start(struct fleet_node *n);
/* NODE_EVENT_SOCKETS */
void fleet_nat_sockets(struct fleet_node *n);
/* One datagram of a batch. */
void fleet_nat_send(struct fleet_node *n, const struct node_batch *b, const uint8_t *data,
                    size_t len);

/* --- fleet_opening.c, for fleet.c --- */

struct fleet_opening *fleet_opening_new(struct fleet_node *n);
void fleet_opening_free(struct fleet_opening *f);
/* Instead of node_input; `copy` (malloc) becomes its own. */
void fleet_opening_take(struct fleet_opening *f, unsigned socket, const struct addr *from,
                        uint8_t *copy, size_t len);

/* --- fleet_relay.c, for fleet.c --- */

void fleet_conn_init(struct fleet_conn *c, struct fleet_node *node, size_t relay);
void fleet_conn_open(struct fleet_conn *c);
/* Closed by the node's side. */
void fleet_conn_close(struct fleet_conn *c);
/* Moves what the node wants to send; true if anything was. */
bool fleet_conn_flush(struct fleet_conn *c);

#endif
