/* A relay and its clients in memory: bytes move in steps of a chosen size, time by hand. */
#ifndef TESTS_SUPPORT_RELAY_WORLD_H
#define TESTS_SUPPORT_RELAY_WORLD_H

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
    bool stays;    /* does not close when the server has said all */
    bool finished; /* the server has */
    bool closed;
    enum relay_close reason;
};

struct world {
    struct pcg pcg;
    struct rng rng;
    uint64_t now;
    size_t step;    /* bytes moved at once */
    bool websocket; /* clients added from now on come inside WebSocket */
    struct relay_server *server;
    struct world_client clients[WORLD_CLIENTS];
    size_t count;
};

/* The line that a request of HTTP/1.1 must have. */
#define WORLD_HOST "Host: r\r\n"

/* Opens with a server of this configuration; its secret and randomness are filled in here. */
void world_open(struct world *w, struct relay_server_config *config);

/* With other randomness than the others'. */
void world_open_seed(struct world *w, struct relay_server_config *config, uint64_t seed);

void world_close(struct world *w);

/* The n-th key pair. */
void world_key(struct world_client *c, uint8_t n);

/* Adds a client core with the n-th key. */
struct world_client *world_add(struct world *w, uint8_t n);

/* Adds a bare connection for a test that writes bytes itself. */
struct world_client *world_add_bare(struct world *w);

/* Takes all events of the server; false if there was none. */
bool world_server_events(struct world *w);

/* Up to `step` bytes from the server; returns how many, copied to out if that is not NULL. */
size_t world_read(struct world *w, struct world_client *c, uint8_t *out);

/* Until nothing moves any more at this instant. */
void world_settle(struct world *w);

/* Lets time pass, with every timer run when it is due. */
void world_run(struct world *w, uint64_t ns);

const struct relay_server_stats *world_stats(const struct world *w);

/* A payload that relays take for signalling. */
void world_send_signalling(struct world_client *c, const uint8_t to[32]);

/* Everything that a bare connection has been sent, as text that lasts until the next call. */
const char *world_read_all(struct world *w, struct world_client *c);

/* Logs a bare connection in with the n-th key, all in one flight. Returns what the server said
 * behind its own key; it lasts as long as that of world_read_all(). */
const uint8_t *world_fast_start(struct world *w, struct world_client *c, uint8_t n);

#endif
