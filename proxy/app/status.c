/* app_status: the node's numbers as a control_snapshot, and that as JSON. */
#include "app/app_internal.h"

#include <base/mem.h>

#include <stdio.h>
#include <string.h>

enum {
    URL_TEXT = CONFIG_HOST_MAX + CONFIG_URL_PATH_MAX + 24,
    COUNTERS_MAX = 256,
};

/* Room for the texts of one peer or relay. */
struct texts {
    char key[ADIT_KEY_TEXT_MAX];
    char address[ADDR_TEXT_MAX];
    char url[URL_TEXT];
};

struct collection {
    struct control_snapshot snapshot;
    struct control_peer *peers;
    struct control_relay *relays;
    struct texts *texts; /* one for each peer, then for each relay, then for the node */
    const char **front;
    char (*front_texts)[CONFIG_SOCKET_PATH_MAX + 1];
    struct control_counter counters[COUNTERS_MAX];
    char public_texts[2][ADDR_TEXT_MAX];
};

const char *app_peer_state_text(enum adit_peer_state state)
{
    switch (state) {
    case ADIT_PEER_CONNECTING:
        return "connecting";
    case ADIT_PEER_CONNECTED:
        return "connected";
    case ADIT_PEER_LOST:
        return "lost";
    case ADIT_PEER_IDLE:
        break;
    }
    return "idle";
}

const char *app_path_kind_text(enum adit_path_kind kind)
{
    switch (kind) {
    case ADIT_PATH_DIRECT:
        return "direct";
    case ADIT_PATH_RELAY:
        return "relay";
    case ADIT_PATH_NONE:
        break;
    }
    return "none";
}

const char *app_aead_text(enum adit_aead aead)
{
    switch (aead) {
    case ADIT_AEAD_CHACHA20POLY1305:
        return "chacha20poly1305";
    case ADIT_AEAD_AES256GCM:
        return "aes256gcm";
    case ADIT_AEAD_NONE:
        break;
    }
    return NULL;
}

static const char *relay_state(enum adit_relay_state state)
{
    switch (state) {
    case ADIT_RELAY_CONNECTING:
        return "connecting";
    case ADIT_RELAY_UP:
        return "connected";
    case ADIT_RELAY_IDLE:
        break;
    }
    return "idle";
}

static uint64_t seconds(uint64_t age_ns)
{
    return age_ns == TIME_NEVER ? CONTROL_UNKNOWN : age_ns / NS_PER_S;
}

static uint64_t microseconds(uint64_t rtt_ns)
{
    return rtt_ns == 0 ? CONTROL_UNKNOWN : rtt_ns / NS_PER_US;
}

static struct control_peer describe_peer(const struct adit_peer_stats *s, struct texts *t)
{
    bool path = s->path.kind != ADIT_PATH_NONE;
    bool direct = s->path.kind == ADIT_PATH_DIRECT;
    return (struct control_peer){
        .name = s->name,
        .key = adit_key_format(s->key, t->key),
        .state = app_peer_state_text(s->state),
        .path =
            {
                .kind = app_path_kind_text(s->path.kind),
                .address = direct ? addr_format(&s->path.address, t->address) : NULL,
                .relay = path ? s->path.relay : NULL,
                .rtt_us = path ? microseconds(s->path.rtt_ns) : CONTROL_UNKNOWN,
                .mtu = path ? s->path.mtu : CONTROL_UNKNOWN,
                .cwnd = path ? s->path.cwnd : CONTROL_UNKNOWN,
                .in_flight = path ? s->path.in_flight : CONTROL_UNKNOWN,
                .probe_timeouts = path ? s->path.probe_timeouts : CONTROL_UNKNOWN,
            },
        .aead = app_aead_text(s->aead),
        .streams = s->streams,
        .bytes_in = s->bytes_in,
        .bytes_out = s->bytes_out,
        .last_handshake_s = seconds(s->handshake_age_ns),
        .last_heard_s = seconds(s->heard_age_ns),
        .packets_lost = s->packets_lost,
        .path_changes = s->path_changes,
        .restarts_seen = s->restarts_seen,
        .home_relay = s->home_relay,
    };
}

static struct control_relay describe_relay(const struct adit_relay_stats *s, struct texts *t)
{
    bool v6 = strchr(s->host, ':') != NULL;
    (void)snprintf(t->url, sizeof(t->url), "%s%s://%s%.255s%s:%u", s->websocket ? "ws" : "http",
                   s->tls ? "s" : "", v6 ? "[" : "", s->host, v6 ? "]" : "", (unsigned)s->port);
    return (struct control_relay){
        .name = s->name,
        .url = t->url,
        .state = relay_state(s->state),
        .rtt_us = microseconds(s->rtt_ns),
        .dropped = s->dropped,
        .home = s->home,
        .why = s->why,
    };
}

static void count(struct collection *c, const char *group, const char *name, uint64_t value)
{
    if (c->snapshot.counter_count < COUNTERS_MAX) {
        c->counters[c->snapshot.counter_count++] = (struct control_counter){group, name, value};
    }
}

static void count_failures(struct collection *c, const char *group, const uint64_t *failures)
{
#define COUNT_CAUSE(upper, lower, number, text)                                                    \
    if ((number) != CAUSE_NONE) {                                                                  \
        count(c, group, #lower, failures[(number)]);                                               \
    }
    CAUSE_TABLE(COUNT_CAUSE)
#undef COUNT_CAUSE
}

static void collect_counters(struct collection *c, const struct app *app)
{
    struct adit_counters node;
    const struct context_counters *own = &app->ctx.counters;
    adit_counters(app->ctx.node, &node);
#define COUNT_NODE(name) count(c, NULL, #name, node.name);
#define COUNT_FRONT(name) count(c, "front", #name, own->front.name);
#define COUNT_EXIT(name) count(c, "exit", #name, own->exit.name);
#define COUNT_UDP(name) count(c, "udp", #name, own->udp.name);
    ADIT_COUNTER_TABLE(COUNT_NODE)
    FRONT_COUNTER_TABLE(COUNT_FRONT)
    count(c, "front", "clients_now", app->clients.count);
    EXIT_COUNTER_TABLE(COUNT_EXIT)
    count(c, "exit", "connections_now", app->exits.count);
    UDP_COUNTER_TABLE(COUNT_UDP)
    count(c, "udp", "associations_now", app->ctx.associations);
    count(c, "udp", "flows_now", app->exits.flows.count);
#undef COUNT_NODE
#undef COUNT_FRONT
#undef COUNT_EXIT
#undef COUNT_UDP
    count_failures(c, "front_failures", own->front.failures);
    count_failures(c, "exit_failures", own->exit.failures);
    count(c, NULL, "blocks_refused", app->ctx.pool.refused);
    c->snapshot.counters = c->counters;
}

static size_t count_relays(const struct app *app)
{
    struct adit_relay_stats s;
    size_t n = 0;
    while (adit_relay_stats(app->ctx.node, n, &s)) {
        n++;
    }
    return n;
}

static bool allocate(struct collection *c, size_t peers, size_t relays, size_t fronts)
{
    c->peers = mem_new(peers + 1, sizeof(*c->peers));
    c->relays = mem_new(relays + 1, sizeof(*c->relays));
    c->texts = mem_new(peers + relays + 1, sizeof(*c->texts));
    c->front = mem_new(fronts + 1, sizeof(*c->front));
    c->front_texts = mem_new(fronts + 1, sizeof(*c->front_texts));
    return c->peers && c->relays && c->texts && c->front && c->front_texts;
}

static const char *public_address(const struct addr *a, char text[ADDR_TEXT_MAX])
{
    return a->family == ADDR_NONE ? NULL : addr_format_ip(a, text);
}

static const char *portmap_name(enum adit_portmap portmap)
{
    switch (portmap) {
    case ADIT_PORTMAP_PCP:
        return "pcp";
    case ADIT_PORTMAP_NATPMP:
        return "natpmp";
    case ADIT_PORTMAP_UPNP:
        return "upnp";
    case ADIT_PORTMAP_NONE:
        break;
    }
    return "none";
}

static void collect_nat(struct collection *c, const struct app *app)
{
    struct adit_nat_stats nat;
    adit_nat_stats(app->ctx.node, &nat);
    c->snapshot.nat.ipv4.mapping = nat.ipv4.mapping;
    c->snapshot.nat.ipv4.address = public_address(&nat.ipv4.address, c->public_texts[0]);
    c->snapshot.nat.ipv6.mapping = nat.ipv6.mapping;
    c->snapshot.nat.ipv6.address = public_address(&nat.ipv6.address, c->public_texts[1]);
    c->snapshot.nat.portmap = portmap_name(nat.portmap);
    c->snapshot.nat.captive_portal = nat.captive_portal;
}

static void collect_node(struct collection *c, const struct app *app, struct texts *t)
{
    struct addr local;
    adit_local(app->ctx.node, &local);
    struct control_snapshot *s = &c->snapshot;
    s->version = ADIT_VERSION;
    s->name = app->ctx.config->node.name;
    s->key = adit_key_format(app->public_key, t->key);
    s->listen = addr_format(&local, t->address);
    s->uptime_s = time_since(app->started_ns, uv_now(app->ctx.loop) * NS_PER_MS) / NS_PER_S;
    for (size_t i = 0; i < app->listener_count; i++) {
        if (!listener_forwards(app->listeners[i])) {
            c->front[i] = listener_text(app->listeners[i], c->front_texts[i]);
            s->front_count = i + 1;
        }
    }
    s->front = c->front;
}

static void collect(struct collection *c, const struct app *app, size_t peers, size_t relays)
{
    struct texts *t = c->texts;
    struct adit_peer_stats peer;
    for (size_t i = 0; i < peers && adit_peer_stats(app->ctx.node, i, &peer); i++) {
        c->peers[c->snapshot.peer_count++] = describe_peer(&peer, t++);
    }
    struct adit_relay_stats relay;
    for (size_t i = 0; i < relays && adit_relay_stats(app->ctx.node, i, &relay); i++) {
        c->relays[c->snapshot.relay_count++] = describe_relay(&relay, t++);
    }
    c->snapshot.peers = c->peers;
    c->snapshot.relays = c->relays;
    collect_node(c, app, t);
    collect_nat(c, app);
    collect_counters(c, app);
}

static void free_collection(struct collection *c)
{
    mem_free(c->peers);
    mem_free(c->relays);
    mem_free(c->texts);
    mem_free(c->front);
    mem_free(c->front_texts);
    mem_free(c);
}

char *app_status(const struct app *app)
{
    struct collection *c = mem_new(1, sizeof(*c));
    char *text = NULL;
    if (!c) {
        return NULL;
    }
    size_t peers = app->ctx.config->peers_count;
    size_t relays = count_relays(app);
    if (allocate(c, peers, relays, app->listener_count)) {
        collect(c, app, peers, relays);
        text = control_status(&c->snapshot);
    }
    free_collection(c);
    return text;
}
