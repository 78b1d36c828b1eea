/* A relay_client core on a plain non-blocking socket, stepped by hand: for tests against real
 * relays, ours or another's. */
#ifndef TESTS_SUPPORT_DERP_PEER_H
#define TESTS_SUPPORT_DERP_PEER_H

#include "os/tls.h"
#include "relay/relay_client.h"

#include <base/addr.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct derp_peer {
    struct relay_client *core;
    struct addr relay;               /* IPv4 */
    int fd;                          /* -1 = none */
    bool narrow;                     /* next time: little fits between the relay and it */
    struct tls_context *tls_context; /* the owner's; NULL = plain */
    struct tls *tls;                 /* of the connection that there is */
    uint8_t key[32];
    unsigned ups, downs, packets, gones, restarts;
    uint64_t restart_ns;
    char down_text[128];
    uint8_t last_from[32];
    uint8_t last_data[65536];
    size_t last_len;
    unsigned short_at; /* which of the packets was the last one of one byte; 0 = none was */
    uint8_t gone_key[32];
    uint8_t gone_reason;
};

static inline uint64_t derp_peer_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static inline void derp_peer_random(void *state, void *out, size_t len)
{
    (void)state;
    randombytes_buf(out, len);
}

/* A key made of `seed` bytes; tls NULL = plain. False when out of memory. */
static inline bool derp_peer_open_as(struct derp_peer *p, const struct addr *relay, uint8_t seed,
                                     struct tls_context *tls, bool websocket)
{
    char host[ADDR_TEXT_MAX];
    struct relay_client_config config = {
        .host = addr_format(relay, host),
        .rng = {.fill = derp_peer_random},
        .preferred = true,
        .websocket = websocket,
    };
    memset(p, 0, sizeof(*p));
    memset(config.secret, seed, sizeof(config.secret));
    crypto_scalarmult_base(config.public_key, config.secret);
    memcpy(p->key, config.public_key, 32);
    p->relay = *relay;
    p->tls_context = tls;
    p->fd = -1;
    p->core = relay_client_new(&config);
    if (p->core) {
        relay_client_start(p->core, derp_peer_now());
    }
    return p->core != NULL;
}

static inline bool derp_peer_open(struct derp_peer *p, const struct addr *relay, uint8_t seed)
{
    return derp_peer_open_as(p, relay, seed, NULL, false);
}

static inline void derp_peer_drop(struct derp_peer *p)
{
    if (p->fd >= 0) {
        close(p->fd);
    }
    tls_free(p->tls);
    p->fd = -1;
    p->tls = NULL;
}

static inline void derp_peer_close(struct derp_peer *p)
{
    derp_peer_drop(p);
    relay_client_free(p->core);
}

/* Loopback's segments of 64 KiB make the sender's buffer megabytes large. */
static inline void derp_peer_narrow(int fd)
{
    const int room = 8 << 10, segment = 1000;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment));
}

static inline void derp_peer_connect(struct derp_peer *p)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(p->relay.port)};
    memcpy(&in.sin_addr, p->relay.ip, 4);
    p->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (p->narrow) {
        derp_peer_narrow(p->fd);
    }
    if (p->fd < 0 || connect(p->fd, (const struct sockaddr *)&in, sizeof(in)) ||
        fcntl(p->fd, F_SETFL, O_NONBLOCK)) {
        relay_client_disconnected(p->core, -errno, derp_peer_now());
        return;
    }
    if (p->tls_context) {
        p->tls = tls_new(p->tls_context);
        return;
    }
    relay_client_connected(p->core, derp_peer_now());
}

static inline void derp_peer_take(struct derp_peer *p, const struct relay_client_event *ev)
{
    switch (ev->type) {
    case RELAY_CLIENT_EV_CONNECT:
        derp_peer_connect(p);
        break;
    case RELAY_CLIENT_EV_UP:
        p->ups++;
        break;
    case RELAY_CLIENT_EV_DOWN:
        p->downs++;
        (void)snprintf(p->down_text, sizeof(p->down_text), "%s", ev->text);
        derp_peer_drop(p);
        break;
    case RELAY_CLIENT_EV_PACKET:
        p->packets++;
        memcpy(p->last_from, ev->key, 32);
        memcpy(p->last_data, ev->data, ev->len);
        p->last_len = ev->len;
        p->short_at = ev->len == 1 ? p->packets : p->short_at;
        break;
    case RELAY_CLIENT_EV_PEER_GONE:
        p->gones++;
        memcpy(p->gone_key, ev->key, 32);
        p->gone_reason = ev->reason;
        break;
    case RELAY_CLIENT_EV_RESTARTING:
        p->restarts++;
        p->restart_ns = ev->reconnect_in_ns;
        break;
    case RELAY_CLIENT_EV_HEALTH:
        break;
    }
}

static inline void derp_peer_events(struct derp_peer *p)
{
    struct relay_client_event ev;
    while (relay_client_event(p->core, &ev)) {
        derp_peer_take(p, &ev);
    }
}

/* What may be written next, inside TLS if there is one. */
static inline size_t derp_peer_pending(struct derp_peer *p, const uint8_t **data)
{
    if (!p->tls) {
        return relay_client_output(p->core, data);
    }
    size_t len = tls_output(p->tls, data);
    if (len > 0 || !tls_is_ready(p->tls)) {
        return len;
    }
    len = relay_client_output(p->core, data);
    len = len < TLS_WRITE_MAX ? len : TLS_WRITE_MAX;
    if (len > 0 && tls_write(p->tls, *data, len) == 0) {
        relay_client_sent(p->core, len);
    }
    return tls_output(p->tls, data);
}

static inline void derp_peer_lost(struct derp_peer *p, int err)
{
    relay_client_failed(p->core, err, p->tls && tls_why(p->tls)[0] ? tls_why(p->tls) : NULL,
                        derp_peer_now());
    derp_peer_events(p);
}

static inline void derp_peer_write(struct derp_peer *p)
{
    const uint8_t *data;
    size_t len;
    while (p->fd >= 0 && (len = derp_peer_pending(p, &data)) > 0) {
        ssize_t n = send(p->fd, data, len, MSG_NOSIGNAL);
        if (p->tls) {
            tls_sent(p->tls, n > 0 ? (size_t)n : 0);
        } else if (n > 0) {
            relay_client_sent(p->core, (size_t)n);
        }
        if (n < 0) {
            return; /* full, or over: recv says so, after what the relay still said */
        }
    }
}

static inline void derp_peer_take_bytes(struct derp_peer *p, const uint8_t *data, size_t len)
{
    static uint8_t plain[65536];
    int n = (int)len;
    if (!p->tls) {
        if (relay_client_input(p->core, data, len, derp_peer_now())) {
            derp_peer_lost(p, -EPROTO);
        }
        derp_peer_events(p);
        return;
    }
    tls_input(p->tls, data, len);
    while (p->tls && (n = tls_read(p->tls, plain, sizeof(plain))) >= 0) {
        if (tls_is_ready(p->tls) && relay_client_state(p->core) == RELAY_CLIENT_CONNECTING) {
            relay_client_connected(p->core, derp_peer_now());
        }
        if (n == 0 || relay_client_input(p->core, plain, (size_t)n, derp_peer_now())) {
            break;
        }
        derp_peer_events(p);
    }
    if (n < 0 && p->tls) {
        derp_peer_lost(p, n);
    }
}

/* Everything that can be done now. */
static inline void derp_peer_step(struct derp_peer *p)
{
    static uint8_t buffer[65536];
    relay_client_tick(p->core, derp_peer_now());
    derp_peer_events(p);
    derp_peer_write(p);
    while (p->fd >= 0) {
        ssize_t n = recv(p->fd, buffer, sizeof(buffer), 0);
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        if (n <= 0) {
            derp_peer_lost(p, n < 0 ? -errno : 0);
        } else {
            derp_peer_take_bytes(p, buffer, (size_t)n);
        }
    }
    derp_peer_write(p);
}

/* Until one of the sockets has something, `ms` at most. */
static inline void derp_peer_wait(const struct derp_peer *peers, size_t count, int ms)
{
    struct pollfd fds[4];
    for (size_t i = 0; i < count; i++) {
        fds[i] = (struct pollfd){.fd = peers[i].fd, .events = POLLIN};
    }
    (void)poll(fds, count, ms);
}

#endif
