/* DERP, the framing that relays speak: 1 byte type, 4 bytes length, payload.
 *
 * There is no RFC; this follows what derper 1.103 (protocol version 2) does. Keys are X25519
 * public keys, 32 raw bytes; they are peers' addresses. The codec has no state and no memory; the
 * reader walks a caller's buffer and hands out frames in place. Unknown types are legal at any
 * time and are skipped by length.
 *
 * The login of a client is one box (NaCl crypto_box, nonce in front) around a line of JSON. It
 * carries no challenge, so a recorded one can be replayed to the same server by whoever sees it:
 * a thief of a ClientInfo can take the receiving end of that key, never read sealed payloads.
 */
#ifndef WIRE_DERP_H
#define WIRE_DERP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum derp_type {
    DERP_SERVER_KEY = 0x01,
    DERP_CLIENT_INFO = 0x02,
    DERP_SERVER_INFO = 0x03,
    DERP_SEND_PACKET = 0x04,
    DERP_RECV_PACKET = 0x05,
    DERP_KEEP_ALIVE = 0x06,
    DERP_NOTE_PREFERRED = 0x07,
    DERP_PEER_GONE = 0x08,
    DERP_PEER_PRESENT = 0x09,
    DERP_FORWARD_PACKET = 0x0a,
    DERP_WATCH_CONNS = 0x10,
    DERP_CLOSE_PEER = 0x11,
    DERP_PING = 0x12,
    DERP_PONG = 0x13,
    DERP_HEALTH = 0x14,
    DERP_RESTARTING = 0x15,
};

enum derp_gone {
    DERP_GONE_DISCONNECTED = 0x00,
    DERP_GONE_NOT_HERE = 0x01,
};

enum {
    DERP_VERSION = 2,
    DERP_HEADER = 5,
    DERP_KEY = 32,
    DERP_NONCE = 24,
    DERP_BOX = 16, /* what sealing adds */
    DERP_MAGIC = 8,
    DERP_PACKET_MAX = 65536, /* payload of SendPacket and RecvPacket */
    DERP_FRAME_MAX = 1 << 20,
    DERP_CLIENT_INFO_MAX = 256 << 10,
    DERP_PING_MAX = 1000,

    /* Whole frames, header included. */
    DERP_SERVER_KEY_LEN = DERP_HEADER + DERP_MAGIC + DERP_KEY,
    DERP_PING_LEN = DERP_HEADER + 8,
    DERP_PEER_GONE_LEN = DERP_HEADER + DERP_KEY + 1,
    DERP_RESTARTING_LEN = DERP_HEADER + 8,
    DERP_PACKET_OVERHEAD = DERP_HEADER + DERP_KEY,

    DERP_INFO_MAX = 256, /* room for any ClientInfo or ServerInfo frame that we write */
};

struct derp_frame {
    uint8_t type;        /* enum derp_type, or one that we do not know */
    uint32_t len;        /* of the payload */
    const uint8_t *data; /* the payload in place; NULL for a type that we do not know */
};

/* Walks bytes as they arrive. `at` up to `end` is what has not been parsed yet; the owner sets
 * both again when it moves or extends its buffer. The bytes of unknown frames are passed over as
 * they come and need no room. */
struct derp_reader {
    const uint8_t *at;
    const uint8_t *end;
    uint32_t frame_max; /* largest payload of a known type that the owner has room for */
    uint32_t skip;      /* payload of an unknown frame that has still to pass */
};

/* 1 and a frame; 0 when the next one is not complete; ERR_TOO_LARGE or ERR_MALFORMED when the
 * length is not legal for the type: the connection cannot be used any more. */
int derp_next(struct derp_reader *r, struct derp_frame *out);

/* Reads a header's 5 bytes; out->data becomes NULL. 0, ERR_TOO_LARGE, ERR_MALFORMED. */
int derp_parse_header(struct derp_frame *out, const uint8_t header[DERP_HEADER]);
bool derp_is_known(uint8_t type);

/* Writers: each writes a whole frame to `out` and returns its length. */
size_t derp_write_header(uint8_t *out, enum derp_type type, size_t len);
size_t derp_write_server_key(uint8_t *out, const uint8_t key[DERP_KEY]);
/* The DERP_PACKET_OVERHEAD bytes in front of a payload of `len`: SendPacket or RecvPacket. */
size_t derp_write_packet(uint8_t *out, enum derp_type type, const uint8_t key[DERP_KEY],
                         size_t len);
size_t derp_write_keep_alive(uint8_t *out);
size_t derp_write_note_preferred(uint8_t *out, bool preferred);
size_t derp_write_peer_gone(uint8_t *out, const uint8_t key[DERP_KEY], enum derp_gone reason);
/* Ping or Pong. */
size_t derp_write_ping(uint8_t *out, enum derp_type type, const uint8_t payload[8]);

/* When to come back, and for how long to try; what is more than the 32 bits hold becomes the most
 * that they do. */
size_t derp_write_restarting(uint8_t *out, uint64_t reconnect_ms, uint64_t try_for_ms);

/* What ServerKey carries, or NULL if that is no ServerKey payload. */
const uint8_t *derp_parse_server_key(const struct derp_frame *f);

/* The JSON inside ClientInfo and ServerInfo. Absent numbers are 0. */
struct derp_info {
    uint64_t version;
    uint64_t bytes_per_second; /* ServerInfo: what the client may send, 0 = no limit */
    uint64_t bytes_burst;
};

/* 0 or ERR_MALFORMED. Unknown members are passed over; text must be one JSON object. */
int derp_parse_info(struct derp_info *out, const uint8_t *text, size_t len);

/* True for payloads that a relay takes for signalling: they get their own queue and an answer
 * when the peer is not here. */
bool derp_is_signalling(const uint8_t *payload, size_t len);

/* The boxes. `nonce` is random and must not repeat for a pair of keys. They return the frame's
 * length, or ERR_CRYPTO if the other key is not usable (of small order). */
int derp_seal_client_info(uint8_t out[DERP_INFO_MAX], const uint8_t nonce[DERP_NONCE],
                          const uint8_t public_key[DERP_KEY], const uint8_t secret[DERP_KEY],
                          const uint8_t server[DERP_KEY]);
int derp_seal_server_info(uint8_t out[DERP_INFO_MAX], const uint8_t nonce[DERP_NONCE],
                          const uint8_t secret[DERP_KEY], const uint8_t client[DERP_KEY],
                          const struct derp_info *info);
/* Open a payload. `scratch` has room for frame->len bytes and is wiped by nobody: it holds only
 * the JSON. 0, ERR_MALFORMED, ERR_CRYPTO. client_out receives the announced key. */
int derp_open_client_info(const struct derp_frame *f, const uint8_t secret[DERP_KEY],
                          uint8_t client_out[DERP_KEY], uint8_t *scratch, struct derp_info *out);
int derp_open_server_info(const struct derp_frame *f, const uint8_t secret[DERP_KEY],
                          const uint8_t server[DERP_KEY], uint8_t *scratch, struct derp_info *out);

#endif
