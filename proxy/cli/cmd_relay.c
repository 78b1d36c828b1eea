#include "cli/cli.h"

#include "app/daemon.h"

#include <sysexits.h>

static int run(const struct cli_call *call)
{
    const char *ini = cli_config(call);
    return ini ? daemon_run_relay(ini) : EX_CONFIG;
}

const struct cli_command cmd_relay = {
    .name = "relay",
    .arguments = "",
    .line = "run a relay server until SIGINT or SIGTERM",
    .more =
        "It needs a [server] section in the ini, and admits only the keys listed there unless\n"
        "it says `open = yes`. SIGHUP makes it read the ini again without dropping anybody who\n"
        "is still listed; SIGTERM lets nodes go elsewhere first (`drain`), a second one does not.",
    .run = run,
    .options = {{'c', "config", "FILE", "the ini instead of ~/.config/adit/adit.ini"}},
};
