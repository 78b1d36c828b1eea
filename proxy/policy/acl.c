#include "policy/acl.h"

#include "policy/host.h"
#include "proto/target.h"

#include <base/err.h>
#include <base/mem.h>

#include <string.h>

static const struct prefix nat64 = {.base = {.family = ADDR_IPV6, .ip = {0x00, 0x64, 0xff, 0x9b}},
                                    .bits = 96};
/* Deprecated "v4-compatible" addresses (RFC 4291 2.5.5.1); :: and ::1 are in it, too. */
static const struct prefix v4_compatible = {.base = {.family = ADDR_IPV6}, .bits = 96};
static const struct prefix this_network = {.base = {.family = ADDR_IPV4}, .bits = 8};

static const struct prefix guarded[] = {
    {.base = {.family = ADDR_IPV4, .ip = {169, 254}}, .bits = 16},
    {.base = {.family = ADDR_IPV6, .ip = {0xfe, 0x80}}, .bits = 10},
    {.base = {.family = ADDR_IPV6, .ip = {0xfd, 0x00, 0x0e, 0xc2}}, .bits = 32},
    {.base = {.family = ADDR_IPV6, .ip = {0xfd, 0x20, 0x00, 0xce, [14] = 0x02, [15] = 0x54}},
     .bits = 128},
    {.base = {.family = ADDR_IPV6,
              .ip = {0xfd, 0x00, 0x00, 0xc1, [12] = 0xa9, [13] = 0xfe, [14] = 0xa9, [15] = 0xfe}},
     .bits = 128},
    {.base = {.family = ADDR_IPV6, .ip = {0xfd, 0x00, 0x00, 0x42, [15] = 0x42}}, .bits = 128},
    {.base = {.family = ADDR_IPV4, .ip = {100, 100, 100, 200}}, .bits = 32},
    {.base = {.family = ADDR_IPV4, .ip = {168, 63, 129, 16}}, .bits = 32},
    {.base = {.family = ADDR_IPV4, .ip = {192, 0, 0, 192}}, .bits = 32},
};

struct addr acl_normalize(const struct addr *a)
{
    struct addr n = addr_normalize(a);
    if (n.family == ADDR_IPV6 && addr_is_unspecified(&n)) {
        n.ip[15] = 1;
    }
    bool holds_v4 = prefix_contains(&nat64, &n) ||
                    (prefix_contains(&v4_compatible, &n) && !addr_is_loopback(&n));
    if (holds_v4) {
        n = addr_ipv4(n.ip[12], n.ip[13], n.ip[14], n.ip[15], n.port);
    }
    return prefix_contains(&this_network, &n) ? addr_ipv4(127, 0, 0, 1, n.port) : n;
}

/* The guarded block the address lies in, or NULL. */
static const struct prefix *find_guard(const struct addr *a)
{
    for (size_t i = 0; i < sizeof(guarded) / sizeof(guarded[0]); i++) {
        if (prefix_contains(&guarded[i], a)) {
            return &guarded[i];
        }
    }
    return NULL;
}

/* Written for loopback by its owner, and by RFC 6761 meaning nothing else. */
static bool is_localhost(const char *name)
{
    return host_is_in(name, "localhost");
}

static bool rule_allows(const struct acl_rule *rule, const struct addr *a,
                        const struct prefix *guard, const char *name)
{
    switch (rule->kind) {
    case ACL_ANY:
        return !guard;
    case ACL_PREFIX:
        return prefix_contains(&rule->prefix, a) && (!guard || rule->prefix.bits >= guard->bits);
    case ACL_NAME:
        return name && strcmp(rule->name, name) == 0 && !guard &&
               (!addr_is_loopback(a) || is_localhost(name));
    case ACL_UNIX:
        break;
    }
    return false;
}

static bool has_port(const struct acl_rule *rule, uint16_t port)
{
    return port >= rule->port_min && port <= rule->port_max;
}

bool acl_allows(const struct acl *acl, const struct addr *dialled, uint16_t port, const char *name)
{
    struct addr a = acl_normalize(dialled);
    const struct prefix *guard = find_guard(&a);
    for (size_t i = 0; i < acl->count; i++) {
        if (has_port(&acl->rules[i], port) && rule_allows(&acl->rules[i], &a, guard, name)) {
            return true;
        }
    }
    return false;
}

bool acl_names(const struct acl *acl, const struct addr *dialled, uint16_t port)
{
    struct addr a = acl_normalize(dialled);
    unsigned whole = a.family == ADDR_IPV4 ? 32 : 128;
    for (size_t i = 0; i < acl->count; i++) {
        const struct acl_rule *r = &acl->rules[i];
        if (r->kind == ACL_PREFIX && r->prefix.bits == whole && prefix_contains(&r->prefix, &a) &&
            r->port_min == port && r->port_max == port) {
            return true;
        }
    }
    return false;
}

bool acl_could_allow(const struct acl *acl, const char *name, uint16_t port)
{
    for (size_t i = 0; i < acl->count; i++) {
        const struct acl_rule *rule = &acl->rules[i];
        bool could =
            rule->kind == ACL_NAME ? strcmp(rule->name, name) == 0 : rule->kind != ACL_UNIX;
        if (could && has_port(rule, port)) {
            return true;
        }
    }
    return false;
}

bool acl_allows_name(const struct acl *acl, const char *name, uint16_t port)
{
    for (size_t i = 0; i < acl->count && !is_localhost(name); i++) {
        const struct acl_rule *rule = &acl->rules[i];
        bool named = rule->kind == ACL_NAME && strcmp(rule->name, name) == 0;
        if ((named || rule->kind == ACL_ANY) && has_port(rule, port)) {
            return true;
        }
    }
    return false;
}

bool acl_allows_unix(const struct acl *acl, const char *path)
{
    for (size_t i = 0; i < acl->count; i++) {
        if (acl->rules[i].kind == ACL_UNIX && strcmp(acl->rules[i].name, path) == 0) {
            return true;
        }
    }
    return false;
}

bool acl_is_alias(const struct prefix *p)
{
    struct addr meant = acl_normalize(&p->base);
    bool whole = p->bits >= (p->base.family == ADDR_IPV4 ? 8 : 96);
    return whole && !addr_equal_ip(&meant, &p->base);
}

static int parse_host(struct acl_rule *rule, const char *host, size_t len, const char **why)
{
    char copy[ACL_NAME_MAX + 1];
    *why = "is neither an address nor a prefix nor a host name";
    if (len == 0 || len > ACL_NAME_MAX) {
        return ERR_MALFORMED;
    }
    memcpy(copy, host, len);
    copy[len] = '\0';
    if (strcmp(copy, "any") == 0) {
        rule->kind = ACL_ANY;
        return 0;
    }
    if (prefix_parse(&rule->prefix, copy) == 0) {
        rule->kind = ACL_PREFIX;
        *why = "stands for another address: write that one";
        return acl_is_alias(&rule->prefix) ? ERR_MALFORMED : 0;
    }
    if (strchr(copy, '/')) {
        *why = "is no prefix: the bits after its length must be zero";
        return ERR_MALFORMED;
    }
    rule->kind = ACL_NAME;
    return host_set_name(rule->name, copy, len) ? 0 : ERR_MALFORMED;
}

static int parse_unix(struct acl_rule *rule, const char *text, const char **why)
{
    struct target t;
    *why = "is no path of a unix socket: from the root, at most 103 bytes";
    if (target_parse_unix(&t, text, strlen(text)) != 0) {
        return ERR_MALFORMED;
    }
    rule->kind = ACL_UNIX;
    memcpy(rule->name, t.path, sizeof(t.path));
    *why = NULL;
    return 0;
}

int acl_parse_rule(struct acl_rule *rule, const char *text, const char **why)
{
    struct acl_rule r = {.port_min = 0, .port_max = UINT16_MAX};
    const char *host;
    const char *ports;
    size_t len;
    if (strncmp(text, TARGET_UNIX, sizeof(TARGET_UNIX) - 1) == 0) {
        int err = parse_unix(&r, text, why);
        *rule = err == 0 ? r : *rule;
        return err;
    }
    *why = "has a [ without its ]";
    if (!host_split_ports(text, &host, &len, &ports)) {
        return ERR_MALFORMED;
    }
    int err = parse_host(&r, host, len, why);
    if (err != 0) {
        return err;
    }
    *why = "has a bad port: PORT or PORT-PORT, from 1 to 65535";
    if (ports && !host_parse_ports(ports, &r.port_min, &r.port_max)) {
        return ERR_MALFORMED;
    }
    *why = NULL;
    *rule = r;
    return 0;
}

int acl_add(struct acl *acl, const struct acl_rule *rule)
{
    if (acl->count >= ACL_RULES_MAX) {
        return ERR_NO_ROOM;
    }
    struct acl_rule *rules = mem_resize(acl->rules, (acl->count + 1) * sizeof(*rules));
    if (!rules) {
        return ERR_NO_MEMORY;
    }
    rules[acl->count++] = *rule;
    acl->rules = rules;
    return 0;
}

void acl_deinit(struct acl *acl)
{
    mem_free(acl->rules);
    *acl = (struct acl){0};
}
