#include "policy/explain.h"

#include "policy/host.h"

#include <stdio.h>
#include <string.h>

static void write_host(const struct config_route *line, char *out, size_t cap)
{
    char prefix[ADDR_TEXT_MAX];
    const char *host = line->suffix;
    if (line->prefix.base.family != ADDR_NONE) {
        host = prefix_format(&line->prefix, prefix);
    } else if (config_route_is_default(line)) {
        host = "default";
    }
    (void)snprintf(out, cap, "%s", host);
}

static void write_ports(const struct config_route *line, char *out, size_t cap)
{
    unsigned low = line->port_min, high = line->port_max;
    if (low == high) {
        (void)snprintf(out, cap, ":%u", low);
    } else if (low > 0 || high < UINT16_MAX) {
        (void)snprintf(out, cap, ":%u-%u", low, high);
    }
}

static void write_rule(struct explanation *e)
{
    char host[CONFIG_HOST_MAX + 1], ports[16] = "";
    const struct config_route *line = e->route.line;
    if (!line) {
        return;
    }
    write_host(line, host, sizeof(host));
    write_ports(line, ports, sizeof(ports));
    (void)snprintf(e->rule, sizeof(e->rule), "%s%s = %s%s%s (line %u)", host, ports, e->goes,
                   e->peer ? " " : "", e->peer ? e->peer : "", line->line);
}

static void write_text(struct explanation *e, const struct target *t)
{
    bool peer_name = t->kind == TARGET_NAME && host_is_in(t->name, "peer");
    const char *text = "";
    switch (e->route.kind) {
    case ROUTE_PEER:
        (void)snprintf(e->text, sizeof(e->text),
                       e->route.self ? "goes to the machine of peer %s"
                                     : "goes through peer %s, and from there to the target",
                       e->peer);
        return;
    case ROUTE_DIRECT:
        text = "goes straight out from this machine";
        break;
    case ROUTE_REFUSE:
        text = peer_name       ? "refused: there is no peer of that name, and such "
                                 "names never leave this machine"
               : e->route.line ? "refused"
                               : "refused: no line of [route] names it, and there is no default";
        break;
    }
    (void)snprintf(e->text, sizeof(e->text), "%s", text);
}

void explain_route(const struct config *config, const struct target *t, struct explanation *out)
{
    static const char *const goes[] = {
        [ROUTE_REFUSE] = "refuse", [ROUTE_DIRECT] = "direct", [ROUTE_PEER] = "peer"};
    *out = (struct explanation){.route = route_decide(config, t, NULL)};
    bool peer = out->route.kind == ROUTE_PEER;
    (void)target_format(t, out->target);
    out->goes = goes[out->route.kind];
    out->peer = peer ? config->peers[out->route.peer].name : NULL;
    if (peer) {
        (void)(out->route.self ? route_name_there(t, out->exit_target)
                               : target_format(t, out->exit_target));
    }
    write_rule(out);
    write_text(out, t);
}
