/* Items of lists, and the values that are made of hosts, ports and keys. */
#include "policy/config_internal.h"

#include "policy/host.h"

#include <base/check.h>
#include <base/err.h>
#include <base/mem.h>

#include <sodium.h>
#include <string.h>

enum { PUBLIC_KEY_TEXT_LEN = 43 };

void *config_grow(struct config_parser *p, void *items, size_t count, size_t size, size_t max)
{
    if (count >= max) {
        config_fail(p, "there are more than %zu", max);
        return NULL;
    }
    char *block = mem_resize(items, (count + 1) * size);
    if (!block) {
        p->no_memory = true;
        return NULL;
    }
    memset(block + count * size, 0, size);
    return block;
}

bool config_take_public_key(struct config_parser *p, struct config_public_key *key,
                            const char *text)
{
    struct config_public_key k;
    size_t len = 0;
    const char *end = NULL;
    bool ok = strlen(text) == PUBLIC_KEY_TEXT_LEN &&
              sodium_base642bin(k.bytes, sizeof(k.bytes), text, PUBLIC_KEY_TEXT_LEN, NULL, &len,
                                &end, sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 &&
              len == sizeof(k.bytes) && end == text + PUBLIC_KEY_TEXT_LEN;
    if (!ok) {
        /* The text is not shown: it may be a secret that was put into the wrong place. */
        config_fail_value(p, "is no public key");
        return false;
    }
    *key = k;
    return true;
}

static void add_addr(struct config_parser *p, struct config_addrs *list, const char *item)
{
    struct addr a;
    if (addr_parse(&a, item) != 0) {
        config_fail_value(p, "\"%s\" is no IP:PORT", item);
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (a.port != 0 && addr_equal(&a, &list->items[i])) {
            config_fail(p, "\"%s\" is there twice", item);
            return;
        }
    }
    struct addr *items = config_grow(p, list->items, list->count, sizeof(*items), CONFIG_LIST_MAX);
    if (items) {
        list->items = items;
        list->items[list->count++] = a;
    }
}

static void add_listen(struct config_parser *p, struct config_listens *list, const char *item)
{
    struct config_listen l = {.line = p->line};
    if (strcmp(item, "none") == 0 || !config_take_listen(p, &l, item)) {
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct config_listen *other = &list->items[i];
        bool same = l.path[0] ? strcmp(l.path, other->path) == 0
                              : l.addr.port != 0 && addr_equal(&l.addr, &other->addr);
        if (same) {
            config_fail(p, "\"%s\" is there twice", item);
            return;
        }
    }
    struct config_listen *items =
        config_grow(p, list->items, list->count, sizeof(*items), CONFIG_LIST_MAX);
    if (items) {
        list->items = items;
        list->items[list->count++] = l;
    }
}

static void add_key(struct config_parser *p, struct config_public_keys *list, const char *item)
{
    struct config_public_key key;
    if (!config_take_public_key(p, &key, item)) {
        return;
    }
    /* A relay may serve as many keys as a node may have peers. */
    struct config_public_key *items =
        config_grow(p, list->items, list->count, sizeof(*items), CONFIG_PEERS_MAX);
    if (items) {
        list->items = items;
        list->items[list->count++] = key;
    }
}

static void add_endpoint(struct config_parser *p, struct config_endpoints *list, const char *item)
{
    struct config_endpoint at = {.port = 0};
    if (!host_split(at.host, &at.port, item, strlen(item)) || at.port == 0) {
        config_fail_value(p, "\"%s\" is no HOST:PORT", item);
        return;
    }
    struct config_endpoint *items =
        config_grow(p, list->items, list->count, sizeof(*items), CONFIG_LIST_MAX);
    if (items) {
        list->items = items;
        list->items[list->count++] = at;
    }
}

static void add_relay(struct config_parser *p, struct config_relays *list, const char *item)
{
    struct config_relay relay = {.line = p->line};
    if (strstr(item, "://")) {
        if (!config_take_url(p, &relay.url, item)) {
            return;
        }
    } else if (!config_set_name(relay.name, item)) {
        config_fail_value(p, "\"%s\" is neither a name nor a URL", item);
        return;
    }
    struct config_relay *items =
        config_grow(p, list->items, list->count, sizeof(*items), CONFIG_RELAYS_MAX);
    if (items) {
        list->items = items;
        list->items[list->count++] = relay;
    }
}

static void add_allow(struct config_parser *p, struct acl *acl, const char *item)
{
    struct acl_rule rule;
    const char *why;
    if (acl_parse_rule(&rule, item, &why) != 0) {
        config_fail_value(p, "\"%s\" %s", item, why);
        return;
    }
    int err = acl_add(acl, &rule);
    if (err == ERR_NO_ROOM) {
        config_fail(p, "there are more than %d entries", ACL_RULES_MAX);
    }
    p->no_memory = p->no_memory || err == ERR_NO_MEMORY;
}

static void add_prefix(struct config_parser *p, struct config_prefixes *list, const char *item)
{
    struct prefix prefix;
    if (prefix_parse(&prefix, item) != 0) {
        config_fail_value(p, "\"%s\" is no IP and no prefix", item);
        return;
    }
    struct prefix *items =
        config_grow(p, list->items, list->count, sizeof(*items), CONFIG_LIST_MAX);
    if (items) {
        list->items = items;
        list->items[list->count++] = prefix;
    }
}

void config_take_item(struct config_parser *p, void *field, const char *item)
{
    switch ((int)p->key->type) {
    case CONFIG_ADDRS:
        add_addr(p, field, item);
        break;
    case CONFIG_LISTENS:
        add_listen(p, field, item);
        break;
    case CONFIG_KEYS:
        add_key(p, field, item);
        break;
    case CONFIG_ENDPOINTS:
        add_endpoint(p, field, item);
        break;
    case CONFIG_RELAYS:
        add_relay(p, field, item);
        break;
    case CONFIG_PINS:
        config_take_pin(p, field, item);
        break;
    case CONFIG_ALLOW:
        add_allow(p, field, item);
        break;
    case CONFIG_PREFIXES:
        add_prefix(p, field, item);
        break;
    case CONFIG_COMMANDS:
        config_take_command(p, field, item);
        break;
    case CONFIG_UIDS:
        config_take_uid(p, field, item);
        break;
    case CONFIG_CLUSTER:
        config_take_cluster(p, field, item);
        break;
    default:
        NEVER();
    }
}
