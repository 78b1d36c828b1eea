/* What stands before the encrypted part of every datagram.
 *
 * The first byte tells packets apart. Ours have the top bit set, so that STUN (RFC 8489: top two
 * bits 0) can never be taken for one. All integers are big-endian.
 *
 *   initiation, response, cookie   see crypto/handshake.h
 *   data   0  type (1)   1  path id (1)   2  receiver index (4)   6  packet number (6)
 *          12 ciphertext and tag (16). The 12 bytes of header are the associated data; the nonce
 *          is path id and packet number, see crypto/aead.h.
 *
 * Path ids are the sender's: each direction numbers its own paths and each path its own packets.
 * Path 0 is the probe space: its packets carry path challenges and responses only, are never
 * acknowledged and may go to any candidate address.
 */
#ifndef WIRE_PACKET_H
#define WIRE_PACKET_H

#include <stddef.h>
#include <stdint.h>

enum packet_type {
    PACKET_INITIATION = 0x81,
    PACKET_RESPONSE = 0x82,
    PACKET_COOKIE = 0x83,
    PACKET_DATA = 0x84,
};

enum {
    PACKET_DATA_HEADER_LEN = 12,
    PACKET_TAG_LEN = 16,
    PACKET_DATA_OVERHEAD = PACKET_DATA_HEADER_LEN + PACKET_TAG_LEN,
    PACKET_PATH_PROBE = 0,
    PACKET_PATHS_MAX = 9, /* probe space and ids 1..8 */
    /* A datagram that every Internet path carries: IPv6's 1280 less 48 (RFC 9000 14.1 asks for
     * 1200), and the largest one of a relay path. */
    PACKET_MTU_BASE = 1232,
    PACKET_MTU_MAX = 16384,
};

#define PACKET_NUMBER_MAX ((UINT64_C(1) << 48) - 1)

struct packet_data_header {
    uint8_t path;
    uint32_t receiver;
    uint64_t number;
};

/* Type of the datagram, or 0 if it is none of ours. */
uint8_t packet_type(const uint8_t *data, size_t len);
void packet_write_data(uint8_t out[PACKET_DATA_HEADER_LEN], const struct packet_data_header *h);
/* 0, or ERR_MALFORMED: too short to hold a tag, or a path id past the ceiling. */
int packet_read_data(struct packet_data_header *out, const uint8_t *data, size_t len);

/* Over a relay, handshake packets travel behind six bytes that a stock derper takes for
 * signalling: it queues them apart from bulk and answers when the receiver is not there. */
#define PACKET_ENVELOPE "TS\xf0\x9f\x92\xac"
enum { PACKET_ENVELOPE_LEN = 6 };

#endif
