/* The exit: streams that peers opened, dialled from here as far as `allow` of that peer says so.
 *
 * A stream's target is text, "HOST:PORT" or "unix:/PATH" (proto/target.h); "udp" is a flow
 * (exit_flow.h), "bind HOST:PORT" waits for a connection from there (binder.h), if the peer has
 * `bind = yes`. "localhost:PORT" means this machine: so NAME.peer arrives. `allow` sees the
 * addresses it stands for, 127.0.0.1 and ::1. A name in .peer is a service of ours
 * (policy/serve.h), and its own line says who may. With an upstream (upstream.h) what is not on
 * this machine goes there.
 */
#ifndef APP_EXIT_H
#define APP_EXIT_H

#include "app/context.h"
#include "app/exit_flow.h"
#include "session/quota.h"

#include <adit/adit.h>

#include <sys/queue.h>

struct exit_conn;

/* What one peer has here. */
struct exit_share {
    struct quota streams; /* connections and flows, */
    struct quota flows;   /* and of these the flows of datagrams */
    struct quota binds;   /* connections that are still waited for */
};

/* A service beside those of the ini, as long as `adit serve` runs. */
struct exit_service {
    LIST_ENTRY(exit_service) entry;
    struct config_serve serve;
};

struct exits {
    struct context *ctx;
    LIST_HEAD(, exit_service) services;
    size_t count, dialling;
    LIST_HEAD(, exit_conn) list;
    struct exit_share *shares; /* one for each peer */
    struct exit_flows flows;
};

/* 0 or ERR_NO_MEMORY. */
int exits_init(struct exits *e, struct context *ctx);
/* ADIT_EVENT_OPENED. */
void exits_open(struct exits *e, const struct adit_event *ev);
/* NAME[:PORT] and TARGET [PEER...] as in [serve]. NULL, or what is wrong with it (static). */
const char *exits_serve(struct exits *e, const char *name, const char *value,
                        struct exit_service **out);
/* What is connected stays so. */
void exits_unserve(struct exit_service *s);
/* Breaks all of them off, and ends it. */
void exits_stop(struct exits *e);

#endif
