/* Defaults, and what concerns more than one value: references, duplicates, what is missing. */
#include "policy/config_internal.h"

#include <base/err.h>
#include <base/mem.h>

#include <stdio.h>
#include <string.h>

void config_point_at(struct config_parser *p, unsigned line, const char *key, const char *format,
                     const char *name)
{
    p->line = line;
    p->value = NULL;
    (void)snprintf(p->section_text, sizeof(p->section_text), "%s%s", format, name);
    (void)snprintf(p->key_text, sizeof(p->key_text), "%s", key);
}

/* A key that is there at most once: at its own line, where it is missing at its section's. */
static void point_at_key(struct config_parser *p, const char *section, const char *key)
{
    const struct config_section *s = config_find_section(section);
    unsigned line = *config_key_line(p, config_find_key(s, key));
    config_point_at(p, line > 0 ? line : *config_section_line(p, s), key, section, "");
}

/* What the section does not say and the table does. */
static void fill_section(struct config_parser *p, const struct config_section *s, bool named)
{
    for (const struct config_key *k = config_keys_table; k->name; k++) {
        bool fixed = strcmp(k->section, s->name) == 0 && !k->computed && k->initial[0] &&
                     !config_takes_any(k) && !(named && k->type == CONFIG_LISTENS);
        if (fixed && *config_key_line(p, k) == 0) {
            config_point_at(p, 0, k->name, s->name, "");
            p->key = k;
            config_take(p, k->initial);
        }
    }
}

void config_check_section(struct config_parser *p)
{
    for (const struct config_key *k = config_keys_table; p->section && k->name; k++) {
        bool here = strcmp(k->section, p->section->name) == 0;
        if (here && k->required && *config_key_line(p, k) == 0) {
            p->key = k;
            p->line = p->section_line;
            (void)snprintf(p->key_text, sizeof(p->key_text), "%s", k->name);
            config_fail_value(p, "is missing");
        }
    }
    if (p->section && p->section->named && p->section->plain) {
        fill_section(p, p->section, p->base != p->config->fronts);
    }
}

static void fill_defaults(struct config_parser *p)
{
    for (const struct config_section *s = config_sections; s->name; s++) {
        p->base = (char *)p->config + s->offset;
        if (!s->named) {
            fill_section(p, s, false);
        } else if (s->plain && *config_section_line(p, s) == 0) {
            config_forget_keys(p, s);
            p->base = p->config->fronts;
            fill_section(p, s, false);
        }
    }
}

static char *copy_text(struct config_parser *p, const char *text)
{
    char *copy = text ? mem_text(text) : NULL;
    p->no_memory = p->no_memory || (text && !copy);
    return copy;
}

static char *control_in(struct config_parser *p, const char *state)
{
    static const char name[] = "/control";
    char *path = mem_new(1, strlen(state) + sizeof(name));
    if (!path) {
        p->no_memory = true;
        return NULL;
    }
    memcpy(path, state, strlen(state));
    memcpy(path + strlen(state), name, sizeof(name));
    return path;
}

static void fill_from_env(struct config_parser *p)
{
    struct config_node *node = &p->config->node;
    if (!node->name[0] && p->env->name && !config_set_name(node->name, p->env->name)) {
        (void)config_set_name(node->name, "node");
    }
    if (!node->state) {
        node->state = copy_text(p, p->env->state);
    }
    if (!node->control && p->env->control) {
        node->control = copy_text(p, p->env->control);
    } else if (!node->control && node->state) {
        node->control = control_in(p, node->state);
    }
    if (node->control && strlen(node->control) > CONFIG_SOCKET_PATH_MAX) {
        point_at_key(p, "node", "control");
        config_fail(p, "\"%.128s\" is longer than %d bytes, which a unix socket cannot be",
                    node->control, CONFIG_SOCKET_PATH_MAX);
    }
}

static const struct config_relay *find_relay(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->relays.count; i++) {
        if (strcmp(config->relays.items[i].name, name) == 0) {
            return &config->relays.items[i];
        }
    }
    return NULL;
}

static void resolve_relays(struct config_parser *p, struct config_peer *peer)
{
    for (size_t i = 0; i < peer->relays.count; i++) {
        struct config_relay *relay = &peer->relays.items[i];
        const struct config_relay *found = find_relay(p->config, relay->name);
        if (relay->name[0] && !found) {
            config_point_at(p, relay->line, "relay", "peer ", peer->name);
            config_fail(p, "there is no [relay %s]", relay->name);
        } else if (found) {
            relay->url = found->url;
        }
    }
}

/* Both sides mostly share their relay; it need not be said again for each peer. */
static void inherit_relays(struct config_parser *p, struct config_peer *peer)
{
    const struct config_relays *all = &p->config->relays;
    if (peer->relays.count > 0 || all->count == 0) {
        return;
    }
    peer->relays.items = mem_new(all->count, sizeof(*all->items));
    if (!peer->relays.items) {
        p->no_memory = true;
        return;
    }
    for (size_t i = 0; i < all->count; i++) {
        struct config_relay *copy = &peer->relays.items[i];
        *copy = all->items[i];
        copy->pins = (struct config_pins){0};
        copy->proxy = (struct config_proxy){0};
    }
    peer->relays.count = all->count;
}

static void check_peer(struct config_parser *p, size_t index)
{
    struct config_peer *peer = &p->config->peers[index];
    static const struct config_public_key none;
    resolve_relays(p, peer);
    inherit_relays(p, peer);
    for (size_t i = 0; i < index; i++) {
        bool given = memcmp(&peer->key, &none, sizeof(none)) != 0;
        if (given && memcmp(&peer->key, &p->config->peers[i].key, sizeof(none)) == 0) {
            config_point_at(p, peer->line, "key", "peer ", peer->name);
            config_fail(p, "is the key of peer %s, too", p->config->peers[i].name);
            return;
        }
    }
}

static void check_peers(struct config_parser *p)
{
    const struct config *config = p->config;
    for (size_t i = 0; i < config->peers_count; i++) {
        check_peer(p, i);
    }
    if (config->peers_count > config->limits.peers_max) {
        point_at_key(p, "limits", "peers_max");
        config_fail(p, "there are %zu peers, more than %llu", config->peers_count,
                    (unsigned long long)config->limits.peers_max);
    }
}

static const char *near_peer(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->peers_count; i++) {
        if (config_is_near(name, config->peers[i].name)) {
            return config->peers[i].name;
        }
    }
    return NULL;
}

static void check_way(struct config_parser *p, struct config_route *way, const char *key,
                      const char *section, const char *name)
{
    const struct config *config = p->config;
    const struct config_peer *peer = config_find_peer(config, way->peer_name);
    if (way->kind != ROUTE_PEER) {
        return;
    }
    if (peer) {
        way->peer = (size_t)(peer - config->peers);
        return;
    }
    const char *near = near_peer(config, way->peer_name);
    config_point_at(p, way->line, key, section, name);
    config_fail(p, "there is no [peer %s]%s%s%s", way->peer_name, near ? ", did you mean \"" : "",
                near ? near : "", near ? "\"?" : "");
}

static void check_routes(struct config_parser *p)
{
    for (size_t i = 0; i < p->config->routes_count; i++) {
        check_way(p, &p->config->routes[i], "", "route", "");
    }
}

static void check_exits(struct config_parser *p)
{
    for (size_t i = 0; i < p->config->fronts_count; i++) {
        struct config_front *front = &p->config->fronts[i];
        check_way(p, &front->exit, "exit", front->name[0] ? "front " : "front", front->name);
    }
}

/* The list that `direct` connections are held against: see struct config. */
static void make_direct(struct config_parser *p)
{
    struct config *config = p->config;
    struct acl_rule any = {.kind = ACL_ANY, .port_max = UINT16_MAX};
    p->no_memory = p->no_memory || acl_add(&config->direct, &any) != 0;
    for (size_t i = 0; i < config->routes_count; i++) {
        const struct config_route *r = &config->routes[i];
        struct acl_rule rule = {.kind = ACL_PREFIX,
                                .port_min = r->port_min,
                                .port_max = r->port_max,
                                .prefix = r->prefix};
        if (r->kind == ROUTE_DIRECT && r->prefix.base.family != ADDR_NONE) {
            p->no_memory = p->no_memory || acl_add(&config->direct, &rule) == ERR_NO_MEMORY;
        }
    }
}

static void check_forwards(struct config_parser *p)
{
    const struct config *config = p->config;
    char text[TARGET_TEXT_MAX];
    for (size_t i = 0; i < config->forwards_count; i++) {
        struct config_forward *f = &config->forwards[i];
        (void)target_format(&f->target, text);
        const char *why = config_parse_forward(&f->target, config, text);
        if (why) {
            config_point_at(p, f->listen.line, "", "forward", "");
            p->value = text;
            config_fail(p, "\"%s\" %s", text, why);
        }
    }
}

static void check_relays(struct config_parser *p)
{
    const struct config_relays *relays = &p->config->relays;
    for (size_t i = 0; i < relays->count; i++) {
        const struct config_relay *r = &relays->items[i];
        if (r->pins.count > 0 && r->url.host[0] && !r->url.tls) {
            config_point_at(p, r->line, "pin", "relay ", r->name);
            config_fail(p, "is of no use without TLS: make the url https:// or wss://");
        }
    }
}

static void check_tls(struct config_parser *p)
{
    const struct config_server *server = &p->config->server;
    bool listens = server->listen_tls.count > 0;
    bool whole = server->cert && server->cert_key;
    if (listens && !whole) {
        point_at_key(p, "server", server->cert ? "cert_key" : "cert");
        config_fail(p, "is missing: listen_tls needs a certificate and its key");
    } else if (!listens && (server->cert || server->cert_key)) {
        point_at_key(p, "server", "listen_tls");
        config_fail(p, "is missing: nobody listens with the certificate");
    }
}

static void check_cluster(struct config_parser *p)
{
    const struct config_server *server = &p->config->server;
    bool more = server->cluster_credentials || server->cluster_ca || server->cluster_secret.path;
    if (server->cluster.count == 0 && more) {
        point_at_key(p, "server", "cluster");
        config_fail(p, "is missing: there is nobody to show them to");
    }
}

static void check_server(struct config_parser *p)
{
    const struct config_server *server = &p->config->server;
    const struct config_key *allow = config_find_key(config_find_section("server"), "allow");
    /* Keys that were given but wrong have their own error. */
    bool listed = *config_key_line(p, allow) > 0;
    if (server->given && !server->open && !listed) {
        point_at_key(p, "server", "allow");
        config_fail(p, "nobody may use this relay: list public keys, or say open = yes");
    }
    check_cluster(p);
}

/* Two of a family become four sockets, so each must be an address of its own (RFC 5780 6). */
static const char *why_no_pair(const struct addr *a, const struct addr *b)
{
    if (addr_is_unspecified(a) || addr_is_unspecified(b)) {
        return "with two, each has to be one address of this machine";
    }
    return addr_equal_ip(a, b) || a->port == b->port
               ? "has to differ from the other one in IP and in port"
               : NULL;
}

static void check_stun(struct config_parser *p)
{
    const struct config_addrs *stun = &p->config->server.stun;
    const char *why = NULL;
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < stun->count && !why; i++) {
        size_t before = 0;
        for (size_t k = 0; k < i && !why; k++) {
            bool same_family = stun->items[k].family == stun->items[i].family;
            why = same_family ? why_no_pair(&stun->items[k], &stun->items[i]) : NULL;
            before += same_family;
        }
        why = before > 1 ? "is the third of its family" : why;
        if (why) {
            point_at_key(p, "server", "stun");
            config_fail(p, "\"%s\" %s", addr_format(&stun->items[i], text), why);
        }
    }
}

static void check_serves(struct config_parser *p)
{
    for (size_t i = 0; i < p->config->serves_count; i++) {
        struct config_serve *serve = &p->config->serves[i];
        const char *why = config_resolve_serve(serve, p->config);
        if (why) {
            config_point_at(p, serve->line, serve->name, "serve", "");
            p->value = serve->peers_text;
            config_fail(p, "\"%s\" %s", serve->peers_text, why);
        }
    }
}

void config_check(struct config_parser *p)
{
    fill_defaults(p);
    fill_from_env(p);
    check_peers(p);
    check_routes(p);
    check_exits(p);
    config_check_fronts(p);
    check_forwards(p);
    check_serves(p);
    check_server(p);
    check_relays(p);
    check_tls(p);
    check_stun(p);
    make_direct(p);
}
