/* The reliable transport of one session: streams over several paths.
 *
 * A sans-I/O machine between frames and streams. It sees decrypted payloads and makes payloads to
 * be encrypted; addresses, keys and clocks are the caller's. One conn lives as long as one pair of
 * session epochs: it outlives rekeying, lost paths and hours of silence.
 *
 *   - Path ids 1 .. PACKET_PATHS_MAX-1 are ours to send on; the peer numbers its own. Each path
 *     has its own packet numbers, round-trip time, congestion window and MTU (RFC 9002 per path,
 *     as in QUIC multipath). Numbers never restart while the conn lives, also when an id is
 *     closed and opened again, so that a nonce is never used twice.
 *   - Acknowledgements of a path's packets travel back on the path that input() names.
 *   - A lost frame may be sent again on any path.
 *   - Streams are ids outside: a late call for a stream that is gone returns ERR_NOT_FOUND.
 *     Bit 0 of an id is 0 for streams opened by the `even` side. The next bits count upwards.
 *   - Bytes: a stream's send buffer takes at most limits.send_buffer_max, its receive buffer at
 *     most the credit given, all streams' together at most the session's credit. Idle streams
 *     hold no buffer. Nothing is allocated per packet.
 *
 * Guarantee: what was written before finish() arrives once, in order and unchanged, or the reader
 * sees a reset with its cause.
 */
#ifndef TRANSPORT_CONN_H
#define TRANSPORT_CONN_H

#include <base/log.h>
#include <base/rng.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/frame.h"
#include "wire/packet.h"

struct conn;

struct conn_limits {
    uint64_t session_window;     /* receive credit of the session at its start, bytes */
    uint64_t session_window_max; /* it grows up to this while the application keeps up */
    uint64_t stream_window;      /* the same for one stream */
    uint64_t stream_window_max;
    uint64_t send_buffer_max; /* bytes one stream may hold unacknowledged, if the path takes them */
    uint64_t send_buffers_max; /* all streams together, but for a little for each */
    uint32_t streams_max;      /* streams that the peer may have open at once; as many as we may */
    uint64_t max_ack_delay_ns;
    uint64_t datagrams_max; /* bytes of datagrams that may wait, one way; one stream's: a quarter */
    uint64_t datagram_age_ns; /* older ones are not sent any more */
};

/* Limits for a session that may hold `window` bytes.
 *
 * What a slow reader leaves lying counts against the session and must not starve the streams
 * beside it. So a stream begins with a 2048th of the window, and what it gets more follows what it
 * reads: its window grows with the path, as far as what other streams leave unread permits. While
 * few streams are open, a new one gets more at once (see conn_credit.c).
 */
struct conn_limits conn_limits_of(uint64_t window);

/* Sensible values for a desktop: 64 MiB a session, 4096 streams, 25 ms. */
struct conn_limits conn_limits_default(void);

/* What the peer announced in its handshake (wire/params.h). */
struct conn_peer_limits {
    uint64_t session_window;
    uint64_t stream_window;
    uint64_t streams_max;
    uint64_t max_ack_delay_ns;
};

enum conn_congestion {
    CONN_CONGESTION_BBR, /* the default: see decisions.md */
    CONN_CONGESTION_CUBIC,
};

struct conn_config {
    struct conn_limits limits;
    enum conn_congestion congestion;
    bool even; /* we open even stream ids, the peer odd ones */
    struct rng rng;
    const struct log *log; /* may be NULL */
};

/* NULL when out of memory. Streams can be opened and written at once; nothing is sent before
 * conn_start and an opened path. */
struct conn *conn_new(const struct conn_config *config);
void conn_free(struct conn *c);
void conn_start(struct conn *c, const struct conn_peer_limits *peer, uint64_t now);

/* --- paths --- */

/* A fresh path starts with the initial window and no RTT, whatever the id did before. `mtu` is the
 * largest payload plus PACKET_DATA_OVERHEAD. */
void conn_path_open(struct conn *c, uint8_t path, size_t mtu, uint64_t now);
/* Looks for a larger MTU, up to `most` <= PACKET_MTU_MAX, while data flows (RFC 8899). */
void conn_path_search_mtu(struct conn *c, uint8_t path, size_t most, uint64_t now);
/* What was in flight there is queued to be sent on another path. */
void conn_path_close(struct conn *c, uint8_t path, uint64_t now);
/* New data goes to this path from now on; 0 = nowhere. With `resend`, what is in flight on the
 * former path is queued again at once, because that path is thought to be dead. */
void conn_path_use(struct conn *c, uint8_t path, bool resend, uint64_t now);
uint8_t conn_path_used(const struct conn *c);
/* The same for the streams that are bound to a lane: what they send goes nowhere else. */
void conn_path_use_for(struct conn *c, enum frame_lane lane, uint8_t path, bool resend,
                       uint64_t now);
uint8_t conn_path_used_for(const struct conn *c, enum frame_lane lane);
/* Packets of streams that are not bound go to this path as well, `all` of them or only those after
 * a probe timeout: a path that may be dead, or one that may have to take over. A copy goes within
 * that path's window and pace or not at all, and is not repeated. 0 = no copies. */
void conn_path_copy(struct conn *c, uint8_t path, bool all);
uint8_t conn_path_copies(const struct conn *c);
/* While blocked (the socket or the relay's buffer is full), next_path() never names the path. */
void conn_path_block(struct conn *c, uint8_t path, bool blocked);

struct conn_path_info {
    uint64_t srtt_ns; /* 0 = no sample yet */
    uint64_t min_rtt_ns;
    uint64_t rttvar_ns;
    uint64_t cwnd; /* bytes */
    uint64_t in_flight;
    size_t mtu;
    uint32_t pto_count;        /* probe timeouts since the last acknowledgement */
    uint64_t last_acked_ns;    /* when something newly acknowledged last came back; 0 = never */
    uint64_t acked_sent_ns;    /* of what was acknowledged, when the last one left; 0 = never */
    uint64_t last_elicited_ns; /* when the last ack-eliciting packet left; 0 = never */
    uint64_t packets_sent, packets_lost, bytes_sent, packets_received;
};
/* False if the path is not open. */
bool conn_path_info(const struct conn *c, uint8_t path, struct conn_path_info *out);

/* --- the machine --- */

/* One decrypted payload that came as packet `number` of the peer's path `from`; acknowledgements
 * for it leave on our path `reply` (0 = the used path). Duplicates are recognised and dropped.
 * 0, or ERR_MALFORMED, ERR_PROTOCOL, ERR_FLOW_CONTROL, ERR_STREAM_LIMIT: the peer is broken, the
 * caller closes the session. */
int conn_input(struct conn *c, uint8_t from, uint64_t number, uint8_t reply, const uint8_t *data,
               size_t len, uint64_t now);

/* A path that has something to send now, or 0. */
uint8_t conn_next_path(struct conn *c, uint64_t now);
/* Builds the payload of the next packet for that path: at most `cap` bytes, and at most mtu -
 * PACKET_DATA_OVERHEAD unless it is a probe for a larger MTU and `cap` lets it be one. Returns its
 * length and number; 0 = nothing after all. */
size_t conn_output(struct conn *c, uint8_t path, uint8_t *buf, size_t cap, uint64_t *number,
                   uint64_t now);

/* True while small streams talk beside bulk: their next words should not wait behind long rounds of
 * sending and receiving. Ends 100 ms after the last of them. */
bool conn_is_hasty(const struct conn *c, uint64_t now);
/* True if such words have left since it was last asked: now somebody waits for an answer. */
bool conn_take_said(struct conn *c);

void conn_tick(struct conn *c, uint64_t now);
/* When conn_tick or conn_next_path has work; TIME_NEVER when only input or a write can make any. */
uint64_t conn_next_ns(const struct conn *c);

/* True while streams are open or something waits to be sent or acknowledged. */
bool conn_is_active(const struct conn *c);
size_t conn_stream_count(const struct conn *c);
/* The same without those that were aborted here and only wait for the peer to hear of it. */
size_t conn_stream_wanted(const struct conn *c);

/* --- streams --- */

/* Target and info are opaque here, at most FRAME_TARGET_MAX bytes. ERR_NO_ROOM at the limit of
 * either side, ERR_NO_MEMORY, ERR_CLOSED. */
int conn_stream_open(struct conn *c, const void *target, size_t len, uint64_t *id);
/* Binds a stream of ours, right after it was opened, to the paths of a lane: neither its target nor
 * its bytes leave on another, from either end. Its reset may. While the lane has no path they
 * wait. ERR_STATE once the target has left. */
int conn_stream_bind(struct conn *c, uint64_t id, enum frame_lane lane);
/* Tells the opener that the target is connected. The first byte written, or finish(), does so
 * without info if nobody did: what comes from an acceptor is read after ACCEPTED only. ERR_STATE if
 * it was said before or the stream is over. */
int conn_stream_accept(struct conn *c, uint64_t id, const void *info, size_t len);

/* Room to write into, in place; *at stays valid until the next call into the conn. 0 = full (or
 * finished): a WRITABLE event follows when there is room again. `want` is the room hoped for. */
size_t conn_stream_space(struct conn *c, uint64_t id, size_t want, uint8_t **at);
/* `len` <= the room got. */
void conn_stream_wrote(struct conn *c, uint64_t id, size_t len);
/* Copies; returns how much was taken. */
size_t conn_stream_write(struct conn *c, uint64_t id, const void *data, size_t len);
/* Half-close: no more bytes from us. */
int conn_stream_finish(struct conn *c, uint64_t id);
/* Abandons both directions: reset our sending side, stop the peer's. */
int conn_stream_abort(struct conn *c, uint64_t id, uint64_t cause);
/* The same, but what was written is delivered first: the peer reads all of it, then sees RESET
 * (RESET_STREAM_AT of draft-ietf-quic-reliable-stream-reset, with every byte reliable). */
int conn_stream_break(struct conn *c, uint64_t id, uint64_t cause);

/* The next bytes in order, in place until the next call into the conn; *fin = the end follows
 * them. 0 bytes without fin = nothing now: a READABLE event follows. */
size_t conn_stream_peek(struct conn *c, uint64_t id, const uint8_t **at, bool *fin);
/* Takes `len` bytes off and gives the peer credit for them. After the fin was seen with all bytes
 * consumed, the receiving side is done. */
void conn_stream_consume(struct conn *c, uint64_t id, size_t len, uint64_t now);

/* --- datagrams ---
 *
 * Unreliable messages beside a stream's bytes (RFC 9221), for as long as the stream lives. They are
 * paced and counted against the congestion window, leave before the bytes of streams (which get at
 * least a quarter of what leaves), are acknowledged, and never sent again. One that does not fit
 * into a packet travels in parts; if one of them is lost, all of it is. Nothing says how many
 * arrive, or in what order.
 */

/* Copies. 0, ERR_NOT_FOUND, ERR_STATE (finished, or not yet accepted by us), ERR_TOO_LARGE (over
 * FRAME_DATAGRAM_MAX), ERR_NO_ROOM (the queue is full), ERR_NO_MEMORY. */
int conn_datagram_send(struct conn *c, uint64_t id, const void *data, size_t len, uint64_t now);

/* Sends CLOSE on the used path; after it only the output of that one packet makes sense. */
void conn_close(struct conn *c, uint64_t cause, const char *text);
/* Every stream ends with a RESET event of this cause; nothing is sent any more. */
void conn_abandon(struct conn *c, uint64_t cause);

enum conn_event_type {
    CONN_EVENT_OPENED,       /* the peer opened a stream; u.text holds the target */
    CONN_EVENT_ACCEPTED,     /* the peer accepted ours; u.text holds the info */
    CONN_EVENT_READABLE,     /* bytes or the end, after there were none */
    CONN_EVENT_WRITABLE,     /* room, after space() gave none */
    CONN_EVENT_RESET,        /* the peer reset or stopped the stream: it is over, both ways */
    CONN_EVENT_GONE,         /* both directions are finished and acknowledged; the id is free */
    CONN_EVENT_PATH_SUSPECT, /* two probe timeouts in a row on `path` */
    CONN_EVENT_CANDIDATES,   /* u.candidates */
    CONN_EVENT_PEER_CLOSED,  /* u.close; the session is over */
    CONN_EVENT_DATAGRAM,     /* u.datagram, valid until the next call into the conn */
};

struct conn_event {
    enum conn_event_type type;
    uint64_t stream;
    uint64_t cause; /* reset, closed */
    uint8_t path;
    union {
        struct {
            uint8_t data[FRAME_TARGET_MAX];
            size_t len;
        } text;
        struct {
            size_t count;
            struct frame_candidate list[FRAME_CANDIDATES_MAX];
        } candidates;
        struct {
            const uint8_t *data;
            size_t len;
        } datagram;
    } u;
};

/* Fetches the next event; false when there is none. */
bool conn_event(struct conn *c, struct conn_event *ev);
/* A writer would be told now that there is room: output makes some. */
bool conn_has_writer(const struct conn *c);

/* Our candidate addresses, sent reliably; a newer list replaces one not yet acknowledged. */
void conn_send_candidates(struct conn *c, const struct frame_candidate *list, size_t count);

struct conn_stats {
    uint64_t packets_in, packets_out, packets_lost, packets_duplicate, packets_copied;
    uint64_t bytes_in, bytes_out; /* of streams, each counted once, and of datagrams */
    uint64_t streams_opened, streams_refused;
    uint64_t datagrams_in, datagrams_out;
    uint64_t datagrams_refused; /* not taken: the queue is full, or no memory */
    uint64_t datagrams_expired; /* waited too long to be sent, or their stream ended first */
    uint64_t datagrams_lost;    /* came, but not whole, to nobody, or to a full queue */
};
void conn_stats(const struct conn *c, struct conn_stats *out);

#endif
