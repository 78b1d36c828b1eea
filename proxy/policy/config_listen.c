/* Where applications connect to: [front] listen, and [forward]. */
#include "policy/config_internal.h"

#include <base/mem.h>

#include <string.h>

static bool set_path(struct config_listen *l, const char *path)
{
    size_t len = strlen(path);
    if (len > CONFIG_SOCKET_PATH_MAX) {
        return false;
    }
    memcpy(l->path, path, len + 1);
    return true;
}

bool config_take_listen(struct config_parser *p, struct config_listen *l, const char *text)
{
    if (!strchr(text, '/')) {
        if (addr_parse(&l->addr, text) != 0) {
            config_fail_value(p, "\"%s\" is neither IP:PORT nor a path", text);
            return false;
        }
        l->addr = addr_normalize(&l->addr);
        return true;
    }
    char *path = config_resolve_path(p, text);
    bool fits = path && set_path(l, path);
    if (path && !fits) {
        config_fail(p, "\"%.128s\" is longer than %d bytes, which a unix socket cannot be", path,
                    CONFIG_SOCKET_PATH_MAX);
    }
    mem_free(path);
    return fits;
}

/* Without the "udp " before it. */
static const char *skip_udp(struct config_listen *l, const char *text)
{
    static const char udp[] = "udp ";
    l->udp = strncmp(text, udp, sizeof(udp) - 1) == 0;
    return l->udp ? text + sizeof(udp) - 1 + strspn(text + sizeof(udp) - 1, " \t") : text;
}

static const char no_udp_path[] = "is a path: datagrams need IP:PORT";

const char *config_parse_listen(struct config_listen *l, const char *text)
{
    *l = (struct config_listen){0};
    text = skip_udp(l, text);
    if (l->udp && strchr(text, '/')) {
        return no_udp_path;
    }
    if (strchr(text, '/')) {
        return set_path(l, text) ? NULL : "is too long for a unix socket";
    }
    if (addr_parse(&l->addr, text) != 0) {
        return "is neither IP:PORT nor a path with a /";
    }
    l->addr = addr_normalize(&l->addr);
    return addr_is_loopback(&l->addr) ? NULL : "is not loopback: others could use it";
}

/* PEER:/PATH, also NAME.peer:/PATH; false: it is none. */
static bool parse_path(struct target *t, const char *text)
{
    const char *path = strstr(text, ":/");
    return path && target_set_name(t, text, (size_t)(path - text), 0) == 0 &&
           t->kind == TARGET_NAME && target_set_path(t, path + 1) == 0;
}

static int parse_target(struct target *t, const char *text)
{
    if (parse_path(t, text)) {
        return 0;
    }
    return target_parse(t, text, strlen(text));
}

const char *config_parse_forward(struct target *t, const struct config *config, const char *text)
{
    char name[TARGET_PEER_MAX + 1];
    if (parse_path(t, text) && (strchr(t->name, '.') || strcmp(t->name, "localhost") == 0)) {
        bool known = target_is_peer_name(t, name) && config_find_peer(config, name);
        return known ? NULL : "names a unix socket of a machine that is no peer";
    }
    if (parse_target(t, text) != 0) {
        return "is no PEER:PORT or HOST:PORT";
    }
    if (t->port == 0 && !t->path[0]) {
        return "has port 0";
    }
    if (t->kind == TARGET_ADDRESS || strchr(t->name, '.') || strcmp(t->name, "localhost") == 0) {
        return NULL;
    }
    const struct config_peer *peer = config_find_peer(config, t->name);
    if (!peer) {
        return "names a peer that there is not";
    }
    static const char peer_domain[] = ".peer";
    memcpy(t->name + strlen(t->name), peer_domain, sizeof(peer_domain));
    return NULL;
}

void config_take_forward(struct config_parser *p, const char *listen, const char *target)
{
    struct config *config = p->config;
    struct config_forward f = {.listen = {.line = p->line}};
    listen = skip_udp(&f.listen, listen);
    if (!config_take_listen(p, &f.listen, listen)) {
        return;
    }
    if (f.listen.udp && f.listen.path[0]) {
        config_fail_value(p, "\"%s\" %s", listen, no_udp_path);
        return;
    }
    if (f.listen.addr.family != ADDR_NONE && !addr_is_loopback(&f.listen.addr)) {
        config_fail_value(p, "\"%s\" is not loopback: others could use it", listen);
        return;
    }
    if (parse_target(&f.target, target) != 0) {
        config_fail_value(p, "\"%s\" is no PEER:PORT or HOST:PORT", target);
        return;
    }
    if (f.listen.udp && f.target.path[0]) {
        config_fail_value(p, "\"%s\" takes no datagrams", target);
        return;
    }
    struct config_forward *forwards = config_grow(p, config->forwards, config->forwards_count,
                                                  sizeof(*forwards), CONFIG_LIST_MAX);
    if (forwards) {
        config->forwards = forwards;
        config->forwards[config->forwards_count++] = f;
    }
}
