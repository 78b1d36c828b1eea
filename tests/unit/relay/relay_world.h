/* A relay and its clients in memory: bytes move in steps of a chosen size, time by hand. */
#ifndef TESTS_UNIT_RELAY_RELAY_WORLD_H
#define TESTS_UNIT_RELAY_RELAY_WORLD_H

#include "relay/relay_client.h"
#include "relay/relay_server.h"
#include "wire/derp.h"

#include <base/clock.h>
#include <base/err.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

enum { WORLD_CLIENTS = 12, WORLD_DATA = 2048 };

/* One end of a connection at the server and, unless the test speaks by hand, a client core. */
struct world_client {
    struct relay_client *core;
    uint8_t secret[32];
    uint8_t key[32];
    uint64_t id; /* 0 = not connected */
    bool paused;
    bool deaf; /* takes nothing from the server */
    unsigned ups, downs, packets, gones, healths, restarts, pauses;
    int down_err;
    char down_text[128];
    uint8_t last_from[32];
    uint8_t last_data[WORLD_DATA];
    size_t last_len;
    uint8_t gone_key[32];
    uint8_t gone_reason;
    bool closed;
    enum relay_close reason;
};

struct world {
    struct pcg pcg;
    struct rng rng;
    uint64_t now;
    size_t step; /* bytes moved at once */
    struct relay_server *server;
    struct world_client clients[WORLD_CLIENTS];
    size_t count;
};

static inline void world_open(struct world *w, struct relay_server_config *config)
{
    *w = (struct world){.now = 1000 * NS_PER_S, .step = 65536};
    w->rng = pcg_rng(&w->pcg, 7);
    rng_fill(w->rng, config->secret, sizeof(config->secret));
    config->rng = w->rng;
    w->server = relay_server_new(config);
    assert_non_null(w->server);
}

static inline void world_close(struct world *w)
{
    for (size_t i = 0; i < w->count; i++) {
        relay_client_free(w->clients[i].core);
    }
    relay_server_free(w->server);
}

static inline void world_key(struct world_client *c, uint8_t n)
{
    memset(c->secret, n, sizeof(c->secret));
    crypto_scalarmult_base(c->key, c->secret);
}

/* Adds a client core with the n-th key. */
static inline struct world_client *world_add(struct world *w, uint8_t n)
{
    assert_true(w->count < WORLD_CLIENTS);
    struct world_client *c = &w->clients[w->count++];
    world_key(c, n);
    struct relay_client_config config = {.host = "relay.test", .rng = w->rng, .preferred = true};
    memcpy(config.secret, c->secret, 32);
    memcpy(config.public_key, c->key, 32);
    c->core = relay_client_new(&config);
    assert_non_null(c->core);
    relay_client_start(c->core, w->now);
    return c;
}

/* Adds a bare connection for a test that writes bytes itself. */
static inline struct world_client *world_add_bare(struct world *w)
{
    assert_true(w->count < WORLD_CLIENTS);
    struct world_client *c = &w->clients[w->count++];
    struct addr from = addr_ipv4(192, 0, 2, 1, 1000);
    assert_int_equal(relay_server_accept(w->server, &from, w->now, &c->id), 0);
    return c;
}

static inline void world_take(struct world *w, struct world_client *c,
                              const struct relay_client_event *ev)
{
    struct addr from = addr_ipv4(192, 0, 2, (uint8_t)(c - w->clients), 1000);
    switch (ev->type) {
    case RELAY_CLIENT_EV_CONNECT:
        if (relay_server_accept(w->server, &from, w->now, &c->id) == 0) {
            relay_client_connected(c->core, w->now);
        } else {
            relay_client_disconnected(c->core, -111, w->now);
        }
        break;
    case RELAY_CLIENT_EV_UP:
        c->ups++;
        break;
    case RELAY_CLIENT_EV_DOWN:
        c->downs++;
        c->down_err = ev->err;
        (void)snprintf(c->down_text, sizeof(c->down_text), "%s", ev->text);
        if (c->id) {
            relay_server_closed(w->server, c->id, w->now);
            c->id = 0;
        }
        break;
    case RELAY_CLIENT_EV_PACKET:
        c->packets++;
        memcpy(c->last_from, ev->key, 32);
        c->last_len = ev->len;
        memcpy(c->last_data, ev->data, ev->len < WORLD_DATA ? ev->len : WORLD_DATA);
        break;
    case RELAY_CLIENT_EV_PEER_GONE:
        c->gones++;
        memcpy(c->gone_key, ev->key, 32);
        c->gone_reason = ev->reason;
        break;
    case RELAY_CLIENT_EV_HEALTH:
        c->healths++;
        break;
    case RELAY_CLIENT_EV_RESTARTING:
        c->restarts++;
        break;
    }
}

static inline bool world_client_moves(struct world *w, struct world_client *c)
{
    struct relay_client_event ev;
    bool moved = false;
    while (relay_client_event(c->core, &ev)) {
        world_take(w, c, &ev);
        moved = true;
    }
    const uint8_t *data;
    size_t len = relay_client_output(c->core, &data);
    len = len < w->step ? len : w->step;
    if (len > 0 && c->id && !c->paused) {
        relay_server_input(w->server, c->id, data, len, w->now);
        relay_client_sent(c->core, len);
        moved = true;
    }
    return moved;
}

static inline bool world_server_events(struct world *w)
{
    struct relay_server_event ev;
    bool moved = false;
    while (relay_server_event(w->server, &ev)) {
        moved = true;
        for (size_t i = 0; i < w->count; i++) {
            struct world_client *c = &w->clients[i];
            if (c->id != ev.id) {
                continue;
            }
            if (ev.type == RELAY_SERVER_EV_CLOSE) {
                c->id = 0;
                c->closed = true;
                c->reason = ev.reason;
                if (c->core) {
                    relay_client_disconnected(c->core, 0, w->now);
                }
            } else if (ev.type != RELAY_SERVER_EV_WRITABLE) {
                c->paused = ev.type == RELAY_SERVER_EV_PAUSE;
                c->pauses += c->paused;
            }
        }
    }
    return moved;
}

/* Up to `step` bytes from the server; returns how many, copied to out if that is not NULL. */
static inline size_t world_read(struct world *w, struct world_client *c, uint8_t *out)
{
    struct relay_span span;
    size_t n = relay_server_output(w->server, c->id, &span, 1, w->now);
    if (n == 0) {
        return 0;
    }
    size_t len = span.len < w->step ? span.len : w->step;
    if (out) {
        memcpy(out, span.data, len);
    } else {
        assert_int_equal(relay_client_input(c->core, span.data, len, w->now), 0);
    }
    relay_server_sent(w->server, c->id, len, w->now);
    return len;
}

/* Until nothing moves any more at this instant. */
static inline void world_settle(struct world *w)
{
    bool moved = true;
    for (unsigned rounds = 0; moved; rounds++) {
        assert_true(rounds < 1000000);
        moved = world_server_events(w);
        for (size_t i = 0; i < w->count; i++) {
            struct world_client *c = &w->clients[i];
            if (!c->core) {
                continue;
            }
            moved |= world_client_moves(w, c);
            moved |= c->id && !c->deaf && world_read(w, c, NULL) > 0;
        }
    }
}

/* Lets time pass, with every timer run when it is due. */
static inline void world_run(struct world *w, uint64_t ns)
{
    uint64_t end = w->now + ns;
    world_settle(w);
    for (unsigned rounds = 0; w->now < end; rounds++) {
        assert_true(rounds < 100000);
        uint64_t next = time_min(end, relay_server_next_ns(w->server));
        for (size_t i = 0; i < w->count; i++) {
            if (w->clients[i].core) {
                next = time_min(next, relay_client_next_ns(w->clients[i].core));
            }
        }
        w->now = next > w->now ? next : w->now;
        relay_server_tick(w->server, w->now);
        for (size_t i = 0; i < w->count; i++) {
            if (w->clients[i].core) {
                relay_client_tick(w->clients[i].core, w->now);
            }
        }
        world_settle(w);
    }
}

#endif
