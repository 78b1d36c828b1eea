#include "cli/cli.h"

#include "app/control_client.h"
#include "app/load.h"
#include "app/paths.h"
#include "control/control.h"

#include <base/err.h>
#include <base/mem.h>

#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* --socket, else what the ini says, else (there is no ini) the default place. */
static int find_socket(const struct cli_call *call, char out[PATHS_MAX])
{
    struct paths paths;
    const char *given = cli_value(call, "socket");
    paths_find(&paths);
    if (!given && (cli_value(call, "config") || access(paths.config, F_OK) == 0)) {
        struct config *config = NULL;
        int code = load_config(cli_config(call), stderr, &config);
        if (code == EX_OK && config->node.control) {
            (void)snprintf(out, PATHS_MAX, "%s", config->node.control);
        }
        config_free(config);
        return code;
    }
    (void)snprintf(out, PATHS_MAX, "%s", given ? given : paths.control);
    return EX_OK;
}

static int print(const struct cli_call *call, const char *json, size_t len)
{
    if (cli_value(call, "json")) {
        (void)fwrite(json, 1, len, stdout);
        (void)fputc('\n', stdout);
        return EX_OK;
    }
    char *text = control_describe(json, len);
    if (!text) {
        cli_error("the node's answer cannot be read");
        return EX_PROTOCOL;
    }
    (void)fputs(text, stdout);
    mem_free(text);
    return EX_OK;
}

static int run(const struct cli_call *call)
{
    char socket[PATHS_MAX] = "";
    char *json = NULL;
    size_t len = 0;
    int code = find_socket(call, socket);
    if (code != EX_OK) {
        return code;
    }
    int err = control_client_get(socket, "/status", &json, &len);
    if (err == ERR_PROTOCOL) {
        cli_error("what answers at %s is not a node of Adit", socket);
        return EX_PROTOCOL;
    }
    if (err != 0) {
        cli_error("no node is running at %s (%s); `adit run` starts it", socket, uv_strerror(err));
        return err == UV_EACCES ? EX_NOPERM : EX_UNAVAILABLE;
    }
    code = print(call, json, len);
    mem_free(json);
    return code;
}

const struct cli_command cmd_status = {
    .name = "status",
    .arguments = "",
    .line = "show the running node: its peers, paths, round-trip times and bytes",
    .run = run,
    .options =
        {
            {'c', "config", "FILE", "the ini instead of ~/.config/adit/adit.ini"},
            {0, "socket", "PATH", "the control socket, whatever the ini says"},
            {0, "json", NULL, "everything, as JSON"},
        },
};
