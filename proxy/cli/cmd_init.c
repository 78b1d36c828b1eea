#include "cli/cli.h"
#include "cli/keyfile.h"

#include "app/paths.h"
#include "policy/config.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum { INI_MAX = 8192 };

/* NAME and PUBLIC KEY go into the two %s. */
static const char template[] =
    "# Adit's configuration. `adit check` says whether it is good, conf/example.ini has every "
    "key.\n"
    "\n"
    "[node]\n"
    "name = %s\n"
    "key = adit.key\n"
    "# This node's public key, for the [peer] section of the others:\n"
    "#   %s\n"
    "# A fixed UDP port, to be named in `endpoint` by others:\n"
    "# listen = [::]:41741\n"
    "\n"
    "# Where applications connect to (SOCKS5). `none` for a machine that is only reached.\n"
    "[front]\n"
    "listen = 127.0.0.1:1080\n"
    "\n"
    "# A relay helps where no direct path is found. The same one for all your machines.\n"
    "# [relay main]\n"
    "# url = http://relay.example.net:3340\n"
    "\n"
    "# One section for each other machine. http://home.peer:8080/ then is port 8080 of it.\n"
    "# [peer home]\n"
    "# key = (the public key that `adit init` printed there)\n"
    "# endpoint = home.example.net:41741\n"
    "# What home may reach through this machine; nothing unless it is listed:\n"
    "# allow = 127.0.0.1:8080, localhost:22\n"
    "\n"
    "# Other destinations by domain, prefix or `default`: peer NAME, direct or refuse.\n"
    "# [route]\n"
    "# corp.example = peer home\n"
    "# 10.0.0.0/8 = peer home\n"
    "# default = refuse\n";

static bool is_name(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
    size_t len = strlen(name);
    return len > 0 && len <= CONFIG_NAME_MAX && strspn(name, allowed) == len && name[0] != '-' &&
           name[len - 1] != '-';
}

/* An existing key is kept even with --force: it is what the others know this node by. */
static int make_key(const char *file, char public_text[ADIT_KEY_TEXT_MAX])
{
    return keyfile_exists(file) ? keyfile_public(file, public_text)
                                : keyfile_create(file, public_text);
}

/* `given`: the ini is not at its default place. */
static void print_next(const char *name, const char *ini, const char *key, bool given)
{
    const char *option = given ? " -c " : "";
    const char *file = given ? ini : "";
    (void)printf("public key of %s:\n\n    %s\n\n"
                 "Next:\n"
                 "  1. on each other machine, add to its adit.ini:\n\n"
                 "         [peer %s]\n         key = %s\n\n"
                 "  2. add a [peer] section for each of them, and a [relay], to\n     %s\n"
                 "  3. adit check%s%s && adit run%s%s\n",
                 name, key, name, key, ini, option, file, option, file);
}

static int refuse_existing(const char *file)
{
    cli_error("%s exists already; --force writes the ini anew (an existing key is kept)", file);
    return EX_CANTCREAT;
}

static int write_all(const char *name, const char *ini, bool given)
{
    char folder[PATHS_MAX];
    char key[PATHS_MAX + 16];
    char text[INI_MAX];
    char public_text[ADIT_KEY_TEXT_MAX];
    (void)snprintf(key, sizeof(key), "%s/adit.key", paths_folder(ini, folder));
    int code = make_key(key, public_text);
    if (code != EX_OK) {
        return code;
    }
    (void)snprintf(text, sizeof(text), template, name, public_text);
    code = keyfile_write(ini, text, 0600);
    if (code == EX_OK) {
        (void)printf("wrote %s and %s\n\n", ini, key);
        print_next(name, ini, public_text, given);
    }
    return code;
}

static int run(const struct cli_call *call)
{
    struct paths paths;
    char folder[PATHS_MAX];
    char key[PATHS_MAX + 16];
    paths_find(&paths);
    const char *ini = cli_config(call);
    const char *name = cli_value(call, "name");
    if (!ini) {
        return EX_CONFIG;
    }
    if (name && !is_name(name)) {
        return cli_usage_error(call->command,
                               "\"%.80s\" is no name: letters, digits and -, up to 63", name);
    }
    name = name ? name : is_name(paths.host) ? paths.host : "node";
    (void)snprintf(key, sizeof(key), "%s/adit.key", paths_folder(ini, folder));
    if (!cli_value(call, "force") && (keyfile_exists(ini) || keyfile_exists(key))) {
        return refuse_existing(keyfile_exists(ini) ? ini : key);
    }
    return write_all(name, ini, cli_value(call, "config") != NULL);
}

const struct cli_command cmd_init = {
    .name = "init",
    .arguments = "",
    .line = "make a key and a commented adit.ini for this machine",
    .run = run,
    .options =
        {
            {'n', "name", "NAME", "what other machines call this one (the host's name)"},
            {'c', "config", "FILE",
             "the ini instead of ~/.config/adit/adit.ini; the key is beside it"},
            {'f', "force", NULL, "write the ini anew if it exists; an existing key is kept"},
        },
};
