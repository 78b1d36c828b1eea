#include "policy/config.h"

#include "policy/config_internal.h"

#include <base/check.h>
#include <base/mem.h>

#include <stdio.h>
#include <strings.h>

static void free_peer(struct config_peer *peer)
{
    mem_free(peer->psk.path);
    mem_free(peer->endpoints.items);
    mem_free(peer->relays.items);
    acl_deinit(&peer->allow);
}

void config_free(struct config *config)
{
    if (!config) {
        return;
    }
    for (size_t i = 0; i < config->peers_count; i++) {
        free_peer(&config->peers[i]);
    }
    mem_free(config->peers);
    mem_free(config->routes);
    mem_free(config->forwards);
    for (size_t i = 0; i < config->fronts_count; i++) {
        mem_free(config->fronts[i].listen.items);
        mem_free(config->fronts[i].users.path);
        mem_free(config->fronts[i].uids.items);
    }
    mem_free(config->fronts);
    for (size_t i = 0; i < config->serves_count; i++) {
        config_serve_free(&config->serves[i]);
    }
    mem_free(config->serves);
    acl_deinit(&config->direct);
    config_free_relays(&config->relays);
    config_free_proxy(&config->exit.upstream);
    mem_free(config->server.listen.items);
    mem_free(config->server.listen_tls.items);
    mem_free(config->server.cert);
    mem_free(config->server.cert_key);
    mem_free(config->server.allow.items);
    mem_free(config->server.stun.items);
    mem_free(config->server.metrics.items);
    mem_free(config->server.key.path);
    config_free_cluster(&config->server.cluster);
    mem_free(config->server.cluster_credentials);
    mem_free(config->server.cluster_ca);
    mem_free(config->server.cluster_secret.path);
    mem_free(config->node.key.path);
    mem_free(config->node.stun.items);
    mem_free(config->node.stun_derper.items);
    mem_free(config->node.state);
    mem_free(config->node.control);
    mem_free(config);
}

const char *config_error_format(const struct config_errors *errors, size_t index, char *out,
                                size_t cap)
{
    CHECK(index < errors->count && cap > 0);
    const struct config_error *e = &errors->items[index];
    char line[16] = "";
    if (e->line > 0) {
        (void)snprintf(line, sizeof(line), ":%u", e->line);
    }
    (void)snprintf(out, cap, "%s%s:%s%s%s%s%s%s %s", errors->file, line, e->section[0] ? " [" : "",
                   e->section, e->section[0] ? "]" : "", e->key[0] ? " " : "", e->key,
                   e->section[0] || e->key[0] ? ":" : "", e->text);
    return out;
}

const struct config_peer *config_find_peer(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->peers_count; i++) {
        if (strcasecmp(config->peers[i].name, name) == 0) {
            return &config->peers[i];
        }
    }
    return NULL;
}
