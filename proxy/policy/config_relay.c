/* Where a relay is and how to get there: its URL, pinned keys, the proxy in between. */
#include "policy/config_internal.h"

#include "policy/host.h"

#include <base/mem.h>

#include <sodium.h>
#include <string.h>

static const struct {
    const char *scheme;
    uint16_t port;
    bool tls, websocket;
} schemes[] = {
    {"http://", 80, false, false},
    {"https://", 443, true, false},
    {"ws://", 80, false, true},
    {"wss://", 443, true, true},
};

enum { SCHEMES = sizeof(schemes) / sizeof(schemes[0]) };

bool config_take_url(struct config_parser *p, struct config_url *url, const char *text)
{
    size_t i = 0;
    while (i < SCHEMES && strncmp(text, schemes[i].scheme, strlen(schemes[i].scheme)) != 0) {
        i++;
    }
    if (i == SCHEMES) {
        config_fail_value(p, "\"%s\" does not start with http://, https://, ws:// or wss://", text);
        return false;
    }
    const char *host = text + strlen(schemes[i].scheme);
    size_t len = strcspn(host, "/");
    const char *path = host[len] ? host + len : "/derp";
    struct config_url u = {
        .port = schemes[i].port, .tls = schemes[i].tls, .websocket = schemes[i].websocket};
    if (len == 0 || !host_split(u.host, &u.port, host, len) || u.port == 0) {
        config_fail_value(p, "\"%s\" has a bad host or port", text);
        return false;
    }
    if (strlen(path) > CONFIG_URL_PATH_MAX || strpbrk(path, "?#")) {
        config_fail_value(p, "\"%s\" has a bad path", text);
        return false;
    }
    memcpy(u.path, path, strlen(path) + 1);
    *url = u;
    return true;
}

/* Base64 of either alphabet, with or without its '=', or hex. */
static bool parse_hash(uint8_t out[CONFIG_PIN_LEN], const char *text)
{
    static const int variants[] = {
        sodium_base64_VARIANT_ORIGINAL, sodium_base64_VARIANT_ORIGINAL_NO_PADDING,
        sodium_base64_VARIANT_URLSAFE, sodium_base64_VARIANT_URLSAFE_NO_PADDING};
    size_t text_len = strlen(text);
    size_t len = 0;
    const char *end = NULL;
    if (text_len == 2 * CONFIG_PIN_LEN) {
        return sodium_hex2bin(out, CONFIG_PIN_LEN, text, text_len, NULL, &len, &end) == 0 &&
               len == CONFIG_PIN_LEN;
    }
    for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
        if (sodium_base642bin(out, CONFIG_PIN_LEN, text, text_len, NULL, &len, &end, variants[i]) ==
                0 &&
            len == CONFIG_PIN_LEN && end == text + text_len) {
            return true;
        }
    }
    return false;
}

void config_take_pin(struct config_parser *p, struct config_pins *list, const char *item)
{
    static const char sha256[] = "sha256:";
    struct config_pin pin;
    size_t len = sizeof(sha256) - 1;
    if (strncmp(item, sha256, len) != 0 || !parse_hash(pin.bytes, item + len)) {
        config_fail_value(p, "\"%s\" is no hash of a key", item);
        return;
    }
    struct config_pin *items =
        config_grow(p, list->items, list->count, sizeof(*items), CONFIG_PINS_MAX);
    if (items) {
        list->items = items;
        list->items[list->count++] = pin;
    }
}

static void take_proxy(struct config_parser *p, struct config_proxy *field, const char *value,
                       const char *(*parse)(struct httpproxy *out, const char *text))
{
    *field = (struct config_proxy){.kind = CONFIG_PROXY_NONE};
    if (strcmp(value, "none") == 0) {
        return;
    }
    struct httpproxy *proxy = mem_new(1, sizeof(*proxy));
    if (!proxy) {
        p->no_memory = true;
        return;
    }
    const char *why = parse(proxy, value);
    if (why) {
        config_fail_value(p, "%s", why);
        mem_free(proxy);
        return;
    }
    *field = (struct config_proxy){.kind = CONFIG_PROXY_GIVEN, .at = proxy};
}

void config_take_proxy(struct config_parser *p, struct config_proxy *field, const char *value)
{
    take_proxy(p, field, value, httpproxy_parse);
}

void config_take_upstream(struct config_parser *p, struct config_proxy *field, const char *value)
{
    struct target t;
    take_proxy(p, field, value, httpproxy_parse_any);
    const struct httpproxy *at = field->at;
    if (at && target_set_name(&t, at->host, strlen(at->host), at->port) != 0) {
        config_fail_value(p, "has a bad host");
    }
}

void config_free_proxy(struct config_proxy *proxy)
{
    if (proxy->at) {
        sodium_memzero(proxy->at, sizeof(*proxy->at));
    }
    mem_free(proxy->at);
}

void config_free_relays(struct config_relays *relays)
{
    for (size_t i = 0; i < relays->count; i++) {
        struct config_relay *r = &relays->items[i];
        mem_free(r->pins.items);
        config_free_proxy(&r->proxy);
    }
    mem_free(relays->items);
}
