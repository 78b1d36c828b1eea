/* Shared inside tunnel/node only: what a node and a peer are made of.
 *
 * Split by verb: node.c life, node_recv.c in, node_opening.c in by way of somebody who opens
 * packets, node_send.c out, node_event.c what the shell hears, node_relay.c relays, node_leave.c
 * relays that are about to end, node_home.c where peers look for us, node_portal.c captive portals,
 * node_nat.c how the world sees us, node_birthday.c birthday probing, node_sequence.c two NATs that
 * both count, node_lifetime.c how long NATs remember, node_renewal.c what comes before a mapping
 * ends, node_stream.c streams, node_ping.c round trips, node_stats.c and node_why.c looking; peer.c
 * the session of one peer, peer_handshake.c how we ask it for keys, peer_answer.c how it asks us,
 * peer_path.c which way its packets go, peer_candidate.c hole punching.
 */
#ifndef NODE_NODE_INTERNAL_H
#define NODE_NODE_INTERNAL_H

#include "node/node.h"

#include <base/check.h>
#include <base/clock.h>
#include <base/err.h>
#include <base/heap.h>
#include <base/mem.h>

#include <sys/queue.h>

#include "crypto/handshake.h"
#include "crypto/keyring.h"
#include "crypto/replay.h"
#include "crypto/throttle.h"
#include "path/birthday.h"
#include "path/cand.h"
#include "path/guess.h"
#include "path/lifetime.h"
#include "path/netcheck.h"
#include "path/pathset.h"
#include "path/portmap.h"
#include "path/recipe.h"
#include "path/renewal.h"
#include "path/sequence.h"
#include "path/stunclient.h"
#include "relay/portal.h"
#include "relay/relay_client.h"
#include "relay/relay_home.h"
#include "wire/params.h"

enum {
    NODE_OUTBOX_MAX = 64, /* datagrams that are not stream data, waiting */
    NODE_WHY_MAX = 192,
    NODE_RELAY_MTU = 8192, /* a relay carries up to 64 KiB a packet and queues 32 of them */
    NODE_RELAY_BACKLOG = 128 * 1024, /* above this a relay path is blocked */
    NODE_RELAY_HASTY = 48 * 1024,    /* the same while small streams talk beside bulk */
    NODE_HANDSHAKES_PER_S = 64,      /* above this initiations need a cookie */
    NODE_PEER_RELAYS_MAX = 4,        /* of the ways to one peer: the rest is for addresses */
    NODE_REPLIES_MAX = 12,           /* to one initiation: it comes by several ways */
    NODE_REPLIES_KEPT = 4,           /* of these: not for ways by which it did not come */
    NODE_PINGS_MAX = 8,              /* on their way to one peer */
    NODE_REPLY_MAX = HANDSHAKE_RESPONSE_LEN + PARAMS_LEN_MAX,
};

#define NODE_LOST_NS (10 * NS_PER_S)   /* silence after which a peer in use counts as lost */
#define NODE_RESTART_NS (5 * NS_PER_S) /* silence after which a new handshake is tried */
#define NODE_FRESH_NS (10 * NS_PER_S)  /* a new session is kept lively this long */
#define NODE_BUSY_NS (45 * NS_PER_S)   /* as long after data moved */
#define NODE_PING_NS (10 * NS_PER_S)   /* a ping waits so long for a session, and keeps it lively */
#define NODE_GREET_ATTEMPTS 4          /* initiations of a greeting */
#define NODE_REPLY_NS (3 * NS_PER_S)   /* an initiation may come by another way this much later */
#define NODE_BIRTHDAY_AFTER_NS (2 * NS_PER_S)      /* punching without success before it */
#define NODE_BIRTHDAY_KNOWN_NS (200 * NS_PER_MS)   /* where nothing else did it last time */
#define NODE_BIRTHDAY_WAIT_MAX_NS (600 * NS_PER_S) /* between runs with a peer that fail */
#define NODE_ASK_FIRST_NS                                                                          \
    (1 * NS_PER_S) /* STUN again, while punching; later there is the refresh */
#define NODE_ASK_LAST_NS (8 * NS_PER_S)
#define NODE_SOCKET_KEEP_NS (180 * NS_PER_S) /* a temporary socket on which nothing is heard */
#define NODE_SUSPECT_NS (10 * NS_PER_S)      /* between suspicions that the router has restarted */
#define NODE_REKEY_WAIT_NS (20 * NS_PER_S)   /* one side's, for the other to make new keys */
#define NODE_ASKED_NS (5 * NS_PER_S)         /* in which STUN servers answer, if they do */
#define NODE_TIMESTAMP_STEP_NS (60 * NS_PER_S)
#define NODE_BROKEN_NS (1 * NS_PER_S)         /* who broke the rules is not answered so long */
#define NODE_LEAVE_QUIET_NS (500 * NS_PER_MS) /* nothing came from a relay that is being left */

_Static_assert((int)NODE_RECIPES_LEN_MAX >= (int)RECIPES_LEN_MAX, "node.h has room for them");
_Static_assert((int)NODE_RELAYS_MAX <= (int)RELAY_HOME_MAX, "a home is one of them");
_Static_assert((int)NODE_SOCKETS_MAX == (int)BIRTHDAY_NUMBERS_MAX, "node.h tells of all sockets");

struct outgoing {
    uint16_t socket;
    uint8_t hops; /* 0 = as many as usual */
    struct addr to;
    size_t len;
    uint8_t data[PACKET_MTU_BASE];
};

/* A relay and what the shell has to be told about it. */
struct relay_link {
    struct relay_client *client;
    const char *name; /* the caller's; lives as long as the node */
    bool own;         /* we listen there; else it is one of a peer's */
    bool proxied;
    bool want_connect;
    bool want_close;
    bool blocked;      /* some peer's path waits for room in the client's buffer ... */
    uint64_t ready_ns; /* ... or for the relay's rate to allow more, until then; 0 = it does */
    uint64_t leave_ns; /* it ends soon: the next look whether anybody needs it; 0 = it does not */
    uint64_t leave_end_ns;  /* it has not ended by then, so it does not */
    uint64_t heard_ns;      /* the last packet of a peer's */
    char why[NODE_WHY_MAX]; /* it went down, or did not come up; "" since it is up */
};

/* A former session whose streams still have to hear of their end. */
struct old_session {
    struct conn *conn;
    uint8_t generation;
    STAILQ_ENTRY(old_session) link;
};

struct endpoint {
    struct addr addrs[NODE_ADDRESSES_MAX];
    size_t count;
    bool want_resolve;
};

/* Why a handshake is going on: what is at stake decides how long it is tried. */
enum hs_reason {
    HS_NONE,
    HS_GREET, /* at start: tell a peer that may remember a former life of ours */
    HS_DATA,  /* streams wait */
    HS_REKEY,
};

enum ping_state {
    PING_NONE,
    PING_WANTED,
    PING_SENT,
    PING_ANSWERED,
};

struct ping {
    enum ping_state state;
    uint64_t asked_ns, sent_ns;
    struct where where; /* it went */
    uint8_t token[FRAME_CHALLENGE_LEN];
    struct adit_pong pong;
};

struct peer {
    struct node *node;
    uint32_t index;
    const char *name;
    struct public_key key;
    uint8_t psk[32];
    struct endpoint endpoints[NODE_ENDPOINTS_MAX];
    size_t endpoint_count;
    uint32_t relays; /* bit set of relay indices: as configured */
    size_t home;     /* one more: where the peer says that it is to be found; or NODE_RELAYS_MAX */

    /* the session */
    struct conn *conn; /* always there */
    uint8_t generation;
    bool started;          /* conn_start was called: remote_epoch is known */
    uint64_t epoch;        /* ours */
    uint64_t remote_epoch; /* theirs, of this session */
    uint64_t session_ns;   /* when the session was established */
    STAILQ_HEAD(, old_session) old;

    /* keys */
    struct keyring keys;
    struct replay replay[PACKET_PATHS_MAX];
    uint64_t probe_number; /* of the next packet in the probe space */
    struct params remote;  /* of the last handshake that was authenticated */

    /* handshake */
    struct handshake hs;
    enum hs_reason hs_reason;
    uint32_t hs_index;
    uint32_t hs_attempts;
    uint64_t hs_sent_ns;
    uint64_t hs_retry_ns;
    struct cookie_jar jar[2];  /* direct, relay: a cookie belongs to the address it was sent to */
    uint64_t remote_timestamp; /* greatest seen */
    uint64_t initiation_ns;    /* when the last one was accepted */
    uint64_t broken_ns;        /* when it broke the rules of the protocol; 0 = never */
    uint64_t handshake_ns;     /* when the last one was completed; 0 = never */
    uint8_t reply[NODE_REPLY_MAX]; /* our response to it, for the other ways it comes by */
    size_t reply_len;
    struct where reply_way; /* where it went first */
    uint32_t replies_left;  /* to other ways */

    /* paths */
    struct pathset paths;
    uint8_t chosen;           /* the path that the shell was told of */
    struct pathset_ways ways; /* as the conn was told */
    uint64_t doubted_ns;      /* since when they are so because of a doubt, the last time */
    uint32_t opened;          /* bit set of path ids that the conn knows */
    uint64_t heard_ns, active_ns;
    uint64_t sent_ns;   /* first stream packet since something was heard; 0 = none */
    uint64_t waited_ns; /* since when streams are open without a break */

    /* candidates */
    struct cand_peer candidates; /* the peer's */
    uint64_t told_version;       /* of our list, + 1; 0 = the peer knows none */
    bool punching;
    uint64_t punch_ns;         /* since when */
    uint64_t ask_ns;           /* when STUN servers are asked again meanwhile, ... */
    uint64_t ask_wait_ns;      /* ... after twice as long each time */
    bool hard;                 /* the peer's list shows an EDM NAT */
    struct addr renewed;       /* where it has a mapping that outlives the others; or ADDR_NONE */
    uint64_t birthday_ns;      /* no birthday run that we ask for before */
    uint64_t birthday_wait_ns; /* back-off of these */
    unsigned birthday_asks;    /* that were not answered, in a row */
    uint64_t sequence_ns;      /* the same for the meeting of two NATs that count */
    uint64_t sequence_wait_ns;
    unsigned sequence_asks;
    struct addr sequence_last; /* what the peer said of itself the last time, and was used */
    bool lively;               /* counted in node->lively */

    /* pings */
    struct ping pings[NODE_PINGS_MAX];
    uint64_t pinged_ns; /* when the last one was asked for; 0 = never */

    /* what the shell knows */
    bool changed; /* NODE_EVENT_PEER is due */
    enum adit_peer_state state;
    uint64_t path_changes, restarts;
    uint64_t bytes_in, bytes_out, packets_lost; /* of former sessions */

    /* scheduling */
    struct heap_node timer;
    bool ready;    /* in node->ready: may have something to send */
    bool eventful; /* in node->eventful: may have events */
    TAILQ_ENTRY(peer) ready_link;
    TAILQ_ENTRY(peer) event_link;
};

struct node {
    struct key_pair self;
    struct conn_limits limits;
    enum conn_congestion congestion;
    uint64_t resume_timeout_ns;
    bool punch;
    struct rng rng;
    const struct log *log;
    bool stopping;

    uint64_t unix_offset;   /* unix time - now */
    uint64_t timestamp;     /* last used */
    uint64_t timestamp_max; /* may be used without asking the shell to store more */

    struct relay_link relays[NODE_RELAYS_MAX];
    size_t relay_count;
    struct relay_home home; /* the fastest of our own */
    struct portal portal;
    bool portal_ask, portal_close; /* events */
    uint64_t home_version;         /* grows when there is another one to be told to peers */
    bool hurried;                  /* a relay: what it says is to be fetched */
    bool hasty;                    /* the peer that was sent to last */
    bool said;                     /* node_take_said */
    struct peer *peers;
    size_t peer_count;
    uint32_t index_mask; /* hides which peer an index belongs to */

    /* how the world sees us */
    struct stunclient stun;
    struct netcheck netcheck;
    struct cand_own own;
    struct portmap portmap;
    struct recipes recipes;
    struct lifetime lifetime;
    uint16_t lifetime_socket; /* a temporary one, while it runs */
    uint64_t lifetime_keep_ns;
    struct renewal renewal;
    uint16_t renewal_socket;  /* a temporary one that serves in place of the shared one; or 0 */
    uint16_t renewal_next;    /* that is to serve next, */
    uint16_t renewal_old;     /* that has served until now ... */
    uint64_t renewal_old_ns;  /* ... and is closed then */
    struct birthday birthday; /* `who` is a peer's index */
    struct sequence sequence; /* `who` is a peer's index */
    uint16_t sequence_sockets[SEQUENCE_SOCKETS];
    struct guess guess;
    uint64_t release_ns;          /* when kept sockets are looked at next */
    struct addr gateway, client;  /* family ADDR_NONE: no router known */
    struct addr mapped;           /* what portmap got of it; ADDR_NONE = nothing */
    struct addr mapped_otherwise; /* and what the shell got */
    uint64_t suspected_ns;        /* when it was last asked whether it still knows us */
    bool has_addresses;           /* node_local_addresses was called */
    bool want_stun_names;         /* the servers' names are to be looked up */
    uint64_t ping_id;             /* of the last one */
    size_t lively;                /* peers that are looked for or move data */
    uint64_t lively_ns;           /* since when there are any */

    struct cookie_checker checker;
    struct throttle throttle;
    uint64_t load_from_ns; /* the second in which initiations are counted */
    uint32_t load;

    struct heap timers;
    TAILQ_HEAD(peer_list, peer) ready;
    struct peer_list eventful;

    struct outgoing outbox[NODE_OUTBOX_MAX];
    size_t outbox_first, outbox_count;
    uint8_t hops; /* of the datagrams that are being put there */
    bool seal_apart, open_apart;
    uint8_t *batch; /* NODE_BATCH_BYTES */

    struct adit_counters counters;
};

/* --- node_send.c --- */

/* The peer may have something to send, or its timers have moved. */
void node_wake(struct peer *p);
/* One datagram or relay packet that is not part of a run. Dropped and counted when there is no
 * room. `envelope`: a handshake packet. */
void node_emit(struct peer *p, const struct where *to, const uint8_t *data, size_t len,
               bool envelope);

/* --- node_recv.c --- */

void node_receive(struct node *n, const struct where *from, const struct public_key *relay_key,
                  uint8_t *data, size_t len, uint64_t now);

/* The lent key under which this data packet may be opened, or NULL. */
struct lentkey *node_key_for(struct node *n, const uint8_t *data, size_t len, uint64_t now);
/* As node_input, for a packet that was opened, or found wanting, under such a key. */
void node_input_opened(struct node *n, unsigned socket, const struct node_arrival *a, uint64_t now);

/* --- node.c --- */

struct peer *node_find_key(struct node *n, const struct public_key *key);
/* Indices on the wire name the peer; see node.c. */
uint32_t node_new_index(struct peer *p);
struct peer *node_find_index(struct node *n, uint32_t index);
uint64_t node_take_timestamp(struct node *n, uint64_t now);

/* --- peer.c --- */

int peer_init(struct peer *p, struct node *n, uint32_t index, const struct node_peer_config *c,
              uint64_t now);
void peer_deinit(struct peer *p);
/* A handshake that the peer has confirmed by a packet that came from there: continues the session,
 * or begins a new one. `proof`: what we send there arrives. False when there is no memory for that:
 * then there are no keys any more. */
bool peer_establish(struct peer *p, struct keyset *keys, const struct where *from, bool proof,
                    uint64_t now);
/* Ends the session here: its streams are reset. Ours is the new epoch if `ours`. False, and nothing
 * changed, when out of memory. */
bool peer_drop_session(struct peer *p, enum cause cause, bool ours);
/* Brings paths, choice, pulse and timers in line with what happened. Before sending. */
void peer_settle(struct peer *p, uint64_t now);
void peer_tick(struct peer *p, uint64_t now);
uint64_t peer_next_ns(const struct peer *p, uint64_t now);
/* One sealed data packet in the probe space, to any address. */
void peer_send_probe(struct peer *p, const struct where *to, struct writer *frames, uint64_t now);
bool peer_has_relay(const struct peer *p, size_t relay);
/* The peer began a handshake just now. */
bool peer_is_called(const struct peer *p, uint64_t now);

/* --- peer_handshake.c --- */

void peer_handshake_want(struct peer *p, enum hs_reason reason, uint64_t now);
void peer_handshake_tick(struct peer *p, uint64_t now);
void peer_on_response(struct peer *p, const struct where *from, const uint8_t *data, size_t len,
                      uint64_t now);
void peer_on_cookie(struct peer *p, const struct where *from, const uint8_t *data, size_t len,
                    uint64_t now);

/* For both sides: the AEADs that we have, as params has them, and the better of those; */
uint64_t peer_aeads(void);
enum aead_kind peer_choose_aead(uint64_t both);
/* the cookies for messages that go there; what we say of ourselves; */
struct cookie_jar *peer_jar(struct peer *p, const struct where *where);
struct params peer_params(const struct peer *p, uint64_t aead, uint64_t now);
/* and the keys that a handshake has brought, NULL if the AEAD is not available here. */
struct keyset *peer_install(struct peer *p, struct handshake *h, enum aead_kind kind,
                            bool initiator, uint64_t now);

/* --- peer_answer.c --- */

void peer_on_initiation(struct node *n, const struct where *from,
                        const struct public_key *relay_key, const uint8_t *data, size_t len,
                        uint64_t now);

/* --- peer_path.c --- */

struct path *peer_path(struct peer *p, const struct where *where, bool configured, uint64_t now);
void peer_paths_settle(struct peer *p, uint64_t now);
/* The path in use is direct and trusted. */
bool peer_is_direct(const struct peer *p, uint64_t now);
/* Drops the paths that are bound to this temporary socket. */
void peer_drop_socket(struct peer *p, uint16_t socket, uint64_t now);
/* The transport doubts the path. */
void peer_suspect(struct peer *p, uint8_t id, uint64_t now);
void peer_relay_changed(struct peer *p, size_t relay, bool up, uint64_t now);
void peer_on_probe(struct peer *p, const struct where *from, const uint8_t *data, size_t len,
                   uint64_t now);
void peer_send_challenges(struct peer *p, uint64_t now);

/* --- peer_candidate.c --- */

/* Tells our candidates, challenges the peer's. Before sending. */
void peer_candidates_settle(struct peer *p, uint64_t now);
void peer_on_candidates(struct peer *p, const struct frame_candidate *list, size_t count,
                        uint64_t now);
/* A response to one of these challenges makes a path; false if it is none of them. */
bool peer_on_punched(struct peer *p, const uint8_t token[FRAME_CHALLENGE_LEN], uint64_t now);
void peer_candidates_forget(struct peer *p);
/* A handshake carries the first of our list, and brings the first of the peer's. */
void peer_candidates_put(const struct peer *p, struct params *params);
void peer_candidates_hint(struct peer *p, uint64_t now);
/* The next of the peer's candidates that wants a packet before there are keys; false if none. */
bool peer_candidates_early(struct peer *p, struct addr *to, uint64_t now);
uint64_t peer_candidates_next_ns(const struct peer *p);
/* A challenge that nobody waits for the answer of: whatever comes back makes a path, and that is
 * asked. */
void peer_send_guess(struct peer *p, const struct where *to, uint8_t hops, uint64_t now);

/* --- node_birthday.c --- */

/* Adds to the list of candidates for this peer what has to be said now; returns its count. */
size_t node_birthday_tell(const struct peer *p, struct frame_candidate list[CAND_MAX],
                          size_t count);
/* What the peer's list says. */
void node_birthday_list(struct peer *p, const struct frame_candidate *list, size_t count,
                        uint64_t now);
/* Begins, goes on with or ends a run with this peer. Before its list is told. */
void node_birthday_settle(struct peer *p, uint64_t now);
uint64_t node_birthday_next_ns(const struct peer *p);
/* How the peer was reached from this network: by birthday probing, or without. */
void node_birthday_remember(struct peer *p, bool birthday);
void node_birthday_tick(struct node *n, uint64_t now);
uint64_t node_birthday_next_release_ns(const struct node *n);

/* --- node_sequence.c --- */

/* As in node_birthday.c. */
size_t node_sequence_tell(const struct peer *p, struct frame_candidate list[CAND_MAX],
                          size_t count);
void node_sequence_list(struct peer *p, const struct frame_candidate *list, size_t count,
                        uint64_t now);
void node_sequence_settle(struct peer *p, uint64_t now);
/* When a run with this peer is to begin. */
uint64_t node_sequence_ask_ns(const struct peer *p);
bool node_sequence_input(struct node *n, unsigned socket, const struct addr *from,
                         const uint8_t *data, size_t len, uint64_t now);
bool node_sequence_output(struct node *n, struct node_batch *out, uint64_t now);
void node_sequence_tick(struct node *n, uint64_t now);
/* The network is another one. */
void node_sequence_reset(struct node *n, uint64_t now);

/* --- node_ping.c --- */

/* Sends the pings that have waited for a session. */
void peer_ping_settle(struct peer *p, uint64_t now);
/* False if it is none of theirs. */
bool peer_on_pong(struct peer *p, const uint8_t token[FRAME_CHALLENGE_LEN], uint64_t now);
bool peer_ping_event(struct peer *p, struct node_event *ev);
/* One was asked for a short while ago. */
bool peer_is_pinged(const struct peer *p, uint64_t now);

/* --- node_lifetime.c --- */

/* Measures if it is time to. */
void node_lifetime_settle(struct peer *p, uint64_t now);
/* Nothing is known any more; `measure`: it may be measured again. */
void node_lifetime_reset(struct node *n, bool measure);
bool node_lifetime_input(struct node *n, unsigned socket, const struct addr *from,
                         const uint8_t *data, size_t len, uint64_t now);
bool node_lifetime_output(struct node *n, struct node_batch *out, uint64_t now);
void node_lifetime_tick(struct node *n, uint64_t now);

/* A run may send so many datagrams to guessed ports of that IP: the peer has answered from there,
 * or it is still within bounds (path/guess.h). */
bool peer_may_guess(struct peer *p, const struct addr *to, unsigned count, uint64_t now);

/* --- node_renewal.c --- */

/* What a STUN server said to the shared socket; NULL: its mapping is another one than before. */
void node_renewal_observed(struct node *n, const struct addr *mapped, uint64_t now);
/* The network is another one. */
void node_renewal_reset(struct node *n, uint64_t now);
/* A path has died, or a peer sees us where nobody did before: perhaps the NAT has moved us. */
void node_renewal_doubt(struct node *n, uint64_t now);
/* Adds to our list what peers shall move to; returns its count. */
size_t node_renewal_tell(const struct node *n, struct frame_candidate list[CAND_MAX], size_t count);
/* What the peer's list says. */
void node_renewal_list(struct peer *p, const struct frame_candidate *list, size_t count,
                       uint64_t now);
/* Says of each path how many of its ends are renewed. Before choosing. */
void node_renewal_mark(struct peer *p);
bool node_renewal_input(struct node *n, unsigned socket, const struct addr *from,
                        const uint8_t *data, size_t len, uint64_t now);
bool node_renewal_output(struct node *n, struct node_batch *out, uint64_t now);
void node_renewal_tick(struct node *n, uint64_t now);
/* Closes what serves no more; from time to time. */
void node_renewal_release(struct node *n, uint64_t now);
uint64_t node_renewal_next_ns(const struct node *n);

/* --- node_nat.c --- */

/* Counts the peer as lively or not, after what may have changed that. */
void node_nat_lively(struct peer *p, uint64_t now);
/* A peer has seen us at this address. */
void node_nat_observed(struct node *n, const struct addr *seen, uint64_t now);
/* False: no STUN. */
bool node_nat_input(struct node *n, const struct addr *from, const uint8_t *data, size_t len,
                    uint64_t now);
bool node_nat_output(struct node *n, struct node_batch *out, uint64_t now);
void node_nat_tick(struct node *n, uint64_t now);
uint64_t node_nat_next_ns(const struct node *n);

/* --- node_stats.c --- */

/* Adds what the session has counted of the node's counters. */
void node_count_session(struct adit_counters *to, const struct conn *c);

/* --- node_stream.c --- */

uint64_t stream_handle(const struct peer *p, uint8_t generation, uint64_t id);

/* --- node_relay.c --- */

void node_relay_tick(struct node *n, uint64_t now);
uint64_t node_relay_next_ns(const struct node *n);
/* It is up, and not about to end. */
bool node_relay_is_good(const struct node *n, size_t relay);
/* Looks whether the relay is there, or tries to reach it, at once. */
void node_hurry_relay(struct node *n, size_t relay, uint64_t now);

/* --- node_portal.c --- */

/* A relay came up, or a connection to it ended or was not to be had. */
void node_portal_relay(struct node *n, size_t relay, bool up, uint64_t now);
void node_portal_moved(struct node *n, uint64_t now);
void node_portal_tick(struct node *n, uint64_t now);
bool node_portal_event(struct node *n, struct node_event *ev);

/* --- node_home.c --- */

/* There is another home, or none. */
void node_home_changed(struct node *n, uint64_t now);
/* Adds to the list of candidates how our home is called; returns its count. */
size_t node_home_tell(const struct node *n, struct frame_candidate list[CAND_MAX], size_t count);
/* What the peer's list says of its home. */
void node_home_list(struct peer *p, const struct frame_candidate *list, size_t count, uint64_t now);

/* --- node_leave.c --- */

/* The relay has said that it ends. */
void node_leave(struct node *n, size_t relay, const struct relay_client_event *said, uint64_t now);
/* Lets go of relays that nobody needs any more. */
void node_leave_tick(struct node *n, uint64_t now);
/* The relay is gone, or it stays after all. */
void node_leave_over(struct node *n, size_t relay);

#endif
