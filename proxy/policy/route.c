#include "policy/route.h"

#include "policy/host.h"

#include <base/check.h>

#include <string.h>

static const char peer_domain[] = "peer";

static struct route route_to_peer_machine(const struct config *config, const char *name)
{
    char peer[CONFIG_NAME_MAX + 1];
    const char *dot = strchr(name, '.');
    struct route r = {.kind = ROUTE_REFUSE};
    size_t len = dot ? (size_t)(dot - name) : 0;
    if (len == 0 || len > CONFIG_NAME_MAX || strcmp(dot + 1, peer_domain) != 0) {
        return r;
    }
    memcpy(peer, name, len);
    peer[len] = '\0';
    const struct config_peer *found = config_find_peer(config, peer);
    if (found) {
        r = (struct route){
            .kind = ROUTE_PEER, .peer = (size_t)(found - config->peers), .self = true};
    }
    return r;
}

/* How well the pattern fits: 0 = not at all, 1 = the default, more = longer. */
static size_t fit(const struct config_route *route, const char *name, const struct addr *addr)
{
    if (route->suffix[0] != '\0') {
        return name && host_is_in(name, route->suffix) ? 1 + strlen(route->suffix) : 0;
    }
    if (route->prefix.base.family != ADDR_NONE) {
        return addr && prefix_contains(&route->prefix, addr) ? 2u + route->prefix.bits : 0;
    }
    return 1;
}

struct route route_decide(const struct config *config, const char *name, const struct addr *addr)
{
    CHECK((name != NULL) != (addr != NULL));
    struct addr plain = {0};
    if (name && host_is_in(name, peer_domain)) {
        return route_to_peer_machine(config, name);
    }
    if (addr) {
        plain = addr_normalize(addr);
    }
    struct route best = {.kind = ROUTE_REFUSE};
    size_t best_fit = 0;
    for (size_t i = 0; i < config->routes_count; i++) {
        const struct config_route *route = &config->routes[i];
        size_t fits = fit(route, name, addr ? &plain : NULL);
        if (fits > best_fit) {
            best_fit = fits;
            best = (struct route){.kind = route->kind, .peer = route->peer, .rule = route};
        }
    }
    return best;
}
