/* Lines of [serve]: SERVICE[:PORT] = HOST:PORT or a path, then the peers that may. */
#include "policy/config_internal.h"

#include "policy/host.h"
#include "policy/serve.h"

#include <base/mem.h>

#include <string.h>

enum { HTTP_PORT = 80 };

static const char between[] = ", \t";

static const char *parse_name(struct config_serve *s, const char *text)
{
    char name[CONFIG_NAME_MAX + 1];
    size_t len = strcspn(text, ":");
    int port = text[len] ? host_parse_port(text + len + 1, strlen(text + len + 1)) : HTTP_PORT;
    if (len == 0 || len > CONFIG_NAME_MAX || port < 1) {
        return "is no SERVICE or SERVICE:PORT";
    }
    memcpy(name, text, len);
    name[len] = '\0';
    s->port = (uint16_t)port;
    return config_set_name(s->name, name) ? NULL : "is no name: letters, digits and -, up to 63";
}

/* `p` NULL: paths are taken as they are. */
static const char *parse_target(struct config_serve *s, struct config_parser *p, const char *text)
{
    if (!strchr(text, '/')) {
        bool good = target_parse(&s->target, text, strlen(text)) == 0 && s->target.port != 0;
        if (good && serve_is_meant(&s->target)) {
            return "is a name in .peer, which is looked up nowhere: forward to it";
        }
        return good ? NULL : "is neither HOST:PORT nor a path with a /";
    }
    char *path = p ? config_resolve_path(p, text) : mem_text(text);
    bool fits = path && strlen(path) <= CONFIG_SOCKET_PATH_MAX;
    if (fits) {
        memcpy(s->path, path, strlen(path) + 1);
    }
    mem_free(path);
    return fits ? NULL : "is too long for a unix socket";
}

/* Everything but the peers, whose names are kept as text. */
static const char *parse(struct config_serve *s, struct config_parser *p, const char *name,
                         const char *value)
{
    char target[CONFIG_HOST_MAX + 8];
    size_t len = strcspn(value, between);
    const char *peers = value + len + strspn(value + len, between);
    *s = (struct config_serve){0};
    const char *why = parse_name(s, name);
    if (why) {
        return why;
    }
    if (len >= sizeof(target)) {
        return "has a target that is too long";
    }
    memcpy(target, value, len);
    target[len] = '\0';
    why = parse_target(s, p, target);
    if (why) {
        return why;
    }
    s->peers_text = mem_text(peers);
    return s->peers_text ? NULL : "out of memory";
}

const char *config_resolve_serve(struct config_serve *s, const struct config *config)
{
    char name[CONFIG_NAME_MAX + 1];
    const char *at = s->peers_text;
    if (!*at) {
        return NULL;
    }
    s->peers = mem_new(config->peers_count + 1, sizeof(*s->peers));
    if (!s->peers) {
        return "out of memory";
    }
    while (*at) {
        size_t len = strcspn(at, between);
        if (len > CONFIG_NAME_MAX) {
            return "has a name that is too long";
        }
        memcpy(name, at, len);
        name[len] = '\0';
        const struct config_peer *peer = config_find_peer(config, name);
        if (!peer) {
            return "names a peer that there is not";
        }
        if (s->peers_count == config->peers_count) {
            return "names a peer twice";
        }
        s->peers[s->peers_count++] = (size_t)(peer - config->peers);
        at += len;
        at += strspn(at, between);
    }
    return NULL;
}

void config_serve_free(struct config_serve *s)
{
    mem_free(s->peers_text);
    mem_free(s->peers);
}

const char *config_parse_serve(struct config_serve *s, const struct config *config,
                               const char *name, const char *value)
{
    const char *why = parse(s, NULL, name, value);
    why = why ? why : config_resolve_serve(s, config);
    if (why) {
        config_serve_free(s);
    }
    return why;
}

static bool is_taken(const struct config *config, const struct config_serve *s)
{
    for (size_t i = 0; i < config->serves_count; i++) {
        const struct config_serve *other = &config->serves[i];
        if (strcmp(other->name, s->name) == 0 && other->port == s->port) {
            return true;
        }
    }
    return false;
}

void config_take_serve(struct config_parser *p, const char *name, const char *value)
{
    struct config *config = p->config;
    struct config_serve serve;
    const char *why = parse(&serve, p, name, value);
    if (why) {
        config_fail_value(p, "\"%s = %s\" %s", name, value, why);
        return;
    }
    serve.line = p->line;
    if (is_taken(config, &serve)) {
        config_fail(p, "is there twice");
        config_serve_free(&serve);
        return;
    }
    struct config_serve *serves =
        config_grow(p, config->serves, config->serves_count, sizeof(*serves), CONFIG_LIST_MAX);
    if (!serves) {
        config_serve_free(&serve);
        return;
    }
    config->serves = serves;
    config->serves[config->serves_count++] = serve;
}
