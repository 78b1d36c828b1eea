/* Where a relay is and how to get there: its URL, pinned keys, the proxy in between. */
#include "policy/config_internal.h"

#include "policy/host.h"

#include <base/mem.h>

#include <sodium.h>
#include <stdio.h>
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

const char *config_parse_url(struct config_url *url, const char *text)
{
    size_t i = 0;
    while (i < SCHEMES && strncmp(text, schemes[i].scheme, strlen(schemes[i].scheme)) != 0) {
        i++;
    }
    if (i == SCHEMES) {
        return "does not start with http://, https://, ws:// or wss://";
    }
    const char *host = text + strlen(schemes[i].scheme);
    size_t len = strcspn(host, "/");
    const char *path = host[len] ? host + len : "/derp";
    struct config_url u = {
        .port = schemes[i].port, .tls = schemes[i].tls, .websocket = schemes[i].websocket};
    if (len == 0 || !host_split(u.host, &u.port, host, len) || u.port == 0) {
        return "has a bad host or port";
    }
    if (strlen(path) > CONFIG_URL_PATH_MAX || strpbrk(path, "?#")) {
        return "has a bad path";
    }
    memcpy(u.path, path, strlen(path) + 1);
    *url = u;
    return NULL;
}

const char *config_format_url(const struct config_url *url, char out[CONFIG_URL_TEXT_MAX])
{
    size_t i = 0;
    while (schemes[i].tls != url->tls || schemes[i].websocket != url->websocket) {
        i++; /* the table has all four */
    }
    char port[8] = "";
    if (url->port != schemes[i].port) {
        (void)snprintf(port, sizeof(port), ":%u", (unsigned)url->port);
    }
    (void)snprintf(out, CONFIG_URL_TEXT_MAX, strchr(url->host, ':') ? "%s[%s]%s%s" : "%s%s%s%s",
                   schemes[i].scheme, url->host, port,
                   strcmp(url->path, "/derp") == 0 ? "" : url->path);
    return out;
}

bool config_take_url(struct config_parser *p, struct config_url *url, const char *text)
{
    const char *why = config_parse_url(url, text);
    if (why) {
        config_fail_value(p, "\"%s\" %s", text, why);
    }
    return !why;
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

bool config_parse_pin(struct config_pin *pin, const char *text)
{
    static const char sha256[] = "sha256:";
    size_t len = sizeof(sha256) - 1;
    return strncmp(text, sha256, len) == 0 && parse_hash(pin->bytes, text + len);
}

void config_take_pin(struct config_parser *p, struct config_pins *list, const char *item)
{
    struct config_pin pin;
    if (!config_parse_pin(&pin, item)) {
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
