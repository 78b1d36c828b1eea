/* [front] and [front NAME]. */
#include "policy/config_internal.h"

#include <string.h>

struct config_front *config_add_front(struct config_parser *p, const char *name)
{
    struct config *config = p->config;
    for (size_t i = 0; i < config->fronts_count; i++) {
        if (strcmp(config->fronts[i].name, name) == 0) {
            config_fail(p, "is there twice; first in line %u", config->fronts[i].line);
            return NULL;
        }
    }
    struct config_front *fronts =
        config_grow(p, config->fronts, config->fronts_count, sizeof(*fronts), CONFIG_FRONTS_MAX);
    if (!fronts) {
        return NULL;
    }
    config->fronts = fronts;
    struct config_front *front = &fronts[config->fronts_count++];
    memcpy(front->name, name, strlen(name) + 1);
    front->line = p->line;
    return front;
}

void config_take_command(struct config_parser *p, unsigned *commands, const char *item)
{
    if (strcmp(item, "connect") == 0) {
        *commands |= COMMAND_CONNECT;
    } else if (strcmp(item, "bind") == 0) {
        *commands |= COMMAND_BIND;
    } else if (strcmp(item, "udp") == 0) {
        *commands |= COMMAND_UDP;
    } else {
        config_fail_value(p, "\"%s\" is no command", item);
    }
}

bool config_take_path_policy(struct config_parser *p, enum config_path *path, const char *value)
{
    if (!config_parse_path(path, value, strlen(value))) {
        config_fail_value(p, "\"%s\" is no choice of paths", value);
        return false;
    }
    return true;
}

bool config_parse_path(enum config_path *path, const char *text, size_t len)
{
    static const struct {
        const char *name;
        enum config_path path;
    } paths[] = {
        {"any", PATH_ANY},
        {"direct-only", PATH_DIRECT_ONLY},
        {"relay-only", PATH_RELAY_ONLY},
    };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (strlen(paths[i].name) == len && memcmp(paths[i].name, text, len) == 0) {
            *path = paths[i].path;
            return true;
        }
    }
    return false;
}

static bool parse_uid(uint32_t *uid, const char *text)
{
    uint64_t v = 0;
    size_t len = strlen(text);
    if (len == 0 || len > 10 || strspn(text, "0123456789") != len) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        v = v * 10 + (uint64_t)(text[i] - '0');
    }
    *uid = (uint32_t)v;
    return v < UINT32_MAX; /* the highest one is "nobody known" to the system */
}

void config_take_uid(struct config_parser *p, struct config_uids *uids, const char *item)
{
    uint32_t uid;
    if (strcmp(item, "any") == 0) {
        uids->any = true;
        return;
    }
    if (!parse_uid(&uid, item)) {
        config_fail_value(p, "\"%s\" is no number of a user", item);
        return;
    }
    uint32_t *items = config_grow(p, uids->items, uids->count, sizeof(*items), CONFIG_LIST_MAX);
    if (items) {
        uids->items = items;
        uids->items[uids->count++] = uid;
    }
}

bool config_uid_is_welcome(const struct config_uids *uids, uint32_t uid, uint32_t own)
{
    bool listed = uids->any || uid == 0 || uid == own;
    for (size_t i = 0; i < uids->count && !listed; i++) {
        listed = uids->items[i] == uid;
    }
    return listed;
}

static bool is_same_place(const struct config_listen *a, const struct config_listen *b)
{
    if (a->path[0] || b->path[0]) {
        return strcmp(a->path, b->path) == 0;
    }
    return a->addr.port != 0 && addr_equal(&a->addr, &b->addr);
}

/* The lists themselves have no doubles: config_item.c saw to that. */
static void check_doubles(struct config_parser *p, size_t index, const struct config_listen *l)
{
    for (size_t f = 0; f < index; f++) {
        const struct config_listens *others = &p->config->fronts[f].listen;
        for (size_t i = 0; i < others->count; i++) {
            if (is_same_place(l, &others->items[i])) {
                char text[ADDR_TEXT_MAX];
                config_fail(p, "\"%s\" belongs to another [front] already",
                            l->path[0] ? l->path : addr_format(&l->addr, text));
                return;
            }
        }
    }
}

static void check_front(struct config_parser *p, size_t index)
{
    const struct config_front *front = &p->config->fronts[index];
    const char *section = front->name[0] ? "front " : "front";
    char text[ADDR_TEXT_MAX];
    if (front->name[0] && front->listen.count == 0) {
        config_point_at(p, front->line, "listen", section, front->name);
        config_fail(p, "is missing; accepted: %s",
                    config_find_key(config_find_section("front"), "listen")->accepted);
    }
    for (size_t i = 0; i < front->listen.count; i++) {
        const struct config_listen *l = &front->listen.items[i];
        bool open = l->addr.family != ADDR_NONE && !addr_is_loopback(&l->addr);
        config_point_at(p, l->line, "listen", section, front->name);
        if (open && !front->users.path) {
            config_fail(p,
                        "\"%s\" is not loopback: others could use the proxy; name a file with "
                        "passwords (users = FILE), or listen on loopback",
                        addr_format(&l->addr, text));
        }
        check_doubles(p, index, l);
    }
}

void config_check_fronts(struct config_parser *p)
{
    for (size_t i = 0; i < p->config->fronts_count; i++) {
        check_front(p, i);
    }
}
