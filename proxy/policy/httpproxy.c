#include "policy/httpproxy.h"

#include <base/addr.h>

#include <string.h>
#include <strings.h>

enum { HTTP_PORT = 80, SOCKS_PORT = 1080, ITEM_MAX = 300 };

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undoes %XX (RFC 3986 2.1). A NUL or a control character is in nobody's name or password. */
static bool unescape(char out[HTTPPROXY_LOGIN_MAX + 1], const char *text, size_t len)
{
    size_t at = 0;
    for (size_t i = 0; i < len; i++) {
        int c = (unsigned char)text[i];
        if (c == '%') {
            int high = i + 2 < len ? hex_digit(text[i + 1]) : -1;
            int low = i + 2 < len ? hex_digit(text[i + 2]) : -1;
            c = high >= 0 && low >= 0 ? high * 16 + low : 0;
            i += 2;
        }
        if (c < ' ' || c == 0x7f || at >= HTTPPROXY_LOGIN_MAX) {
            return false;
        }
        out[at++] = (char)c;
    }
    out[at] = '\0';
    return true;
}

/* [NAME:PASSWORD@]HOST[:PORT][/] */
static const char *parse_rest(struct httpproxy *out, struct httpproxy p, const char *from)
{
    size_t len = strcspn(from, "/?#");
    if (from[len] && strcmp(from + len, "/") != 0) {
        return "has a path";
    }
    const char *at = from;
    for (size_t i = 0; i < len; i++) {
        at = from[i] == '@' ? from + i + 1 : at; /* the last one: passwords may have others */
    }
    if (at > from && !unescape(p.login, from, (size_t)(at - 1 - from))) {
        return "has a bad name or password";
    }
    if (at > from && !strchr(p.login, ':')) {
        return "has a name without a password";
    }
    if (!host_split(p.host, &p.port, at, len - (size_t)(at - from)) || p.port == 0) {
        return "has a bad host or port";
    }
    *out = p;
    return NULL;
}

/* What follows the scheme, or NULL. */
static const char *after(const char *text, const char *scheme)
{
    size_t len = strlen(scheme);
    return strncasecmp(text, scheme, len) == 0 ? text + len : NULL;
}

const char *httpproxy_parse(struct httpproxy *out, const char *text)
{
    const char *from = strstr(text, "://") ? after(text, "http://") : text;
    if (!from) {
        return "is no HTTP proxy (http://)";
    }
    return parse_rest(out, (struct httpproxy){.port = HTTP_PORT}, from);
}

const char *httpproxy_parse_any(struct httpproxy *out, const char *text)
{
    const char *from = after(text, "http://");
    if (from) {
        return parse_rest(out, (struct httpproxy){.port = HTTP_PORT}, from);
    }
    from = after(text, "socks5://");
    from = from ? from : after(text, "socks5h://");
    if (!from) {
        return "is neither socks5:// nor http://";
    }
    return parse_rest(out, (struct httpproxy){.port = SOCKS_PORT, .socks5 = true}, from);
}

/* --- no_proxy --- */

static bool is_loopback(const char *host)
{
    struct addr ip;
    return strcmp(host, "localhost") == 0 || host_is_in(host, "localhost") ||
           (addr_parse_ip(&ip, host) == 0 && addr_is_loopback(&ip));
}

static bool names(const char *item, const char *host, uint16_t port)
{
    struct prefix prefix;
    struct addr ip;
    char name[HOST_NAME_MAX_LEN + 1];
    uint16_t only = 0;
    if (strcmp(item, "*") == 0) {
        return true;
    }
    if (prefix_parse(&prefix, item) == 0) {
        return addr_parse_ip(&ip, host) == 0 && prefix_contains(&prefix, &ip);
    }
    item += item[0] == '.';
    if (!host_split(name, &only, item, strlen(item)) || (only != 0 && only != port)) {
        return false;
    }
    return strcmp(name, host) == 0 || host_is_in(host, name);
}

bool httpproxy_excepts(const char *list, const char *host, uint16_t port)
{
    static const char between[] = ", \t";
    char item[ITEM_MAX];
    if (is_loopback(host)) {
        return true;
    }
    const char *at = list ? list : "";
    for (at += strspn(at, between); *at; at += strspn(at, between)) {
        size_t len = strcspn(at, between);
        if (len < sizeof(item)) {
            memcpy(item, at, len);
            item[len] = '\0';
            if (names(item, host, port)) {
                return true;
            }
        }
        at += len;
    }
    return false;
}
