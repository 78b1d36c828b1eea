/* The seam: reach a peer, whatever stands between.
 *
 * A node (struct adit) runs on a libuv loop of the caller's. It keeps sessions to the configured
 * peers over direct UDP paths and relays; inside a session each connection is a stream. What a
 * stream's target means is the caller's affair: here it is a few opaque bytes.
 *
 * All calls are made on the loop's thread. Events come through one handler, called from the loop
 * only, never from inside a call made here; so calling anything from the handler is fine. Streams
 * are ids: a late call for a stream that has ended does nothing and returns 0 or ERR_NOT_FOUND.
 */
#ifndef ADIT_ADIT_H
#define ADIT_ADIT_H

#include <base/addr.h>
#include <base/log.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <adit/cause.h>
#include <adit/key.h>
#include <adit/stats.h>

struct adit;
struct adit_why;
struct uv_loop_s;

#define ADIT_TARGET_MAX 320 /* bytes of a stream's target, and of the info of its acceptance */

struct adit_relay_config {
    const char *name;
    const char *host; /* name or address */
    uint16_t port;
    const char *path; /* "/derp" */
    bool home;        /* one of this node's own: it listens there. Else only to reach peers. */
    bool websocket;   /* DERP inside WebSocket messages (RFC 6455) */
    bool tls;
    /* With tls: SHA-256 of the public keys (SubjectPublicKeyInfo) of which the relay's certificate
     * must have one; nothing else counts then. None: the system's store and the name decide. */
    const uint8_t (*pins)[ADIT_KEY_LEN];
    size_t pin_count;
    const char *proxy_host; /* HTTP proxy to be asked for CONNECT; NULL = none */
    uint16_t proxy_port;
    const char *proxy_login; /* NAME:PASSWORD or NULL */
};

/* A STUN server, to be asked under which address the world sees the UDP socket (RFC 8489). */
struct adit_stun_config {
    const char *host; /* name or address */
    uint16_t port;
    bool derper; /* it is a derper's, which answers one form of request only */
};

struct adit_peer_config {
    const char *name;
    uint8_t key[ADIT_KEY_LEN];
    uint8_t psk[ADIT_KEY_LEN];    /* zeros = none */
    const char *const *endpoints; /* "HOST:PORT", tried on each handshake; NULL if none */
    size_t endpoint_count;
    const size_t *relays; /* indices into adit_config.relays; NULL: all home relays are tried */
    size_t relay_count;
};

enum adit_congestion { ADIT_CONGESTION_BBR, ADIT_CONGESTION_CUBIC };

/* What is worth it: to be woken costs some 50 µs. */
#define ADIT_SPIN_NS UINT64_C(100000)

struct adit_config {
    const char *name;
    uint8_t secret[ADIT_KEY_LEN];
    struct addr listen; /* UDP; family ADDR_NONE = any address; port 0 = any port */
    bool portmap;       /* ask the router for a port (PCP, NAT-PMP, UPnP) */
    /* Temporary sockets of one run of birthday probing, at most 256, when our NAT maps each
     * destination to another port and the peer's does not, or the reverse. 0 = it is not done. */
    unsigned birthday_sockets;
    bool punch;       /* look for direct paths: tell peers our addresses, probe theirs */
    bool offload;     /* use UDP_SEGMENT and UDP_GRO where the system has them */
    uint64_t spin_ns; /* where answers come so soon, look for them instead of sleeping; 0 = never */
    enum adit_congestion congestion;
    unsigned workers;            /* threads: 0; 1 = one seals and sends; 2 = and another opens */
    const char *state_dir;       /* the handshake timestamp is kept here; NULL = not kept */
    uint64_t resume_timeout_ns;  /* how long streams wait for a silent peer */
    uint64_t session_window_max; /* bytes a session may hold one way; 0 = default */
    uint32_t streams_max;        /* per peer; 0 = default */
    uint64_t datagrams_max; /* bytes of datagrams that wait in a session one way; 0 = default */
    const struct adit_stun_config *stun;
    size_t stun_count;
    const struct adit_relay_config *relays;
    size_t relay_count;
    const struct adit_peer_config *peers;
    size_t peer_count;
    const struct log *log; /* lives as long as the node */
};

/* Which paths a stream may take. */
enum adit_lane {
    ADIT_LANE_ANY,
    ADIT_LANE_DIRECT,
    ADIT_LANE_RELAY,
};

enum adit_event_type {
    ADIT_EVENT_OPENED,   /* a peer opened a stream: accept or abort it; data = target */
    ADIT_EVENT_ACCEPTED, /* our stream's target is connected; data = info */
    ADIT_EVENT_READABLE, /* bytes or the end, after adit_peek gave none */
    ADIT_EVENT_WRITABLE, /* room, after adit_space gave none */
    ADIT_EVENT_RESET,    /* over, both ways, with `cause`; the id is free */
    ADIT_EVENT_GONE,     /* both directions finished and acknowledged; the id is free */
    ADIT_EVENT_DATAGRAM, /* one came beside the stream; data, valid until the handler returns */
    ADIT_EVENT_PONG,     /* an answer to adit_ping: `pong` */
    ADIT_EVENT_PEER,     /* the state or path of `peer` changed (for status and log) */
};

struct adit_event {
    enum adit_event_type type;
    uint64_t stream;
    void *user;  /* what adit_open or adit_set_user gave for the stream */
    size_t peer; /* index into the configuration's peers */
    enum cause cause;
    const void *data; /* valid during the call */
    size_t len;
    const struct adit_pong *pong; /* valid during the call */
};

/* Copies the configuration; starts to listen and to connect to its relays at once, and greets
 * every peer once, so that a peer that remembers a former life of this node learns of it.
 * 0; ERR_NO_MEMORY, ERR_CRYPTO, or a negative system error, with a log line that says what. */
int adit_start(struct uv_loop_s *loop, const struct adit_config *config,
               void (*handler)(void *user, const struct adit_event *ev), void *user,
               struct adit **out);
/* Tells peers that this node goes (they reset their streams), then frees the node and calls back.
 * No events come after this call. */
void adit_stop(struct adit *a, void (*stopped)(void *user), void *user);

/* The address of the UDP socket; family ADDR_NONE while there is none. */
void adit_local(const struct adit *a, struct addr *out);

/* --- streams --- */

/* Opens a stream to a peer; ACCEPTED or RESET follows. Bytes may be written at once. A session
 * that does not stand yet is set up; there is no time-out here: abort the stream when you have
 * waited long enough. 0, ERR_NOT_FOUND (no such peer), ERR_NO_ROOM, ERR_NO_MEMORY. */
int adit_open(struct adit *a, size_t peer, const void *target, size_t len, void *user,
              uint64_t *stream);
/* Binds a stream, right after adit_open, to one kind of path: neither its target nor its bytes
 * travel on the other, from either end. While there is no such path they wait; the caller aborts
 * when it has waited long enough. 0, ERR_NOT_FOUND, ERR_STATE (the target has left already). */
int adit_bind(struct adit *a, uint64_t stream, enum adit_lane lane);
/* Tells the opener that the target is connected, with at most ADIT_TARGET_MAX bytes of info. The
 * first byte written, or the end, does so without info. 0, ERR_NOT_FOUND, ERR_STATE (it was said
 * before, or the stream is over), ERR_NO_MEMORY. */
int adit_accept(struct adit *a, uint64_t stream, const void *info, size_t len);
/* What its events bring along from now on: a stream that a peer opened has none at first. */
void adit_set_user(struct adit *a, uint64_t stream, void *user);

/* Room for at most `want` bytes, in place, valid until control returns to the loop or another
 * call is made for the same peer. 0 = none now; WRITABLE follows. */
size_t adit_space(struct adit *a, uint64_t stream, size_t want, uint8_t **at);
/* The first `len` of them, no more than there was room for, are to be sent. */
void adit_wrote(struct adit *a, uint64_t stream, size_t len);
/* Half-close: no more bytes from us. */
void adit_finish(struct adit *a, uint64_t stream);

/* The next bytes in order, in place, valid as in adit_space; *fin = the end follows them. */
size_t adit_peek(struct adit *a, uint64_t stream, const uint8_t **at, bool *fin);
/* Takes bytes off and gives the peer credit for them. When the end was seen, consume(0) tells so.
 */
void adit_consume(struct adit *a, uint64_t stream, size_t len);

/* Abandons both directions; the peer sees RESET with the cause. No event follows here. */
void adit_abort(struct adit *a, uint64_t stream, enum cause cause);
/* The same behind the bytes that were written: the peer gets to read all of them, then sees RESET,
 * as with a TCP connection that is reset after some were received. */
void adit_break(struct adit *a, uint64_t stream, enum cause cause);

/* The program has heard from somebody else than the node, and something may follow in a moment: the
 * loop looks for it before it sleeps, if that has paid (adit_config.spin_ns). Calls for streams say
 * as much. */
void adit_stir(struct adit *a);

/* --- datagrams --- */

/* The largest one: what UDP carries, and a target. */
#define ADIT_DATAGRAM_MAX (65507 + ADIT_TARGET_MAX)

/* Sends a message beside the bytes of a stream that we opened or have accepted: unreliable, in no
 * order, dropped when it is too old, gone with the stream. 0, ERR_NOT_FOUND, ERR_STATE,
 * ERR_TOO_LARGE, ERR_NO_ROOM (the queue is full), ERR_NO_MEMORY; nothing was taken then. */
int adit_datagram_send(struct adit *a, uint64_t stream, const void *data, size_t len);

/* --- looking --- */

/* Sends one small packet to the peer's node, on the path in use, as soon as there is a session: one
 * is set up if need be, and for the next 10 s direct paths are looked for as if data moved. PONG
 * follows, unless it or its answer is lost; at most 8 may be on their way to one peer, then the
 * oldest is forgotten. 0, ERR_NOT_FOUND. */
int adit_ping(struct adit *a, size_t peer, uint64_t *id);

/* Index of the peer with this name (case-insensitive), or -1. */
long adit_find_peer(const struct adit *a, const char *name);
bool adit_peer_stats(const struct adit *a, size_t peer, struct adit_peer_stats *out);
/* False past the last peer. */
bool adit_why(const struct adit *a, size_t peer, struct adit_why *out);
bool adit_relay_stats(const struct adit *a, size_t relay, struct adit_relay_stats *out);
void adit_nat_stats(const struct adit *a, struct adit_nat_stats *out);
void adit_counters(const struct adit *a, struct adit_counters *out);

#endif
