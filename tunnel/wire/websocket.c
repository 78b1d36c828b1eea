#include "wire/websocket.h"

#include <base/bytes.h>
#include <base/check.h>
#include <base/err.h>

#include <sodium.h>
#include <string.h>

#ifdef ADIT_TLS
#include <openssl/sha.h>
#endif

enum {
    FIN = 0x80,
    RESERVED = 0x70,
    OPCODE = 0x0f,
    MASKED = 0x80,
    LENGTH = 0x7f,
    LENGTH_16 = 126,
    LENGTH_64 = 127,
};

/* --- reading --- */

void ws_reader_init(struct ws_reader *r, bool server)
{
    *r = (struct ws_reader){.masked = server};
}

static size_t header_size(const struct ws_reader *r)
{
    if (r->header_len < 2) {
        return 2;
    }
    unsigned code = r->header[1] & LENGTH;
    size_t length = code == LENGTH_16 ? 2 : code == LENGTH_64 ? 8 : 0;
    return 2 + length + (r->masked ? WS_MASK : 0);
}

/* What the first two bytes say. */
static bool is_legal_start(const struct ws_reader *r)
{
    return !(r->header[0] & RESERVED) && ((r->header[1] & MASKED) != 0) == r->masked;
}

static bool is_legal(const struct ws_reader *r, uint64_t len)
{
    unsigned opcode = r->header[0] & OPCODE;
    bool fin = (r->header[0] & FIN) != 0;
    switch (opcode) {
    case WS_CONTINUATION:
        return r->in_message && len <= INT64_MAX;
    case WS_BINARY:
        return !r->in_message && len <= INT64_MAX;
    case WS_CLOSE:
    case WS_PING:
    case WS_PONG:
        return fin && len <= WS_CONTROL_MAX;
    default: /* text is nothing for us */
        return false;
    }
}

/* The header is whole. */
static int begin_frame(struct ws_reader *r)
{
    struct reader in = reader_of(r->header, r->header_len);
    uint8_t first = read_u8(&in);
    unsigned code = read_u8(&in) & LENGTH;
    uint64_t len = code == LENGTH_16 ? read_u16(&in) : code == LENGTH_64 ? read_u64(&in) : code;
    if (r->masked) {
        read_copy(&in, r->mask, sizeof(r->mask));
    }
    if (!is_legal(r, len)) {
        return ERR_PROTOCOL;
    }
    r->opcode = first & OPCODE;
    if (r->opcode < WS_CLOSE) {
        r->in_message = !(first & FIN);
    }
    r->left = len;
    r->at = 0;
    r->control_len = 0;
    return 0;
}

static void copy_payload(struct ws_reader *r, uint8_t *out, const uint8_t *data, size_t len)
{
    if (r->masked) {
        ws_mask(out, data, len, r->mask, r->at);
    } else {
        memmove(out, data, len);
    }
    r->left -= len;
    r->at += len;
}

static bool read_control(struct ws_reader *r, const uint8_t **data, const uint8_t *end,
                         struct ws_piece *piece)
{
    size_t here = (size_t)(end - *data);
    size_t n = r->left < here ? (size_t)r->left : here;
    copy_payload(r, r->control + r->control_len, *data, n);
    r->control_len = (uint8_t)(r->control_len + n);
    *data += n;
    if (r->left > 0) {
        return false;
    }
    *piece = (struct ws_piece){r->opcode, r->control, r->control_len};
    r->header_len = 0;
    return true;
}

static bool read_message(struct ws_reader *r, const uint8_t **data, const uint8_t *end,
                         uint8_t *out, size_t cap, struct ws_piece *piece)
{
    size_t here = (size_t)(end - *data);
    size_t n = r->left < here ? (size_t)r->left : here;
    n = n < cap ? n : cap;
    copy_payload(r, out, *data, n);
    *data += n;
    if (r->left == 0) {
        r->header_len = 0;
    }
    *piece = (struct ws_piece){WS_BINARY, out, n};
    return n > 0;
}

/* Takes header bytes; true once it is whole. */
static bool read_header(struct ws_reader *r, const uint8_t **data, const uint8_t *end)
{
    while (r->header_len < header_size(r) && *data < end) {
        r->header[r->header_len++] = *(*data)++;
    }
    return r->header_len >= 2 && r->header_len == header_size(r);
}

int ws_read(struct ws_reader *r, const uint8_t **data, const uint8_t *end, uint8_t *out, size_t cap,
            struct ws_piece *piece)
{
    CHECK(cap > 0);
    for (;;) {
        bool whole = r->header_len >= 2 && r->header_len == header_size(r);
        if (!whole) {
            bool read = read_header(r, data, end);
            if (r->header_len >= 2 && !is_legal_start(r)) {
                return ERR_PROTOCOL;
            }
            if (!read) {
                return 0;
            }
            int err = begin_frame(r);
            if (err) {
                return err;
            }
        }
        bool control = r->opcode >= WS_CLOSE;
        if (control ? read_control(r, data, end, piece)
                    : read_message(r, data, end, out, cap, piece)) {
            return 1;
        }
        if (*data == end && r->left > 0) {
            return 0;
        }
        if (*data == end && r->header_len == 0) {
            return 0; /* an empty message */
        }
    }
}

/* --- writing --- */

size_t ws_write_header(uint8_t out[WS_HEADER_MAX], enum ws_opcode opcode, size_t len,
                       const uint8_t mask[WS_MASK])
{
    struct writer w = writer_of(out, WS_HEADER_MAX);
    uint8_t masked = mask ? MASKED : 0;
    CHECK(len <= UINT16_MAX);
    write_u8(&w, (uint8_t)(FIN | opcode));
    if (len < LENGTH_16) {
        write_u8(&w, (uint8_t)(masked | len));
    } else {
        write_u8(&w, (uint8_t)(masked | LENGTH_16));
        write_u16(&w, (uint16_t)len);
    }
    if (mask) {
        write_bytes(&w, mask, WS_MASK);
    }
    CHECK(!w.failed);
    return writer_len(&w);
}

void ws_mask(uint8_t *out, const uint8_t *data, size_t len, const uint8_t mask[WS_MASK],
             uint64_t at)
{
    uint8_t turned[WS_MASK];
    uint64_t word;
    for (size_t i = 0; i < WS_MASK; i++) {
        turned[i] = mask[(at + i) % WS_MASK];
    }
    uint8_t twice[2 * WS_MASK];
    memcpy(twice, turned, WS_MASK);
    memcpy(twice + WS_MASK, turned, WS_MASK);
    memcpy(&word, twice, sizeof(word));
    size_t i = 0;
    for (; i + sizeof(word) <= len; i += sizeof(word)) {
        uint64_t v;
        memcpy(&v, data + i, sizeof(v));
        v ^= word;
        memcpy(out + i, &v, sizeof(v));
    }
    for (; i < len; i++) {
        out[i] = data[i] ^ turned[i % WS_MASK];
    }
}

/* --- handshake --- */

bool ws_is_available(void)
{
#ifdef ADIT_TLS
    return true;
#else
    return false;
#endif
}

bool ws_accept(char out[WS_ACCEPT_TEXT], const char *key)
{
    static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t bytes[WS_KEY_LEN];
    char text[WS_KEY_TEXT + sizeof(magic)];
    size_t len = 0;
    const char *end = NULL;
    if (strlen(key) != WS_KEY_TEXT - 1 ||
        sodium_base642bin(bytes, sizeof(bytes), key, WS_KEY_TEXT - 1, NULL, &len, &end,
                          sodium_base64_VARIANT_ORIGINAL) != 0 ||
        len != sizeof(bytes) || end != key + WS_KEY_TEXT - 1) {
        return false;
    }
    memcpy(text, key, WS_KEY_TEXT - 1);
    memcpy(text + WS_KEY_TEXT - 1, magic, sizeof(magic));
#ifdef ADIT_TLS
    uint8_t hash[SHA_DIGEST_LENGTH];
    if (!SHA1((const unsigned char *)text, strlen(text), hash)) {
        return false;
    }
    (void)sodium_bin2base64(out, WS_ACCEPT_TEXT, hash, sizeof(hash),
                            sodium_base64_VARIANT_ORIGINAL);
    return true;
#else
    (void)out;
    (void)text;
    return false;
#endif
}
