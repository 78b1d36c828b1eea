#include "app/load.h"

#include "app/paths.h"

#include <adit/file.h>
#include <base/err.h>
#include <base/mem.h>

#include <sodium.h>
#include <string.h>
#include <sysexits.h>

enum {
    KEY_FILE_MAX = 4096,
    USERS_FILE_MAX = AUTH_USERS_MAX * 2 * (AUTH_PART_MAX + 1),
    ERROR_TEXT = 1024,
};

static int complain_about_file(FILE *errors, const char *why, const char *file, int err)
{
    (void)fprintf(errors, "%s%s: %s\n", why, file, uv_strerror(err));
    return err == UV_EACCES || err == UV_EPERM ? EX_NOPERM : EX_NOINPUT;
}

int load_config_text(const char *file, const char *text, size_t len, FILE *errors,
                     struct config **out)
{
    struct paths paths;
    paths_find(&paths);
    const struct config_env env = {
        .name = paths.host,
        .state = paths.state[0] ? paths.state : NULL,
        .control = paths.control[0] ? paths.control : NULL,
        .home = paths.home[0] ? paths.home : NULL,
    };
    struct config_errors *found = mem_new(1, sizeof(*found));
    if (!found) {
        return EX_OSERR;
    }
    int err = config_parse(out, file, text, len, &env, found);
    char line[ERROR_TEXT];
    for (size_t i = 0; err != 0 && i < found->count; i++) {
        (void)fprintf(errors, "%s\n", config_error_format(found, i, line, sizeof(line)));
    }
    if (err != 0 && found->dropped > 0) {
        (void)fprintf(errors, "%s: and %zu more\n", file, found->dropped);
    }
    if (err != 0 && found->count == 0) {
        (void)fprintf(errors, "adit: %s: out of memory\n", file);
    }
    mem_free(found);
    return err == 0 ? 0 : EX_CONFIG;
}

/* A group may read it: an ini often is root's, and a service's group has it. */
static int check_password(const char *file, const struct config *config, FILE *errors)
{
    char place[CONFIG_PASSWORD_PLACE];
    const char *at = config_find_password(config, place);
    if (!at || file_mode_closed(file) == 1) {
        return 0;
    }
    (void)fprintf(errors, "adit: %s: everybody may read the password in %s: chmod 600 %s\n", file,
                  at, file);
    return EX_NOPERM;
}

int load_config(const char *file, FILE *errors, struct config **out)
{
    char *text = NULL;
    size_t len = 0;
    *out = NULL;
    int err = file_read_all(file, CONFIG_TEXT_MAX, &text, &len);
    if (err != 0) {
        return complain_about_file(errors, "adit: ", file, err);
    }
    int code = load_config_text(file, text, len, errors, out);
    adit_key_wipe(text, len); /* it may have passwords */
    mem_free(text);
    code = code == 0 ? check_password(file, *out, errors) : code;
    if (code != 0) {
        config_free(*out);
        *out = NULL;
    }
    return code;
}

int load_secret(const char *file, const char *why, FILE *errors, uint8_t out[ADIT_KEY_LEN])
{
    char *text = NULL;
    size_t len = 0;
    int err = file_read_all(file, KEY_FILE_MAX, &text, &len);
    if (err != 0) {
        return complain_about_file(errors, why, file, err);
    }
    int code = 0;
    if (file_mode_private(file) != 1) {
        (void)fprintf(errors,
                      "%s%s: others may read this secret key; accepted: mode 0600 (chmod 600 %s)\n",
                      why, file, file);
        code = EX_NOPERM;
    } else if (strlen(text) != len || adit_key_parse(out, text) != 0) {
        (void)fprintf(
            errors,
            "%s%s: not a key; accepted: 43 characters of base64url, as `adit key new` makes "
            "them\n",
            why, file);
        code = EX_CONFIG;
    }
    adit_key_wipe(text, len);
    mem_free(text);
    return code;
}

int load_key_file(const struct config_key_file *file, const char *ini, const char *what,
                  FILE *errors, uint8_t out[ADIT_KEY_LEN])
{
    char why[ERROR_TEXT];
    if (file->line > 0) {
        (void)snprintf(why, sizeof(why), "%s:%u: %s: ", ini, file->line, what);
    } else {
        (void)snprintf(why, sizeof(why), "%s: %s: ", ini, what);
    }
    return load_secret(file->path, why, errors, out);
}

static int load_psks(struct loaded *l, const char *ini, FILE *errors)
{
    size_t count = l->config->peers_count;
    l->psks = mem_new(count ? count : 1, sizeof(*l->psks));
    if (!l->psks) {
        return EX_OSERR;
    }
    for (size_t i = 0; i < count; i++) {
        const struct config_peer *peer = &l->config->peers[i];
        char what[CONFIG_NAME_MAX + 16];
        (void)snprintf(what, sizeof(what), "[peer %s] psk", peer->name);
        int code = peer->psk.path ? load_key_file(&peer->psk, ini, what, errors, l->psks[i]) : 0;
        if (code != 0) {
            return code;
        }
    }
    union {
        uint8_t (*in)[ADIT_KEY_LEN];
        const uint8_t (*out)[ADIT_KEY_LEN];
    } psks = {.in = l->psks}; /* C has no such conversion */
    l->secrets.psks = psks.out;
    return 0;
}

static int parse_users(struct auth *out, const char *file, const char *text, size_t len,
                       FILE *errors)
{
    uint8_t key[AUTH_KEY_LEN];
    struct auth_error error;
    randombytes_buf(key, sizeof(key));
    int err = auth_init(out, text, len, key, &error);
    adit_key_wipe(key, sizeof(key));
    if (err == 0 || err == ERR_NO_MEMORY) {
        return err == 0 ? 0 : EX_OSERR;
    }
    if (error.line > 0) {
        (void)fprintf(errors, "%s:%u: %s\n", file, error.line, error.why);
    } else {
        (void)fprintf(errors, "%s: %s\n", file, error.why);
    }
    return EX_CONFIG;
}

static int load_users(const struct config_front *front, const char *ini, FILE *errors,
                      struct auth *out)
{
    const char *file = front->users.path;
    char why[ERROR_TEXT];
    char *text = NULL;
    size_t len = 0;
    (void)snprintf(why, sizeof(why), "%s:%u: [front%s%s] users: ", ini, front->users.line,
                   front->name[0] ? " " : "", front->name);
    int err = file_read_all(file, USERS_FILE_MAX, &text, &len);
    if (err != 0) {
        return complain_about_file(errors, why, file, err);
    }
    int code = EX_NOPERM;
    if (file_mode_private(file) == 1) {
        code = parse_users(out, file, text, len, errors);
    } else {
        (void)fprintf(errors, "%s%s: others may read these passwords: chmod 600 %s\n", why, file,
                      file);
    }
    adit_key_wipe(text, len);
    mem_free(text);
    return code;
}

static int load_all_users(struct loaded *l, const char *ini, FILE *errors)
{
    const struct config *config = l->config;
    int code = 0;
    l->users = mem_new(config->fronts_count, sizeof(*l->users));
    l->secrets.users = l->users;
    for (size_t i = 0; code == 0 && l->users && i < config->fronts_count; i++) {
        bool given = config->fronts[i].users.path != NULL;
        code = given ? load_users(&config->fronts[i], ini, errors, &l->users[i]) : 0;
    }
    return l->users ? code : EX_OSERR;
}

/* A node that is its own peer would talk to nobody: the other's key was meant. */
static int refuse_self(const struct loaded *l, const char *ini, FILE *errors)
{
    uint8_t self[ADIT_KEY_LEN];
    if (adit_key_public(self, l->secrets.node) != 0) {
        return EX_CONFIG;
    }
    for (size_t i = 0; i < l->config->peers_count; i++) {
        const struct config_peer *p = &l->config->peers[i];
        if (memcmp(p->key.bytes, self, sizeof(self)) == 0) {
            (void)fprintf(errors, "%s:%u: [peer %s] key: is the key of this very node\n", ini,
                          p->line, p->name);
            return EX_CONFIG;
        }
    }
    return 0;
}

int load_node(const char *file, FILE *errors, struct loaded *out)
{
    *out = (struct loaded){0};
    int code = load_config(file, errors, &out->config);
    if (code == 0) {
        code = load_key_file(&out->config->node.key, file, "[node] key", errors, out->secrets.node);
    }
    if (code == 0) {
        code = refuse_self(out, file, errors);
    }
    if (code == 0) {
        code = load_psks(out, file, errors);
    }
    if (code == 0) {
        code = load_all_users(out, file, errors);
    }
    return code;
}

void load_free(struct loaded *l)
{
    adit_key_wipe(l->secrets.node, sizeof(l->secrets.node));
    if (l->psks) {
        adit_key_wipe(l->psks, l->config->peers_count * sizeof(*l->psks));
    }
    mem_free(l->psks);
    for (size_t i = 0; l->users && i < l->config->fronts_count; i++) {
        auth_deinit(&l->users[i]);
    }
    mem_free(l->users);
    config_free(l->config);
    *l = (struct loaded){0};
}
