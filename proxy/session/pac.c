#include "session/pac.h"

#include "policy/host.h"
#include "proto/target.h"

#include <base/mem.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    FRAME_MAX = 4096,                  /* everything but the routes */
    ROUTE_MAX = CONFIG_HOST_MAX + 160, /* one line */
    PORTS = UINT16_MAX + 1,
    HTTP_PORT = 80,
};

static const char functions[] =
    "// An address as a text of its bits, \"\" for a name.\n"
    "function bits(host) {\n"
    "  var out = \"\", i;\n"
    "  function add(value, count) {\n"
    "    for (i = count - 1; i >= 0; i--) out += (value >> i) & 1;\n"
    "  }\n"
    "  if (/^\\d+\\.\\d+\\.\\d+\\.\\d+$/.test(host)) {\n"
    "    host.split(\".\").forEach(function (n) { add(+n, 8); });\n"
    "    return out;\n"
    "  }\n"
    "  if (host.indexOf(\":\") < 0) return \"\";\n"
    "  var halves = host.replace(/[\\[\\]]/g, \"\").split(\"::\");\n"
    "  var left = halves[0] ? halves[0].split(\":\") : [];\n"
    "  var right = halves[1] ? halves[1].split(\":\") : [];\n"
    "  while (halves.length > 1 && left.length + right.length < 8) left.push(\"0\");\n"
    "  left.concat(right).forEach(function (n) { add(parseInt(n, 16), 16); });\n"
    "  return out;\n"
    "}\n"
    "function port_of(url) {\n"
    "  var parts = /^([a-z]+):\\/\\/[^\\/?#]*?(:(\\d+))?([\\/?#]|$)/i.exec(url);\n"
    "  if (!parts) return 0;\n"
    "  if (parts[3]) return +parts[3];\n"
    "  return {https: 443, wss: 443, ftp: 21}[parts[1].toLowerCase()] || 80;\n"
    "}\n"
    "function under(host, domain) {\n"
    "  return host == domain || host.slice(-domain.length - 1) == \".\" + domain;\n"
    "}\n"
    "function within(address, base, count) {\n"
    "  base = bits(base);\n"
    "  return address.length == base.length && address.slice(0, count) == base.slice(0, count);\n"
    "}\n";

struct text {
    char *at;
    size_t len, cap;
};

static void add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->at + t->len, t->cap - t->len, format, args);
    va_end(args);
    if (n > 0 && (size_t)n < t->cap - t->len) {
        t->len += (size_t)n;
    }
}

static bool is_ours(const struct config *config, const struct target *t)
{
    return t->kind == TARGET_ADDRESS || strcmp(t->name, "localhost") == 0 ||
           strcmp(t->name, config->node.name) == 0;
}

bool pac_proxy(char out[PAC_PROXY_MAX], const struct config *config, const char *host, size_t len)
{
    struct target t;
    bool good = target_parse(&t, host, len) == 0 || target_set_name(&t, host, len, HTTP_PORT) == 0;
    if (!good || !is_ours(config, &t)) {
        return false;
    }
    (void)target_format(&t, out);
    return true;
}

/* 0 for the default; in the order of policy/route.h. */
static size_t weight(const struct config_route *r)
{
    bool prefix = r->prefix.base.family != ADDR_NONE;
    size_t host = r->suffix[0] ? 1 + strlen(r->suffix) : prefix ? 1u + r->prefix.bits : 0;
    return host * PORTS + PORTS - ((size_t)r->port_max - r->port_min + 1);
}

static void add_route(struct text *t, const struct config_route *r)
{
    char base[ADDR_TEXT_MAX];
    const char *way = r->kind == ROUTE_DIRECT ? "\"DIRECT\"" : "proxy";
    add(t, "  if (");
    if (r->suffix[0]) {
        add(t, "under(host, \"%s\")", r->suffix);
    } else if (r->prefix.base.family != ADDR_NONE) {
        add(t, "within(address, \"%s\", %u)", addr_format_ip(&r->prefix.base, base),
            (unsigned)r->prefix.bits);
    } else {
        add(t, "true");
    }
    if (r->port_min > 0) {
        add(t, " && port >= %u && port <= %u", (unsigned)r->port_min, (unsigned)r->port_max);
    }
    add(t, ") return %s;\n", way);
}

/* The next one below `last` that is not the default; of equal ones each once, in their order. */
static const struct config_route *next_route(const struct config *config,
                                             const struct config_route *last)
{
    const struct config_route *best = NULL;
    for (size_t i = 0; i < config->routes_count; i++) {
        const struct config_route *r = &config->routes[i];
        bool left = !last || weight(r) < weight(last) || (weight(r) == weight(last) && r > last);
        if (left && !config_route_is_default(r) && (!best || weight(r) > weight(best))) {
            best = r;
        }
    }
    return best;
}

/* Longest first. Names and prefixes never fit the same host, so their order among each other does
 * not matter. */
static void add_routes(struct text *t, const struct config *config)
{
    const struct config_route *r = NULL;
    while ((r = next_route(config, r)) != NULL) {
        add_route(t, r);
    }
}

/* A default of `refuse` means that nothing else goes through this proxy: the browser's business. */
static bool takes_everything(const struct config *config, const struct config_front *front)
{
    for (size_t i = 0; i < config->routes_count && front->exit.line == 0; i++) {
        if (config_route_is_default(&config->routes[i])) {
            return config->routes[i].kind == ROUTE_PEER;
        }
    }
    return front->exit.line > 0 && front->exit.kind == ROUTE_PEER;
}

char *pac_text(const struct config *config, const struct config_front *front, const char *proxy)
{
    front = front ? front : config->fronts;
    struct text t = {.cap = FRAME_MAX + config->routes_count * ROUTE_MAX};
    t.at = mem_new(1, t.cap);
    if (!t.at) {
        return NULL;
    }
    add(&t, "// Made by Adit of the routes in its ini.\n%s", functions);
    add(&t, "function FindProxyForURL(url, host) {\n"
            "  host = host.toLowerCase().replace(/\\.$/, \"\");\n"
            "  var address = bits(host), port = port_of(url);\n");
    /* A browser has no password for SOCKS5, but for HTTP it asks its user. */
    add(&t, front->users.path ? "  var proxy = \"PROXY %s\";\n" : "  var proxy = \"SOCKS5 %s\";\n",
        proxy);
    add(&t, "  if (under(host, \"peer\")) return proxy;\n");
    add_routes(&t, config);
    add(&t, "  return %s;\n}\n", takes_everything(config, front) ? "proxy" : "\"DIRECT\"");
    return t.at;
}
