/* One node at work: the tunnel's node, the front's listeners, the exit. An object on a loop of the
 * caller's; `adit demo` has two of them in one process.
 */
#ifndef APP_APP_H
#define APP_APP_H

#include "app/context.h"
#include "control/control.h"
#include "policy/config.h"

#include <adit/key.h>
#include <base/addr.h>
#include <base/log.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct app;
struct listener;
struct exit_service;

struct app_secrets {
    uint8_t node[ADIT_KEY_LEN];
    /* One for each peer of the configuration, zeros = none; NULL: none has one. */
    const uint8_t (*psks)[ADIT_KEY_LEN];
    /* One for each [front] of the configuration, empty = it asks for no password; NULL: none does.
     * They outlive the node. */
    const struct auth *users;
};

/* `config` and `log` live as long as the node; the secrets are copied. 0, or a negative error
 * after a log line that says what. */
int app_start(uv_loop_t *loop, const struct config *config, const struct app_secrets *secrets,
              const struct log *log, struct app **out);
/* Closes the listeners, resets what is connected, tells the peers, frees, calls back. */
void app_stop(struct app *app, void (*stopped)(void *user), void *user);

/* Address of the i-th listener of the front, with the port it got; false past the last. */
bool app_front_address(const struct app *app, size_t i, struct addr *out);
/* Which part of a wish cannot be had, and what is wrong with it (static). */
struct app_fault {
    const char *about, *why;
};
/* Forwards a port (config_parse_listen, config_parse_forward) until listener_stop, which must come
 * before app_stop. 0; ERR_MALFORMED: a wish that nobody could grant; or the system's error. */
int app_forward(struct app *app, const char *listen, const char *target, struct listener **out,
                struct app_fault *fault);
/* Serves a name to peers (exits_serve) until exits_unserve, which must come before app_stop. NULL,
 * or what is wrong (static). */
const char *app_serve(struct app *app, const char *name, const char *value,
                      struct exit_service **out);
/* The UDP socket's address. */
struct addr app_local(const struct app *app);
bool app_peer_stats(const struct app *app, size_t peer, struct adit_peer_stats *out);

/* One round trip to a peer's node (adit_ping). `done` is called once, from the loop, when the
 * answer is there; none may come. NULL: no such peer, or no memory. */
struct app_ping;
struct app_ping *app_ping_start(struct app *app, const char *peer,
                                void (*done)(void *user, const struct adit_pong *pong), void *user);
/* `done` will not come. */
void app_ping_cancel(struct app_ping *ping);

/* Measures how fast data gets to a peer or back, and round trips meanwhile. `what` is
 * "PEER/up|down/SECONDS/any|direct|relay". `done` is called once, from the loop: with JSON of
 * control/why.h, to be freed with control_free, or NULL and what went wrong (static). NULL with
 * *why set (static) if it cannot begin. */
struct app_bench;
struct app_bench *app_bench_start(struct app *app, const char *what,
                                  void (*done)(void *user, char *json, const char *why), void *user,
                                  const char **why);
/* `done` will not come. */
void app_bench_cancel(struct app_bench *bench);

/* JSON of control/why.h; to be freed with control_free. NULL: out of memory, or no such peer. */
char *app_ping_json(const char *peer, const struct adit_pong *pong);
char *app_why(const struct app *app, const char *peer);
char *app_route(const struct app *app, const struct target *target);

/* /status as JSON; to be freed with control_free. NULL: out of memory. */
char *app_status(const struct app *app);

#endif
