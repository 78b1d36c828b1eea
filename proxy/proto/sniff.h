/* Which protocol an application speaks on the one port: exactly one byte decides.
 *
 * Never more than one, because a client may send just that one and wait, and a probe that looks
 * further has to be right about every split.
 */
#ifndef PROTO_SNIFF_H
#define PROTO_SNIFF_H

#include <stdint.h>

enum sniff {
    SNIFF_SOCKS5, /* 05, RFC 1928 */
    SNIFF_SOCKS4, /* 04, also 4a */
    SNIFF_HTTP,   /* an upper-case ASCII letter: every method starts with one */
    SNIFF_TLS,    /* 16 hex: a TLS handshake record, somebody took us for an https:// proxy */
    SNIFF_OTHER,
};

enum sniff sniff_byte(uint8_t first);
/* "SOCKS5", "TLS", ... for log lines; static. */
const char *sniff_name(enum sniff what);

#endif
