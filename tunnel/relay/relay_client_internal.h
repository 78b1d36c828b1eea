/* struct relay_client, shared by relay_client*.c only. */
#ifndef RELAY_RELAY_CLIENT_INTERNAL_H
#define RELAY_RELAY_CLIENT_INTERNAL_H

#include "relay/relay_client.h"
#include "wire/derp.h"
#include "wire/websocket.h"

#include <base/clock.h>

#include <http_parser.h>

enum {
    CLIENT_BUFFER_MIN = DERP_PACKET_OVERHEAD + DERP_PACKET_MAX + 1024,
    CLIENT_BUFFER_DEFAULT = 256 << 10,
    CLIENT_CONTROL_ROOM = 256,  /* of each out half, kept free of packets for Pong and Ping */
    CLIENT_RATE_SPARE = 4096,   /* of the token bucket, for handshakes and probes */
    CLIENT_HTTP_MAX = 16 << 10, /* of the relay's answer */
    CLIENT_HOST_MAX = 256,
    CLIENT_TEXT_MAX = 192,
    CLIENT_WS_MESSAGES = 2, /* written at once */
    CLIENT_WS_OUT =
        CLIENT_WS_MESSAGES * (WS_HEADER_MAX + WS_MESSAGE_MAX) + WS_HEADER_MAX + WS_CONTROL_MAX,
};

#define CLIENT_CONNECT_NS (10 * NS_PER_S)
#define CLIENT_PING_EVERY_NS (10 * NS_PER_S) /* while packets come and go */
/* Nothing at all after a ping, for so long: a relay in use that has died without a word is known
 * within 15 s. What comes late behind other bytes is no reason to leave, so any byte counts. */
#define CLIENT_DEAF_NS (5 * NS_PER_S)
/* Relays say every 60 to 65 s that they are alive, which also keeps NATs and proxies on the way
 * from forgetting the connection. Only one that says nothing is asked. */
#define CLIENT_QUIET_NS (70 * NS_PER_S)
#define CLIENT_SILENCE_NS (75 * NS_PER_S)
#define CLIENT_HURRY_NS (3 * NS_PER_S)
#define CLIENT_BACKOFF_MIN_NS (NS_PER_S / 4)
#define CLIENT_BACKOFF_MAX_NS (5 * NS_PER_S)
/* Up for this long, and the next back-off is short again. */
#define CLIENT_STABLE_NS (10 * NS_PER_S)
/* While a relay that said so restarts it is tried often. What it says is believed up to here. */
#define CLIENT_RESTART_EVERY_NS (1 * NS_PER_S)
#define CLIENT_RESTART_WAIT_MAX_NS (30 * NS_PER_S)
#define CLIENT_RESTART_TRY_MAX_NS (300 * NS_PER_S)
/* Timers tick by the millisecond: who waits for the token bucket waits for so much at once. */
#define CLIENT_RATE_QUANTUM_NS (2 * NS_PER_MS)

/* Half of the out buffer. One half is with the shell and stays as it is, the other one fills. */
struct out_half {
    uint8_t *data;
    size_t len;
    size_t sent;
};

/* The relay lets us send this much (ServerInfo); rate 0 = no limit. */
struct token_bucket {
    uint64_t rate; /* bytes per second */
    uint64_t burst;
    uint64_t tokens;
    uint64_t at;
};

/* What a connection inside WebSocket has on top. */
struct client_ws {
    char key[WS_KEY_TEXT];
    char accept[WS_ACCEPT_TEXT]; /* the relay's proof */
    char name[32];               /* the header that comes in */
    char value[WS_ACCEPT_TEXT];
    size_t name_len, value_len;
    bool in_value;

    bool open; /* frames both ways */
    struct ws_reader reader;
    size_t raw_left; /* of the request, not written yet when the answer came */
    bool pong_wanted;
    uint8_t pong[WS_CONTROL_MAX];
    size_t pong_len;
    size_t out_len, out_sent;
    uint8_t out[CLIENT_WS_OUT]; /* with the shell; the last one: not wiped by a reset */
};

struct relay_client {
    struct relay_client_config config; /* host and path are NULL here */
    char host[CLIENT_HOST_MAX];
    char path[CLIENT_HOST_MAX];
    struct relay_client_stats stats;

    enum relay_client_state state;
    uint64_t now;        /* of the latest call that told it */
    uint64_t deadline;   /* end of the back-off or of the connect budget */
    uint64_t backoff_ns; /* the next one, before jitter */
    uint64_t restart_ns; /* the relay said: not before; 0 = it did not */
    uint64_t restart_end_ns;
    uint64_t up_at;
    bool down_pending;
    int down_err;
    char down_text[CLIENT_TEXT_MAX];

    http_parser http;
    size_t http_bytes;
    uint8_t server[DERP_KEY];
    struct client_ws *ws; /* NULL = plain DERP */

    uint8_t *in;
    size_t in_cap;
    size_t in_len;
    struct derp_reader reader; /* in[0..in_len) */
    uint64_t heard_at;

    struct out_half out[2];
    unsigned filling; /* index of the half that takes new frames */
    size_t half_cap;
    size_t reserved; /* room given out by _reserve, 0 = none */
    struct token_bucket bucket;

    uint8_t ping[8];
    uint64_t ping_sent_at; /* TIME_NEVER = none is out */
    uint64_t ping_next;    /* TIME_NEVER = no packet since the last one */
    uint64_t ping_count;   /* packets both ways by then */
    uint64_t ping_limit;   /* the answer must be here by then; TIME_NEVER = no matter */
    uint64_t rtt_ns;
};

/* relay_client.c */
void client_set_state(struct relay_client *c, enum relay_client_state state);
/* The connection is over: DOWN is queued, the back-off starts. */
void client_fail(struct relay_client *c, int err, const char *text);
void client_login_done(struct relay_client *c);
/* The relay is about to end. */
void client_note_restart(struct relay_client *c, uint64_t reconnect_in_ns, uint64_t try_for_ns);
/* A packet went or came. */
void client_used(struct relay_client *c);

/* relay_client_recv.c */
void client_recv_reset(struct relay_client *c);

/* relay_client_ws.c: only when c->ws, but for _open and _reset */
/* 0, ERR_NO_MEMORY, or ERR_NOT_FOUND when it is not built in. */
int client_ws_open(struct relay_client *c);
void client_ws_reset(struct relay_client *c);
int client_ws_request(const struct relay_client *c, char *out, size_t cap);
void client_ws_field(struct relay_client *c, const char *at, size_t len);
void client_ws_value(struct relay_client *c, const char *at, size_t len);
/* 101 has come: what the reader has left are frames. False if that ended the connection. */
bool client_ws_upgraded(struct relay_client *c);
/* Appends what the frames carry to `in`. The same. */
bool client_ws_input(struct relay_client *c, const uint8_t *data, size_t len);
size_t client_ws_output(struct relay_client *c, const uint8_t **data);
void client_ws_sent(struct relay_client *c, size_t n);

/* relay_client_send.c */
/* DERP's bytes that may leave next, and that `n` of them have been taken. */
size_t client_send_pending(struct relay_client *c, const uint8_t **data);
void client_send_taken(struct relay_client *c, size_t n);
void client_send_reset(struct relay_client *c);
/* Room for a small frame, or NULL when even that is gone; the caller adds its length to len. */
uint8_t *client_send_space(struct relay_client *c, size_t len);
void client_send_done(struct relay_client *c, size_t len);
void client_send_request(struct relay_client *c);
/* ClientInfo, and NotePreferred if so configured. 0 or ERR_CRYPTO. */
int client_send_login(struct relay_client *c);
void client_send_ping(struct relay_client *c);
void client_send_pong(struct relay_client *c, const uint8_t payload[8]);
void client_bucket_set(struct relay_client *c, const struct derp_info *info);

#endif
