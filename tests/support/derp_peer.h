/* A relay_client core on a plain non-blocking socket, stepped by hand: for tests against real
 * relays, ours or another's. */
#ifndef TESTS_SUPPORT_DERP_PEER_H
#define TESTS_SUPPORT_DERP_PEER_H

#include "relay/relay_client.h"

#include <base/addr.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct derp_peer {
    struct relay_client *core;
    struct addr relay; /* IPv4 */
    int fd;            /* -1 = none */
    uint8_t key[32];
    unsigned ups, downs, packets, gones, restarts;
    uint64_t restart_ns;
    char down_text[128];
    uint8_t last_from[32];
    uint8_t last_data[65536];
    size_t last_len;
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

/* A fresh key, or the one made of `seed` bytes. False when out of memory. */
static inline bool derp_peer_open(struct derp_peer *p, const struct addr *relay, uint8_t seed)
{
    char host[ADDR_TEXT_MAX];
    struct relay_client_config config = {
        .host = addr_format(relay, host),
        .rng = {.fill = derp_peer_random},
        .preferred = true,
    };
    memset(p, 0, sizeof(*p));
    memset(config.secret, seed, sizeof(config.secret));
    crypto_scalarmult_base(config.public_key, config.secret);
    memcpy(p->key, config.public_key, 32);
    p->relay = *relay;
    p->fd = -1;
    p->core = relay_client_new(&config);
    if (p->core) {
        relay_client_start(p->core, derp_peer_now());
    }
    return p->core != NULL;
}

static inline void derp_peer_close(struct derp_peer *p)
{
    if (p->fd >= 0) {
        close(p->fd);
    }
    relay_client_free(p->core);
}

static inline void derp_peer_connect(struct derp_peer *p)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(p->relay.port)};
    memcpy(&in.sin_addr, p->relay.ip, 4);
    p->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (p->fd < 0 || connect(p->fd, (const struct sockaddr *)&in, sizeof(in)) ||
        fcntl(p->fd, F_SETFL, O_NONBLOCK)) {
        relay_client_disconnected(p->core, -errno, derp_peer_now());
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
        if (p->fd >= 0) {
            close(p->fd);
        }
        p->fd = -1;
        break;
    case RELAY_CLIENT_EV_PACKET:
        p->packets++;
        memcpy(p->last_from, ev->key, 32);
        memcpy(p->last_data, ev->data, ev->len);
        p->last_len = ev->len;
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

static inline void derp_peer_write(struct derp_peer *p)
{
    const uint8_t *data;
    size_t len;
    while (p->fd >= 0 && (len = relay_client_output(p->core, &data)) > 0) {
        ssize_t n = send(p->fd, data, len, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN) {
                relay_client_disconnected(p->core, -errno, derp_peer_now());
                derp_peer_events(p);
            }
            return;
        }
        relay_client_sent(p->core, (size_t)n);
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
            relay_client_disconnected(p->core, n < 0 ? -errno : 0, derp_peer_now());
        } else if (relay_client_input(p->core, buffer, (size_t)n, derp_peer_now())) {
            relay_client_disconnected(p->core, -EPROTO, derp_peer_now());
        }
        derp_peer_events(p);
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
