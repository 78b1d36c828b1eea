/* Items of lists, and the values that are made of hosts, ports and keys. */
#include "policy/config_internal.h"

#include "policy/host.h"

#include <base/check.h>
#include <base/err.h>
#include <base/mem.h>

#include <sodium.h>
#include <string.h>

enum { HTTP_PORT = 80, PUBLIC_KEY_TEXT_LEN = 43 };

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

/* "HOST", "HOST:PORT", "[v6]:PORT"; `port` stays as it is when there is none. */
static bool split_host(struct config_endpoint *out, const char *text, size_t len)
{
    char host[CONFIG_HOST_MAX + 1];
    struct addr ip;
    const char *close = text[0] == '[' ? memchr(text, ']', len) : NULL;
    const char *from = close ? close : text;
    const char *colon = memchr(from, ':', len - (size_t)(from - text));
    size_t host_len = colon ? (size_t)(colon - text) : len;
    int port = colon ? host_parse_port(colon + 1, len - host_len - 1) : out->port;
    if (port < 0 || host_len == 0 || host_len >= sizeof(host)) {
        return false;
    }
    memcpy(host, text, host_len);
    host[host_len] = '\0';
    out->port = (uint16_t)port;
    if (addr_parse_ip(&ip, host) == 0) {
        char plain[ADDR_TEXT_MAX];
        memcpy(out->host, addr_format_ip(&ip, plain), strlen(addr_format_ip(&ip, plain)) + 1);
        return true;
    }
    return host_set_name(out->host, host, host_len);
}

bool config_take_url(struct config_parser *p, struct config_url *url, const char *text)
{
    static const char http[] = "http://";
    if (strncmp(text, "https://", 8) == 0) {
        config_fail_value(p, "\"%s\" needs TLS, which is not built in", text);
        return false;
    }
    if (strncmp(text, http, sizeof(http) - 1) != 0) {
        config_fail_value(p, "\"%s\" does not start with http://", text);
        return false;
    }
    const char *host = text + sizeof(http) - 1;
    size_t len = strcspn(host, "/");
    const char *path = host[len] ? host + len : "/derp";
    struct config_endpoint at = {.port = HTTP_PORT};
    if (len == 0 || !split_host(&at, host, len) || at.port == 0) {
        config_fail_value(p, "\"%s\" has a bad host or port", text);
        return false;
    }
    if (strlen(path) > CONFIG_URL_PATH_MAX || strpbrk(path, "?#")) {
        config_fail_value(p, "\"%s\" has a bad path", text);
        return false;
    }
    memcpy(url->host, at.host, sizeof(at.host));
    memcpy(url->path, path, strlen(path) + 1);
    url->port = at.port;
    return true;
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
    if (!split_host(&at, item, strlen(item)) || at.port == 0) {
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
    default:
        NEVER();
    }
}
