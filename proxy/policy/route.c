#include "policy/route.h"

#include "policy/host.h"

#include <stdio.h>
#include <string.h>

static const char peer_domain[] = "peer";

enum { PORTS = UINT16_MAX + 1 };

/* "home.peer" and "wiki.home.peer" -> "home"; NULL: no such name. */
static const struct config_peer *find_peer(const struct config *config, const char *name)
{
    char peer[CONFIG_NAME_MAX + 1];
    size_t end = strlen(name) - (sizeof(peer_domain) - 1);
    if (end < 2) {
        return NULL;
    }
    end--; /* the dot before "peer" */
    size_t from = end;
    while (from > 0 && name[from - 1] != '.') {
        from--;
    }
    bool service = from == 0 || !memchr(name, '.', from - 1); /* one label at most */
    if (!service || end - from > CONFIG_NAME_MAX) {
        return NULL;
    }
    memcpy(peer, name + from, end - from);
    peer[end - from] = '\0';
    return config_find_peer(config, peer);
}

static struct route route_to_peer_machine(const struct config *config, const char *name,
                                          const struct route_choice *choice)
{
    const struct config_peer *found = find_peer(config, name);
    struct route r = {.kind = ROUTE_REFUSE, .self = found != NULL};
    if (!found) {
        return r;
    }
    r.peer = (size_t)(found - config->peers);
    if (!choice || !choice->wished || choice->peer == r.peer) {
        r.kind = ROUTE_PEER;
    }
    return r;
}

/* How well the host fits: 0 = not at all, 1 = any host does, more = longer. */
static size_t fit_host(const struct config_route *route, const char *name, const struct addr *addr)
{
    if (route->suffix[0] != '\0') {
        return name && host_is_in(name, route->suffix) ? 1 + strlen(route->suffix) : 0;
    }
    if (route->prefix.base.family != ADDR_NONE) {
        return addr && prefix_contains(&route->prefix, addr) ? 2u + route->prefix.bits : 0;
    }
    return 1;
}

static size_t fit(const struct config_route *route, const char *name, const struct addr *addr,
                  uint16_t port)
{
    size_t range = (size_t)route->port_max - route->port_min + 1;
    bool fits = port >= route->port_min && port <= route->port_max;
    size_t host = fits ? fit_host(route, name, addr) : 0;
    return host > 0 ? host * PORTS + PORTS - range : 0;
}

static const struct config_route *find_line(const struct config *config, const struct target *t)
{
    bool named = t->kind == TARGET_NAME;
    struct addr plain = named ? (struct addr){0} : acl_normalize(&t->addr);
    const struct config_route *best = NULL;
    size_t best_fit = 0;
    for (size_t i = 0; i < config->routes_count; i++) {
        const struct config_route *line = &config->routes[i];
        size_t fits = fit(line, named ? t->name : NULL, named ? NULL : &plain, t->port);
        if (fits > best_fit) {
            best_fit = fits;
            best = line;
        }
    }
    return best;
}

struct route route_decide(const struct config *config, const struct target *target,
                          const struct route_choice *choice)
{
    if (target->kind == TARGET_NAME && host_is_in(target->name, peer_domain)) {
        return route_to_peer_machine(config, target->name, choice);
    }
    const struct config_route *line = find_line(config, target);
    bool nothing_fits = !line || config_route_is_default(line);
    bool refused = !nothing_fits && line->kind == ROUTE_REFUSE;
    if (choice && choice->wished && !refused) {
        return (struct route){.kind = ROUTE_PEER, .peer = choice->peer};
    }
    if (nothing_fits && choice && choice->exit && choice->exit->line > 0) {
        line = choice->exit;
    }
    if (!line) {
        return (struct route){.kind = ROUTE_REFUSE};
    }
    return (struct route){.kind = line->kind, .peer = line->peer, .line = line};
}

const char *route_name_there(const struct target *target, char out[TARGET_TEXT_MAX])
{
    size_t label = strcspn(target->name, ".");
    const char *rest = target->name + label;
    bool service = rest[0] == '.' && strchr(rest + 1, '.');
    if (target->path[0]) {
        (void)snprintf(out, TARGET_TEXT_MAX, TARGET_UNIX "%s", target->path);
    } else if (service) {
        (void)snprintf(out, TARGET_TEXT_MAX, "%.*s.%s:%u", (int)label, target->name, peer_domain,
                       (unsigned)target->port);
    } else {
        (void)snprintf(out, TARGET_TEXT_MAX, "localhost:%u", (unsigned)target->port);
    }
    return out;
}
