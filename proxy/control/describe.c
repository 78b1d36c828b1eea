/* control_describe: the JSON of /status as lines for people. */
#include "control/control.h"

#include <base/mem.h>

#include <cjson/cJSON.h>

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { LINE_MAX_LEN = 400 };

/* Appends while there is room; what does not fit is cut. */
struct text {
    char *at;
    size_t left;
};

static void add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->at, t->left, format, args);
    va_end(args);
    if (n > 0) {
        size_t step = (size_t)n < t->left ? (size_t)n : t->left - 1;
        t->at += step;
        t->left -= step;
    }
}

static const char *text_of(const cJSON *object, const char *name, const char *otherwise)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsString(item) ? item->valuestring : otherwise;
}

static double number_of(const cJSON *object, const char *name, double otherwise)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : otherwise;
}

static void add_bytes(struct text *t, double bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    size_t unit = 0;
    while (bytes >= 999.5 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        bytes /= 1000;
        unit++;
    }
    add(t, bytes < 9.95 && unit > 0 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}

static void add_rtt(struct text *t, double us)
{
    if (us >= 0) {
        add(t,
            us < 995    ? "  rtt %.2f ms"
            : us < 9950 ? "  rtt %.1f ms"
                        : "  rtt %.0f ms",
            us / 1000);
    }
}

static void add_age(struct text *t, double s)
{
    if (s < 0) {
        add(t, "  never heard");
    } else if (s >= 120) {
        add(t, "  heard %.0f min ago", s / 60);
    } else {
        add(t, "  heard %.0f s ago", s);
    }
}

static void add_peer(struct text *t, const cJSON *peer, int width)
{
    const cJSON *path = cJSON_GetObjectItemCaseSensitive(peer, "path");
    const char *kind = text_of(path, "kind", "none");
    const char *state = text_of(peer, "state", "?");
    add(t, "%-*.63s  ", width, text_of(peer, "name", "?"));
    if (strcmp(state, "connected") != 0 || strcmp(kind, "none") == 0) {
        add(t, "%.20s", state);
        add_age(t, number_of(peer, "last_heard_s", -1));
    } else {
        const char *where = text_of(path, strcmp(kind, "relay") == 0 ? "relay" : "address", "?");
        add(t, "%.20s %.80s", kind, where);
        add_rtt(t, number_of(path, "rtt_us", -1));
    }
    add(t, "  in ");
    add_bytes(t, number_of(peer, "bytes_in", 0));
    add(t, "  out ");
    add_bytes(t, number_of(peer, "bytes_out", 0));
    add(t, "\n");
}

static void add_nat_family(struct text *t, const cJSON *nat, const char *name, const char *title)
{
    const cJSON *family = cJSON_GetObjectItemCaseSensitive(nat, name);
    const char *address = text_of(family, "address", NULL);
    const char *mapping = text_of(family, "mapping", "unknown");
    if (!address) {
        return;
    }
    add(t, "  %s %.60s", title, address);
    if (strcmp(mapping, "none") == 0) {
        add(t, " without NAT");
    } else {
        add(t, " by a NAT of %.40s mapping", mapping);
    }
}

/* Nothing, while nobody has asked how the world sees this node. */
static void add_nat(struct text *t, const cJSON *nat, int width)
{
    struct text start = *t;
    const char *portmap = text_of(nat, "portmap", "none");
    add(t, "%-*s  seen as", width, "");
    const char *empty = t->at;
    add_nat_family(t, nat, "ipv4", "IPv4");
    add_nat_family(t, nat, "ipv6", "IPv6");
    if (t->at == empty) {
        *t = start;
        *t->at = '\0';
        return;
    }
    add(t, strcmp(portmap, "none") == 0 ? "\n" : "  port mapped by %.20s\n", portmap);
}

static void add_relay(struct text *t, const cJSON *relay, int width)
{
    add(t, "%-*.63s  relay %.20s  %.200s", width, text_of(relay, "name", "?"),
        text_of(relay, "state", "?"), text_of(relay, "url", "?"));
    add_rtt(t, number_of(relay, "rtt_us", -1));
    add(t, "\n");
}

/* "exit  12 requests, 10 connected; refused 1, not_allowed 1"; nothing before the first one. */
static void add_ends(struct text *t, const cJSON *counters, const char *end, int width)
{
    char group[32];
    const cJSON *own = cJSON_GetObjectItemCaseSensitive(counters, end);
    double requests = number_of(own, "requests", 0);
    (void)snprintf(group, sizeof(group), "%s_failures", end);
    if (requests <= 0) {
        return;
    }
    add(t, "%-*s  %s  %.0f requests, %.0f connected", width, "", end, requests,
        number_of(own, "connected", 0));
    const char *before = "; ";
    const cJSON *cause;
    cJSON_ArrayForEach(cause, cJSON_GetObjectItemCaseSensitive(counters, group))
    {
        if (cJSON_IsNumber(cause) && cause->valuedouble > 0) {
            add(t, "%s%.30s %.0f", before, cause->string, cause->valuedouble);
            before = ", ";
        }
    }
    add(t, "\n");
}

static int widest(const cJSON *array, int width)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, array)
    {
        size_t len = strnlen(text_of(item, "name", "?"), 63);
        width = (int)len > width ? (int)len : width;
    }
    return width;
}

static char *describe(const cJSON *root)
{
    const cJSON *node = cJSON_GetObjectItemCaseSensitive(root, "node");
    const cJSON *peers = cJSON_GetObjectItemCaseSensitive(root, "peers");
    const cJSON *relays = cJSON_GetObjectItemCaseSensitive(root, "relays");
    if (!cJSON_IsObject(node) || !cJSON_IsArray(peers)) {
        return NULL;
    }
    size_t lines = 7 + (size_t)cJSON_GetArraySize(peers) + (size_t)cJSON_GetArraySize(relays);
    char *out = mem_new(lines, LINE_MAX_LEN);
    if (!out) {
        return NULL;
    }
    struct text t = {out, lines * LINE_MAX_LEN};
    int width = widest(relays, widest(peers, 4));
    add(&t, "%-*.63s  this node  %.60s  %.50s\n", width, text_of(node, "name", "?"),
        text_of(node, "listen", "?"), text_of(node, "key", "?"));
    add_nat(&t, cJSON_GetObjectItemCaseSensitive(node, "nat"), width);
    const cJSON *item;
    cJSON_ArrayForEach(item, peers)
    {
        add_peer(&t, item, width);
    }
    cJSON_ArrayForEach(item, relays)
    {
        add_relay(&t, item, width);
    }
    const cJSON *counters = cJSON_GetObjectItemCaseSensitive(root, "counters");
    add_ends(&t, counters, "front", width);
    add_ends(&t, counters, "exit", width);
    return out;
}

char *control_describe(const char *json, size_t len)
{
    cJSON *root = cJSON_ParseWithLength(json, len);
    char *out = describe(root);
    cJSON_Delete(root);
    return out;
}
