/* What the encrypted payload of a handshake message carries, both ways.
 *
 *   timestamp 8 | epoch 8 | peer epoch 8 | version, aead, session window, stream window,
 *   streams max, max ack delay us (varints) | candidates as in their frame (frame.h) |
 *   anything more is ignored
 *
 * An epoch is a random number that a node draws when it starts a session afresh; a session is the
 * pair of both. `peer_epoch` is the one that the sender remembers of the receiver, 0 = none. The
 * candidates are the most useful ones of the sender's list, so that both sides can begin to look
 * for a direct way with the handshake and not a round trip after it.
 */
#ifndef WIRE_PARAMS_H
#define WIRE_PARAMS_H

#include <stddef.h>
#include <stdint.h>

#include "wire/frame.h"

enum {
    PARAMS_VERSION = 1,
    PARAMS_CANDIDATES_MAX = 16,
    PARAMS_LEN_MAX = 128 + 20 * PARAMS_CANDIDATES_MAX,
    PARAMS_AEAD_CHACHA20POLY1305 = 1, /* bits of `aead` */
    PARAMS_AEAD_AES256GCM = 2,
};

/* No delay is as long (RFC 9000 section 18.2), or timeouts that are made of it would be without
 * sense; and no number of streams is greater (section 4.6). */
#define PARAMS_ACK_DELAY_END_US (UINT64_C(1000) << 14)
#define PARAMS_STREAMS_MAX (UINT64_C(1) << 60)

struct params {
    uint64_t timestamp_ns; /* initiation: strictly greater than any before (unix time if known) */
    uint64_t epoch;
    uint64_t peer_epoch;
    uint64_t version;
    uint64_t aead; /* initiation: all that the sender can do; response: the one chosen */
    uint64_t session_window;
    uint64_t stream_window;
    uint64_t streams_max;
    uint64_t max_ack_delay_us;
    size_t candidate_count;
    struct frame_candidate candidates[PARAMS_CANDIDATES_MAX];
};

/* Length, at most PARAMS_LEN_MAX. */
size_t params_encode(uint8_t out[PARAMS_LEN_MAX], const struct params *p);
/* 0, ERR_MALFORMED (also: a limit that cannot be), or ERR_VERSION. */
int params_decode(struct params *out, const uint8_t *data, size_t len);

#endif
