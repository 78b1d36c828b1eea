#include "app/nodeconfig.h"

#include "app/proxyenv.h"

#include <base/err.h>
#include <base/mem.h>

#include <stdio.h>
#include <string.h>

enum {
    ENDPOINT_TEXT = CONFIG_HOST_MAX + 10, /* "[HOST]:PORT" and the end */
};

static size_t endpoints_total(const struct config *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->peers_count; i++) {
        n += c->peers[i].endpoints.count;
    }
    return n;
}

static size_t relays_total(const struct config *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->peers_count; i++) {
        n += c->peers[i].relays.count;
    }
    return n;
}

/* mem_new for what may be empty. */
static void *some(size_t count, size_t size)
{
    return mem_new(count ? count : 1, size);
}

static bool allocate(struct nodeconfig *n, const struct config *c)
{
    size_t relays = c->relays.count + relays_total(c);
    n->stun = some(c->node.stun.count + c->node.stun_derper.count, sizeof(*n->stun));
    n->relays = some(relays, sizeof(*n->relays));
    n->relay_names = some(relays, sizeof(*n->relay_names));
    n->proxies = some(relays, sizeof(*n->proxies));
    n->peers = some(c->peers_count, sizeof(*n->peers));
    n->peer_relays = some(relays_total(c), sizeof(*n->peer_relays));
    n->endpoint_texts = some(endpoints_total(c), ENDPOINT_TEXT);
    n->endpoints = some(endpoints_total(c), sizeof(*n->endpoints));
    return n->stun && n->relays && n->relay_names && n->proxies && n->peers && n->peer_relays &&
           n->endpoint_texts && n->endpoints;
}

static void set_proxy(struct nodeconfig *n, struct adit_relay_config *to,
                      const struct config_relay *r)
{
    struct httpproxy *proxy = &n->proxies[to - n->relays];
    bool found = r->proxy.kind == CONFIG_PROXY_GIVEN;
    if (found) {
        *proxy = *r->proxy.at;
    } else if (r->proxy.kind == CONFIG_PROXY_ENVIRONMENT) {
        found = proxyenv_find(proxy, r->url.tls, r->url.host, r->url.port, n->node.log);
    }
    if (found) {
        to->proxy_host = proxy->host;
        to->proxy_port = proxy->port;
        to->proxy_login = proxy->login[0] ? proxy->login : NULL;
    }
}

static void set_pins(struct adit_relay_config *to, const struct config_pins *pins)
{
    _Static_assert(sizeof(struct config_pin) == ADIT_KEY_LEN, "a pin is just its bytes");
    union {
        const struct config_pin *in;
        const uint8_t (*out)[ADIT_KEY_LEN];
    } all = {.in = pins->items};
    to->pins = all.out;
    to->pin_count = pins->count;
}

static bool same_url(const struct adit_relay_config *a, const struct config_url *b)
{
    return strcmp(a->host, b->host) == 0 && a->port == b->port && a->tls == b->tls &&
           a->websocket == b->websocket && strcmp(a->path, b->path) == 0;
}

/* The relay with this URL, added if there is none: two peers may name the same. */
static size_t relay_index(struct nodeconfig *n, const struct config_relay *r, bool home)
{
    size_t count = n->node.relay_count;
    for (size_t i = 0; i < count; i++) {
        if (same_url(&n->relays[i], &r->url)) {
            return i;
        }
    }
    char *name = n->relay_names[count];
    if (r->name[0] != '\0') {
        (void)snprintf(name, sizeof(n->relay_names[0]), "%s", r->name);
    } else {
        (void)snprintf(name, sizeof(n->relay_names[0]), "%s:%u", r->url.host,
                       (unsigned)r->url.port);
    }
    n->relays[count] = (struct adit_relay_config){
        .name = name,
        .host = r->url.host,
        .port = r->url.port,
        .path = r->url.path,
        .home = home,
        .tls = r->url.tls,
        .websocket = r->url.websocket,
    };
    set_pins(&n->relays[count], &r->pins);
    set_proxy(n, &n->relays[count], r);
    n->node.relay_count++;
    return count;
}

static void add_endpoints(struct adit_peer_config *p, const struct config_peer *from,
                          const char **list, char *texts)
{
    p->endpoints = from->endpoints.count ? list : NULL;
    p->endpoint_count = from->endpoints.count;
    for (size_t i = 0; i < from->endpoints.count; i++) {
        const struct config_endpoint *e = &from->endpoints.items[i];
        char *text = texts + i * ENDPOINT_TEXT;
        (void)snprintf(text, ENDPOINT_TEXT, strchr(e->host, ':') ? "[%s]:%u" : "%s:%u", e->host,
                       (unsigned)e->port);
        list[i] = text;
    }
}

static void add_peers(struct nodeconfig *n, const struct config *c,
                      const struct app_secrets *secrets)
{
    size_t endpoint = 0;
    size_t relay = 0;
    for (size_t i = 0; i < c->peers_count; i++) {
        const struct config_peer *from = &c->peers[i];
        struct adit_peer_config *p = &n->peers[i];
        p->name = from->name;
        memcpy(p->key, from->key.bytes, ADIT_KEY_LEN);
        if (secrets->psks) {
            memcpy(p->psk, secrets->psks[i], ADIT_KEY_LEN);
        }
        add_endpoints(p, from, n->endpoints + endpoint,
                      n->endpoint_texts + endpoint * ENDPOINT_TEXT);
        endpoint += from->endpoints.count;
        p->relays = from->relays.count ? n->peer_relays + relay : NULL;
        p->relay_count = from->relays.count;
        for (size_t r = 0; r < from->relays.count; r++) {
            n->peer_relays[relay++] = relay_index(n, &from->relays.items[r], false);
        }
    }
    n->node.peers = n->peers;
    n->node.peer_count = c->peers_count;
}

static void add_stun(struct nodeconfig *n, const struct config_endpoints *servers, bool derper)
{
    for (size_t i = 0; i < servers->count; i++) {
        n->stun[n->node.stun_count++] = (struct adit_stun_config){
            .host = servers->items[i].host, .port = servers->items[i].port, .derper = derper};
    }
    n->node.stun = n->stun;
}

int nodeconfig_init(struct nodeconfig *n, const struct config *c, const struct app_secrets *secrets,
                    const struct log *log)
{
    *n = (struct nodeconfig){0};
    if (!allocate(n, c)) {
        nodeconfig_deinit(n);
        return ERR_NO_MEMORY;
    }
    n->node.name = c->node.name;
    memcpy(n->node.secret, secrets->node, ADIT_KEY_LEN);
    n->node.listen = c->node.listen;
    n->node.offload = c->node.offload;
    n->node.spin_ns = c->node.spin ? ADIT_SPIN_NS : 0;
    n->node.workers = (unsigned)c->node.workers;
    n->node.congestion =
        c->node.congestion == CONFIG_CONGESTION_CUBIC ? ADIT_CONGESTION_CUBIC : ADIT_CONGESTION_BBR;
    n->node.punch = c->node.punch;
    n->node.birthday_sockets = c->node.birthday ? (unsigned)c->node.birthday_sockets : 0;
    n->node.portmap = c->node.portmap;
    add_stun(n, &c->node.stun, false);
    add_stun(n, &c->node.stun_derper, true);
    n->node.state_dir = c->node.state;
    n->node.resume_timeout_ns = c->node.resume_timeout_ns;
    n->node.session_window_max = c->limits.window;
    n->node.streams_max = (uint32_t)c->limits.streams_max;
    n->node.datagrams_max = c->limits.datagrams;
    n->node.log = log;
    for (size_t i = 0; i < c->relays.count; i++) {
        (void)relay_index(n, &c->relays.items[i], true);
    }
    n->node.relays = n->relays;
    add_peers(n, c, secrets);
    return 0;
}

void nodeconfig_deinit(struct nodeconfig *n)
{
    adit_key_wipe(n->node.secret, sizeof(n->node.secret));
    for (size_t i = 0; n->peers && i < n->node.peer_count; i++) {
        adit_key_wipe(n->peers[i].psk, sizeof(n->peers[i].psk));
    }
    if (n->proxies) {
        adit_key_wipe(n->proxies, n->node.relay_count * sizeof(*n->proxies));
    }
    mem_free(n->proxies);
    mem_free(n->stun);
    mem_free(n->relays);
    mem_free(n->relay_names);
    mem_free(n->peers);
    mem_free(n->peer_relays);
    mem_free(n->endpoint_texts);
    mem_free(n->endpoints);
    *n = (struct nodeconfig){0};
}
