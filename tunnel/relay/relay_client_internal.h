/* struct relay_client, shared by relay_client*.c only. */
#ifndef RELAY_RELAY_CLIENT_INTERNAL_H
#define RELAY_RELAY_CLIENT_INTERNAL_H

#include "relay/relay_client.h"
#include "wire/derp.h"

#include <base/clock.h>

#include <http_parser.h>

enum {
    CLIENT_BUFFER_MIN = DERP_PACKET_OVERHEAD + DERP_PACKET_MAX + 1024,
    CLIENT_BUFFER_DEFAULT = 256 << 10,
    CLIENT_CONTROL_ROOM = 256,  /* of each out half, kept free of packets for Pong and Ping */
    CLIENT_HTTP_MAX = 16 << 10, /* of the relay's answer */
    CLIENT_HOST_MAX = 256,
    CLIENT_TEXT_MAX = 192,
};

#define CLIENT_CONNECT_NS (10 * NS_PER_S)
#define CLIENT_PING_EVERY_NS (15 * NS_PER_S)
#define CLIENT_SILENCE_NS (35 * NS_PER_S)
#define CLIENT_HURRY_NS (3 * NS_PER_S)
#define CLIENT_BACKOFF_MIN_NS (NS_PER_S / 4)
#define CLIENT_BACKOFF_MAX_NS (5 * NS_PER_S)
/* Up for this long, and the next back-off is short again. */
#define CLIENT_STABLE_NS (10 * NS_PER_S)

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

struct relay_client {
    struct relay_client_config config; /* host and path are NULL here */
    char host[CLIENT_HOST_MAX];
    char path[CLIENT_HOST_MAX];
    struct relay_client_stats stats;

    enum relay_client_state state;
    uint64_t now;        /* of the latest call that told it */
    uint64_t deadline;   /* end of the back-off or of the connect budget */
    uint64_t backoff_ns; /* the next one, before jitter */
    uint64_t up_at;
    bool down_pending;
    int down_err;
    char down_text[CLIENT_TEXT_MAX];

    http_parser http;
    size_t http_bytes;
    uint8_t server[DERP_KEY];

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
    uint64_t ping_next;
    uint64_t ping_limit; /* the answer must be here by then; TIME_NEVER = no matter */
    uint64_t rtt_ns;
};

/* relay_client.c */
void client_set_state(struct relay_client *c, enum relay_client_state state);
/* The connection is over: DOWN is queued, the back-off starts. */
void client_fail(struct relay_client *c, int err, const char *text);
void client_login_done(struct relay_client *c);

/* relay_client_recv.c */
void client_recv_reset(struct relay_client *c);

/* relay_client_send.c */
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
