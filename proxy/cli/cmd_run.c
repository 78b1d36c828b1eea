#include "cli/cli.h"

#include "app/daemon.h"

#include <sysexits.h>

static int run(const struct cli_call *call)
{
    const char *ini = cli_config(call);
    return ini ? daemon_run_node(ini) : EX_CONFIG;
}

const struct cli_command cmd_run = {
    .name = "run",
    .arguments = "",
    .line = "run this node until SIGINT or SIGTERM",
    .run = run,
    .options = {{'c', "config", "FILE", "the ini instead of ~/.config/adit/adit.ini"}},
};
