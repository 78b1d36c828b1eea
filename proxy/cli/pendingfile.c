#include "cli/pendingfile.h"

#include "app/paths.h"
#include "cli/cli.h"
#include "cli/keyfile.h"

#include <adit/file.h>
#include <adit/key.h>
#include <base/mem.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

static int find_path(const struct config *config, char out[PATHS_MAX])
{
    if (!config->node.state) {
        cli_error("neither [node] state nor $HOME says where invitations are kept");
        return EX_CONFIG;
    }
    int len = snprintf(out, PATHS_MAX, "%s/invitations", config->node.state);
    if (len < 0 || len >= PATHS_MAX) {
        cli_error("the path of [node] state is too long");
        return EX_CONFIG;
    }
    return EX_OK;
}

/* The same care as with secret keys: who can read a token can answer in another's place. */
static int parse(const char *path, const char *text, size_t len, struct pending *p)
{
    if (file_mode_private(path) != 1) {
        cli_error("%s: others may read these secrets; accepted: mode 0600 (chmod 600 %s)", path,
                  path);
        return EX_NOPERM;
    }
    if (pending_parse(p, text, len, (uint64_t)time(NULL)) != 0) {
        cli_error("%s: not a list of invitations; `adit invite --cancel` makes it anew", path);
        return EX_DATAERR;
    }
    return EX_OK;
}

int pendingfile_read(const struct config *config, struct pending *p)
{
    char path[PATHS_MAX];
    char *text = NULL;
    size_t len = 0;
    *p = (struct pending){.count = 0};
    int code = find_path(config, path);
    if (code != EX_OK) {
        return code;
    }
    int err = file_read_all(path, PENDING_TEXT_MAX, &text, &len);
    if (err == -ENOENT) {
        return EX_OK;
    }
    if (err != 0) {
        cli_error("%s: %s", path, strerror(-err));
        return EX_NOINPUT;
    }
    code = parse(path, text, len, p);
    adit_key_wipe(text, len);
    mem_free(text);
    return code;
}

int pendingfile_write(const struct config *config, const struct pending *p)
{
    char path[PATHS_MAX];
    char text[PENDING_TEXT_MAX];
    int code = find_path(config, path);
    if (code == EX_OK) {
        code = keyfile_write(path, pending_format(p, text), 0600);
    }
    adit_key_wipe(text, sizeof(text));
    return code;
}
