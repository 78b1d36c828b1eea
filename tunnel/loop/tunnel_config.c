/* A node out of a configuration: copies, names, limits, and the timestamp kept on disk. */
#include "loop/tunnel_internal.h"

#include <adit/file.h>
#include <base/err.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/sysclock.h"
#include "os/sysrng.h"
#include "relay/relay_client.h"

static char *host_header(const struct adit_relay_config *c)
{
    char text[TUNNEL_HOST_MAX + 16];
    bool v6 = strchr(c->host, ':') != NULL;
    (void)snprintf(text, sizeof(text), v6 ? "[%s]:%u" : "%s:%u", c->host, (unsigned)c->port);
    return mem_text(text);
}

static int copy_relays(struct adit *a, const struct adit_config *c,
                       struct node_relay_config *relays)
{
    for (size_t i = 0; i < c->relay_count; i++) {
        struct relay_entry *r = &a->relays[i];
        const struct adit_relay_config *from = &c->relays[i];
        *r = (struct relay_entry){.name = mem_text(from->name),
                                  .host = mem_text(from->host),
                                  .host_header = host_header(from),
                                  .path = mem_text(from->path ? from->path : "/derp"),
                                  .port = from->port,
                                  .tls = from->tls,
                                  .websocket = from->websocket};
        a->relay_count++;
        if (from->websocket && !relay_client_has_websocket()) {
            LOG_AT(c->log, LOG_ERROR, "relay", "not_usable",
                   "relay=%s why=\"WebSocket is not built in\"", from->name);
            return ERR_NOT_FOUND;
        }
        if (!r->name || !r->host || !r->host_header || !r->path) {
            return ERR_NO_MEMORY;
        }
        relays[i] = (struct node_relay_config){.name = r->name,
                                               .host_header = r->host_header,
                                               .path = r->path,
                                               .home = from->home,
                                               .proxied = from->proxy_host != NULL,
                                               .websocket = from->websocket};
    }
    return 0;
}

/* "HOST:PORT", "[IPV6]:PORT"; the configuration has been checked before. */
static int split_endpoint(struct endpoint_lookup *l, const char *text)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    unsigned long port = colon ? strtoul(colon + 1, NULL, 10) : 0;
    if (len >= 2 && text[0] == '[') {
        text++;
        len -= 2;
    }
    if (len == 0 || len >= sizeof(l->host) || port == 0 || port > UINT16_MAX) {
        return ERR_MALFORMED;
    }
    memcpy(l->host, text, len);
    l->port = (uint16_t)port;
    return 0;
}

static int copy_peer(struct adit *a, size_t i, const struct adit_peer_config *from,
                     struct node_peer_config *to)
{
    a->peer_names[i] = mem_text(from->name);
    a->peer_count++;
    if (!a->peer_names[i]) {
        return ERR_NO_MEMORY;
    }
    *to = (struct node_peer_config){.name = a->peer_names[i],
                                    .endpoint_count = from->endpoint_count,
                                    .relays = from->relays,
                                    .relay_count = from->relay_count};
    memcpy(to->key, from->key, sizeof(to->key));
    memcpy(to->psk, from->psk, sizeof(to->psk));
    if (from->endpoint_count > NODE_ENDPOINTS_MAX) {
        return ERR_NO_ROOM;
    }
    for (size_t k = 0; k < from->endpoint_count; k++) {
        struct endpoint_lookup *l = &a->lookups[i * NODE_ENDPOINTS_MAX + k];
        *l = (struct endpoint_lookup){.adit = a, .peer = i, .endpoint = k};
        int err = split_endpoint(l, from->endpoints[k]);
        if (err != 0) {
            return err;
        }
    }
    return 0;
}

static int copy_stun(struct adit *a, const struct adit_config *c)
{
    a->stun = mem_new(c->stun_count + 1, sizeof(*a->stun));
    if (!a->stun) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < c->stun_count; i++) {
        struct stun_lookup *l = &a->stun[i];
        size_t len = strlen(c->stun[i].host);
        if (len >= sizeof(l->host)) {
            return ERR_TOO_LARGE;
        }
        *l = (struct stun_lookup){.adit = a, .port = c->stun[i].port, .derper = c->stun[i].derper};
        memcpy(l->host, c->stun[i].host, len);
    }
    a->stun_count = c->stun_count;
    return 0;
}

/* Also names the files in which state is kept. */
static void load_timestamp(struct adit *a, const struct adit_config *c)
{
    uint8_t public[ADIT_KEY_LEN];
    char key[ADIT_KEY_TEXT_MAX];
    if (!c->state_dir || adit_key_public(public, c->secret) != 0) {
        return;
    }
    (void)file_make_dirs(c->state_dir, 0700);
    (void)snprintf(a->state_file, sizeof(a->state_file), "%s/timestamp.%.8s", c->state_dir,
                   adit_key_format(public, key));
    (void)snprintf(a->recipes_file, sizeof(a->recipes_file), "%s/recipes.%.8s", c->state_dir, key);
    char *text;
    size_t len;
    if (file_read_all(a->state_file, 64, &text, &len) == 0) {
        a->stored_timestamp = strtoull(text, NULL, 10);
        mem_free(text);
    }
}

/* NULL if there are none, or none that can be read: they only save time. */
static uint8_t *load_recipes(const struct adit *a, size_t *len)
{
    char *data = NULL;
    *len = 0;
    if (a->recipes_file[0] != '\0' &&
        file_read_all(a->recipes_file, NODE_RECIPES_LEN_MAX, &data, len) != 0) {
        return NULL;
    }
    return (uint8_t *)data;
}

static struct conn_limits limits_of(const struct adit_config *c)
{
    struct conn_limits limits =
        c->session_window_max != 0 ? conn_limits_of(c->session_window_max) : conn_limits_default();
    limits.streams_max = c->streams_max != 0 ? c->streams_max : limits.streams_max;
    limits.datagrams_max = c->datagrams_max != 0 ? c->datagrams_max : limits.datagrams_max;
    return limits;
}

static int make_node(struct adit *a, const struct adit_config *c,
                     const struct node_relay_config *relays, const struct node_peer_config *peers)
{
    size_t recipes_len;
    uint8_t *recipes = load_recipes(a, &recipes_len);
    bool cubic = c->congestion == ADIT_CONGESTION_CUBIC;
    struct node_config config = {.limits = limits_of(c),
                                 .congestion = cubic ? CONN_CONGESTION_CUBIC : CONN_CONGESTION_BBR,
                                 .seal_apart = c->workers > 0,
                                 .open_apart = c->workers > 1,
                                 .recipes = recipes,
                                 .recipes_len = recipes_len,
                                 .resume_timeout_ns = c->resume_timeout_ns,
                                 .punch = c->punch,
                                 .birthday_sockets = c->birthday_sockets,
                                 .unix_ns = sys_unix_ns(),
                                 .timestamp = a->stored_timestamp,
                                 .relays = relays,
                                 .relay_count = c->relay_count,
                                 .peers = peers,
                                 .peer_count = c->peer_count,
                                 .rng = sys_rng(),
                                 .log = c->log};
    memcpy(config.secret, c->secret, sizeof(config.secret));
    int err = node_new(&config, sys_now_ns(), &a->node);
    adit_key_wipe(config.secret, sizeof(config.secret));
    mem_free(recipes);
    a->stored_recipes = err == 0 ? node_recipes_version(a->node) : 0;
    return err;
}

/* Their psks are the node's now. */
static void free_peers(struct node_peer_config *peers, size_t count)
{
    for (size_t i = 0; peers && i < count; i++) {
        adit_key_wipe(peers[i].psk, sizeof(peers[i].psk));
    }
    mem_free(peers);
}

int tunnel_make_node(struct adit *a, const struct adit_config *c)
{
    struct node_relay_config relays[NODE_RELAYS_MAX];
    struct node_peer_config *peers = mem_new(c->peer_count + 1, sizeof(*peers));
    a->peer_names = mem_new(c->peer_count + 1, sizeof(*a->peer_names));
    a->lookups = mem_new(c->peer_count * NODE_ENDPOINTS_MAX + 1, sizeof(*a->lookups));
    a->was_direct = mem_new(c->peer_count + 1, sizeof(*a->was_direct));
    a->portmap = c->portmap;
    a->workers = c->workers;
    int err = peers && a->peer_names && a->lookups && a->was_direct ? 0 : ERR_NO_MEMORY;
    if (err == 0 && c->relay_count > NODE_RELAYS_MAX) {
        err = ERR_NO_ROOM;
    }
    if (err == 0) {
        err = copy_relays(a, c, relays);
    }
    if (err == 0) {
        err = copy_stun(a, c);
    }
    for (size_t i = 0; err == 0 && i < c->peer_count; i++) {
        err = copy_peer(a, i, &c->peers[i], &peers[i]);
    }
    if (err == 0) {
        load_timestamp(a, c);
        err = make_node(a, c, relays, peers);
    }
    free_peers(peers, c->peer_count);
    return err;
}

void tunnel_tell_literals(struct adit *a, const struct adit_config *c)
{
    for (size_t i = 0; i < c->peer_count; i++) {
        for (size_t k = 0; k < c->peers[i].endpoint_count; k++) {
            struct addr addr;
            if (addr_parse(&addr, c->peers[i].endpoints[k]) == 0) {
                node_resolved(a->node, i, k, &addr, 1, sys_now_ns());
            }
        }
    }
}

void tunnel_store_timestamp(struct adit *a)
{
    uint64_t timestamp = node_timestamp(a->node);
    if (timestamp == a->stored_timestamp) {
        return;
    }
    a->stored_timestamp = timestamp;
    if (a->state_file[0] == '\0') {
        return;
    }
    char text[32];
    int len = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)timestamp);
    int err = file_write_atomic(a->state_file, text, (size_t)len, 0600);
    if (err != 0) {
        LOG_AT(a->log, LOG_WARN, "node", "state_not_stored", "file=%s why=\"%s\"", a->state_file,
               strerror(-err));
    }
}

void tunnel_store_recipes(struct adit *a)
{
    uint8_t data[NODE_RECIPES_LEN_MAX];
    uint64_t version = node_recipes_version(a->node);
    if (version == a->stored_recipes || a->recipes_file[0] == '\0') {
        return;
    }
    a->stored_recipes = version;
    int err = file_write_atomic(a->recipes_file, data, node_recipes(a->node, data), 0600);
    if (err != 0) {
        LOG_AT(a->log, LOG_WARN, "node", "recipes_not_stored", "file=%s why=\"%s\"",
               a->recipes_file, strerror(-err));
    }
}

void tunnel_free_config(struct adit *a)
{
    for (size_t i = 0; i < a->relay_count; i++) {
        mem_free(a->relays[i].name);
        mem_free(a->relays[i].host);
        mem_free(a->relays[i].host_header);
        mem_free(a->relays[i].path);
    }
    for (size_t i = 0; i < a->peer_count; i++) {
        mem_free(a->peer_names[i]);
    }
    mem_free(a->peer_names);
    mem_free(a->was_direct);
    mem_free(a->lookups);
    mem_free(a->stun);
}
