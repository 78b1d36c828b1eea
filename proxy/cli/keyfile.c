#include "cli/keyfile.h"

#include "app/load.h"
#include "app/paths.h"
#include "cli/cli.h"

#include <adit/file.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

bool keyfile_exists(const char *file)
{
    struct stat st;
    return lstat(file, &st) == 0;
}

int keyfile_write(const char *file, const char *text, unsigned mode)
{
    char folder[PATHS_MAX];
    int err = file_make_dirs(paths_folder(file, folder), 0700);
    if (err == 0) {
        err = file_write_atomic(file, text, strlen(text), mode);
    }
    if (err != 0) {
        cli_error("%s: %s", file, uv_strerror(err));
        return EX_CANTCREAT;
    }
    return EX_OK;
}

static int describe(const uint8_t secret[ADIT_KEY_LEN], char public_text[ADIT_KEY_TEXT_MAX])
{
    uint8_t public_key[ADIT_KEY_LEN];
    if (adit_key_public(public_key, secret) != 0) {
        return EX_DATAERR;
    }
    (void)adit_key_format(public_key, public_text);
    return EX_OK;
}

int keyfile_create(const char *file, char public_text[ADIT_KEY_TEXT_MAX])
{
    if (keyfile_exists(file)) {
        cli_error("%s exists already and is not overwritten", file);
        return EX_CANTCREAT;
    }
    uint8_t secret[ADIT_KEY_LEN];
    char key[ADIT_KEY_TEXT_MAX];
    char text[ADIT_KEY_TEXT_MAX + 1];
    adit_key_generate(secret);
    (void)snprintf(text, sizeof(text), "%s\n", adit_key_format(secret, key));
    int code = keyfile_write(file, text, 0600);
    if (code == EX_OK) {
        code = describe(secret, public_text);
    }
    adit_key_wipe(secret, sizeof(secret));
    adit_key_wipe(key, sizeof(key));
    adit_key_wipe(text, sizeof(text));
    return code;
}

int keyfile_public(const char *file, char public_text[ADIT_KEY_TEXT_MAX])
{
    uint8_t secret[ADIT_KEY_LEN];
    int code = load_secret(file, "adit: ", stderr, secret);
    if (code == EX_OK) {
        code = describe(secret, public_text);
    }
    adit_key_wipe(secret, sizeof(secret));
    return code;
}
