#include "control/control.h"

#include <cjson/cJSON.h>

#include <stdbool.h>
#include <string.h>

/* cJSON's adders return NULL when out of memory; the last one decides nothing, so each is noted
 * here and the tree is thrown away once if any failed. */
struct builder {
    bool failed;
};

static void put_text(struct builder *b, cJSON *to, const char *name, const char *text)
{
    cJSON *made = text ? cJSON_AddStringToObject(to, name, text) : cJSON_AddNullToObject(to, name);
    b->failed |= !made;
}

/* Exact up to 2^53: 8 PiB as a count of bytes. */
static void put_number(struct builder *b, cJSON *to, const char *name, uint64_t v)
{
    cJSON *made = v == CONTROL_UNKNOWN ? cJSON_AddNullToObject(to, name)
                                       : cJSON_AddNumberToObject(to, name, (double)v);
    b->failed |= !made;
}

static cJSON *put_object(struct builder *b, cJSON *to, const char *name)
{
    cJSON *made = cJSON_AddObjectToObject(to, name);
    b->failed |= !made;
    return made;
}

static cJSON *put_array(struct builder *b, cJSON *to, const char *name)
{
    cJSON *made = cJSON_AddArrayToObject(to, name);
    b->failed |= !made;
    return made;
}

static cJSON *put_item(struct builder *b, cJSON *array)
{
    cJSON *item = cJSON_CreateObject();
    if (!item || !cJSON_AddItemToArray(array, item)) {
        cJSON_Delete(item);
        b->failed = true;
        return NULL;
    }
    return item;
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
    for (size_t i = 0; front && i < s->front_count; i++) {
        cJSON *text = cJSON_CreateString(s->front[i]);
        if (!text || !cJSON_AddItemToArray(front, text)) {
            cJSON_Delete(text);
            b->failed = true;
        }
    }
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
    put_number(b, peer, "streams", p->streams);
    put_number(b, peer, "bytes_in", p->bytes_in);
    put_number(b, peer, "bytes_out", p->bytes_out);
    put_number(b, peer, "last_handshake_s", p->last_handshake_s);
    put_number(b, peer, "last_heard_s", p->last_heard_s);
    put_number(b, peer, "packets_lost", p->packets_lost);
    put_number(b, peer, "path_changes", p->path_changes);
    put_number(b, peer, "restarts_seen", p->restarts_seen);
}

static void put_relay(struct builder *b, cJSON *relays, const struct control_relay *r)
{
    cJSON *relay = put_item(b, relays);
    put_text(b, relay, "name", r->name);
    put_text(b, relay, "url", r->url);
    put_text(b, relay, "state", r->state);
    put_number(b, relay, "rtt_us", r->rtt_us);
    put_number(b, relay, "dropped", r->dropped);
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
    char *text = b.failed ? NULL : cJSON_Print(root);
    cJSON_Delete(root);
    return text;
}

void control_free(char *text)
{
    cJSON_free(text);
}
