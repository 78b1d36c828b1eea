/* The relay's tables, shared by relay_server*.c only.
 *
 * conn = one connection, named by an id outside. key = one public key that is logged in, with the
 * connections that carry it. contact = "this connection has received from that key".
 */
#ifndef RELAY_RELAY_SERVER_INTERNAL_H
#define RELAY_RELAY_SERVER_INTERNAL_H

#include "relay/relay_pool.h"
#include "relay/relay_server.h"
#include "wire/derp.h"
#include "wire/websocket.h"

#include <base/clock.h>
#include <base/heap.h>
#include <base/mem.h>

#include <sodium.h>
#include <sys/queue.h>

/* Keys and addresses are chosen by strangers: a keyed hash, so that none can fill one bucket. The
 * macros expand where `s` is the server. */
#define HASH_FUNCTION(data, len, out) (out) = server_hash(s, (data), (len))
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((void)(element))
#define uthash_malloc(size) mem_new(1, (size))
#define uthash_free(p, size) mem_free(p)
#include <uthash.h>

enum {
    SERVER_LOGIN_MAX = 4096,  /* payload of ClientInfo; real ones have about 200 bytes */
    SERVER_CONTROL_MAX = 256, /* small frames that wait for one client */
    SERVER_KEY_CONNS_MAX = 8, /* connections of one key; the oldest has to go */
    SERVER_WRITING_MAX = 64,  /* packets that are with the shell */
    SERVER_WRITING_BYTES = 64 << 10,
    SERVER_LINGER_BYTES = 4 << 20, /* thrown away, of who asked for nothing that we have */
    SERVER_GONE_BURST = 3,         /* PeerGone "not here": one a second, after this many */
};

#define SERVER_LINGER_NS (2 * NS_PER_S)
#define SERVER_KEEP_ALIVE_JITTER_NS (5 * NS_PER_S)
#define SERVER_RECONNECT_JITTER_NS (1 * NS_PER_S) /* not all at the same moment */

enum conn_state {
    CONN_HTTP,
    CONN_LOGIN, /* ServerKey is out, ClientInfo has to come */
    CONN_OPEN,
    CONN_ANSWER, /* an HTTP answer is being written, then: */
    CONN_LINGER, /* all is said; the client may say the rest */
    CONN_DEAD,   /* the event CLOSE waits to be taken */
};

enum packet_kind { PACKET_CONTROL, PACKET_PONG, PACKET_DATA, PACKET_ASKED };

/* Bits of what the shell has still to be told about a connection. */
enum { TELL_WRITABLE = 1, TELL_PAUSE = 2, TELL_RESUME = 4, TELL_CLOSE = 8, TELL_FINISH = 16 };

struct queue {
    struct relay_packets packets;
    size_t count;
};

struct address_count {
    uint8_t ip[16];
    size_t count;
    UT_hash_handle hh;
};

struct relay_conn;

struct contact {
    struct {
        uint64_t from; /* contact_source.serial */
        uint64_t to;   /* relay_conn.id */
    } ids;
    struct relay_conn *conn;
    LIST_ENTRY(contact) of_key;
    LIST_ENTRY(contact) of_conn;
    UT_hash_handle hh;
};

LIST_HEAD(contacts, contact);

/* Part of a key, here or elsewhere: who has received from it. */
struct contact_source {
    uint64_t serial;
    struct contacts contacts;
};

TAILQ_HEAD(relay_conns, relay_conn);

struct relay_key {
    uint8_t key[DERP_KEY];
    struct contact_source source;
    struct relay_conns conns; /* oldest first */
    size_t conns_count;
    struct relay_conn *active; /* receives */
    struct cluster_key cluster;
    UT_hash_handle hh;
};

/* A client inside WebSocket. */
struct conn_ws {
    struct ws_reader reader;
    size_t raw_left; /* of what waits: still HTTP */
    size_t left;     /* payload of the message that is being written */
    size_t head_len, head_sent;
    uint8_t head[WS_HEADER_MAX + WS_CONTROL_MAX]; /* of that message, or a whole pong */
    bool pong_wanted;
    uint8_t pong[WS_CONTROL_MAX];
    size_t pong_len;
};

struct relay_conn {
    uint64_t id;
    enum conn_state state;
    struct addr from;
    struct address_count *address;
    struct http_stage *http; /* until the request is answered */
    struct conn_ws *ws;      /* NULL = plain DERP */

    struct relay_key *key;
    TAILQ_ENTRY(relay_conn) of_key;
    struct contacts contacts;
    size_t contacts_count;

    uint8_t header[DERP_HEADER];
    size_t header_len;
    uint32_t skip;
    struct relay_packet *partial; /* the frame that is coming in */

    uint64_t rate_tokens; /* bytes that may come at once */
    uint64_t rate_debt;   /* bytes that came too early */
    uint64_t rate_at;
    uint64_t resume_at; /* TIME_NEVER = not paused */

    struct queue control;
    struct queue signalling;
    struct queue bulk;
    size_t queued_bytes; /* signalling and bulk */
    bool bulk_turn;
    struct queue writing; /* offered to the shell, in order */
    size_t writing_bytes;
    bool announced; /* WRITABLE was told, output has not been empty since */
    bool pong_queued;
    uint64_t progress_at; /* announced, or last taken from */
    uint64_t gone_at;     /* budget of PeerGone "not here" */

    struct heap_node timer;
    uint64_t handshake_end;        /* TIME_NEVER once logged in */
    TAILQ_ENTRY(relay_conn) waits; /* not logged in, and not dead */
    uint32_t linger_bytes;         /* thrown away so far */
    uint64_t keep_alive_every;
    uint64_t keep_alive_at;
    uint64_t restarting_at; /* it is to be told that the relay ends; TIME_NEVER = it is not */

    unsigned tell;
    enum relay_close reason;
    TAILQ_ENTRY(relay_conn) told;
};

struct relay_server {
    struct relay_server_config config; /* limits filled in; its lists are our copies: */
    uint8_t (*allowed)[DERP_KEY];      /* sorted */
    struct prefix *metrics;
    bool draining;
    uint64_t drain_reconnect_ns, drain_try_for_ns;
    uint8_t public_key[DERP_KEY];
    uint8_t hash_seed[crypto_shorthash_KEYBYTES];
    struct relay_server_stats stats;
    uint64_t now;

    size_t slots;
    struct relay_conn **conns; /* by slot */
    uint32_t *free_slots;
    uint32_t *generations;
    size_t free_count;
    struct address_count *addresses;
    struct relay_key *keys;
    struct contact *contacts;
    uint64_t next_serial;
    struct relay_pool pool;
    struct heap timers;
    struct relay_conns pending; /* oldest first */
    size_t pending_count;
    struct relay_conns tell;
    struct server_cluster *cluster; /* NULL = none */
};

/* relay_server.c */
unsigned server_hash(const struct relay_server *s, const void *data, size_t len);
struct relay_conn *server_find(const struct relay_server *s, uint64_t id);
void server_set_state(struct relay_server *s, struct relay_conn *c, enum conn_state state);
void server_tell(struct relay_server *s, struct relay_conn *c, unsigned what);
/* It has logged in, or it is over. */
void server_no_longer_pending(struct relay_server *s, struct relay_conn *c);
/* Ends the connection; its memory lives until the shell has taken the event. */
void server_kill(struct relay_server *s, struct relay_conn *c, enum relay_close reason);
/* Makes sure that the timer fires at `at` or before. */
void server_schedule(struct relay_server *s, struct relay_conn *c, uint64_t at);

/* Room for so many connections, if that is more than before. 0, or ERR_NO_MEMORY: then all is as it
 * was. */
int server_grow(struct relay_server *s, size_t slots);

/* relay_server_rules.c */
void server_fill_limits(struct relay_server_limits *l);
/* Copies the configuration's lists into the server in place of those it has. 0, ERR_NO_MEMORY. */
int server_copy_lists(struct relay_server *s, const struct relay_server_config *config);
bool server_is_admitted(const struct relay_server *s, const uint8_t key[DERP_KEY]);
bool server_may_read_metrics(const struct relay_server *s, const struct addr *from);
void server_send_restarting(struct relay_server *s, struct relay_conn *c);

/* relay_server_metrics.c */
enum { SERVER_METRICS_MAX = 12 << 10 };
/* Prometheus' text format; returns its length. */
size_t server_metrics(const struct relay_server *s, char out[SERVER_METRICS_MAX]);

/* relay_server_keys.c */
struct relay_key *server_find_key(const struct relay_server *s, const uint8_t key[DERP_KEY]);
/* The connection speaks for `key` from now on and is the one that receives. 0, ERR_NO_MEMORY. */
int server_login(struct relay_server *s, struct relay_conn *c, const uint8_t key[DERP_KEY]);
void server_logout(struct relay_server *s, struct relay_conn *c);
/* `to` receives from `from`, and wants to know when that leaves. */
void server_note_contact(struct relay_server *s, struct contact_source *from,
                         struct relay_conn *to);
/* All of `from`'s become `to`'s, which has none yet. */
void server_move_contacts(struct contact_source *to, struct contact_source *from);
/* The key is gone: tells those who have received from it, unless `quietly`. */
void server_end_contacts(struct relay_server *s, struct contact_source *from,
                         const uint8_t key[DERP_KEY], bool quietly);

/* relay_server_cluster.c: others of the cluster. Without one these do nothing. */
int server_cluster_open(struct relay_server *s, const struct relay_cluster_config *config);
void server_cluster_close(struct relay_server *s);
/* The key has just come to be here. */
void server_cluster_arrived(struct relay_server *s, struct relay_key *k);
/* A connection of it has logged in. */
void server_cluster_login(struct relay_server *s, struct relay_key *k);
/* Its last connection is gone. */
void server_cluster_left(struct relay_server *s, struct relay_key *k);
/* A packet to a key that is not here. False: nor anywhere else, and the packet is the caller's. */
bool server_cluster_forward(struct relay_server *s, struct relay_conn *c,
                            struct relay_packet *packet);
void server_cluster_tick(struct relay_server *s);
uint64_t server_cluster_next(const struct relay_server *s);
/* NULL: no cluster. */
const struct cluster *server_cluster_core(const struct relay_server *s);
const struct relay_cluster_io_stats *server_cluster_io(const struct relay_server *s);

/* relay_server_http.c */
int server_http_open(struct relay_conn *c);
void server_http_close(struct relay_conn *c);
/* Returns how many bytes belong to the request; what follows are frames. */
size_t server_http_input(struct relay_server *s, struct relay_conn *c, const void *data,
                         size_t len);

/* relay_server_linger.c */
/* The answer is written. */
void server_linger(struct relay_server *s, struct relay_conn *c);
void server_linger_input(struct relay_server *s, struct relay_conn *c, size_t len);

/* relay_server_ws.c */
int server_ws_open(struct relay_conn *c);
void server_ws_close(struct relay_conn *c);
/* The others only when c->ws. */
void server_ws_input(struct relay_server *s, struct relay_conn *c, const uint8_t *data, size_t len);
size_t server_ws_output(const struct relay_conn *c, struct relay_span *out, size_t max);
/* n bytes were written: how many of them were of packets. */
size_t server_ws_sent(struct conn_ws *ws, size_t n);

/* relay_server_recv.c */
void server_recv_frames(struct relay_server *s, struct relay_conn *c, const uint8_t *data,
                        size_t len);
/* Bytes have come that count for the client's rate; server_recv_frames charges its own. */
void server_recv_charge(struct relay_server *s, struct relay_conn *c, size_t bytes);
void server_recv_timer(struct relay_server *s, struct relay_conn *c);
void server_send_info(struct relay_server *s, struct relay_conn *c);
/* The rate or the burst is another one now. */
void server_recv_new_rate(struct relay_server *s, struct relay_conn *c);

/* relay_server_send.c */
void server_send_init(struct relay_conn *c);
/* Gives back all buffers that wait, and also those with the shell if `all`. */
void server_send_deinit(struct relay_server *s, struct relay_conn *c, bool all);
/* There is something to write; says so if that has not been said. */
void server_send_announce(struct relay_server *s, struct relay_conn *c);
/* A small frame or an HTTP answer. False if there are too many or there is no buffer. */
bool server_send_control(struct relay_server *s, struct relay_conn *c, const void *data,
                         size_t len);
void server_send_pong(struct relay_server *s, struct relay_conn *c, const uint8_t payload[8]);
void server_send_gone(struct relay_server *s, struct relay_conn *c, const uint8_t key[DERP_KEY],
                      enum derp_gone reason);
/* Takes the buffer, which holds a RecvPacket frame. */
void server_send_packet(struct relay_server *s, struct relay_conn *c, struct relay_packet *packet);
void server_send_timer(struct relay_server *s, struct relay_conn *c);
uint64_t server_send_next(const struct relay_server *s, const struct relay_conn *c);

#endif
