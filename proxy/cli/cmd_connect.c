#include "cli/cli.h"
#include "cli/node.h"
#include "cli/stdio.h"
#include "proto/target.h"

#include <stdio.h>
#include <sysexits.h>

enum { LINE_MAX_LEN = 16 + TARGET_TEXT_MAX };

static int run(const struct cli_call *call)
{
    char line[LINE_MAX_LEN], target[TARGET_TEXT_MAX], text[64];
    struct target t;
    int code = EX_OK;
    if (!node_join_target(&t, call->arguments[0], call->arguments[1])) {
        return cli_usage_error(call->command, "%.255s %.20s is no HOST PORT", call->arguments[0],
                               call->arguments[1]);
    }
    (void)snprintf(line, sizeof(line), "CONNECT %s", target_format(&t, target));
    int fd = node_hold(call, line, text, sizeof(text), &code);
    return fd < 0 ? code : stdio_join(fd);
}

const struct cli_command cmd_connect = {
    .name = "connect",
    .arguments = "HOST PORT",
    .line = "join standard input and output with HOST PORT, through the running node",
    .more =
        "For ssh, in ~/.ssh/config:\n\n"
        "    Host *.peer\n"
        "        ProxyCommand adit connect %h %p\n\n"
        "HOST goes where the node's routes say. The exit code is 0 after an orderly end, 69 if\n"
        "HOST cannot be reached, 77 if that is not allowed, 74 if the connection broke.",
    .arguments_min = 2,
    .arguments_max = 2,
    .run = run,
    .options =
        {
            {'c', "config", "FILE", "the ini instead of ~/.config/adit/adit.ini"},
            {0, "socket", "PATH", "the control socket, whatever the ini says"},
        },
};
