#include <base/addr.h>
#include <base/err.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t ip_len(const struct addr *a)
{
    return a->family == ADDR_IPV4 ? 4 : 16;
}

struct addr addr_ipv4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port)
{
    return (struct addr){.family = ADDR_IPV4, .port = port, .ip = {a, b, c, d}};
}

/* Strictly decimal digits, no sign, no space; at most `max`. -1 if not. */
static long parse_number(const char *text, size_t len, long max)
{
    long v = 0;
    if (len == 0 || len > 5) {
        return -1;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return -1;
        }
        v = v * 10 + (text[i] - '0');
    }
    return v <= max ? v : -1;
}

static int parse_ip_len(struct addr *out, const char *text, size_t len)
{
    char copy[INET6_ADDRSTRLEN];
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    }
    if (len == 0 || len >= sizeof(copy)) {
        return ERR_MALFORMED;
    }
    memcpy(copy, text, len);
    copy[len] = '\0';
    struct addr a = {0};
    if (inet_pton(AF_INET, copy, a.ip) == 1) {
        a.family = ADDR_IPV4;
    } else if (inet_pton(AF_INET6, copy, a.ip) == 1) {
        a.family = ADDR_IPV6;
    } else {
        return ERR_MALFORMED;
    }
    *out = a;
    return 0;
}

int addr_parse_ip(struct addr *out, const char *text)
{
    return parse_ip_len(out, text, strlen(text));
}

int addr_parse(struct addr *out, const char *text)
{
    const char *colon = strrchr(text, ':');
    if (!colon) {
        return ERR_MALFORMED;
    }
    long port = parse_number(colon + 1, strlen(colon + 1), UINT16_MAX);
    struct addr a;
    if (port < 0 || parse_ip_len(&a, text, (size_t)(colon - text)) != 0) {
        return ERR_MALFORMED;
    }
    if (a.family == ADDR_IPV6 && text[0] != '[') {
        return ERR_MALFORMED; /* "::1:80" could mean two things */
    }
    a.port = (uint16_t)port;
    *out = a;
    return 0;
}

const char *addr_format_ip(const struct addr *a, char out[ADDR_TEXT_MAX])
{
    int family = a->family == ADDR_IPV4 ? AF_INET : AF_INET6;
    if (a->family == ADDR_NONE || !inet_ntop(family, a->ip, out, ADDR_TEXT_MAX)) {
        (void)snprintf(out, ADDR_TEXT_MAX, "none");
    }
    return out;
}

const char *addr_format(const struct addr *a, char out[ADDR_TEXT_MAX])
{
    char ip[ADDR_TEXT_MAX];
    (void)addr_format_ip(a, ip);
    (void)snprintf(out, ADDR_TEXT_MAX, a->family == ADDR_IPV6 ? "[%.46s]:%u" : "%.46s:%u", ip,
                   (unsigned)a->port);
    return out;
}

bool addr_equal_ip(const struct addr *a, const struct addr *b)
{
    return a->family == b->family && a->scope == b->scope &&
           memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
    return a->port == b->port && addr_equal_ip(a, b);
}

struct addr addr_normalize(const struct addr *a)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (a->family != ADDR_IPV6 || memcmp(a->ip, mapped, sizeof(mapped)) != 0) {
        return *a;
    }
    return addr_ipv4(a->ip[12], a->ip[13], a->ip[14], a->ip[15], a->port);
}

bool addr_is_unspecified(const struct addr *a)
{
    static const uint8_t zero[16];
    return memcmp(a->ip, zero, ip_len(a)) == 0;
}

bool addr_is_loopback(const struct addr *a)
{
    static const uint8_t one[16] = {[15] = 1};
    return a->family == ADDR_IPV4 ? a->ip[0] == 127 : memcmp(a->ip, one, sizeof(one)) == 0;
}

bool addr_is_link_local(const struct addr *a)
{
    return a->family == ADDR_IPV4 ? a->ip[0] == 169 && a->ip[1] == 254
                                  : a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80;
}

bool addr_is_private(const struct addr *a)
{
    if (a->family == ADDR_IPV6) {
        return (a->ip[0] & 0xfe) == 0xfc;
    }
    return a->ip[0] == 10 || (a->ip[0] == 172 && (a->ip[1] & 0xf0) == 16) ||
           (a->ip[0] == 192 && a->ip[1] == 168) || (a->ip[0] == 100 && (a->ip[1] & 0xc0) == 64);
}

/* True if the first `bits` bits of a and b are equal. */
static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8;
    if (memcmp(a, b, whole) != 0) {
        return false;
    }
    unsigned rest = bits % 8;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

static bool host_bits_zero(const struct prefix *p)
{
    for (unsigned i = p->bits; i < ip_len(&p->base) * 8; i++) {
        if (p->base.ip[i / 8] >> (7 - i % 8) & 1) {
            return false;
        }
    }
    return true;
}

int prefix_parse(struct prefix *out, const char *text)
{
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    struct prefix p = {0};
    if (parse_ip_len(&p.base, text, len) != 0) {
        return ERR_MALFORMED;
    }
    long most = (long)ip_len(&p.base) * 8;
    long bits = slash ? parse_number(slash + 1, strlen(slash + 1), most) : most;
    if (bits < 0) {
        return ERR_MALFORMED;
    }
    p.bits = (uint8_t)bits;
    if (!host_bits_zero(&p)) {
        return ERR_MALFORMED;
    }
    *out = p;
    return 0;
}

bool prefix_contains(const struct prefix *p, const struct addr *a)
{
    return p->base.family == a->family && same_bits(p->base.ip, a->ip, p->bits);
}

const char *prefix_format(const struct prefix *p, char out[ADDR_TEXT_MAX])
{
    char ip[ADDR_TEXT_MAX];
    (void)snprintf(out, ADDR_TEXT_MAX, "%.46s/%u", addr_format_ip(&p->base, ip), (unsigned)p->bits);
    return out;
}
