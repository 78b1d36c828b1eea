#include "cli/cli.h"
#include "cli/inifile.h"
#include "cli/keyfile.h"

#include "app/paths.h"
#include "policy/config.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* `given`: the ini is not at its default place. */
static void print_next(const char *name, const char *ini, const char *key, bool given)
{
    const char *option = given ? " -c " : "";
    const char *file = given ? ini : "";
    (void)printf("public key of %s:\n\n    %s\n\n"
                 "Next, for each other machine:\n"
                 "  1. here:   adit invite%s%s\n"
                 "             (and --relay URL, as long as the ini has no [relay])\n"
                 "  2. there:  adit join 'THE LINE THAT PRINTS'\n"
                 "  3. here:   the line that prints\n"
                 "Or by hand: [peer %s] with the key above in the ini there, and its own in\n"
                 "%s.\n"
                 "What a peer may reach stands in its section, as `allow`. Then:\n\n"
                 "    adit check%s%s && adit run%s%s\n",
                 name, key, option, file, name, ini, option, file, option, file);
}

static int refuse_existing(const char *file)
{
    cli_error("%s exists already; --force writes the ini anew (an existing key is kept)", file);
    return EX_CANTCREAT;
}

static int write_all(const char *name, const char *ini, bool given)
{
    char folder[PATHS_MAX];
    char public_text[ADIT_KEY_TEXT_MAX];
    int code = inifile_create(ini, name, public_text);
    if (code == EX_OK) {
        (void)printf("wrote %s and %s/adit.key\n\n", ini, paths_folder(ini, folder));
        print_next(name, ini, public_text, given);
    }
    return code;
}

static int run(const struct cli_call *call)
{
    char folder[PATHS_MAX];
    char key[PATHS_MAX + 16];
    char host[CONFIG_NAME_MAX + 1];
    const char *ini = cli_config(call);
    const char *name = cli_value(call, "name");
    if (!ini) {
        return EX_CONFIG;
    }
    if (name && !inifile_is_name(name)) {
        return cli_usage_error(call->command,
                               "\"%.80s\" is no name: letters, digits and -, up to 63",
                               cli_shown(name));
    }
    (void)snprintf(key, sizeof(key), "%s/adit.key", paths_folder(ini, folder));
    if (!cli_value(call, "force") && (keyfile_exists(ini) || keyfile_exists(key))) {
        return refuse_existing(keyfile_exists(ini) ? ini : key);
    }
    return write_all(name ? name : inifile_default_name(host), ini,
                     cli_value(call, "config") != NULL);
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
