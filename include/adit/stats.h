/* Snapshots of a node for `adit status` and the tests. Times are ages in ns, TIME_NEVER = never. */
#ifndef ADIT_STATS_H
#define ADIT_STATS_H

#include <base/addr.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <adit/key.h>

enum adit_peer_state {
    ADIT_PEER_IDLE,       /* no session, none wanted */
    ADIT_PEER_CONNECTING, /* handshakes are going out */
    ADIT_PEER_CONNECTED,  /* heard of lately */
    ADIT_PEER_LOST,       /* a session stands, but nothing comes back */
};

enum adit_path_kind {
    ADIT_PATH_NONE,
    ADIT_PATH_DIRECT,
    ADIT_PATH_RELAY,
};

/* How data packets are sealed: chosen in the handshake, AES where both machines have the
 * instructions for it. */
enum adit_aead {
    ADIT_AEAD_NONE, /* no session */
    ADIT_AEAD_CHACHA20POLY1305,
    ADIT_AEAD_AES256GCM,
};

struct adit_peer_stats {
    const char *name; /* lives as long as the node */
    uint8_t key[ADIT_KEY_LEN];
    enum adit_peer_state state;
    struct {
        enum adit_path_kind kind;
        struct addr address; /* direct */
        const char *relay;   /* relay: its name; else NULL */
        uint64_t rtt_ns;     /* 0 = not measured yet */
        size_t mtu;
        uint64_t cwnd, in_flight; /* bytes */
        uint32_t probe_timeouts;  /* since the last acknowledgement */
    } path;
    enum adit_aead aead;
    size_t streams;
    uint64_t bytes_in, bytes_out; /* stream bytes since the node started */
    uint64_t packets_lost;
    uint64_t handshake_age_ns, heard_age_ns;
    uint64_t path_changes, restarts_seen;
    const char
        *home_relay; /* where the peer says that it is to be found; NULL: not at a known one */
};

/* One round trip to a peer's node and back, inside the session. */
struct adit_pong {
    uint64_t id; /* of adit_ping */
    uint64_t rtt_ns;
    enum adit_path_kind kind; /* of the path that it took */
    struct addr address;      /* direct */
    const char *relay;        /* relay: its name, which lives as long as the node */
};

enum adit_relay_state {
    ADIT_RELAY_IDLE,
    ADIT_RELAY_CONNECTING,
    ADIT_RELAY_UP,
};

struct adit_relay_stats {
    const char *name;
    const char *host;
    uint16_t port;
    enum adit_relay_state state;
    uint64_t rtt_ns;  /* 0 = not measured yet */
    uint64_t dropped; /* packets: more than the relay lets us send */
    bool tls, websocket;
    bool home;       /* the fastest of the node's own */
    const char *why; /* it is not up, or NULL; lives until the node is called again */
};

enum adit_portmap {
    ADIT_PORTMAP_NONE,
    ADIT_PORTMAP_PCP,
    ADIT_PORTMAP_NATPMP,
    ADIT_PORTMAP_UPNP,
};

/* The NAT in front of the node, as far as STUN servers have shown it while peers were sought. */
struct adit_nat_stats {
    struct {
        const char *mapping; /* "none", "endpoint-independent", ..., "unknown"; static */
        struct addr address; /* under which the world sees us, port 0; ADDR_NONE: not known */
    } ipv4, ipv6;
    enum adit_portmap portmap; /* by which a port is mapped now */
    bool captive_portal;       /* somebody else answers in the relays' place, until one logs in */
};

/* What was refused, and how often. One table: names for JSON come from it. */
#define ADIT_COUNTER_TABLE(X)                                                                      \
    X(packets_in)                                                                                  \
    X(packets_out)                                                                                 \
    X(packets_unknown)     /* first byte or length is none of ours */                              \
    X(packets_no_session)  /* receiver index unknown */                                            \
    X(packets_unauthentic) /* tag does not verify */                                               \
    X(packets_replayed)                                                                            \
    X(packets_protocol) /* authentic, but breaks the protocol */                                   \
    X(packets_unsent)   /* the system refused to send */                                           \
    X(handshakes_done)                                                                             \
    X(handshakes_bad_mac) /* strangers */                                                          \
    X(handshakes_unknown) /* a key that is no peer's */                                            \
    X(handshakes_invalid)                                                                          \
    X(handshakes_replayed) /* an old timestamp, or what came late or by several ways */            \
    X(handshakes_limited)  /* too many; a cookie was asked for or nothing answered */              \
    X(relay_dropped)       /* over the rate that a relay allows */                                 \
    X(relays_unknown)      /* a peer is at home at a relay that is none of ours */                 \
    X(relay_restarts)      /* a relay said that it ends soon */                                    \
    X(streams_refused)                                                                             \
    X(datagrams_in)                                                                                \
    X(datagrams_out)                                                                               \
    X(datagrams_refused) /* the queue toward the peer was full */                                  \
    X(datagrams_expired) /* waited too long in it */                                               \
    X(datagrams_lost)    /* came in parts and not whole, to nobody, or to a full queue */          \
    X(waits_polled)      /* the loop looked for answers instead of sleeping */                     \
    X(path_changes)                                                                                \
    X(birthday_runs) /* a hard NAT and an easy one, see tunnel/path/birthday.h */                  \
    X(birthday_won)                                                                                \
    X(birthday_sent)                                                                               \
    X(sequence_runs) /* two NATs that count, see tunnel/path/sequence.h */                         \
    X(sequence_won)                                                                                \
    X(sequence_sent)                                                                               \
    X(guesses_refused) /* runs of either kind, see tunnel/path/guess.h */

struct adit_counters {
#define ADIT_COUNTER_FIELD(name) uint64_t name;
    ADIT_COUNTER_TABLE(ADIT_COUNTER_FIELD)
#undef ADIT_COUNTER_FIELD
};

#endif
