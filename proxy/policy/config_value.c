/* Single values: text of the ini -> fields. */
#include "policy/config_internal.h"

#include <base/check.h>
#include <base/clock.h>
#include <base/err.h>
#include <base/mem.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static struct config_error *next_error(struct config_parser *p)
{
    struct config_errors *errors = p->errors;
    if (errors->count == CONFIG_ERRORS_MAX) {
        errors->dropped++;
        return NULL;
    }
    struct config_error *e = &errors->items[errors->count++];
    e->line = p->line;
    (void)snprintf(e->section, sizeof(e->section), "%.63s", p->section_text);
    (void)snprintf(e->key, sizeof(e->key), "%.63s", p->key_text);
    return e;
}

void config_fail(struct config_parser *p, const char *format, ...)
{
    struct config_error *e = next_error(p);
    va_list args;
    va_start(args, format);
    if (e) {
        (void)vsnprintf(e->text, sizeof(e->text), format, args);
        config_hide(p, e->text);
    }
    va_end(args);
}

void config_fail_value(struct config_parser *p, const char *format, ...)
{
    struct config_error *e = next_error(p);
    va_list args;
    va_start(args, format);
    if (e) {
        (void)vsnprintf(e->text, sizeof(e->text), format, args);
        config_hide(p, e->text);
        size_t len = strlen(e->text);
        (void)snprintf(e->text + len, sizeof(e->text) - len, "; accepted: %s", p->key->accepted);
    }
    va_end(args);
}

bool config_set_name(char out[CONFIG_NAME_MAX + 1], const char *text)
{
    char name[CONFIG_NAME_MAX + 1] = "";
    size_t len = strlen(text);
    if (len == 0 || len > CONFIG_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c >= 'A' && c <= 'Z') {
            c = (char)(c - 'A' + 'a');
        }
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) {
            return false;
        }
        name[i] = c;
    }
    memcpy(out, name, sizeof(name));
    return true;
}

/* The two parts and a slash as one new text. */
static char *join(struct config_parser *p, const char *folder, size_t folder_len, const char *name)
{
    size_t name_len = strlen(name);
    char *path = mem_new(1, folder_len + name_len + 2);
    if (!path) {
        p->no_memory = true;
        return NULL;
    }
    memcpy(path, folder, folder_len);
    path[folder_len] = '/';
    memcpy(path + folder_len + 1, name, name_len);
    return path;
}

char *config_resolve_path(struct config_parser *p, const char *value)
{
    if (value[0] == '~' && value[1] == '/' && p->env->home) {
        return join(p, p->env->home, strlen(p->env->home), value + 2);
    }
    const char *slash = strrchr(p->file, '/');
    if (value[0] != '/' && slash) {
        return join(p, p->file, (size_t)(slash - p->file), value);
    }
    char *path = mem_text(value);
    p->no_memory = p->no_memory || !path;
    return path;
}

static void take_path(struct config_parser *p, char **field, const char *value)
{
    if (value[0] == '~' && (value[1] != '/' || !p->env->home)) {
        config_fail_value(p, "\"%s\" has no folder for ~", value);
        return;
    }
    mem_free(*field);
    *field = config_resolve_path(p, value);
}

static void take_key_file(struct config_parser *p, struct config_key_file *field, const char *value)
{
    const char *why = config_secret_itself(value);
    field->line = p->line;
    if (why) {
        config_fail_value(p, "%s", why);
    } else {
        take_path(p, &field->path, value);
    }
}

/* Leading digits. False if there are none or too many; *rest is what follows. */
static bool take_digits(const char *text, uint64_t *number, const char **rest)
{
    uint64_t v = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (v > (UINT64_MAX - 9) / 10) {
            return false;
        }
        v = v * 10 + (uint64_t)(*at - '0');
    }
    *number = v;
    *rest = at;
    return at > text;
}

struct unit {
    const char *name;
    uint64_t size;
};

static const struct unit number_units[] = {{"", 1},        {"k", 1 << 10}, {"K", 1 << 10},
                                           {"M", 1 << 20}, {"G", 1 << 30}, {NULL, 0}};
static const struct unit duration_units[] = {{"ms", NS_PER_MS},       {"s", NS_PER_S},
                                             {"m", 60 * NS_PER_S},    {"h", 3600 * NS_PER_S},
                                             {"d", 86400 * NS_PER_S}, {NULL, 0}};

static void take_number(struct config_parser *p, uint64_t *field, const char *value,
                        const struct unit *units)
{
    uint64_t v;
    const char *rest;
    const struct unit *unit = units;
    if (!take_digits(value, &v, &rest)) {
        config_fail_value(p, "\"%s\" is no number", value);
        return;
    }
    while (unit->name && strcmp(unit->name, rest) != 0) {
        unit++;
    }
    if (!unit->name) {
        config_fail_value(p, "\"%s\" has %s", value, rest[0] ? "an unknown unit" : "no unit");
        return;
    }
    v = v > UINT64_MAX / unit->size ? UINT64_MAX : v * unit->size;
    if (v < p->key->least || v > p->key->most) {
        config_fail_value(p, "%s is too %s", value, v < p->key->least ? "little" : "much");
        return;
    }
    *field = v;
}

static void take_yes_no(struct config_parser *p, bool *field, const char *value)
{
    bool yes = strcmp(value, "yes") == 0;
    if (!yes && strcmp(value, "no") != 0) {
        config_fail_value(p, "\"%s\" is neither yes nor no", value);
        return;
    }
    *field = yes;
}

static void take_level(struct config_parser *p, enum log_level *field, const char *value)
{
    int level = log_level_parse(value);
    if (level < 0) {
        config_fail_value(p, "\"%s\" is no level", value);
        return;
    }
    *field = (enum log_level)level;
}

static void take_congestion(struct config_parser *p, enum config_congestion *field,
                            const char *value)
{
    bool cubic = strcmp(value, "cubic") == 0;
    if (!cubic && strcmp(value, "bbr") != 0) {
        config_fail_value(p, "\"%s\" is no congestion control", value);
        return;
    }
    *field = cubic ? CONFIG_CONGESTION_CUBIC : CONFIG_CONGESTION_BBR;
}

static void take_addr(struct config_parser *p, struct addr *field, const char *value)
{
    if (addr_parse(field, value) != 0) {
        config_fail_value(p, "\"%s\" is no IP:PORT", value);
    }
}

/* Parts at commas and white space; each is an item. */
static void take_list(struct config_parser *p, void *field, const char *value)
{
    static const char between[] = ", \t";
    char item[CONFIG_HOST_MAX + 1];
    const char *at = value + strspn(value, between);
    if (!*at) {
        config_fail_value(p, "has no value");
    }
    while (*at) {
        size_t len = strcspn(at, between);
        if (len < sizeof(item)) {
            memcpy(item, at, len);
            item[len] = '\0';
            config_take_item(p, field, item);
        } else {
            config_fail_value(p, "a value of %zu bytes is too long", len);
        }
        at += len;
        at += strspn(at, between);
    }
}

void config_take(struct config_parser *p, const char *value)
{
    void *field = (char *)p->base + p->key->offset;
    if (p->key->list) {
        take_list(p, field, value);
        return;
    }
    switch (p->key->type) {
    case CONFIG_NAME:
        if (!config_set_name(field, value)) {
            config_fail_value(p, "\"%s\" is no name", value);
        }
        break;
    case CONFIG_PATH:
        take_path(p, field, value);
        break;
    case CONFIG_KEY_FILE:
        take_key_file(p, field, value);
        break;
    case CONFIG_ADDR:
        take_addr(p, field, value);
        break;
    case CONFIG_LEVEL:
        take_level(p, field, value);
        break;
    case CONFIG_DURATION:
        take_number(p, field, value, duration_units);
        break;
    case CONFIG_NUMBER:
        take_number(p, field, value, number_units);
        break;
    case CONFIG_YES_NO:
        take_yes_no(p, field, value);
        break;
    case CONFIG_CONGESTION:
        take_congestion(p, field, value);
        break;
    case CONFIG_KEY:
        (void)config_take_public_key(p, field, value);
        break;
    case CONFIG_URL:
        (void)config_take_url(p, field, value);
        break;
    case CONFIG_PROXY:
        config_take_proxy(p, field, value);
        break;
    case CONFIG_UPSTREAM:
        config_take_upstream(p, field, value);
        break;
    case CONFIG_ROUTE:
        config_take_route(p, p->key_text, value);
        break;
    case CONFIG_FORWARD:
        config_take_forward(p, p->key_text, value);
        break;
    case CONFIG_WAY:
        (void)config_take_way(p, field, value);
        break;
    case CONFIG_PATH_POLICY:
        (void)config_take_path_policy(p, field, value);
        break;
    case CONFIG_SERVE:
        config_take_serve(p, p->key_text, value);
        break;
    case CONFIG_COMMANDS:
    case CONFIG_UIDS:
    case CONFIG_ADDRS:
    case CONFIG_LISTENS:
    case CONFIG_KEYS:
    case CONFIG_ENDPOINTS:
    case CONFIG_RELAYS:
    case CONFIG_PINS:
    case CONFIG_ALLOW:
    case CONFIG_PREFIXES:
    case CONFIG_CLUSTER:
    case CONFIG_TYPES:
        NEVER();
    }
}
