#include "policy/host.h"

#include <base/addr.h>

#include <stdint.h>
#include <string.h>

static char to_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name(const char *name)
{
    char before = '.';
    bool digits = true; /* in the label so far */
    for (const char *at = name; *at; at++) {
        bool plain = (*at >= 'a' && *at <= 'z') || *at == '-' || *at == '_';
        if (!plain && !is_digit(*at) && (*at != '.' || before == '.')) {
            return false;
        }
        digits = *at == '.' || (is_digit(*at) && digits);
        before = *at;
    }
    return before != '.' && !digits;
}

bool host_set_name(char out[HOST_NAME_MAX_LEN + 1], const char *text, size_t len)
{
    char copy[HOST_NAME_MAX_LEN + 1];
    if (len == 0 || len > HOST_NAME_MAX_LEN) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        copy[i] = to_lower(text[i]);
    }
    copy[copy[len - 1] == '.' ? len - 1 : len] = '\0';
    if (strlen(copy) + 1 < len || !is_name(copy)) {
        return false;
    }
    memcpy(out, copy, strlen(copy) + 1);
    return true;
}

int host_parse_port(const char *text, size_t len)
{
    int port = 0;
    if (len == 0 || len > 5) {
        return -1;
    }
    for (size_t i = 0; i < len; i++) {
        if (!is_digit(text[i])) {
            return -1;
        }
        port = port * 10 + (text[i] - '0');
    }
    return port <= UINT16_MAX ? port : -1;
}

bool host_parse_ports(const char *text, uint16_t *low, uint16_t *high)
{
    const char *dash = strchr(text, '-');
    size_t len = dash ? (size_t)(dash - text) : strlen(text);
    int first = host_parse_port(text, len);
    int last = dash ? host_parse_port(dash + 1, strlen(dash + 1)) : first;
    if (first < 1 || last < first) {
        return false;
    }
    *low = (uint16_t)first;
    *high = (uint16_t)last;
    return true;
}

bool host_split_ports(const char *text, const char **host, size_t *len, const char **ports)
{
    const char *colon = strchr(text, ':');
    *host = text;
    if (text[0] == '[') {
        const char *close = strchr(text, ']');
        if (!close || (close[1] != '\0' && close[1] != ':')) {
            return false;
        }
        *host = text + 1;
        *len = (size_t)(close - *host);
        *ports = close[1] == ':' ? close + 2 : NULL;
        return true;
    }
    bool bare = !colon || strchr(colon + 1, ':');
    *len = bare ? strlen(text) : (size_t)(colon - text);
    *ports = bare ? NULL : colon + 1;
    return true;
}

bool host_is_in(const char *name, const char *suffix)
{
    size_t name_len = strlen(name);
    size_t len = strlen(suffix);
    if (len == 0 || len > name_len || strcmp(name + name_len - len, suffix) != 0) {
        return false;
    }
    return len == name_len || name[name_len - len - 1] == '.';
}

bool host_split(char out[HOST_NAME_MAX_LEN + 1], uint16_t *port, const char *text, size_t len)
{
    char host[HOST_NAME_MAX_LEN + 1];
    struct addr ip;
    const char *close = len > 0 && text[0] == '[' ? memchr(text, ']', len) : NULL;
    const char *from = close ? close : text;
    const char *colon = memchr(from, ':', len - (size_t)(from - text));
    size_t host_len = colon ? (size_t)(colon - text) : len;
    int number = colon ? host_parse_port(colon + 1, len - host_len - 1) : *port;
    if (number < 0 || host_len == 0 || host_len >= sizeof(host)) {
        return false;
    }
    memcpy(host, text, host_len);
    host[host_len] = '\0';
    if (addr_parse_ip(&ip, host) == 0) {
        char plain[ADDR_TEXT_MAX];
        memcpy(out, addr_format_ip(&ip, plain), strlen(addr_format_ip(&ip, plain)) + 1);
    } else if (!host_set_name(out, host, host_len)) {
        return false;
    }
    *port = (uint16_t)number;
    return true;
}
