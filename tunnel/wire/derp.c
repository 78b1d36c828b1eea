#include "wire/derp.h"

#include <base/bytes.h>
#include <base/err.h>

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

static const uint8_t magic[DERP_MAGIC] = {0x44, 0x45, 0x52, 0x50, 0xf0, 0x9f, 0x94, 0x91};

enum {
    SHORT_MAX = 1024, /* frames whose length is fixed today leave this much for later */
    SEALED_MIN = DERP_NONCE + DERP_BOX,
    JSON_MAX = 128,
    SIGNALLING_MIN = 62,
};

/* Legal payload lengths; a type that is not here is skipped whatever its length. */
static const struct range {
    uint32_t min;
    uint32_t max;
} ranges[] = {
    [DERP_SERVER_KEY] = {DERP_MAGIC + DERP_KEY, SHORT_MAX},
    [DERP_CLIENT_INFO] = {DERP_KEY + SEALED_MIN, DERP_CLIENT_INFO_MAX},
    [DERP_SERVER_INFO] = {SEALED_MIN, DERP_FRAME_MAX},
    [DERP_SEND_PACKET] = {DERP_KEY, DERP_KEY + DERP_PACKET_MAX},
    [DERP_RECV_PACKET] = {DERP_KEY, DERP_KEY + DERP_PACKET_MAX},
    [DERP_KEEP_ALIVE] = {0, SHORT_MAX},
    [DERP_NOTE_PREFERRED] = {1, 1},
    [DERP_PEER_GONE] = {DERP_KEY, SHORT_MAX},
    [DERP_PEER_PRESENT] = {DERP_KEY, SHORT_MAX},
    [DERP_FORWARD_PACKET] = {2 * DERP_KEY, 2 * DERP_KEY + DERP_PACKET_MAX},
    [DERP_WATCH_CONNS] = {0, SHORT_MAX},
    [DERP_CLOSE_PEER] = {DERP_KEY, SHORT_MAX},
    [DERP_PING] = {8, DERP_PING_MAX},
    [DERP_PONG] = {8, DERP_PING_MAX},
    [DERP_HEALTH] = {0, DERP_FRAME_MAX},
    [DERP_RESTARTING] = {8, SHORT_MAX},
};

bool derp_is_known(uint8_t type)
{
    return type < sizeof(ranges) / sizeof(ranges[0]) && ranges[type].max > 0;
}

int derp_parse_header(struct derp_frame *out, const uint8_t header[DERP_HEADER])
{
    struct reader r = reader_of(header, DERP_HEADER);
    struct derp_frame f = {.type = read_u8(&r), .len = read_u32(&r)};
    if (f.len > DERP_FRAME_MAX) {
        return ERR_TOO_LARGE;
    }
    if (derp_is_known(f.type)) {
        if (f.len > ranges[f.type].max) {
            return ERR_TOO_LARGE;
        }
        if (f.len < ranges[f.type].min) {
            return ERR_MALFORMED;
        }
    }
    *out = f;
    return 0;
}

/* Passes over what is still to come of an unknown frame. False if the buffer ends first. */
static bool skip_rest(struct derp_reader *r)
{
    size_t left = (size_t)(r->end - r->at);
    size_t n = r->skip < left ? r->skip : left;
    r->at += n;
    r->skip -= (uint32_t)n;
    return r->skip == 0;
}

int derp_next(struct derp_reader *r, struct derp_frame *out)
{
    if (!skip_rest(r) || r->end - r->at < DERP_HEADER) {
        return 0;
    }
    struct derp_frame f;
    int err = derp_parse_header(&f, r->at);
    if (err) {
        return err;
    }
    if (!derp_is_known(f.type)) {
        r->at += DERP_HEADER;
        r->skip = f.len;
        *out = f;
        return 1;
    }
    if (f.len > r->frame_max) {
        return ERR_TOO_LARGE;
    }
    if ((size_t)(r->end - r->at) - DERP_HEADER < f.len) {
        return 0;
    }
    f.data = r->at + DERP_HEADER;
    r->at += DERP_HEADER + f.len;
    *out = f;
    return 1;
}

size_t derp_write_header(uint8_t *out, enum derp_type type, size_t len)
{
    struct writer w = writer_of(out, DERP_HEADER);
    write_u8(&w, (uint8_t)type);
    write_u32(&w, (uint32_t)len);
    return DERP_HEADER;
}

size_t derp_write_server_key(uint8_t *out, const uint8_t key[DERP_KEY])
{
    derp_write_header(out, DERP_SERVER_KEY, DERP_MAGIC + DERP_KEY);
    memcpy(out + DERP_HEADER, magic, DERP_MAGIC);
    memcpy(out + DERP_HEADER + DERP_MAGIC, key, DERP_KEY);
    return DERP_SERVER_KEY_LEN;
}

size_t derp_write_packet(uint8_t *out, enum derp_type type, const uint8_t key[DERP_KEY], size_t len)
{
    derp_write_header(out, type, DERP_KEY + len);
    memcpy(out + DERP_HEADER, key, DERP_KEY);
    return DERP_PACKET_OVERHEAD;
}

size_t derp_write_keep_alive(uint8_t *out)
{
    return derp_write_header(out, DERP_KEEP_ALIVE, 0);
}

size_t derp_write_note_preferred(uint8_t *out, bool preferred)
{
    derp_write_header(out, DERP_NOTE_PREFERRED, 1);
    out[DERP_HEADER] = preferred ? 1 : 0;
    return DERP_HEADER + 1;
}

size_t derp_write_peer_gone(uint8_t *out, const uint8_t key[DERP_KEY], enum derp_gone reason)
{
    derp_write_header(out, DERP_PEER_GONE, DERP_KEY + 1);
    memcpy(out + DERP_HEADER, key, DERP_KEY);
    out[DERP_HEADER + DERP_KEY] = (uint8_t)reason;
    return DERP_PEER_GONE_LEN;
}

size_t derp_write_ping(uint8_t *out, enum derp_type type, const uint8_t payload[8])
{
    derp_write_header(out, type, 8);
    memcpy(out + DERP_HEADER, payload, 8);
    return DERP_PING_LEN;
}

size_t derp_write_restarting(uint8_t *out, uint64_t reconnect_ms, uint64_t try_for_ms)
{
    struct writer w = writer_of(out, DERP_RESTARTING_LEN);
    write_u8(&w, DERP_RESTARTING);
    write_u32(&w, DERP_RESTARTING_LEN - DERP_HEADER);
    write_u32(&w, (uint32_t)(reconnect_ms < UINT32_MAX ? reconnect_ms : UINT32_MAX));
    write_u32(&w, (uint32_t)(try_for_ms < UINT32_MAX ? try_for_ms : UINT32_MAX));
    return DERP_RESTARTING_LEN;
}

const uint8_t *derp_parse_server_key(const struct derp_frame *f)
{
    bool fits = f->type == DERP_SERVER_KEY && f->len >= DERP_MAGIC + DERP_KEY;
    return fits && memcmp(f->data, magic, DERP_MAGIC) == 0 ? f->data + DERP_MAGIC : NULL;
}

bool derp_is_signalling(const uint8_t *payload, size_t len)
{
    static const uint8_t mark[] = {0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac};
    return len >= SIGNALLING_MIN && memcmp(payload, mark, sizeof(mark)) == 0;
}

/* nonce and box of `text`, written behind out[0..at). Returns the frame's length. */
static int seal_info(uint8_t *out, size_t at, const uint8_t *nonce, const uint8_t *secret,
                     const uint8_t *other, const char *text)
{
    size_t len = strlen(text);
    memcpy(out + at, nonce, DERP_NONCE);
    at += DERP_NONCE;
    if (crypto_box_easy(out + at, (const uint8_t *)text, len, nonce, other, secret)) {
        return ERR_CRYPTO;
    }
    return (int)(at + DERP_BOX + len);
}

int derp_seal_client_info(uint8_t out[DERP_INFO_MAX], const uint8_t nonce[DERP_NONCE],
                          const uint8_t public_key[DERP_KEY], const uint8_t secret[DERP_KEY],
                          const uint8_t server[DERP_KEY])
{
    /* No meshKey: an empty one makes servers hang up. CanAckPings: we answer pings. */
    static const char text[] = "{\"version\":2,\"CanAckPings\":true}";
    memcpy(out + DERP_HEADER, public_key, DERP_KEY);
    int len = seal_info(out, DERP_PACKET_OVERHEAD, nonce, secret, server, text);
    if (len > 0) {
        derp_write_header(out, DERP_CLIENT_INFO, (size_t)len - DERP_HEADER);
    }
    return len;
}

int derp_seal_server_info(uint8_t out[DERP_INFO_MAX], const uint8_t nonce[DERP_NONCE],
                          const uint8_t secret[DERP_KEY], const uint8_t client[DERP_KEY],
                          const struct derp_info *info)
{
    char text[JSON_MAX];
    if (info->bytes_per_second > 0) {
        (void)snprintf(text, sizeof(text),
                       "{\"version\":%" PRIu64 ",\"TokenBucketBytesPerSecond\":%" PRIu64
                       ",\"TokenBucketBytesBurst\":%" PRIu64 "}",
                       info->version, info->bytes_per_second, info->bytes_burst);
    } else {
        (void)snprintf(text, sizeof(text), "{\"version\":%" PRIu64 "}", info->version);
    }
    int len = seal_info(out, DERP_HEADER, nonce, secret, client, text);
    if (len > 0) {
        derp_write_header(out, DERP_SERVER_INFO, (size_t)len - DERP_HEADER);
    }
    return len;
}

/* Opens nonce and box in f->data[at..]. */
static int open_info(const struct derp_frame *f, size_t at, const uint8_t *secret,
                     const uint8_t *other, uint8_t *scratch, struct derp_info *out)
{
    if (f->len < at + SEALED_MIN) {
        return ERR_MALFORMED;
    }
    const uint8_t *nonce = f->data + at;
    const uint8_t *sealed = nonce + DERP_NONCE;
    size_t len = f->len - at - DERP_NONCE;
    if (crypto_box_open_easy(scratch, sealed, len, nonce, other, secret)) {
        return ERR_CRYPTO;
    }
    return derp_parse_info(out, scratch, len - DERP_BOX);
}

int derp_open_client_info(const struct derp_frame *f, const uint8_t secret[DERP_KEY],
                          uint8_t client_out[DERP_KEY], uint8_t *scratch, struct derp_info *out)
{
    if (f->type != DERP_CLIENT_INFO || f->len < DERP_KEY) {
        return ERR_MALFORMED;
    }
    int err = open_info(f, DERP_KEY, secret, f->data, scratch, out);
    if (!err) {
        memcpy(client_out, f->data, DERP_KEY);
    }
    return err;
}

int derp_open_server_info(const struct derp_frame *f, const uint8_t secret[DERP_KEY],
                          const uint8_t server[DERP_KEY], uint8_t *scratch, struct derp_info *out)
{
    return f->type == DERP_SERVER_INFO ? open_info(f, 0, secret, server, scratch, out)
                                       : ERR_MALFORMED;
}
