#include "cli/cli.h"

#include "app/load.h"

#include <stdio.h>
#include <sysexits.h>

/* The first TCP listener; a program on this machine reaches one for all addresses by loopback. */
static bool find_front(const struct config_front *front, struct addr *out)
{
    for (size_t i = 0; i < front->listen.count; i++) {
        *out = front->listen.items[i].addr;
        if (out->family == ADDR_NONE) {
            continue;
        }
        if (addr_is_unspecified(out)) {
            uint16_t port = out->port;
            *out = out->family == ADDR_IPV4
                       ? addr_ipv4(127, 0, 0, 1, port)
                       : (struct addr){.family = ADDR_IPV6, .port = port, .ip = {[15] = 1}};
        }
        return out->port != 0;
    }
    return false;
}

static void print(const struct config_front *from, const struct addr *front)
{
    static const char *const names[] = {"ALL_PROXY", "all_proxy"};
    static const char *const nots[] = {"NO_PROXY", "no_proxy"};
    char text[ADDR_TEXT_MAX];
    (void)addr_format(front, text);
    if (from->users.path) {
        (void)printf("# with a name and password of %s: socks5h://NAME:PASSWORD@%s\n",
                     from->users.path, text);
    }
    for (size_t i = 0; i < 2; i++) {
        (void)printf("export %s=socks5h://%s\n", names[i], text);
    }
    for (size_t i = 0; i < 2; i++) {
        (void)printf("export %s=localhost,127.0.0.1,::1\n", nots[i]);
    }
}

static int run(const struct cli_call *call)
{
    struct config *config = NULL;
    struct addr front;
    const char *ini = cli_config(call);
    int code = ini ? load_config(ini, stderr, &config) : EX_CONFIG;
    if (code == EX_OK && !find_front(config->fronts, &front)) {
        cli_error("%s: [front] listens at no fixed IP:PORT", ini);
        code = EX_CONFIG;
    }
    if (code == EX_OK) {
        print(config->fronts, &front);
    }
    config_free(config);
    return code;
}

const struct cli_command cmd_env = {
    .name = "env",
    .arguments = "",
    .line = "print the environment that sends programs through the front",
    .more =
        "eval \"$(adit env)\" in a shell: then curl, git and many others that are started there\n"
        "go through the node, which also resolves their names. What no route names is refused,\n"
        "unless the ini says [route] default = direct.",
    .run = run,
    .options = {{'c', "config", "FILE", "the ini instead of ~/.config/adit/adit.ini"}},
};
