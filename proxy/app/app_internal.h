/* struct app, shared by app.c and status.c only. */
#ifndef APP_APP_INTERNAL_H
#define APP_APP_INTERNAL_H

#include "app/app.h"
#include "app/client.h"
#include "app/exit.h"
#include "app/listener.h"

struct control_server;

struct app {
    struct context ctx;
    struct clients clients;
    struct exits exits;
    const struct auth *users; /* of the fronts, or NULL */
    struct listener **listeners;
    size_t listener_count;
    struct control_server *control;
    uint8_t public_key[ADIT_KEY_LEN];
    uint64_t started_ns;
    bool node_stopped, sockets_gone;
    void (*stopped)(void *user);
    void *stopped_user;
};

#endif
