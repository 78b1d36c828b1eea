/* The running node, as commands find it: its control socket. */
#ifndef CLI_NODE_H
#define CLI_NODE_H

#include "app/paths.h"
#include "cli/cli.h"
#include "policy/config.h"
#include "proto/target.h"

/* --socket, else what the ini says, else (there is no ini) the default place. An exit code, after a
 * message. */
int node_find_socket(const struct cli_call *call, char out[PATHS_MAX]);
/* Says why nobody answered there (an error of app/control_client.h); returns the exit code. */
int node_complain(const char *socket, int err);
/* GET `path`; the body is to be freed with mem_free. EX_OK; EX_TEMPFAIL if what was waited for did
 * not come in time (no message yet); or another exit code, after a message. */
int node_ask(const char *socket, const char *path, char **body, size_t *len);
/* NAME or NAME.peer, as it may stand in a path; else a usage error, after a message. */
int node_take_name(const struct cli_command *command, const char *text,
                   char out[CONFIG_NAME_MAX + 1]);
/* HOST and PORT as one target; false if it is none. */
bool node_join_target(struct target *t, const char *host, const char *port);
/* Asks and keeps the connection (control_client_hold); `line` is "METHOD PATH". A descriptor, or -1
 * with *code set after a message. `text`: what the node answered. */
int node_hold(const struct cli_call *call, const char *line, char *text, size_t cap, int *code);

/* A port or path as the node understands it, which has another working folder; a bare port means
 * 127.0.0.1. False: too long, or not to be put into a request. */
bool node_spell_out(const char *place, char *out, size_t cap);
/* node_hold for something of the node's that leads to `target`: says so, and stays until the node
 * hangs up. The exit code. */
int node_lead(const struct cli_call *call, const char *line, const char *target);

#endif
