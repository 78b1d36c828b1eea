/* struct app, shared by app.c, status.c, ping.c, why.c and measure.c only. */
#ifndef APP_APP_INTERNAL_H
#define APP_APP_INTERNAL_H

#include "app/app.h"
#include "app/bench.h"
#include "app/client.h"
#include "app/exit.h"
#include "app/listener.h"

struct control_server;
struct app_ping;

struct app {
    struct context ctx;
    struct clients clients;
    struct exits exits;
    const struct auth *users; /* of the fronts, or NULL */
    struct listener **listeners;
    size_t listener_count;
    struct control_server *control;
    LIST_HEAD(, app_ping) pings;
    struct benches benches;
    uint8_t public_key[ADIT_KEY_LEN];
    uint64_t started_ns;
    bool node_stopped, sockets_gone;
    void (*stopped)(void *user);
    void *stopped_user;
};

/* --- ping.c --- */

void app_on_pong(struct app *app, const struct adit_event *ev);

/* --- status.c: words of /status --- */

const char *app_peer_state_text(enum adit_peer_state state);
const char *app_path_kind_text(enum adit_path_kind kind);
/* NULL: none. */
const char *app_aead_text(enum adit_aead aead);

#endif
