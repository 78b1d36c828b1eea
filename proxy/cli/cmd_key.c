#include "cli/cli.h"
#include "cli/keyfile.h"

#include "app/load.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static int show_of_config(const struct cli_call *call, char text[ADIT_KEY_TEXT_MAX])
{
    const char *ini = cli_config(call);
    struct config *config = NULL;
    int code = ini ? load_config(ini, stderr, &config) : EX_CONFIG;
    if (code == EX_OK) {
        code = keyfile_public(config->node.key.path, text);
    }
    config_free(config);
    return code;
}

static int run(const struct cli_call *call)
{
    char text[ADIT_KEY_TEXT_MAX];
    const char *verb = call->arguments[0];
    const char *file = call->count > 1 ? call->arguments[1] : NULL;
    int code;
    if (strcmp(verb, "new") == 0 && file) {
        code = keyfile_create(file, text);
    } else if (strcmp(verb, "show") == 0) {
        code = file ? keyfile_public(file, text) : show_of_config(call, text);
    } else {
        return cli_usage_error(call->command, "expected: new FILE, or show [FILE]");
    }
    if (code == EX_OK) {
        (void)printf("%s\n", text);
    }
    return code;
}

const struct cli_command cmd_key = {
    .name = "key",
    .arguments = "new FILE | show [FILE]",
    .line = "make a secret key, or show the public key of one",
    .more = "`new` writes a secret key only its owner can read and prints its public key. `show`\n"
            "prints the public key of the secret in FILE, or of the node of the ini.",
    .arguments_min = 1,
    .arguments_max = 2,
    .run = run,
    .options = {{'c', "config", "FILE", "the ini instead of ~/.config/adit/adit.ini"}},
};
