/* WebSocket framing (RFC 6455 section 5) for a stream of bytes inside binary messages.
 *
 * Where messages begin and end means nothing here; they are kept short enough for readers that have
 * a limit for one (derper's stands at 32 KiB). No extensions. A client masks what it sends, a
 * server does not, and each refuses the contrary.
 */
#ifndef WIRE_WEBSOCKET_H
#define WIRE_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ws_opcode {
    WS_CONTINUATION = 0x0,
    WS_TEXT = 0x1,
    WS_BINARY = 0x2,
    WS_CLOSE = 0x8,
    WS_PING = 0x9,
    WS_PONG = 0xa,
};

enum {
    WS_HEADER_MAX = 8, /* of what we write: messages fit in 16 bits; with the mask */
    WS_CONTROL_MAX = 125,
    WS_MESSAGE_MAX = 32 << 10, /* payload of a message that we write */
    WS_MASK = 4,
    WS_KEY_LEN = 16,
    WS_KEY_TEXT = 24 + 1,    /* Sec-WebSocket-Key */
    WS_ACCEPT_TEXT = 28 + 1, /* Sec-WebSocket-Accept */
};

/* What has been read of the frame that comes in. */
struct ws_reader {
    bool masked; /* what comes must be */
    bool in_message;
    uint8_t header[14];
    uint8_t header_len;
    uint8_t opcode;
    uint8_t mask[WS_MASK];
    uint64_t left; /* payload still to come */
    uint64_t at;   /* of the payload that has come */
    uint8_t control[WS_CONTROL_MAX];
    uint8_t control_len;
};

struct ws_piece {
    enum ws_opcode opcode; /* BINARY: some of the stream; or a whole CLOSE, PING or PONG */
    const uint8_t *data;   /* in `out`, or in the reader until the next call */
    size_t len;
};

/* `server`: the frames to be read are a client's. */
void ws_reader_init(struct ws_reader *r, bool server);

/* Takes bytes from *data up to `end`, and moves *data behind them. 1 and a piece; 0: all taken, and
 * there is none; ERR_PROTOCOL. Payload of messages goes to `out`, up to `cap` bytes at once; out
 * may be where the bytes stand, or before. */
int ws_read(struct ws_reader *r, const uint8_t **data, const uint8_t *end, uint8_t *out, size_t cap,
            struct ws_piece *piece);

/* A header for a whole message or control frame of `len` <= 65535 bytes; mask NULL = none. Returns
 * its length. */
size_t ws_write_header(uint8_t out[WS_HEADER_MAX], enum ws_opcode opcode, size_t len,
                       const uint8_t mask[WS_MASK]);
/* Masks or unmasks; `at` = how far into the payload the bytes stand. out may be data. */
void ws_mask(uint8_t *out, const uint8_t *data, size_t len, const uint8_t mask[WS_MASK],
             uint64_t at);

/* What a server proves a WebSocket handshake with (section 4.2.2), made of the client's key as
 * text. False if it is none, or if this was built without OpenSSL, whose SHA-1 this needs. */
bool ws_accept(char out[WS_ACCEPT_TEXT], const char *key);
bool ws_is_available(void);

#endif
