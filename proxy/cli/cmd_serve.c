#include "cli/cli.h"
#include "cli/node.h"

#include <stdio.h>
#include <string.h>

enum { LINE_MAX_LEN = 500 };

static int run(const struct cli_call *call)
{
    char target[256], line[LINE_MAX_LEN];
    const char *name = call->arguments[0];
    const char *peers = call->count > 2 ? call->arguments[2] : "";
    bool good = node_spell_out(call->arguments[1], target, sizeof(target)) &&
                !strpbrk(name, " ?#=") && !strpbrk(peers, " ?#=");
    int n = snprintf(line, sizeof(line), "POST /serve/%s=%s%s%s", name, target, peers[0] ? "," : "",
                     peers);
    if (!good || n < 0 || (size_t)n >= sizeof(line)) {
        return cli_usage_error(call->command, "SERVICE[:PORT], then a PORT, HOST:PORT or path");
    }
    return node_lead(call, line, target);
}

const struct cli_command cmd_serve = {
    .name = "serve",
    .arguments = "SERVICE TARGET [PEERS]",
    .line = "give a port of this machine a name that peers see",
    .more = "With SERVICE wiki on the node home, peers reach TARGET as http://wiki.home.peer/;\n"
            "SERVICE:PORT is for other ports than 80. TARGET is a port of 127.0.0.1, HOST:PORT,\n"
            "or the path of a unix socket with a / in it. PEERS, parted by commas, are those who\n"
            "may; without them every peer may. It ends with this command; for good, there is\n"
            "[serve] in the ini.",
    .arguments_min = 2,
    .arguments_max = 3,
    .run = run,
    .options =
        {
            {'c', "config", "FILE", "the ini instead of ~/.config/adit/adit.ini"},
            {0, "socket", "PATH", "the control socket, whatever the ini says"},
        },
};
