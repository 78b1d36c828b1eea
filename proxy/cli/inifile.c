#include "cli/inifile.h"

#include "app/load.h"
#include "app/paths.h"
#include "cli/cli.h"
#include "cli/keyfile.h"

#include <adit/file.h>
#include <base/mem.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

enum { INI_MAX = 8192 };

/* --- a new one ------------------------------------------------------------------------------- */

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
    "# One section for each other machine; `adit invite` here and `adit join` there write them.\n"
    "# http://other.peer:8080/ then is port 8080 of it.\n"
    "# [peer other]\n"
    "# key = (the public key that `adit init` printed there)\n"
    "# endpoint = other.example.net:41741\n"
    "# What other may reach through this machine; nothing unless it is listed:\n"
    "# allow = 127.0.0.1:8080, localhost:22\n"
    "\n"
    "# Other destinations by domain, prefix or `default`: peer NAME, direct or refuse.\n"
    "# [route]\n"
    "# corp.example = peer other\n"
    "# 10.0.0.0/8 = peer other\n"
    "# default = refuse\n";

bool inifile_is_name(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
    size_t len = strlen(name);
    return len > 0 && len <= CONFIG_NAME_MAX && strspn(name, allowed) == len && name[0] != '-' &&
           name[len - 1] != '-';
}

const char *inifile_default_name(char out[CONFIG_NAME_MAX + 1])
{
    struct paths paths;
    paths_find(&paths);
    (void)snprintf(out, CONFIG_NAME_MAX + 1, "%s",
                   inifile_is_name(paths.host) ? paths.host : "node");
    return out;
}

/* An existing key is kept even with --force: it is what the others know this node by. */
static int make_key(const char *file, char public_text[ADIT_KEY_TEXT_MAX])
{
    return keyfile_exists(file) ? keyfile_public(file, public_text)
                                : keyfile_create(file, public_text);
}

int inifile_create(const char *ini, const char *name, char public_text[ADIT_KEY_TEXT_MAX])
{
    char folder[PATHS_MAX];
    char key[PATHS_MAX + 16];
    char text[INI_MAX];
    (void)snprintf(key, sizeof(key), "%s/adit.key", paths_folder(ini, folder));
    int code = make_key(key, public_text);
    if (code == EX_OK) {
        (void)snprintf(text, sizeof(text), template, name, public_text);
        code = keyfile_write(ini, text, 0600);
    }
    return code;
}

/* --- one that is there ----------------------------------------------------------------------- */

static int read_self(struct inifile *f)
{
    uint8_t secret[ADIT_KEY_LEN];
    int code = load_key_file(&f->config->node.key, f->path, "[node] key", stderr, secret);
    if (code == EX_OK && adit_key_public(f->self.bytes, secret) != 0) {
        code = EX_DATAERR;
    }
    adit_key_wipe(secret, sizeof(secret));
    return code;
}

int inifile_lock(const char *ini)
{
    char folder[PATHS_MAX];
    return file_lock(paths_folder(ini, folder));
}

void inifile_unlock(int lock)
{
    file_unlock(lock);
}

int inifile_open(struct inifile *f, const char *path)
{
    *f = (struct inifile){.path = path};
    int code = load_config(path, stderr, &f->config);
    if (code == EX_OK && file_read_all(path, CONFIG_TEXT_MAX, &f->text, &f->len) != 0) {
        cli_error("%s: it cannot be read twice", path);
        code = EX_NOINPUT;
    }
    return code == EX_OK ? read_self(f) : code;
}

/* It may have passwords. */
static void forget_text(char *text, size_t len)
{
    if (text) {
        adit_key_wipe(text, len);
    }
    mem_free(text);
}

void inifile_close(struct inifile *f)
{
    config_free(f->config);
    forget_text(f->text, f->len);
    *f = (struct inifile){0};
}

void inifile_add(struct inifile *f, const char *format, ...)
{
    va_list args;
    size_t len = strlen(f->added);
    va_start(args, format);
    int more = vsnprintf(f->added + len, sizeof(f->added) - len, format, args);
    va_end(args);
    f->too_long = f->too_long || more < 0 || (size_t)more >= sizeof(f->added) - len;
}

static bool has_endpoint(const struct config_endpoints *list, const struct config_endpoint *at)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].host, at->host) == 0 && list->items[i].port == at->port) {
            return true;
        }
    }
    return false;
}

void inifile_use_stun(struct inifile *f, const struct config_endpoint *at, bool derper)
{
    const struct config_node *node = &f->config->node;
    bool v6 = strchr(at->host, ':') != NULL;
    size_t len = strlen(f->node);
    if (has_endpoint(derper ? &node->stun_derper : &node->stun, at)) {
        return;
    }
    int more = snprintf(f->node + len, sizeof(f->node) - len, "%s = %s%s%s:%u\n",
                        derper ? "stun_derper" : "stun", v6 ? "[" : "", at->host, v6 ? "]" : "",
                        (unsigned)at->port);
    f->too_long = f->too_long || more < 0 || (size_t)more >= sizeof(f->node) - len;
}

static bool same_url(const struct config_url *a, const struct config_url *b)
{
    return strcmp(a->host, b->host) == 0 && a->port == b->port && a->tls == b->tls &&
           a->websocket == b->websocket && strcmp(a->path, b->path) == 0;
}

const struct config_relay *inifile_find_relay(const struct inifile *f, const char *name)
{
    const struct config_relays *relays = &f->config->relays;
    for (size_t i = 0; i < relays->count; i++) {
        if (strcmp(relays->items[i].name, name) == 0) {
            return &relays->items[i];
        }
    }
    return NULL;
}

/* "main", or "main2", "main3"... where that is taken. */
static void name_relay(const struct inifile *f, char out[CONFIG_NAME_MAX + 1])
{
    (void)snprintf(out, CONFIG_NAME_MAX + 1, "main");
    for (unsigned i = 2; inifile_find_relay(f, out); i++) {
        (void)snprintf(out, CONFIG_NAME_MAX + 1, "main%u", i);
    }
}

void inifile_use_relay(struct inifile *f, const struct config_url *url,
                       const struct config_pin *pins, size_t pins_count,
                       char name[CONFIG_NAME_MAX + 1])
{
    const struct config_relays *relays = &f->config->relays;
    for (size_t i = 0; i < relays->count; i++) {
        if (same_url(&relays->items[i].url, url)) {
            (void)snprintf(name, CONFIG_NAME_MAX + 1, "%s", relays->items[i].name);
            return;
        }
    }
    char text[CONFIG_URL_TEXT_MAX];
    char pin[ADIT_KEY_TEXT_MAX];
    name_relay(f, name);
    inifile_add(f, "\n[relay %s]\nurl = %s\n", name, config_format_url(url, text));
    for (size_t i = 0; i < pins_count; i++) {
        inifile_add(f, "pin = sha256:%s\n", adit_key_format(pins[i].bytes, pin));
    }
}

/* Where the line behind [node] begins; the end if there is no such section. */
static size_t find_node(const struct inifile *f)
{
    size_t at = 0;
    for (unsigned line = f->config->node.line; line > 0 && at < f->len; line--) {
        const char *stop = memchr(f->text + at, '\n', f->len - at);
        at = stop ? (size_t)(stop - f->text) + 1 : f->len;
    }
    return f->config->node.line > 0 ? at : f->len;
}

static void put(char **to, const char *text, size_t len)
{
    memcpy(*to, text, len);
    *to += len;
}

static void put_text(char **to, const char *text)
{
    put(to, text, strlen(text));
}

/* The text as it will be; NULL without memory. */
static char *join_text(const struct inifile *f, size_t *len)
{
    static const char head[] = "\n[node]\n";
    size_t node = find_node(f);
    bool ends = node == 0 || f->text[node - 1] == '\n';
    char *text = mem_new(1, f->len + 2 + sizeof(head) + strlen(f->node) + strlen(f->added) + 1);
    char *to = text;
    if (!text) {
        return NULL;
    }
    put(&to, f->text, node);
    if (f->node[0]) {
        put_text(&to, ends ? "" : "\n");
        put_text(&to, f->config->node.line > 0 ? "" : head);
        put_text(&to, f->node);
    }
    put(&to, f->text + node, f->len - node);
    put_text(&to, to > text && to[-1] != '\n' ? "\n" : "");
    put_text(&to, f->added);
    *len = (size_t)(to - text);
    return text;
}

int inifile_check(const struct inifile *f)
{
    struct config *config = NULL;
    size_t len = 0;
    char *text = f->too_long ? NULL : join_text(f, &len);
    if (!text) {
        cli_error("%s: what is to be added is too long", f->path);
        return EX_CONFIG;
    }
    int code = load_config_text(f->path, text, len, stderr, &config);
    if (code != EX_OK) {
        cli_error("%s stays as it is: what was to be added has the error above", f->path);
    }
    config_free(config);
    forget_text(text, len);
    return code;
}

int inifile_save(const struct inifile *f)
{
    struct stat st;
    size_t len = 0;
    int code = inifile_check(f);
    if (code != EX_OK) {
        return code;
    }
    char *text = join_text(f, &len);
    mode_t mode = stat(f->path, &st) == 0 ? st.st_mode & 0777 : 0600;
    code = text ? keyfile_write(f->path, text, mode) : EX_OSERR;
    forget_text(text, len);
    return code;
}
