/* Lines of [route]: PATTERN[:PORTS] = peer NAME | direct | refuse. */
#include "policy/config_internal.h"

#include "policy/host.h"

#include <string.h>

bool config_route_is_default(const struct config_route *route)
{
    return route->suffix[0] == '\0' && route->prefix.base.family == ADDR_NONE &&
           route->port_min == 0;
}

static bool take_host(struct config_parser *p, struct config_route *route, const char *pattern,
                      const char *host)
{
    if (prefix_parse(&route->prefix, host) == 0) {
        bool alias = acl_is_alias(&route->prefix);
        if (alias) {
            config_fail_value(p, "\"%s\" never fits: write the address it stands for", pattern);
        }
        return !alias;
    }
    const char *name = host[0] == '.' ? host + 1 : host;
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

static bool take_pattern(struct config_parser *p, struct config_route *route, const char *pattern)
{
    char copy[CONFIG_HOST_MAX + 1];
    const char *host = pattern;
    const char *ports = NULL;
    size_t len = 0;
    route->port_max = UINT16_MAX;
    if (strcmp(pattern, "default") == 0) {
        return true;
    }
    if (!host_split_ports(pattern, &host, &len, &ports) || len >= sizeof(copy)) {
        config_fail_value(p, "\"%s\" has a [ without its ]", pattern);
        return false;
    }
    if (ports && !host_parse_ports(ports, &route->port_min, &route->port_max)) {
        config_fail_value(p, "\"%s\" has a bad port", pattern);
        return false;
    }
    memcpy(copy, host, len);
    copy[len] = '\0';
    if (strcmp(copy, "default") == 0) {
        config_fail(p, "with a port, write it as \":%s\"", ports);
        return false;
    }
    return (len == 0 && ports) || take_host(p, route, pattern, copy);
}

bool config_take_way(struct config_parser *p, struct config_route *route, const char *value)
{
    static const char peer[] = "peer";
    size_t len = strcspn(value, " \t");
    const char *name = value + len + strspn(value + len, " \t");
    route->line = p->line;
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
           addr_equal(&a->prefix.base, &b->prefix.base) && a->port_min == b->port_min &&
           a->port_max == b->port_max;
}

void config_take_route(struct config_parser *p, const char *pattern, const char *value)
{
    struct config *config = p->config;
    struct config_route route = {0};
    if (!take_pattern(p, &route, pattern) || !config_take_way(p, &route, value)) {
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
