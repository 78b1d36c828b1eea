/* Lines of [route]: PATTERN = peer NAME | direct | refuse. */
#include "policy/config_internal.h"

#include "policy/host.h"

#include <string.h>

static bool take_prefix(struct config_parser *p, struct config_route *route, const char *pattern)
{
    struct addr plain = addr_normalize(&route->prefix.base);
    if (plain.family != route->prefix.base.family && route->prefix.bits >= 96) {
        config_fail_value(p, "\"%s\" never fits: write it as IPv4", pattern);
        return false;
    }
    return true;
}

static bool take_pattern(struct config_parser *p, struct config_route *route, const char *pattern)
{
    if (strcmp(pattern, "default") == 0) {
        return true;
    }
    if (prefix_parse(&route->prefix, pattern) == 0) {
        return take_prefix(p, route, pattern);
    }
    const char *name = pattern[0] == '.' ? pattern + 1 : pattern;
    if (!host_set_name(route->suffix, name, strlen(name))) {
        config_fail_value(p, "\"%s\" is neither a domain nor a prefix", pattern);
        return false;
    }
    if (host_is_in(route->suffix, "peer")) {
        config_fail(p, "names in .peer always go to the peer of that name");
        return false;
    }
    return true;
}

static bool take_way(struct config_parser *p, struct config_route *route, const char *value)
{
    static const char peer[] = "peer";
    size_t len = strcspn(value, " \t");
    const char *name = value + len + strspn(value + len, " \t");
    if (strcmp(value, "direct") == 0) {
        route->kind = ROUTE_DIRECT;
        return true;
    }
    if (strcmp(value, "refuse") == 0) {
        route->kind = ROUTE_REFUSE;
        return true;
    }
    bool to_peer = len == sizeof(peer) - 1 && strncmp(value, peer, len) == 0;
    if (!to_peer || !config_set_name(route->peer_name, name)) {
        config_fail_value(p, "\"%s\" is no way to go", value);
        return false;
    }
    route->kind = ROUTE_PEER;
    return true;
}

static bool same_pattern(const struct config_route *a, const struct config_route *b)
{
    return strcmp(a->suffix, b->suffix) == 0 && a->prefix.bits == b->prefix.bits &&
           addr_equal(&a->prefix.base, &b->prefix.base);
}

void config_take_route(struct config_parser *p, const char *pattern, const char *value)
{
    struct config *config = p->config;
    struct config_route route = {.line = p->line};
    if (!take_pattern(p, &route, pattern) || !take_way(p, &route, value)) {
        return;
    }
    for (size_t i = 0; i < config->routes_count; i++) {
        if (same_pattern(&config->routes[i], &route)) {
            config_fail(p, "is there twice; first in line %u", config->routes[i].line);
            return;
        }
    }
    struct config_route *routes =
        config_grow(p, config->routes, config->routes_count, sizeof(*routes), CONFIG_LIST_MAX);
    if (routes) {
        config->routes = routes;
        config->routes[config->routes_count++] = route;
    }
}
