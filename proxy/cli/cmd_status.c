#include "cli/cli.h"

#include "app/control_client.h"
#include "app/paths.h"
#include "cli/node.h"
#include "control/control.h"

#include <base/mem.h>

#include <stdio.h>
#include <sysexits.h>

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
    int code = node_find_socket(call, socket);
    if (code != EX_OK) {
        return code;
    }
    int err = control_client_get(socket, "/status", &json, &len);
    if (err != 0) {
        return node_complain(socket, err);
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
