#include "control/control.h"

#include "control/put.h"

static void put_nat_family(struct builder *b, cJSON *nat, const char *name,
                           const struct control_nat_family *f)
{
    cJSON *family = put_object(b, nat, name);
    put_text(b, family, "mapping", f->mapping);
    put_text(b, family, "address", f->address);
}

static void put_node(struct builder *b, cJSON *root, const struct control_snapshot *s)
{
    cJSON *node = put_object(b, root, "node");
    put_text(b, node, "name", s->name);
    put_text(b, node, "key", s->key);
    put_text(b, node, "listen", s->listen);
    put_text(b, node, "version", s->version);
    put_number(b, node, "uptime_s", s->uptime_s);
    cJSON *front = put_array(b, node, "front");
    for (size_t i = 0; i < s->front_count; i++) {
        put_text_item(b, front, s->front[i]);
    }
    cJSON *nat = put_object(b, node, "nat");
    put_nat_family(b, nat, "ipv4", &s->nat.ipv4);
    put_nat_family(b, nat, "ipv6", &s->nat.ipv6);
    put_text(b, nat, "portmap", s->nat.portmap);
    put_bool(b, nat, "captive_portal", s->nat.captive_portal);
}

static void put_peer(struct builder *b, cJSON *peers, const struct control_peer *p)
{
    cJSON *peer = put_item(b, peers);
    put_text(b, peer, "name", p->name);
    put_text(b, peer, "key", p->key);
    put_text(b, peer, "state", p->state);
    cJSON *path = put_object(b, peer, "path");
    put_text(b, path, "kind", p->path.kind);
    put_text(b, path, "address", p->path.address);
    put_text(b, path, "relay", p->path.relay);
    put_number(b, path, "rtt_us", p->path.rtt_us);
    put_number(b, path, "mtu", p->path.mtu);
    put_number(b, path, "cwnd", p->path.cwnd);
    put_number(b, path, "in_flight", p->path.in_flight);
    put_number(b, path, "probe_timeouts", p->path.probe_timeouts);
    put_text(b, peer, "aead", p->aead);
    put_number(b, peer, "streams", p->streams);
    put_number(b, peer, "bytes_in", p->bytes_in);
    put_number(b, peer, "bytes_out", p->bytes_out);
    put_number(b, peer, "last_handshake_s", p->last_handshake_s);
    put_number(b, peer, "last_heard_s", p->last_heard_s);
    put_number(b, peer, "packets_lost", p->packets_lost);
    put_number(b, peer, "path_changes", p->path_changes);
    put_number(b, peer, "restarts_seen", p->restarts_seen);
    put_text(b, peer, "home_relay", p->home_relay);
}

static void put_relay(struct builder *b, cJSON *relays, const struct control_relay *r)
{
    cJSON *relay = put_item(b, relays);
    put_text(b, relay, "name", r->name);
    put_text(b, relay, "url", r->url);
    put_text(b, relay, "state", r->state);
    put_number(b, relay, "rtt_us", r->rtt_us);
    put_number(b, relay, "dropped", r->dropped);
    put_bool(b, relay, "home", r->home);
    put_text(b, relay, "why", r->why);
}

static void put_counters(struct builder *b, cJSON *root, const struct control_snapshot *s)
{
    cJSON *counters = put_object(b, root, "counters");
    for (size_t i = 0; i < s->counter_count; i++) {
        const struct control_counter *c = &s->counters[i];
        cJSON *to = counters;
        if (c->group) {
            to = cJSON_GetObjectItemCaseSensitive(counters, c->group);
            to = to ? to : put_object(b, counters, c->group);
        }
        put_number(b, to, c->name, c->value);
    }
}

char *control_status(const struct control_snapshot *s)
{
    struct builder b = {0};
    cJSON *root = cJSON_CreateObject();
    put_node(&b, root, s);
    cJSON *peers = put_array(&b, root, "peers");
    for (size_t i = 0; i < s->peer_count; i++) {
        put_peer(&b, peers, &s->peers[i]);
    }
    cJSON *relays = put_array(&b, root, "relays");
    for (size_t i = 0; i < s->relay_count; i++) {
        put_relay(&b, relays, &s->relays[i]);
    }
    put_counters(&b, root, s);
    return put_end(&b, root);
}

void control_free(char *text)
{
    cJSON_free(text);
}
