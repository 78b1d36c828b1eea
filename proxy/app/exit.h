/* The exit: streams that peers opened, dialled from here as far as `allow` of that peer says so.
 *
 * A stream's target is text, "HOST:PORT" (proto/target.h); "udp" is a flow (exit_flow.h), "bind
 * HOST:PORT" waits for a connection from there (binder.h), if the peer has `bind = yes`.
 * "localhost:PORT" means this machine: so NAME.peer arrives. `allow` sees the addresses it stands
 * for, 127.0.0.1 and ::1.
 */
#ifndef APP_EXIT_H
#define APP_EXIT_H

#include "app/context.h"
#include "app/exit_flow.h"

#include <adit/adit.h>

#include <sys/queue.h>

struct exit_conn;

struct exits {
    struct context *ctx;
    size_t count, dialling;
    LIST_HEAD(, exit_conn) list;
    struct exit_flows flows;
};

void exits_init(struct exits *e, struct context *ctx);
/* ADIT_EVENT_OPENED. */
void exits_open(struct exits *e, const struct adit_event *ev);
/* Breaks all of them off. */
void exits_stop(struct exits *e);

#endif
