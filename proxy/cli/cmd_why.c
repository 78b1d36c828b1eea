/* `adit why PEER`: why this path; `adit why HOST PORT`: where a connection would go. */
#include "app/control_client.h"
#include "app/load.h"
#include "cli/cli.h"
#include "cli/node.h"
#include "control/why.h"
#include "policy/explain.h"

#include <base/mem.h>

#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static int print(const struct cli_call *call, const char *json, size_t len,
                 char *(*describe)(const char *json, size_t len))
{
    char *text = cli_value(call, "json") ? NULL : describe(json, len);
    if (cli_value(call, "json")) {
        (void)fwrite(json, 1, len, stdout);
        (void)fputc('\n', stdout);
        return EX_OK;
    }
    if (!text) {
        cli_error("the node's answer cannot be read");
        return EX_PROTOCOL;
    }
    (void)fputs(text, stdout);
    mem_free(text);
    return EX_OK;
}

static int why_peer(const struct cli_call *call)
{
    char socket[PATHS_MAX] = "";
    char path[CONFIG_NAME_MAX + 16];
    char *json = NULL;
    size_t len = 0;
    char peer[CONFIG_NAME_MAX + 1];
    int code = node_take_name(call->command, call->arguments[0], peer);
    if (code == EX_OK) {
        code = node_find_socket(call, socket);
    }
    if (code != EX_OK) {
        return code;
    }
    (void)snprintf(path, sizeof(path), "/why/%s", peer);
    code = node_ask(socket, path, &json, &len);
    if (code == EX_OK) {
        code = print(call, json, len, control_describe_why);
        mem_free(json);
    }
    return code;
}

/* --- a target --- */

/* No node runs: what the ini says. */
static int from_ini(const struct cli_call *call, const struct target *t)
{
    struct config *config = NULL;
    struct explanation e;
    const char *ini = cli_config(call);
    int code = ini ? load_config(ini, stderr, &config) : EX_CONFIG;
    if (code != EX_OK) {
        return code;
    }
    explain_route(config, t, &e);
    const struct control_route route = {.target = e.target,
                                        .goes = e.goes,
                                        .peer = e.peer,
                                        .rule = e.rule[0] != '\0' ? e.rule : NULL,
                                        .text = e.text,
                                        .exit_target = e.peer ? e.exit_target : NULL};
    char *json = control_route_json(&route);
    code = json ? print(call, json, strlen(json), control_describe_route) : EX_OSERR;
    control_free(json);
    config_free(config);
    return code;
}

/* What really happens; the node says what went wrong. */
static int try_it(const struct cli_call *call, const char *target)
{
    char line[TARGET_TEXT_MAX + 16], text[64];
    int code = EX_OK;
    (void)snprintf(line, sizeof(line), "CONNECT %s", target);
    (void)fflush(stdout);
    int fd = node_hold(call, line, text, sizeof(text), &code);
    if (fd < 0) {
        return code;
    }
    (void)close(fd);
    (void)fputs("tried: it connects\n", cli_value(call, "json") ? stderr : stdout);
    return EX_OK;
}

static int why_target(const struct cli_call *call)
{
    char socket[PATHS_MAX] = "";
    char target[TARGET_TEXT_MAX], path[TARGET_TEXT_MAX + 16];
    char *json = NULL;
    size_t len = 0;
    unsigned status = 0;
    struct target t;
    if (!node_join_target(&t, call->arguments[0], call->arguments[1])) {
        return cli_usage_error(call->command, "%.255s %.20s is no HOST PORT",
                               cli_shown(call->arguments[0]), call->arguments[1]);
    }
    (void)snprintf(path, sizeof(path), "/route/%s", target_format(&t, target));
    int code = node_find_socket(call, socket);
    if (code != EX_OK) {
        return code;
    }
    bool answered = control_client_ask(socket, path, &status, &json, &len) == 0 && status == 200;
    code = answered ? print(call, json, len, control_describe_route) : from_ini(call, &t);
    mem_free(json);
    return code == EX_OK && cli_value(call, "try") ? try_it(call, target) : code;
}

static int run(const struct cli_call *call)
{
    return call->count == 1 ? why_peer(call) : why_target(call);
}

const struct cli_command cmd_why = {
    .name = "why",
    .arguments = "PEER | HOST PORT",
    .line = "say why a peer is reached the way it is, or where HOST PORT would go",
    .more =
        "PEER: the paths there are, every address of the peer that is known, what came of it, and\n"
        "the first reason that would have to go for a better path.\n"
        "HOST PORT: the line of [route] that decides, the peer it leads to, and how that is\n"
        "reached; from the ini alone if no node runs. --try connects there to see; then the exit\n"
        "code is that of `adit connect`.",
    .arguments_min = 1,
    .arguments_max = 2,
    .run = run,
    .options =
        {
            {'c', "config", "FILE", "the ini instead of ~/.config/adit/adit.ini"},
            {0, "socket", "PATH", "the control socket, whatever the ini says"},
            {0, "try", NULL, "connect to HOST PORT"},
            {0, "json", NULL, "everything, as JSON"},
        },
};
