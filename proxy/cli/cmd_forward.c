#include "cli/cli.h"
#include "cli/node.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { LINE_MAX_LEN = 600 };

/* The node has another working folder; a bare port means 127.0.0.1. */
static bool spell_out(const char *listen, char *out, size_t cap)
{
    char folder[PATHS_MAX];
    int n;
    if (listen[0] != '\0' && strspn(listen, "0123456789") == strlen(listen)) {
        n = snprintf(out, cap, "127.0.0.1:%s", listen);
    } else if (strchr(listen, '/') && listen[0] != '/') {
        n = getcwd(folder, sizeof(folder)) ? snprintf(out, cap, "%s/%s", folder, listen) : -1;
    } else {
        n = snprintf(out, cap, "%s", listen);
    }
    return n > 0 && (size_t)n < cap && !strpbrk(out, " ?#");
}

/* Until the node hangs up. */
static void wait_for_end(int fd)
{
    char byte;
    ssize_t n;
    do {
        n = read(fd, &byte, 1);
    } while (n > 0 || (n < 0 && errno == EINTR));
    (void)close(fd);
}

static int run(const struct cli_call *call)
{
    char listen[256], line[LINE_MAX_LEN], text[160];
    const char *target = call->arguments[1];
    int code = EX_OK;
    if (!spell_out(call->arguments[0], listen, sizeof(listen)) || strlen(target) > 300 ||
        strpbrk(target, " ?#=")) {
        return cli_usage_error(call->command, "LISTEN is a PORT, IP:PORT or path; then PEER:PORT");
    }
    (void)snprintf(line, sizeof(line), "POST /forward/%s=%s", listen, target);
    int fd = node_hold(call, line, text, sizeof(text), &code);
    if (fd < 0) {
        return code;
    }
    (void)printf("%s leads to %s, as long as this command runs\n", text, target);
    (void)fflush(stdout);
    wait_for_end(fd);
    cli_error("the node has stopped");
    return EX_UNAVAILABLE;
}

const struct cli_command cmd_forward = {
    .name = "forward",
    .arguments = "LISTEN PEER:PORT",
    .line = "lead a port of this machine to one target, for programs that know no proxy",
    .more =
        "LISTEN is a port of 127.0.0.1, a loopback IP:PORT, or the path of a unix socket with a /\n"
        "in it; HOST:PORT instead of PEER:PORT goes where the routes say. It ends with this\n"
        "command; for good, there is [forward] in the ini.",
    .arguments_min = 2,
    .arguments_max = 2,
    .run = run,
    .options =
        {
            {'c', "config", "FILE", "the ini instead of ~/.config/adit/adit.ini"},
            {0, "socket", "PATH", "the control socket, whatever the ini says"},
        },
};
