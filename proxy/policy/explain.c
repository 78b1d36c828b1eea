#include "policy/explain.h"

#include <stdio.h>
#include <string.h>

void explain_exit_target(const struct route *route, const struct target *t,
                         char out[TARGET_TEXT_MAX])
{
    if (route->self) {
        (void)snprintf(out, TARGET_TEXT_MAX, "localhost:%u", (unsigned)t->port);
    } else {
        (void)target_format(t, out);
    }
}

static void write_pattern(const struct config_route *rule, char *out, size_t cap)
{
    char prefix[ADDR_TEXT_MAX];
    if (rule->suffix[0] != '\0') {
        (void)snprintf(out, cap, "%s", rule->suffix);
    } else if (rule->prefix.base.family != ADDR_NONE) {
        (void)snprintf(out, cap, "%s", prefix_format(&rule->prefix, prefix));
    } else {
        (void)snprintf(out, cap, "default");
    }
}

static void write_rule(struct explanation *e)
{
    char pattern[CONFIG_HOST_MAX + 1];
    const struct config_route *rule = e->route.rule;
    if (!rule) {
        return;
    }
    write_pattern(rule, pattern, sizeof(pattern));
    (void)snprintf(e->rule, sizeof(e->rule), "%s = %s%s%s (line %u)", pattern, e->goes,
                   e->peer ? " " : "", e->peer ? e->peer : "", rule->line);
}

static void write_text(struct explanation *e, const struct target *t)
{
    char peer[TARGET_PEER_MAX + 1];
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
        text = target_is_peer_name(t, peer) ? "refused: there is no peer of that name, and such "
                                              "names never leave this machine"
               : e->route.rule              ? "refused"
                               : "refused: no line of [route] names it, and there is no default";
        break;
    }
    (void)snprintf(e->text, sizeof(e->text), "%s", text);
}

void explain_route(const struct config *config, const struct target *t, struct explanation *out)
{
    static const char *const goes[] = {
        [ROUTE_REFUSE] = "refuse", [ROUTE_DIRECT] = "direct", [ROUTE_PEER] = "peer"};
    bool name = t->kind == TARGET_NAME;
    *out = (struct explanation){
        .route = route_decide(config, name ? t->name : NULL, name ? NULL : &t->addr)};
    bool peer = out->route.kind == ROUTE_PEER;
    (void)target_format(t, out->target);
    out->goes = goes[out->route.kind];
    out->peer = peer ? config->peers[out->route.peer].name : NULL;
    if (peer) {
        explain_exit_target(&out->route, t, out->exit_target);
    }
    write_rule(out);
    write_text(out, t);
}
