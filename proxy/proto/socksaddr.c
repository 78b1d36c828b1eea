#include "proto/socksaddr.h"

#include <base/err.h>

#include <string.h>

static int read_ip(struct reader *r, struct target *t, enum addr_family family)
{
    struct addr a = {.family = (uint8_t)family};
    read_copy(r, a.ip, family == ADDR_IPV4 ? 4 : 16);
    a.port = read_u16(r);
    if (r->failed) {
        return ERR_MALFORMED;
    }
    target_set_addr(t, &a);
    return 0;
}

int socksaddr_read(struct reader *r, struct target *t)
{
    uint8_t type = read_u8(r);
    if (type == SOCKSADDR_IPV4 || type == SOCKSADDR_IPV6) {
        return read_ip(r, t, type == SOCKSADDR_IPV4 ? ADDR_IPV4 : ADDR_IPV6);
    }
    if (type != SOCKSADDR_NAME) {
        return r->failed ? ERR_MALFORMED : ERR_NOT_FOUND;
    }
    size_t len = read_u8(r);
    const char *name = (const char *)read_bytes(r, len);
    uint16_t port = read_u16(r);
    return r->failed ? ERR_MALFORMED : target_set_name(t, name, len, port);
}

void socksaddr_write_ip(struct writer *w, const struct addr *a)
{
    static const struct addr none = {.family = ADDR_IPV4};
    a = a && a->family != ADDR_NONE ? a : &none;
    write_u8(w, a->family == ADDR_IPV4 ? SOCKSADDR_IPV4 : SOCKSADDR_IPV6);
    write_bytes(w, a->ip, a->family == ADDR_IPV4 ? 4 : 16);
    write_u16(w, a->port);
}

void socksaddr_write(struct writer *w, const struct target *t)
{
    if (t->kind == TARGET_ADDRESS) {
        socksaddr_write_ip(w, &t->addr);
        return;
    }
    size_t len = strlen(t->name);
    write_u8(w, SOCKSADDR_NAME);
    write_u8(w, (uint8_t)len);
    write_bytes(w, t->name, len);
    write_u16(w, t->port);
}
