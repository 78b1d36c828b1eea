/* Defaults, and what concerns more than one value: references, duplicates, what is missing. */
#include "policy/config_internal.h"

#include <base/mem.h>

#include <stdio.h>
#include <string.h>

/* Sets what the next error message names. */
static void point_at(struct config_parser *p, unsigned line, const char *key, const char *format,
                     const char *name)
{
    p->line = line;
    (void)snprintf(p->section_text, sizeof(p->section_text), "%s%s", format, name);
    (void)snprintf(p->key_text, sizeof(p->key_text), "%s", key);
}

void config_check_section(struct config_parser *p)
{
    for (const struct config_key *k = config_keys_table; p->section && k->name; k++) {
        bool here = strcmp(k->section, p->section->name) == 0;
        if (here && k->required && !(p->keys_seen & config_key_bit(k))) {
            p->key = k;
            p->line = p->section_line;
            (void)snprintf(p->key_text, sizeof(p->key_text), "%s", k->name);
            config_fail_value(p, "is missing");
        }
    }
}

static void fill_defaults(struct config_parser *p)
{
    for (const struct config_key *k = config_keys_table; k->name; k++) {
        const struct config_section *s = config_find_section(k->section);
        bool fixed = !s->named && !k->computed && k->initial[0] && k->type != CONFIG_ROUTE &&
                     k->type != CONFIG_FORWARD;
        if (fixed && !(p->keys_seen & config_key_bit(k))) {
            point_at(p, 0, k->name, k->section, "");
            p->key = k;
            p->base = (char *)p->config + s->offset;
            config_take(p, k->initial);
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
        point_at(p, 0, "control", "node", "");
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
            point_at(p, relay->line, "relay", "peer ", peer->name);
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
            point_at(p, peer->line, "key", "peer ", peer->name);
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
        point_at(p, 0, "peers_max", "limits", "");
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

static void check_routes(struct config_parser *p)
{
    const struct config *config = p->config;
    for (size_t i = 0; i < config->routes_count; i++) {
        struct config_route *route = &config->routes[i];
        const struct config_peer *peer = config_find_peer(config, route->peer_name);
        if (route->kind != ROUTE_PEER) {
            continue;
        }
        if (peer) {
            route->peer = (size_t)(peer - config->peers);
            continue;
        }
        const char *near = near_peer(config, route->peer_name);
        point_at(p, route->line, "", "route", "");
        config_fail(p, "there is no [peer %s]%s%s%s", route->peer_name,
                    near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
}

/* Who could connect from elsewhere must be asked who he is. */
static void check_front(struct config_parser *p)
{
    const struct config_front *front = &p->config->front;
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < front->listen.count && !front->users; i++) {
        const struct config_listen *l = &front->listen.items[i];
        if (l->addr.family != ADDR_NONE && !addr_is_loopback(&l->addr)) {
            point_at(p, l->line, "listen", "front", "");
            config_fail(p,
                        "\"%s\" is not loopback: others could use the proxy; name a file with "
                        "passwords (users = FILE), or listen on loopback",
                        addr_format(&l->addr, text));
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
            point_at(p, f->listen.line, "", "forward", "");
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
            point_at(p, r->line, "pin", "relay ", r->name);
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
        point_at(p, 0, server->cert ? "cert_key" : "cert", "server", "");
        config_fail(p, "is missing: listen_tls needs a certificate and its key");
    } else if (!listens && (server->cert || server->cert_key)) {
        point_at(p, 0, "listen_tls", "server", "");
        config_fail(p, "is missing: nobody listens with the certificate");
    }
}

static void check_server(struct config_parser *p)
{
    const struct config_server *server = &p->config->server;
    const struct config_key *allow = config_find_key(config_find_section("server"), "allow");
    /* Keys that were given but wrong have their own error. */
    bool listed = (p->keys_seen & config_key_bit(allow)) != 0;
    if (server->given && !server->open && !listed) {
        point_at(p, 0, "allow", "server", "");
        config_fail(p, "nobody may use this relay: list public keys, or say open = yes");
    }
}

void config_check(struct config_parser *p)
{
    fill_defaults(p);
    fill_from_env(p);
    check_peers(p);
    check_routes(p);
    check_front(p);
    check_forwards(p);
    check_server(p);
    check_relays(p);
    check_tls(p);
}
