#include "cli/cli.h"
#include "cli/datagrams.h"
#include "cli/node.h"
#include "cli/stdio.h"
#include "policy/host.h"
#include "proto/target.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum { LINE_MAX_LEN = 16 + TARGET_TEXT_MAX };

/* Datagrams: by a port of loopback that the node forwards as long as we hold on to it. */
static int run_udp(const struct cli_call *call, const char *target)
{
    char line[LINE_MAX_LEN + 32], text[64];
    const char *seconds = cli_value(call, "wait");
    struct addr at;
    int code = EX_OK;
    int wait_s = seconds ? host_parse_port(seconds, strlen(seconds)) : DATAGRAMS_WAIT_S;
    if (wait_s < 0) {
        return cli_usage_error(call->command, "%.20s is no number of seconds", seconds);
    }
    (void)snprintf(line, sizeof(line), "POST /forward-udp/127.0.0.1:0=%s", target);
    int fd = node_hold(call, line, text, sizeof(text), &code);
    if (fd >= 0 && addr_parse(&at, text) != 0) {
        cli_error("the node does not say where: %s", text);
        return EX_PROTOCOL;
    }
    return fd < 0 ? code : datagrams_join(fd, at.port, (unsigned)wait_s);
}

static int run(const struct cli_call *call)
{
    char line[LINE_MAX_LEN], target[TARGET_TEXT_MAX], text[64];
    struct target t;
    int code = EX_OK;
    if (!node_join_target(&t, call->arguments[0], call->arguments[1])) {
        return cli_usage_error(call->command, "%.255s %.20s is no HOST PORT",
                               cli_shown(call->arguments[0]), call->arguments[1]);
    }
    if (cli_value(call, "udp")) {
        return run_udp(call, target_format(&t, target));
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
        "HOST cannot be reached, 77 if that is not allowed, 74 if the connection broke.\n\n"
        "With -u each read of standard input is one datagram, and each datagram that comes back\n"
        "is one write. Nobody says whether any arrives.",
    .arguments_min = 2,
    .arguments_max = 2,
    .run = run,
    .options =
        {
            {'c', "config", "FILE", "the ini instead of ~/.config/adit/adit.ini"},
            {0, "socket", "PATH", "the control socket, whatever the ini says"},
            {'u', "udp", NULL, "datagrams instead of a connection"},
            {'w', "wait", "SECONDS", "-u: after the end of input, go on so long in silence (5)"},
        },
};
