#include "cli/cli.h"
#include "cli/node.h"

#include <stdio.h>
#include <string.h>

enum { LINE_MAX_LEN = 600 };

static int run(const struct cli_call *call)
{
    char listen[256], line[LINE_MAX_LEN];
    const char *target = call->arguments[1];
    if (!node_spell_out(call->arguments[0], listen, sizeof(listen)) || strlen(target) > 300 ||
        strpbrk(target, " ?#=")) {
        return cli_usage_error(call->command, "LISTEN is a PORT, IP:PORT or path; then PEER:PORT");
    }
    const char *kind = cli_value(call, "udp") ? "forward-udp" : "forward";
    (void)snprintf(line, sizeof(line), "POST /%s/%s=%s", kind, listen, target);
    return node_lead(call, line, target);
}

const struct cli_command cmd_forward = {
    .name = "forward",
    .arguments = "LISTEN PEER:PORT",
    .line = "lead a port of this machine to one target, for programs that know no proxy",
    .more =
        "LISTEN is a port of 127.0.0.1, a loopback IP:PORT, or the path of a unix socket with a /\n"
        "in it; HOST:PORT instead of PEER:PORT goes where the routes say. It ends with this\n"
        "command; for good, there is [forward] in the ini. PEER:/PATH is a unix socket of the "
        "peer\n"
        "that its `allow` lists.",
    .arguments_min = 2,
    .arguments_max = 2,
    .run = run,
    .options =
        {
            {'c', "config", "FILE", "the ini instead of ~/.config/adit/adit.ini"},
            {0, "socket", "PATH", "the control socket, whatever the ini says"},
            {'u', "udp", NULL, "lead datagrams there; LISTEN is a port or IP:PORT"},
        },
};
