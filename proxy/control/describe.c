/* control_describe: the JSON of /status as lines for people. */
#include "control/control.h"
#include "control/lines.h"

#include <base/mem.h>

#include <stdio.h>
#include <string.h>

enum { LINE_MAX_LEN = 600 };

static void add_age(struct lines *t, double s)
{
    if (s < 0) {
        lines_add(t, "  never heard");
    } else if (s >= 120) {
        lines_add(t, "  heard %.0f min ago", s / 60);
    } else {
        lines_add(t, "  heard %.0f s ago", s);
    }
}

static void add_peer(struct lines *t, const cJSON *peer, int width)
{
    const cJSON *path = cJSON_GetObjectItemCaseSensitive(peer, "path");
    const char *kind = lines_text_of(path, "kind", "none");
    const char *state = lines_text_of(peer, "state", "?");
    lines_add(t, "%-*.63s  ", width, lines_text_of(peer, "name", "?"));
    if (strcmp(state, "connected") != 0 || strcmp(kind, "none") == 0) {
        lines_add(t, "%.20s", state);
        add_age(t, lines_number_of(peer, "last_heard_s", -1));
    } else {
        const char *where =
            lines_text_of(path, strcmp(kind, "relay") == 0 ? "relay" : "address", "?");
        lines_add(t, "%.20s %.80s", kind, where);
        lines_add_ms(t, "  rtt ", lines_number_of(path, "rtt_us", -1));
    }
    lines_add(t, "  in ");
    lines_add_bytes(t, lines_number_of(peer, "bytes_in", 0));
    lines_add(t, "  out ");
    lines_add_bytes(t, lines_number_of(peer, "bytes_out", 0));
    lines_add(t, "\n");
}

static void add_nat_family(struct lines *t, const cJSON *nat, const char *name, const char *title)
{
    const cJSON *family = cJSON_GetObjectItemCaseSensitive(nat, name);
    const char *address = lines_text_of(family, "address", NULL);
    const char *mapping = lines_text_of(family, "mapping", "unknown");
    if (!address) {
        return;
    }
    lines_add(t, "  %s %.60s", title, address);
    if (strcmp(mapping, "none") == 0) {
        lines_add(t, " without NAT");
    } else {
        lines_add(t, " by a NAT of %.40s mapping", mapping);
    }
}

static void add_portal(struct lines *t, const cJSON *nat, int width)
{
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(nat, "captive_portal"))) {
        lines_add(t,
                  "%-*s  a captive portal answers in the relays' place: log in there, with a "
                  "browser\n",
                  width, "");
    }
}

/* Nothing, while nobody has asked how the world sees this node. */
static void add_nat(struct lines *t, const cJSON *nat, int width)
{
    struct lines start = *t;
    const char *portmap = lines_text_of(nat, "portmap", "none");
    lines_add(t, "%-*s  seen as", width, "");
    const char *empty = t->at;
    add_nat_family(t, nat, "ipv4", "IPv4");
    add_nat_family(t, nat, "ipv6", "IPv6");
    if (t->at == empty) {
        *t = start;
        *t->at = '\0';
        return;
    }
    lines_add(t, strcmp(portmap, "none") == 0 ? "\n" : "  port mapped by %.20s\n", portmap);
}

static void add_relay(struct lines *t, const cJSON *relay, int width)
{
    lines_add(t, "%-*.63s  relay %.20s  %.200s", width, lines_text_of(relay, "name", "?"),
              lines_text_of(relay, "state", "?"), lines_text_of(relay, "url", "?"));
    lines_add_ms(t, "  rtt ", lines_number_of(relay, "rtt_us", -1));
    const char *why = lines_text_of(relay, "why", "");
    bool home = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(relay, "home"));
    lines_add(t, home ? "  home" : "");
    lines_add(t, why[0] ? "  (%.190s)\n" : "%s\n", why);
}

/* "exit  12 requests, 10 connected; refused 1, not_allowed 1"; nothing before the first one. */
static void add_ends(struct lines *t, const cJSON *counters, const char *end, int width)
{
    char group[32];
    const cJSON *own = cJSON_GetObjectItemCaseSensitive(counters, end);
    double requests = lines_number_of(own, "requests", 0);
    (void)snprintf(group, sizeof(group), "%s_failures", end);
    if (requests <= 0) {
        return;
    }
    lines_add(t, "%-*s  %s  %.0f requests, %.0f connected", width, "", end, requests,
              lines_number_of(own, "connected", 0));
    const char *before = "; ";
    const cJSON *cause;
    cJSON_ArrayForEach(cause, cJSON_GetObjectItemCaseSensitive(counters, group))
    {
        if (cJSON_IsNumber(cause) && cause->valuedouble > 0) {
            lines_add(t, "%s%.30s %.0f", before, cause->string, cause->valuedouble);
            before = ", ";
        }
    }
    lines_add(t, "\n");
}

static int widest(const cJSON *array, int width)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, array)
    {
        size_t len = strnlen(lines_text_of(item, "name", "?"), 63);
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
    size_t lines = 8 + (size_t)cJSON_GetArraySize(peers) + (size_t)cJSON_GetArraySize(relays);
    char *out = mem_new(lines, LINE_MAX_LEN);
    if (!out) {
        return NULL;
    }
    struct lines t = {out, lines * LINE_MAX_LEN};
    int width = widest(relays, widest(peers, 4));
    lines_add(&t, "%-*.63s  this node  %.60s  %.50s\n", width, lines_text_of(node, "name", "?"),
              lines_text_of(node, "listen", "?"), lines_text_of(node, "key", "?"));
    add_nat(&t, cJSON_GetObjectItemCaseSensitive(node, "nat"), width);
    add_portal(&t, cJSON_GetObjectItemCaseSensitive(node, "nat"), width);
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
