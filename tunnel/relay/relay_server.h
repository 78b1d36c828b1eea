/* A DERP relay: forwards opaque packets between clients that are known by public key.
 *
 * A core: the shell owns listeners and connections and names each by the id it got from _accept.
 * After every call: drain the events. A late call with an id that is gone does nothing.
 *
 * Guarantees: a sender is never blocked by a receiver; each client has its own bounded queues, one
 * for signalling and one for the rest, which lose their oldest packet when full; a client that
 * takes nothing for write_stall_ns while there is something to take is closed; all buffers
 * together stay under pool_bytes_max. What is forwarded is never looked into, except for the six
 * bytes that mark signalling.
 *
 * A client may come inside WebSocket (RFC 6455, sub-protocol "derp"): then the same bytes travel in
 * binary messages of at most 32 KiB.
 *
 * A login proves that the client owns its key, but it has no challenge: without TLS whoever saw a
 * login can repeat it and receive (not open) what is sent to that key, until its owner speaks.
 */
#ifndef RELAY_RELAY_SERVER_H
#define RELAY_RELAY_SERVER_H

#include "relay/cluster.h"

#include <base/addr.h>
#include <base/log.h>
#include <base/rng.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct relay_server;
struct stun_server_stats;

/* What the shell counts of a cluster's messaging; told in /metrics. */
struct relay_cluster_io_stats {
    uint64_t dropped_out, dropped_in; /* messages that found too many waiting */
    uint64_t losses;                  /* of the connection */
    uint64_t slow;                    /* times that it was told to be a slow consumer */
    uint64_t forged;                  /* messages with a wrong tag or none, or too long */
};

/* Other relays behind the same name (cluster.h). */
struct relay_cluster_config {
    uint64_t unix_offset;                    /* unix time in ns - now */
    const struct relay_cluster_io_stats *io; /* may be NULL, outlives the server */
};

/* 0 = the value in brackets. */
struct relay_server_limits {
    size_t clients_max; /* connections of any kind [10000] */
    size_t pending_max; /* of them not logged in: the oldest makes room [a quarter, at least 8] */
    size_t clients_per_address_max; /* per IPv4 address or IPv6 /64 [clients_max] */
    size_t queue_packets_max;       /* per client and queue [128] */
    size_t queue_bytes_max;         /* per client, both queues [1 MiB], at least one full packet */
    size_t pool_bytes_max;          /* all queues and half-received frames [256 MiB] */
    size_t contacts_max;            /* per client: senders whose leaving it is told of [1024] */
    size_t contacts_total_max;     /* of all together [64 for each of clients_max, at least 4096] */
    size_t http_header_max;        /* [8 KiB] */
    uint64_t handshake_timeout_ns; /* from accept to the login [10 s] */
    uint64_t write_stall_ns;       /* [2 s] */
    uint64_t keep_alive_ns;        /* up to 5 s are added for each client [60 s] */
    uint64_t rate_bytes_per_s;     /* what one client may send; 0 = no limit */
    uint64_t rate_burst_bytes;     /* [one second's worth], at least one full packet */
};

struct relay_server_config {
    uint8_t secret[32];           /* X25519 */
    bool open;                    /* admit every key; otherwise: */
    const uint8_t (*allowed)[32]; /* the keys that may log in; copied */
    size_t allowed_count;
    /* Who, besides this machine itself, may read /metrics; copied. */
    const struct prefix *metrics;
    size_t metrics_count;
    struct relay_server_limits limits;
    const struct stun_server_stats *stun; /* told in /metrics; may be NULL, outlives the server */
    const struct relay_cluster_config *cluster; /* NULL = this relay is alone; copied */
    struct rng rng;
    const struct log *log; /* may be NULL; outlives the server */
};

#define RELAY_CLOSE_TABLE(X)                                                                       \
    X(DONE, "answered")                                                                            \
    X(HTTP, "bad request")                                                                         \
    X(PROTOCOL, "broke the protocol")                                                              \
    X(LOGIN, "login does not open")                                                                \
    X(NOT_ADMITTED, "key not admitted")                                                            \
    X(TIMEOUT, "no login in time")                                                                 \
    X(CROWDED, "no login, and others wait")                                                        \
    X(STALLED, "takes no data")                                                                    \
    X(DUPLICATE, "too many connections of one key")                                                \
    X(MOVED, "its key is connected elsewhere in the cluster")                                      \
    X(NO_MEMORY, "out of memory")                                                                  \
    X(GONE, "closed by the client")

enum relay_close {
#define RELAY_CLOSE_ENUM(name, text) RELAY_CLOSE_##name,
    RELAY_CLOSE_TABLE(RELAY_CLOSE_ENUM)
#undef RELAY_CLOSE_ENUM
        RELAY_CLOSE_COUNT
};

enum relay_drop {
    RELAY_DROP_NO_PEER,    /* nobody here has that key */
    RELAY_DROP_QUEUE_HEAD, /* the oldest of a full queue */
    RELAY_DROP_QUEUE_TAIL, /* did not fit even so */
    RELAY_DROP_POOL,       /* no buffer */
    RELAY_DROP_LEFT,       /* its receiver left before it could be sent */
    RELAY_DROP_COUNT
};

enum relay_refusal {
    RELAY_REFUSED_CLIENTS,
    RELAY_REFUSED_ADDRESS,
    RELAY_REFUSED_MEMORY,
    RELAY_REFUSED_COUNT
};

struct relay_server_stats {
    uint64_t connections; /* now open, of any kind */
    uint64_t clients;     /* now logged in */
    uint64_t contacts;    /* now */
    uint64_t accepted;    /* so far */
    uint64_t logins;      /* so far */
    uint64_t reloads;
    uint64_t packets_in;  /* SendPacket received */
    uint64_t packets_out; /* RecvPacket written in full */
    uint64_t bytes_in;    /* payload of packets_in */
    uint64_t bytes_out;   /* payload of packets_out */
    uint64_t frames_skipped;
    uint64_t peer_gone_sent;
    uint64_t control_dropped; /* small frames for a client that had too many of them waiting */
    uint64_t contacts_refused;
    uint64_t paused; /* times that a client was over its rate */
    uint64_t dropped[RELAY_DROP_COUNT];
    uint64_t refused[RELAY_REFUSED_COUNT];
    uint64_t closed[RELAY_CLOSE_COUNT];
};

enum relay_server_event_type {
    RELAY_SERVER_EV_WRITABLE, /* output has something; not told again until it had nothing */
    /* Nothing more will be written: end that half. What still comes in goes to _input, as it comes,
     * and is thrown away: a socket closed over unread bytes is reset, and takes the answer along.
     */
    RELAY_SERVER_EV_FINISH,
    RELAY_SERVER_EV_CLOSE, /* close the connection; the id is gone, reason says why */
    RELAY_SERVER_EV_PAUSE, /* stop reading from it until: */
    RELAY_SERVER_EV_RESUME,
};

struct relay_server_event {
    enum relay_server_event_type type;
    uint64_t id;
    enum relay_close reason;
};

struct relay_span {
    const uint8_t *data;
    size_t len;
};

struct relay_cluster_output {
    struct cluster_output o;
    struct relay_span payload; /* goes behind o.head, in the same message */
};

/* NULL when out of memory or the secret is not usable. */
struct relay_server *relay_server_new(const struct relay_server_config *config);
void relay_server_free(struct relay_server *s);
void relay_server_public_key(const struct relay_server *s, uint8_t out[32]);

/* All ids have, in their low 32 bits, a number below this: a shell may keep an array. It grows with
 * a reload, to what _slots_after says, and never shrinks. */
size_t relay_server_slots(const struct relay_server *s);
size_t relay_server_slots_after(const struct relay_server *s,
                                const struct relay_server_config *config);

/* A connection came in. 0 and *id (never 0), or ERR_NO_ROOM, ERR_REFUSED (too many of that
 * address), ERR_NO_MEMORY: then the shell closes it. */
int relay_server_accept(struct relay_server *s, const struct addr *from, uint64_t now,
                        uint64_t *id);
/* The connection is closed, or its other side said so; no event follows. */
void relay_server_closed(struct relay_server *s, uint64_t id, uint64_t now);

/* Bytes from a client, of any length. What is wrong with them ends in the event CLOSE. */
void relay_server_input(struct relay_server *s, uint64_t id, const void *data, size_t len,
                        uint64_t now);

/* Up to `max` pieces to write, in order; returns how many. The pieces keep their places and bytes
 * until _sent was told of them, _closed was called or CLOSE was taken. */
size_t relay_server_output(struct relay_server *s, uint64_t id, struct relay_span *out, size_t max,
                           uint64_t now);
/* n bytes of what _output offered were written. */
void relay_server_sent(struct relay_server *s, uint64_t id, size_t n, uint64_t now);

void relay_server_tick(struct relay_server *s, uint64_t now);
/* When _tick is due; TIME_NEVER if never. */
uint64_t relay_server_next_ns(const struct relay_server *s);
/* False when there is none. */
bool relay_server_event(struct relay_server *s, struct relay_server_event *ev);

/* Takes keys, `open`, readers of /metrics and limits from the configuration, except for
 * pool_bytes_max, which stays. Who is not admitted any more is closed, who has another rate now is
 * told so, and nobody else notices: who is there when clients_max falls may stay. 0 or
 * ERR_NO_MEMORY: then all is as it was. */
int relay_server_reload(struct relay_server *s, const struct relay_server_config *config,
                        uint64_t now);

/* The relay is about to end: tells everyone who is logged in, or comes to be, to come back after
 * reconnect_ns (up to a second is added for each) and to try for try_for_ns (frame Restarting). All
 * else goes on as before. The shell accepts no one any more, and closes when it has waited long
 * enough. */
void relay_server_drain(struct relay_server *s, uint64_t reconnect_ns, uint64_t try_for_ns,
                        uint64_t now);

/* --- in a cluster; without one they do nothing --- */

/* The messaging works, or does not. */
void relay_server_cluster_link(struct relay_server *s, bool up, uint64_t now);
/* A message from there. */
void relay_server_cluster_input(struct relay_server *s, const uint8_t *data, size_t len,
                                uint64_t now);
/* Nobody takes messages for that key. */
void relay_server_cluster_nobody(struct relay_server *s, const uint8_t key[32], uint64_t now);
/* What is to be published or subscribed to next; false when there is nothing. To be asked after
 * every call. `out` keeps its bytes until the next call of any function. */
bool relay_server_cluster_output(struct relay_server *s, struct relay_cluster_output *out,
                                 uint64_t now);
/* The relay stops: others are told, by the next outputs. */
void relay_server_cluster_bye(struct relay_server *s);
/* The number of this process; 0 = no cluster. */
uint64_t relay_server_cluster_id(const struct relay_server *s);

const struct relay_server_stats *relay_server_stats(const struct relay_server *s);
const char *relay_close_text(enum relay_close reason);

#endif
