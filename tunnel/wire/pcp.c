#include "wire/pcp.h"

#include <base/bytes.h>
#include <base/err.h>

enum {
    VERSION_PCP = 2,
    VERSION_NATPMP = 0,
    ANSWER = 0x80, /* set in the opcode */
    PROTOCOL_UDP = 17,
    RESERVED_LEN = 12,
};

static const uint8_t zeros[16];

/* --- addresses: always 16 bytes, IPv4 as ::ffff:a.b.c.d (RFC 6887 5) --- */

static void write_ip(struct writer *w, const struct addr *a)
{
    if (a->family == ADDR_IPV4) {
        write_bytes(w, zeros, 10);
        write_u16(w, 0xffff);
        write_bytes(w, a->ip, 4);
    } else {
        write_bytes(w, a->family == ADDR_IPV6 ? a->ip : zeros, 16);
    }
}

static struct addr read_ip(struct reader *r, uint16_t port)
{
    struct addr a = {.family = ADDR_IPV6, .port = port};
    read_copy(r, a.ip, sizeof(a.ip));
    return addr_normalize(&a);
}

/* --- PCP --- */

static void write_header(struct writer *w, enum pcp_op op, const struct addr *client,
                         uint32_t lifetime_s)
{
    write_u8(w, VERSION_PCP);
    write_u8(w, (uint8_t)op);
    write_u16(w, 0);
    write_u32(w, lifetime_s);
    write_ip(w, client);
}

size_t pcp_write_announce(void *out, size_t cap, const struct addr *client)
{
    struct writer w = writer_of(out, cap);
    write_header(&w, PCP_ANNOUNCE, client, 0);
    return w.failed ? 0 : writer_len(&w);
}

size_t pcp_write_map(void *out, size_t cap, const struct addr *client, const struct pcp_map *map,
                     uint32_t lifetime_s)
{
    /* No suggestion is the unspecified address of the client's own family (RFC 6887 11.1). */
    struct addr external = map->external;
    if (external.family == ADDR_NONE) {
        external.family = addr_normalize(client).family;
    }
    struct writer w = writer_of(out, cap);
    write_header(&w, PCP_MAP, client, lifetime_s);
    write_bytes(&w, map->nonce, PCP_NONCE_LEN);
    write_u8(&w, PROTOCOL_UDP);
    write_bytes(&w, zeros, 3);
    write_u16(&w, map->internal_port);
    write_u16(&w, external.port);
    write_ip(&w, &external);
    return w.failed ? 0 : writer_len(&w);
}

static void read_map(struct pcp_map *map, struct reader *r)
{
    read_copy(r, map->nonce, PCP_NONCE_LEN);
    uint8_t protocol = read_u8(r);
    (void)read_bytes(r, 3);
    map->internal_port = read_u16(r);
    uint16_t external_port = read_u16(r);
    map->external = read_ip(r, external_port);
    r->failed = r->failed || protocol != PROTOCOL_UDP;
}

/* We sent none, so whatever stands there is skipped; but it must be whole. */
static void skip_options(struct reader *r)
{
    while (reader_left(r) > 0 && !r->failed) {
        (void)read_u16(r);
        uint16_t len = read_u16(r);
        (void)read_bytes(r, ((size_t)len + 3) & ~(size_t)3);
    }
}

int pcp_read_answer(struct pcp_answer *out, const void *data, size_t len)
{
    struct pcp_answer a = {0};
    struct reader r = reader_of(data, len);
    if (len < 2 || len > PCP_MESSAGE_MAX) {
        return ERR_MALFORMED;
    }
    if (read_u8(&r) != VERSION_PCP) {
        return ERR_VERSION;
    }
    uint8_t op = read_u8(&r);
    (void)read_u8(&r);
    a.result = read_u8(&r);
    a.lifetime_s = read_u32(&r);
    a.epoch_s = read_u32(&r);
    (void)read_bytes(&r, RESERVED_LEN);
    a.op = op & (ANSWER - 1);
    if ((op & ANSWER) == 0 || len % 4 != 0 || r.failed) {
        return ERR_MALFORMED;
    }
    /* Errors may come without a body: what could not be read is not sent back. */
    if (a.op == PCP_MAP && (a.result == PCP_SUCCESS || reader_left(&r) > 0)) {
        read_map(&a.map, &r);
        a.has_map = true;
    }
    if (a.result == PCP_SUCCESS) {
        skip_options(&r);
    }
    if (r.failed) {
        return ERR_MALFORMED;
    }
    *out = a;
    return 0;
}

/* --- NAT-PMP --- */

size_t natpmp_write_address(void *out, size_t cap)
{
    struct writer w = writer_of(out, cap);
    write_u8(&w, VERSION_NATPMP);
    write_u8(&w, NATPMP_ADDRESS);
    return w.failed ? 0 : writer_len(&w);
}

size_t natpmp_write_map(void *out, size_t cap, uint16_t internal_port, uint16_t external_port,
                        uint32_t lifetime_s)
{
    struct writer w = writer_of(out, cap);
    write_u8(&w, VERSION_NATPMP);
    write_u8(&w, NATPMP_MAP_UDP);
    write_u16(&w, 0);
    write_u16(&w, internal_port);
    write_u16(&w, external_port);
    write_u32(&w, lifetime_s);
    return w.failed ? 0 : writer_len(&w);
}

int natpmp_read_answer(struct natpmp_answer *out, const void *data, size_t len)
{
    struct natpmp_answer a = {0};
    struct reader r = reader_of(data, len);
    if (len < 2) {
        return ERR_MALFORMED;
    }
    if (read_u8(&r) != VERSION_NATPMP) {
        return ERR_VERSION;
    }
    uint8_t op = read_u8(&r);
    a.op = op & (ANSWER - 1);
    a.result = read_u16(&r);
    a.epoch_s = read_u32(&r); /* an error may end here (RFC 6886 3.5) */
    if (a.op == NATPMP_ADDRESS && a.result == NATPMP_SUCCESS) {
        a.external.family = ADDR_IPV4;
        read_copy(&r, a.external.ip, 4);
    } else if (a.op == NATPMP_MAP_UDP && a.result == NATPMP_SUCCESS) {
        a.internal_port = read_u16(&r);
        a.external_port = read_u16(&r);
        a.lifetime_s = read_u32(&r);
    }
    if ((op & ANSWER) == 0 || r.failed) {
        return ERR_MALFORMED;
    }
    *out = a;
    return 0;
}
