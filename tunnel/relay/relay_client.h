/* One node's long-lived connection to one relay: DERP over an HTTP/1.1 Upgrade.
 *
 * A core: the shell owns the TCP (or TLS) connection, this owns everything that travels on it.
 * After every call except output: first drain the events, then write what output offers.
 *
 *     idle --start--> wanted --CONNECT--> connecting --connected--> http --101--> key
 *     key --ServerKey--> login --ServerInfo--> up          any --> back-off --tick--> wanted
 *
 * Whatever ends a connection is told once, by the event DOWN: the shell then closes its socket, if
 * it still has one. The next CONNECT comes by itself after the back-off (0.25 s doubling to 5 s,
 * with jitter; short again after the relay was up for a while). After the relay said that it
 * restarts, it comes no sooner than the relay wished (30 s at most), and then at least once a
 * second for as long as the relay wished.
 *
 * Sending never blocks: when the out buffer is full the packet is refused and counted, and so is
 * one beyond the rate that the relay allows us. An honest caller looks at relay_client_backlog and
 * relay_client_ready_ns before it builds more.
 */
#ifndef RELAY_RELAY_CLIENT_H
#define RELAY_RELAY_CLIENT_H

#include <base/log.h>
#include <base/rng.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct relay_client;

struct relay_client_limits {
    /* Both buffers are allocated by _new and keep their size. Values below one full packet and
     * its header (about 64 KiB in, twice that out) are raised to it. 0 = 256 KiB. */
    size_t out_bytes_max;
    size_t in_bytes_max;
};

struct relay_client_config {
    uint8_t secret[32]; /* X25519 */
    uint8_t public_key[32];
    const char *host; /* text of the Host header, "relay.example.net" or with ":port"; copied */
    const char *path; /* NULL = "/derp"; copied */
    struct rng rng;
    const struct log *log; /* may be NULL; outlives the client */
    struct relay_client_limits limits;
    bool preferred; /* tell the relay that it is our home (relay_client_set_preferred) */
    bool websocket; /* DERP inside binary messages of WebSocket (RFC 6455) */
};

enum relay_client_state {
    RELAY_CLIENT_IDLE,
    RELAY_CLIENT_WANTED,     /* the event CONNECT waits to be taken */
    RELAY_CLIENT_CONNECTING, /* the shell is at it */
    RELAY_CLIENT_HTTP,
    RELAY_CLIENT_KEY,
    RELAY_CLIENT_LOGIN, /* packets may be sent, the relay has not answered yet */
    RELAY_CLIENT_UP,
    RELAY_CLIENT_BACKOFF,
};

enum relay_client_event_type {
    RELAY_CLIENT_EV_CONNECT, /* open a connection, then call _connected or _disconnected */
    RELAY_CLIENT_EV_UP,
    RELAY_CLIENT_EV_DOWN,       /* err, text: close the connection */
    RELAY_CLIENT_EV_PACKET,     /* key (who sent it), data, len; packet */
    RELAY_CLIENT_EV_PEER_GONE,  /* key, reason (enum derp_gone) */
    RELAY_CLIENT_EV_HEALTH,     /* data, len: the relay's complaint in UTF-8, empty = healthy */
    RELAY_CLIENT_EV_RESTARTING, /* reconnect_in_ns, try_for_ns */
};

struct relay_client_event {
    enum relay_client_event_type type;
    int err;
    uint8_t reason;
    const uint8_t *key; /* 32 bytes; like all pointers here valid until the next call */
    const uint8_t *data;
    uint8_t *packet; /* data, to be opened in place */
    size_t len;
    const char *text;
    uint64_t reconnect_in_ns;
    uint64_t try_for_ns;
};

struct relay_client_stats {
    uint64_t packets_sent, bytes_sent;
    uint64_t packets_received, bytes_received; /* payload */
    uint64_t refused_full;                     /* reserve or send found no room */
    uint64_t refused_down;                     /* reserve or send while not connected */
    uint64_t dropped_rate;                     /* the relay's token bucket was empty */
    uint64_t frames_skipped;                   /* of types that we do not know */
    uint64_t connects, ups, downs;
};

/* Whether `websocket` can be asked for; it needs OpenSSL. */
bool relay_client_has_websocket(void);

/* NULL when out of memory. _free wipes the secret and closes nothing. */
struct relay_client *relay_client_new(const struct relay_client_config *config);
void relay_client_free(struct relay_client *c);

/* Wants a connection from now on. No effect when it already does. */
void relay_client_start(struct relay_client *c, uint64_t now);
/* Wants none any more: idle at once, DOWN follows if there was a connection. */
void relay_client_stop(struct relay_client *c, uint64_t now);

/* The shell's answers. err is logged and handed back by DOWN (0 = closed by the other side);
 * without a connection these calls do nothing. */
void relay_client_connected(struct relay_client *c, uint64_t now);
void relay_client_disconnected(struct relay_client *c, int err, uint64_t now);
/* The same, for a reason that can be told; NULL = none. */
void relay_client_failed(struct relay_client *c, int err, const char *why, uint64_t now);

/* Closes the connection, as one that the relay has said to end soon (RESTARTING) and that is of no
 * use any more: DOWN follows, and CONNECT when the relay may be back. */
void relay_client_leave(struct relay_client *c, uint64_t now);
/* The end of the time for which it is tried then; one that is still up by then did not restart.
 * 0 = the relay has not said that it restarts. */
uint64_t relay_client_restart_ns(const struct relay_client *c);

/* Skips the rest of a back-off, and tests a connection that is up with a ping that must be
 * answered within 3 s: for the moment after sleep or a change of network. */
void relay_client_hurry(struct relay_client *c, uint64_t now);

/* Whether the relay is our home from now on; said at once, and whenever it comes up. */
void relay_client_set_preferred(struct relay_client *c, bool preferred);

/* Bytes from the relay, copied to the in buffer; at most relay_client_room of them, which is at
 * least half of in_bytes_max after the events were drained. 0, ERR_NO_ROOM or ERR_CLOSED. Errors
 * of the relay come as DOWN. */
int relay_client_input(struct relay_client *c, const void *data, size_t len, uint64_t now);
size_t relay_client_room(const struct relay_client *c);

/* Bytes to write: a pointer that stays valid, with its bytes unchanged, until _sent has been told
 * of all of them or DOWN was taken; returns how many. _sent: n of them were written; never told of
 * a write that began before a DOWN. */
size_t relay_client_output(struct relay_client *c, const uint8_t **data);
void relay_client_sent(struct relay_client *c, size_t n);
/* Bytes that have not been written yet. */
size_t relay_client_backlog(const struct relay_client *c);
/* When a packet of `len` bytes will be within the rate that the relay allows us: `now` if at once,
 * else when there is enough for it and for a few ms at that rate. A little is kept for others. */
uint64_t relay_client_ready_ns(struct relay_client *c, size_t len, uint64_t now);

/* Room for a packet of up to `cap` (<= 65536) bytes to dst, to be built in place, or NULL (not
 * connected, or full: counted). _commit frames the first `len` bytes; 0 gives the room back.
 * Nothing else may be called in between. */
uint8_t *relay_client_reserve(struct relay_client *c, const uint8_t dst[32], size_t cap);
void relay_client_commit(struct relay_client *c, size_t len);
/* The same with a copy. 0, ERR_TOO_LARGE, ERR_NO_ROOM, ERR_STATE. */
int relay_client_send(struct relay_client *c, const uint8_t dst[32], const void *data, size_t len);

/* False when there is none. Parses as it goes: at most one frame with an event for each call. */
bool relay_client_event(struct relay_client *c, struct relay_client_event *ev);

void relay_client_tick(struct relay_client *c, uint64_t now);
/* When _tick is due; TIME_NEVER if never. */
uint64_t relay_client_next_ns(const struct relay_client *c);

enum { RELAY_CLIENT_TAG = 16 };

/* Two short names of the relay that nodes can compare: of its key, for relays that are reached
 * under several names (false while the key is not known), and of its host, port and path, for
 * relays that share a name. BLAKE2b-128 of "adit relay key" and the key; of "adit relay place" and
 * the text. */
bool relay_client_key_tag(const struct relay_client *c, uint8_t out[RELAY_CLIENT_TAG]);
void relay_client_place_tag(const struct relay_client *c, uint8_t out[RELAY_CLIENT_TAG]);

enum relay_client_state relay_client_state(const struct relay_client *c);
/* Of the last ping to the relay; 0 before the first answer. */
uint64_t relay_client_rtt_ns(const struct relay_client *c);
const struct relay_client_stats *relay_client_stats(const struct relay_client *c);

#endif
