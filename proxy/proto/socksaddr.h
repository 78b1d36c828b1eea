/* Address and port as SOCKS5 writes them (RFC 1928 section 5): ATYP 1 | address | port 2, where a
 * name is a length byte and that many bytes.
 */
#ifndef PROTO_SOCKSADDR_H
#define PROTO_SOCKSADDR_H

#include "proto/target.h"

#include <base/bytes.h>

enum {
    SOCKSADDR_IPV4 = 1,
    SOCKSADDR_NAME = 3,
    SOCKSADDR_IPV6 = 4,
    SOCKSADDR_IP_MAX = 1 + 16 + 2,
    SOCKSADDR_MAX = 1 + 1 + TARGET_NAME_MAX + 2,
};

/* 0, ERR_MALFORMED (cut short, or a name that cannot be one) or ERR_NOT_FOUND (no such type); *t
 * untouched on failure. */
int socksaddr_read(struct reader *r, struct target *t);
void socksaddr_write(struct writer *w, const struct target *t);
/* An address of either family; NULL and ADDR_NONE are written as 0.0.0.0:0. */
void socksaddr_write_ip(struct writer *w, const struct addr *a);

#endif
