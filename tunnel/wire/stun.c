#include "wire/stun.h"

#include <base/bytes.h>
#include <base/check.h>
#include <base/err.h>

#define COOKIE UINT32_C(0x2112a442)
#define FINGERPRINT_XOR UINT32_C(0x5354554e)

static const char tailnode[] = "tailnode";

enum attribute {
    MAPPED_ADDRESS = 0x0001,
    CHANGE_REQUEST = 0x0003,
    USERNAME = 0x0006,
    MESSAGE_INTEGRITY = 0x0008,
    ERROR_CODE = 0x0009,
    UNKNOWN_ATTRIBUTES = 0x000a,
    REALM = 0x0014,
    NONCE = 0x0015,
    MESSAGE_INTEGRITY_SHA256 = 0x001c,
    PASSWORD_ALGORITHM = 0x001d,
    USERHASH = 0x001e,
    XOR_MAPPED_ADDRESS = 0x0020,
    PADDING = 0x0026,
    RESPONSE_PORT = 0x0027,
    XOR_MAPPED_ADDRESS_OLD = 0x8020,
    SOFTWARE = 0x8022,
    FINGERPRINT = 0x8028,
    RESPONSE_ORIGIN = 0x802b,
    OTHER_ADDRESS = 0x802c,
};

enum {
    ATTRIBUTE_HEADER_LEN = 4,
    FINGERPRINT_LEN = 4,
    OPTIONAL_FROM = 0x8000, /* types from here on may be ignored */
    FAMILY_IPV4 = 1,
    FAMILY_IPV6 = 2,
};

bool stun_is_message(const void *data, size_t len)
{
    struct reader r = reader_of(data, len);
    if (len < STUN_HEADER_LEN || (read_u16(&r) & 0xc000) != 0) {
        return false;
    }
    (void)read_u16(&r);
    return read_u32(&r) == COOKIE;
}

/* CRC-32 of ISO-HDLC, as in zlib; bit by bit, for messages are short. */
static uint32_t crc32_of(const uint8_t *data, size_t len)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < len; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (UINT32_C(0xedb88320) & (0 - (crc & 1)));
        }
    }
    return ~crc;
}

/* An address is XORed with the cookie and, past its fourth byte, with the transaction id. */
static void mask_of(uint8_t mask[16], const uint8_t txid[STUN_TXID_LEN])
{
    struct writer w = writer_of(mask, 16);
    write_u32(&w, COOKIE);
    write_bytes(&w, txid, STUN_TXID_LEN);
}

/* --- reading --- */

static struct addr read_addr(struct reader *r, const uint8_t mask[16])
{
    struct addr a = {0};
    (void)read_u8(r);
    uint8_t family = read_u8(r);
    a.port = (uint16_t)(read_u16(r) ^ (mask[0] << 8 | mask[1]));
    a.family = family == FAMILY_IPV4 ? ADDR_IPV4 : ADDR_IPV6;
    size_t ip_len = family == FAMILY_IPV4 ? 4 : 16;
    read_copy(r, a.ip, ip_len);
    r->failed = r->failed || (family != FAMILY_IPV4 && family != FAMILY_IPV6);
    for (size_t i = 0; i < ip_len; i++) {
        a.ip[i] ^= mask[i];
    }
    return a;
}

/* Fills in *out if it is the first of its kind. */
static void take_addr(struct addr *out, struct reader *value, const uint8_t mask[16])
{
    struct addr a = read_addr(value, mask);
    if (out->family == ADDR_NONE && !value->failed) {
        *out = addr_normalize(&a);
    }
}

static void take_change(struct stun_message *m, struct reader *value)
{
    uint32_t flags = read_u32(value);
    if (!m->has_change) {
        m->has_change = true;
        m->change = (uint8_t)(flags & (STUN_CHANGE_IP | STUN_CHANGE_PORT));
    }
}

static void take_error(struct stun_message *m, struct reader *value)
{
    uint32_t code = read_u32(value);
    uint32_t hundreds = code >> 8 & 7;
    uint32_t rest = code & 0xff;
    value->failed = value->failed || hundreds < 3 || hundreds > 6 || rest > 99;
    if (m->error == 0 && !value->failed) {
        m->error = (uint16_t)(hundreds * 100 + rest);
        m->reason_len = reader_left(value);
        m->reason = read_bytes(value, m->reason_len);
    }
    (void)read_bytes(value, reader_left(value));
}

static void take_text(struct stun_message *m, struct reader *value)
{
    size_t len = reader_left(value);
    const uint8_t *text = read_bytes(value, len);
    value->failed = value->failed || len > STUN_SOFTWARE_MAX;
    if (!m->software) {
        m->software = text;
        m->software_len = len;
    }
}

static void take_unknown(struct stun_message *m, uint16_t type)
{
    if (m->unknown_count < STUN_UNKNOWN_MAX) {
        m->unknown[m->unknown_count++] = type;
    }
}

/* Reads one value; a failure of `value`, or bytes left in it, is the caller's to see. */
static void take_attribute(struct stun_message *m, uint16_t type, struct reader *value)
{
    static const uint8_t no_mask[16];
    uint8_t mask[16];
    mask_of(mask, m->txid);
    switch (type) {
    case MAPPED_ADDRESS:
        take_addr(&m->mapped, value, no_mask);
        break;
    case XOR_MAPPED_ADDRESS:
    case XOR_MAPPED_ADDRESS_OLD:
        take_addr(&m->xor_mapped, value, mask);
        break;
    case RESPONSE_ORIGIN:
        take_addr(&m->response_origin, value, no_mask);
        break;
    case OTHER_ADDRESS:
        take_addr(&m->other_address, value, no_mask);
        break;
    case CHANGE_REQUEST:
        take_change(m, value);
        break;
    case RESPONSE_PORT:
        m->response_port = read_u16(value);
        (void)read_bytes(value, reader_left(value)); /* 2 bytes that some count and some do not */
        break;
    case PADDING:
        m->has_padding = true;
        m->padding_len = reader_left(value);
        (void)read_bytes(value, m->padding_len);
        break;
    case ERROR_CODE:
        take_error(m, value);
        break;
    case SOFTWARE:
        take_text(m, value);
        break;
    case MESSAGE_INTEGRITY:
    case MESSAGE_INTEGRITY_SHA256:
        m->has_integrity = true;
        (void)read_bytes(value, reader_left(value));
        break;
    case USERNAME: /* credentials, which nobody asked for */
    case REALM:
    case NONCE:
    case PASSWORD_ALGORITHM:
    case USERHASH:
    case UNKNOWN_ATTRIBUTES:
        (void)read_bytes(value, reader_left(value));
        break;
    default:
        if (type < OPTIONAL_FROM) {
            take_unknown(m, type);
        }
        (void)read_bytes(value, reader_left(value));
        break;
    }
}

/* FINGERPRINT covers all before it, and must be the end. */
static bool fingerprint_fits(const uint8_t *message, const uint8_t *attribute, struct reader *value,
                             const struct reader *rest)
{
    uint32_t told = read_u32(value);
    uint32_t crc = crc32_of(message, (size_t)(attribute - message));
    return !value->failed && reader_left(value) == 0 && reader_left(rest) == 0 &&
           told == (crc ^ FINGERPRINT_XOR);
}

/* Reads the attribute at r; `message` is where the whole message starts. */
static bool read_attribute(struct stun_message *m, struct reader *r, const uint8_t *message)
{
    const uint8_t *attribute = r->at;
    uint16_t type = read_u16(r);
    uint16_t len = read_u16(r);
    const uint8_t *at = read_bytes(r, len);
    (void)read_bytes(r, (size_t)-len & 3); /* padding: any bytes (RFC 8489 14) */
    if (r->failed) {
        return false;
    }
    struct reader value = reader_of(at, len);
    if (type == FINGERPRINT) {
        m->has_fingerprint = fingerprint_fits(message, attribute, &value, r);
        return m->has_fingerprint;
    }
    /* Behind MESSAGE-INTEGRITY nothing else counts (RFC 8489 14.5): it is not covered. */
    if (m->has_integrity && type != MESSAGE_INTEGRITY_SHA256) {
        return true;
    }
    take_attribute(m, type, &value);
    return !value.failed && reader_left(&value) == 0;
}

static bool is_tailnode(const struct stun_message *m, size_t len)
{
    size_t expected = STUN_HEADER_LEN + ATTRIBUTE_HEADER_LEN + sizeof(tailnode) - 1 +
                      ATTRIBUTE_HEADER_LEN + FINGERPRINT_LEN;
    return m->type == STUN_REQUEST && len == expected && m->has_fingerprint &&
           m->software_len == sizeof(tailnode) - 1 &&
           memcmp(m->software, tailnode, sizeof(tailnode) - 1) == 0;
}

int stun_read(struct stun_message *out, const void *data, size_t len)
{
    struct stun_message m = {0};
    struct reader r = reader_of(data, len);
    if (!stun_is_message(data, len)) {
        return ERR_MALFORMED;
    }
    m.type = read_u16(&r);
    size_t body_len = read_u16(&r);
    (void)read_u32(&r);
    read_copy(&r, m.txid, sizeof(m.txid));
    if (body_len != reader_left(&r) || body_len % 4 != 0) {
        return ERR_MALFORMED;
    }
    while (reader_left(&r) > 0) {
        if (!read_attribute(&m, &r, data)) {
            return ERR_MALFORMED;
        }
    }
    m.is_tailnode = is_tailnode(&m, len);
    *out = m;
    return 0;
}

bool stun_mapped(const struct stun_message *m, struct addr *out)
{
    const struct addr *a = m->xor_mapped.family != ADDR_NONE ? &m->xor_mapped : &m->mapped;
    if (a->family == ADDR_NONE || a->port == 0 || addr_is_unspecified(a)) {
        return false;
    }
    *out = *a;
    return true;
}

/* --- writing --- */

static void write_attribute(struct writer *w, uint16_t type, const void *value, size_t len)
{
    static const uint8_t zeros[3];
    write_u16(w, type);
    write_u16(w, (uint16_t)len);
    write_bytes(w, value, len);
    write_bytes(w, zeros, (0 - len) & 3);
}

static void write_addr(struct writer *w, uint16_t type, const struct addr *addr,
                       const uint8_t mask[16])
{
    if (addr->family == ADDR_NONE) {
        return;
    }
    struct addr a = addr_normalize(addr);
    size_t ip_len = a.family == ADDR_IPV4 ? 4 : 16;
    uint8_t buf[20];
    struct writer value = writer_of(buf, sizeof(buf));
    write_u8(&value, 0);
    write_u8(&value, a.family == ADDR_IPV4 ? FAMILY_IPV4 : FAMILY_IPV6);
    write_u16(&value, (uint16_t)(a.port ^ (mask[0] << 8 | mask[1])));
    for (size_t i = 0; i < ip_len; i++) {
        write_u8(&value, a.ip[i] ^ mask[i]);
    }
    write_attribute(w, type, buf, writer_len(&value));
}

static void write_addrs(struct writer *w, const struct stun_message *m)
{
    static const uint8_t no_mask[16];
    uint8_t mask[16];
    mask_of(mask, m->txid);
    write_addr(w, XOR_MAPPED_ADDRESS, &m->xor_mapped, mask);
    write_addr(w, MAPPED_ADDRESS, &m->mapped, no_mask);
    write_addr(w, RESPONSE_ORIGIN, &m->response_origin, no_mask);
    write_addr(w, OTHER_ADDRESS, &m->other_address, no_mask);
}

static void write_change(struct writer *w, const struct stun_message *m)
{
    if (m->has_change) {
        const uint8_t flags[4] = {0, 0, 0, m->change};
        write_attribute(w, CHANGE_REQUEST, flags, sizeof(flags));
    }
    if (m->response_port != 0) {
        const uint8_t port[4] = {(uint8_t)(m->response_port >> 8), (uint8_t)m->response_port};
        write_attribute(w, RESPONSE_PORT, port, sizeof(port));
    }
}

static void write_padding(struct writer *w, const struct stun_message *m)
{
    if (!m->has_padding) {
        return;
    }
    write_u16(w, PADDING);
    write_u16(w, (uint16_t)m->padding_len);
    size_t len = (m->padding_len + 3) & ~(size_t)3;
    uint8_t *zeros = write_space(w, len);
    if (zeros) {
        memset(zeros, 0, len);
    }
}

static void write_error(struct writer *w, const struct stun_message *m)
{
    if (m->error != 0) {
        write_u16(w, ERROR_CODE);
        write_u16(w, (uint16_t)(4 + m->reason_len));
        write_u16(w, 0);
        write_u8(w, (uint8_t)(m->error / 100));
        write_u8(w, (uint8_t)(m->error % 100));
        write_bytes(w, m->reason, m->reason_len);
        write_bytes(w, "\0\0\0", (0 - m->reason_len) & 3);
    }
    if (m->unknown_count > 0) {
        uint8_t buf[2 * STUN_UNKNOWN_MAX];
        struct writer list = writer_of(buf, sizeof(buf));
        for (size_t i = 0; i < m->unknown_count; i++) {
            write_u16(&list, m->unknown[i]);
        }
        write_attribute(w, UNKNOWN_ATTRIBUTES, buf, writer_len(&list));
    }
}

/* The header's length counts the attributes so far and `more` bytes. */
static void set_length(struct writer *w, size_t more)
{
    if (!w->failed) {
        struct writer header = writer_of(w->start + 2, 2);
        write_u16(&header, (uint16_t)(writer_len(w) - STUN_HEADER_LEN + more));
    }
}

static void write_fingerprint(struct writer *w)
{
    set_length(w, ATTRIBUTE_HEADER_LEN + FINGERPRINT_LEN);
    uint32_t crc = w->failed ? 0 : crc32_of(w->start, writer_len(w));
    write_u16(w, FINGERPRINT);
    write_u16(w, FINGERPRINT_LEN);
    write_u32(w, crc ^ FINGERPRINT_XOR);
}

size_t stun_write(void *out, size_t cap, const struct stun_message *m)
{
    CHECK(m->unknown_count <= STUN_UNKNOWN_MAX && m->software_len <= STUN_SOFTWARE_MAX);
    CHECK(m->padding_len <= UINT16_MAX && m->reason_len <= STUN_SOFTWARE_MAX);
    /* The length field has 16 bits. */
    struct writer w = writer_of(out, cap < UINT16_MAX ? cap : UINT16_MAX);
    write_u16(&w, m->type);
    write_u16(&w, 0);
    write_u32(&w, COOKIE);
    write_bytes(&w, m->txid, STUN_TXID_LEN);
    if (m->software) { /* first: a derper looks for it there */
        write_attribute(&w, SOFTWARE, m->software, m->software_len);
    }
    write_change(&w, m);
    write_addrs(&w, m);
    write_error(&w, m);
    write_padding(&w, m);
    set_length(&w, 0);
    if (m->has_fingerprint) {
        write_fingerprint(&w);
    }
    return w.failed ? 0 : writer_len(&w);
}

size_t stun_write_request(void *out, size_t cap, const uint8_t txid[STUN_TXID_LEN],
                          enum stun_form form, uint8_t change)
{
    struct stun_message m = {.type = STUN_REQUEST, .has_change = change != 0, .change = change};
    memcpy(m.txid, txid, STUN_TXID_LEN);
    m.has_fingerprint = form != STUN_FORM_PLAIN;
    if (form == STUN_FORM_TAILNODE) {
        m.software = (const uint8_t *)tailnode;
        m.software_len = sizeof(tailnode) - 1;
    }
    return stun_write(out, cap, &m);
}
