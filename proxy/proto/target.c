#include "proto/target.h"

#include "proto/ipnumber.h"

#include <base/check.h>
#include <base/err.h>

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is_name_byte(char c)
{
    return c > ' ' && c < 0x7f && !strchr(":[]/%", c);
}

static char to_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Empty labels are refused, or "corp.example.." would be one name for the rules and another for
 * the resolver. */
static bool is_name(const char *name)
{
    char before = '.';
    for (const char *at = name; *at; at++) {
        if (!is_name_byte(*at) || (*at == '.' && before == '.')) {
            return false;
        }
        before = *at;
    }
    return before != '.';
}

int target_set_name(struct target *t, const char *name, size_t len, uint16_t port)
{
    char copy[TARGET_NAME_MAX + 1];
    if (len == 0 || len > TARGET_NAME_MAX || memchr(name, '\0', len)) {
        return ERR_MALFORMED;
    }
    for (size_t i = 0; i < len; i++) {
        copy[i] = to_lower(name[i]);
    }
    copy[copy[len - 1] == '.' ? len - 1 : len] = '\0';
    struct addr addr = {0};
    if (addr_parse_ip(&addr, copy) == 0) {
        addr.port = port;
        target_set_addr(t, &addr);
        return 0;
    }
    if (ipnumber_is_meant(copy)) {
        int err = ipnumber_parse(&addr, copy);
        addr.port = port;
        if (err == 0) {
            target_set_addr(t, &addr);
        }
        return err;
    }
    if (!is_name(copy)) {
        return ERR_MALFORMED;
    }
    *t = (struct target){.kind = TARGET_NAME, .port = port};
    memcpy(t->name, copy, strlen(copy) + 1);
    return 0;
}

void target_set_addr(struct target *t, const struct addr *addr)
{
    CHECK(addr->family != ADDR_NONE);
    struct addr plain = addr_normalize(addr);
    *t = (struct target){.kind = TARGET_ADDRESS, .port = plain.port, .addr = plain};
}

/* 0..65535 in its one spelling, without leading zeros; -1 if not. */
static int parse_port(const char *text, size_t len)
{
    int port = 0;
    if (len == 0 || len > 5 || (len > 1 && text[0] == '0')) {
        return -1;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return -1;
        }
        port = port * 10 + (text[i] - '0');
    }
    return port <= UINT16_MAX ? port : -1;
}

int target_parse(struct target *t, const char *text, size_t len)
{
    size_t host = len;
    while (host > 0 && text[host - 1] != ':') {
        host--;
    }
    if (host < 2) {
        return ERR_MALFORMED;
    }
    int port = parse_port(text + host, len - host);
    host--; /* without the colon */
    /* "::1:80" could mean two things: IPv6 needs its brackets here. */
    if (port < 0 || (text[0] != '[' && memchr(text, ':', host))) {
        return ERR_MALFORMED;
    }
    return target_set_name(t, text, host, (uint16_t)port);
}

static bool is_path(const char *path)
{
    size_t len = strlen(path);
    if (len < 2 || len > TARGET_PATH_MAX || path[0] != '/' || path[len - 1] == '/') {
        return false;
    }
    for (const char *at = path; *at; at++) {
        if (*at <= ' ' || *at >= 0x7f) {
            return false;
        }
    }
    const char *last = path + len - 3;
    return !strstr(path, "/../") && (len < 3 || strcmp(last, "/..") != 0);
}

int target_set_path(struct target *t, const char *path)
{
    if (!is_path(path)) {
        return ERR_MALFORMED;
    }
    memcpy(t->path, path, strlen(path) + 1);
    return 0;
}

int target_parse_unix(struct target *t, const char *text, size_t len)
{
    char path[TARGET_PATH_MAX + 1];
    struct target socket = {.kind = TARGET_NAME};
    size_t skip = sizeof(TARGET_UNIX) - 1;
    bool fits = len > skip && len - skip < sizeof(path) && !memchr(text, '\0', len);
    if (!fits || memcmp(text, TARGET_UNIX, skip) != 0) {
        return ERR_MALFORMED;
    }
    memcpy(path, text + skip, len - skip);
    path[len - skip] = '\0';
    int err = target_set_path(&socket, path);
    if (err == 0) {
        *t = socket;
    }
    return err;
}

const char *target_format(const struct target *t, char out[TARGET_TEXT_MAX])
{
    char ip[ADDR_TEXT_MAX];
    if (t->path[0]) {
        (void)snprintf(out, TARGET_TEXT_MAX, "%s:%s", t->name[0] ? t->name : "unix", t->path);
    } else if (t->kind == TARGET_ADDRESS) {
        (void)snprintf(out, TARGET_TEXT_MAX, "%s", addr_format(&t->addr, ip));
    } else {
        (void)snprintf(out, TARGET_TEXT_MAX, "%s:%u", t->name, (unsigned)t->port);
    }
    return out;
}

bool target_equal(const struct target *a, const struct target *b)
{
    if (a->kind != b->kind || a->port != b->port || strcmp(a->path, b->path) != 0) {
        return false;
    }
    return a->kind == TARGET_NAME ? strcmp(a->name, b->name) == 0 : addr_equal(&a->addr, &b->addr);
}

bool target_is_peer_name(const struct target *t, char peer[TARGET_PEER_MAX + 1])
{
    const char *dot = t->kind == TARGET_NAME ? strchr(t->name, '.') : NULL;
    size_t len = dot ? (size_t)(dot - t->name) : 0;
    if (len == 0 || len > TARGET_PEER_MAX || strcasecmp(dot, ".peer") != 0) {
        return false;
    }
    memcpy(peer, t->name, len);
    peer[len] = '\0';
    return true;
}
