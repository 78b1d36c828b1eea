/* IPv4 and IPv6 addresses with a port, and prefixes, as plain values.
 *
 * Text forms: "192.0.2.1:80", "[2001:db8::1]:80" (RFC 5952, RFC 3986), prefixes "10.0.0.0/8".
 * An address is compared byte by byte: keep it normalised (addr_normalize) where policy looks.
 */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum addr_family {
    ADDR_NONE = 0,
    ADDR_IPV4 = 4,
    ADDR_IPV6 = 6,
};

struct addr {
    uint8_t family; /* enum addr_family */
    uint16_t port;
    uint32_t scope; /* IPv6 zone index, 0 if none */
    uint8_t ip[16]; /* network order; IPv4 uses the first 4, the rest is 0 */
};

struct prefix {
    struct addr base; /* port 0, host bits 0 */
    uint8_t bits;     /* 0..32 or 0..128 */
};

/* Room for the longest text of addr_format, with its end. */
#define ADDR_TEXT_MAX 64

struct addr addr_ipv4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port);

/* "IP:PORT" / "[IP]:PORT". 0 or ERR_MALFORMED; *out is untouched on failure. */
int addr_parse(struct addr *out, const char *text);
/* An address without a port, IPv6 with or without brackets; port becomes 0. */
int addr_parse_ip(struct addr *out, const char *text);
/* Writes "IP:PORT" or "[IP]:PORT" and returns `out`. */
const char *addr_format(const struct addr *a, char out[ADDR_TEXT_MAX]);
/* The same without the port and without brackets. */
const char *addr_format_ip(const struct addr *a, char out[ADDR_TEXT_MAX]);

bool addr_equal(const struct addr *a, const struct addr *b);
bool addr_equal_ip(const struct addr *a, const struct addr *b);

/* v4-mapped IPv6 (RFC 4291 2.5.5.2) becomes IPv4; everything else stays. */
struct addr addr_normalize(const struct addr *a);

bool addr_is_unspecified(const struct addr *a);
bool addr_is_loopback(const struct addr *a);
/* 169.254/16, fe80::/10 */
bool addr_is_link_local(const struct addr *a);
/* RFC 1918, RFC 6598 (100.64/10), RFC 4193 (fc00::/7) */
bool addr_is_private(const struct addr *a);

/* "10.0.0.0/8", "2001:db8::/32", or a bare address (all its bits). 0 or ERR_MALFORMED.
 * Host bits that are set are an error too, so that a typing mistake is not silently widened. */
int prefix_parse(struct prefix *out, const char *text);
bool prefix_contains(const struct prefix *p, const struct addr *a);
const char *prefix_format(const struct prefix *p, char out[ADDR_TEXT_MAX]);

#endif
