#include "cli/cli.h"

#include "app/load.h"

#include <stdio.h>
#include <sysexits.h>

/* An ini with a [server] may be a relay's alone: then it is the relay's key that must be there. */
static int check_keys(const char *ini)
{
    struct loaded node;
    uint8_t secret[ADIT_KEY_LEN];
    int code = load_config(ini, stderr, &node.config);
    if (code != 0) {
        return code;
    }
    bool server = node.config->server.given;
    bool peers = node.config->peers_count > 0;
    if (server) {
        code = load_key_file(&node.config->server.key, ini, "[server] key", stderr, secret);
        adit_key_wipe(secret, sizeof(secret));
    }
    if (server && code == 0 && node.config->server.cluster_secret.path) {
        code = load_key_file(&node.config->server.cluster_secret, ini, "[server] cluster_secret",
                             stderr, secret);
        adit_key_wipe(secret, sizeof(secret));
    }
    config_free(node.config);
    if (code == 0 && (peers || !server)) {
        code = load_node(ini, stderr, &node);
        load_free(&node);
    }
    return code;
}

static int run(const struct cli_call *call)
{
    const char *ini = cli_config(call);
    if (!ini || check_keys(ini) != 0) {
        return EX_CONFIG;
    }
    (void)printf("%s: good\n", ini);
    return EX_OK;
}

const struct cli_command cmd_check = {
    .name = "check",
    .arguments = "",
    .line = "check the ini and the key files, without running anything",
    .more =
        "Every error is printed as FILE:LINE: what is wrong and what would be accepted. The exit\n"
        "code is 0 or 78 (EX_CONFIG).",
    .run = run,
    .options = {{'c', "config", "FILE", "the ini instead of ~/.config/adit/adit.ini"}},
};
