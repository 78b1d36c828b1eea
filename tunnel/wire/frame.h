/* Frames: what a decrypted data packet holds. bytes <-> structs, no state, no memory.
 *
 * Integers are varints (RFC 9000 section 16). A type that this version does not define is an
 * error (ERR_PROTOCOL): versions are negotiated, nothing is skipped.
 *
 *   type  name            body                                                    reliable
 *   0x00  padding         (one zero byte each)                                    -
 *   0x01  ping            -                                                       ack-eliciting
 *   0x02  ack             path, largest, delay us, count, first, {gap, length}*   no
 *   0x03  reset at end    stream, cause, final size                               yes
 *   0x04  reset           stream, cause, final size                               yes
 *   0x05  stop            stream, cause                                           yes
 *   0x06  open            stream, target length, target                           yes
 *   0x07  accept          stream, info length, info                               yes
 *   0x08..0x0b stream     stream, offset, [length], data; 0x01 = FIN, 0x02 = has length   yes
 *   0x0c  open, bound     stream, lane 1 or 2, target length, target                 yes
 *   0x10  max_data        limit                                                   yes, newest only
 *   0x11  max_stream_data stream, limit                                           yes, newest only
 *   0x12  max_streams     limit                                                   yes, newest only
 *   0x1a  path_challenge  8 bytes                                                 probe space only
 *   0x1b  path_response   8 bytes, family (4 or 6, 0 = relay), port 2, ip 4/16    probe space only
 *   0x1c  close           cause, text length, text                                no
 *   0x20  candidates      count, {source 1, family 1, port 2, ip 4/16}*           yes, newest only
 *   0x30  datagram        stream, length, data                                    no
 *   0x31  datagram_part   stream, number, total, offset, length, data             no
 *
 * ack: ranges as in RFC 9000 19.3.1: `first` = packets below `largest` in its range; then pairs of
 * gap (missing packets - 1) and length (packets - 1), downwards.
 */
#ifndef WIRE_FRAME_H
#define WIRE_FRAME_H

#include <base/addr.h>
#include <base/bytes.h>

enum frame_type {
    FRAME_PADDING = 0x00,
    FRAME_PING = 0x01,
    FRAME_ACK = 0x02,
    FRAME_RESET_AT_END = 0x03,
    FRAME_RESET = 0x04,
    FRAME_STOP = 0x05,
    FRAME_OPEN = 0x06,
    FRAME_ACCEPT = 0x07,
    FRAME_STREAM = 0x08, /* to 0x0b */
    FRAME_OPEN_BOUND = 0x0c,
    FRAME_MAX_DATA = 0x10,
    FRAME_MAX_STREAM_DATA = 0x11,
    FRAME_MAX_STREAMS = 0x12,
    FRAME_PATH_CHALLENGE = 0x1a,
    FRAME_PATH_RESPONSE = 0x1b,
    FRAME_CLOSE = 0x1c,
    FRAME_CANDIDATES = 0x20,
    FRAME_DATAGRAM = 0x30,
    FRAME_DATAGRAM_PART = 0x31,
};

enum {
    FRAME_STREAM_FIN = 0x01,
    FRAME_STREAM_LEN = 0x02,
    FRAME_ACK_RANGES_MAX = 64,
    FRAME_TARGET_MAX = 320, /* open: longest target; accept: longest info */
    FRAME_CLOSE_TEXT_MAX = 128,
    FRAME_CANDIDATES_MAX = 32,
    FRAME_CHALLENGE_LEN = 8,
    FRAME_DATAGRAM_MAX = 65507 + FRAME_TARGET_MAX, /* the largest of UDP, and where it goes */
};

/* The kind of path that a stream is bound to: all its frames travel there, from both ends. */
enum frame_lane {
    FRAME_LANE_ANY,
    FRAME_LANE_DIRECT,
    FRAME_LANE_RELAY,
    FRAME_LANES,
};

struct frame_range {
    uint64_t first; /* inclusive */
    uint64_t last;  /* inclusive */
};

struct frame_ack {
    uint64_t path;
    uint64_t delay_us;
    size_t count; /* >= 1; ranges[0] holds the largest, downwards, never touching */
    struct frame_range ranges[FRAME_ACK_RANGES_MAX];
};

enum { FRAME_PART_OVERHEAD = 1 + 8 + 8 + 4 + 4 + 4 };

/* Which piece of which datagram. */
struct frame_part {
    uint64_t stream, number, total, offset;
};

struct frame_candidate {
    uint8_t source; /* enum of path/cand.h; unknown values are carried, not refused */
    struct addr addr;
};

struct frame {
    enum frame_type
        type; /* FRAME_STREAM, FRAME_OPEN and FRAME_RESET stand for their variants, too */
    union {
        struct frame_ack ack;
        struct {
            uint64_t stream, cause, final_size;
            bool at_end; /* the bytes before it are still to be read */
        } reset;
        struct {
            uint64_t stream, cause;
        } stop;
        struct {
            uint64_t stream;
            const uint8_t *data; /* in the packet */
            size_t len;
            enum frame_lane lane; /* open only */
        } open, accept;
        struct {
            uint64_t stream, offset;
            const uint8_t *data; /* in the packet */
            size_t len;
            bool fin;
        } stream;
        struct {
            uint64_t stream; /* max_stream_data only */
            uint64_t limit;
        } max;
        struct {
            uint8_t token[FRAME_CHALLENGE_LEN];
            struct addr seen; /* response only: the address that the challenge came from */
        } path;
        struct {
            uint64_t cause;
            const uint8_t *text;
            size_t len;
        } close;
        struct {
            size_t count;
            struct frame_candidate list[FRAME_CANDIDATES_MAX];
        } candidates;
        struct {
            uint64_t stream;
            const uint8_t *data; /* in the packet */
            size_t len;
            uint64_t number, total, offset; /* part only: offset + len <= total, len > 0 */
        } datagram;
    } u;
};

/* Reads the next frame (padding: all of the run at once). Call while reader_left() > 0.
 * 0, ERR_MALFORMED (a length or range that cannot be), ERR_PROTOCOL (unknown type). */
int frame_read(struct frame *out, struct reader *r);

/* Writers; the writer's failure tells that it did not fit (what was written before stays valid
 * only up to a length that the caller noted). */
void frame_write_ping(struct writer *w);
void frame_write_padding(struct writer *w, size_t len);
/* Writes as many of the ranges as fit, newest first; fails if not even one does. */
void frame_write_ack(struct writer *w, const struct frame_ack *ack);
void frame_write_reset(struct writer *w, uint64_t stream, uint64_t cause, uint64_t final_size,
                       bool at_end);
void frame_write_stop(struct writer *w, uint64_t stream, uint64_t cause);
void frame_write_open(struct writer *w, uint64_t stream, const uint8_t *target, size_t len);
/* The same for a stream that is bound, unless the lane is FRAME_LANE_ANY. */
void frame_write_open_bound(struct writer *w, uint64_t stream, enum frame_lane lane,
                            const uint8_t *target, size_t len);
void frame_write_accept(struct writer *w, uint64_t stream, const uint8_t *info, size_t len);
/* The header of a stream frame whose data, of `len` bytes, the caller appends. Always with a
 * length. frame_stream_overhead() = the most that this header takes. */
void frame_write_stream(struct writer *w, uint64_t stream, uint64_t offset, size_t len, bool fin);
size_t frame_stream_overhead(uint64_t stream, uint64_t offset);
/* type: FRAME_MAX_DATA, FRAME_MAX_STREAMS (stream ignored) or FRAME_MAX_STREAM_DATA. */
void frame_write_max(struct writer *w, enum frame_type type, uint64_t stream, uint64_t limit);
void frame_write_challenge(struct writer *w, const uint8_t token[FRAME_CHALLENGE_LEN]);
/* seen = NULL or family ADDR_NONE: the challenge came over a relay. */
void frame_write_response(struct writer *w, const uint8_t token[FRAME_CHALLENGE_LEN],
                          const struct addr *seen);
void frame_write_close(struct writer *w, uint64_t cause, const char *text);
void frame_write_candidates(struct writer *w, const struct frame_candidate *list, size_t count);
/* The list alone, as a handshake carries it. Reading fails with the reader past `max`. */
void frame_write_list(struct writer *w, const struct frame_candidate *list, size_t count);
size_t frame_read_list(struct reader *r, struct frame_candidate *list, size_t max);
void frame_write_datagram(struct writer *w, uint64_t stream, const uint8_t *data, size_t len);
/* What its header takes. */
size_t frame_datagram_overhead(uint64_t stream, size_t len);
/* The header of a part whose data, of `len` bytes, the caller appends: at most FRAME_PART_OVERHEAD
 * bytes. */
void frame_write_datagram_part(struct writer *w, const struct frame_part *part, size_t len);

#endif
