/* One stream: the states of its two directions (RFC 9000 section 3), its buffers and its credit.
 *
 * Knows nothing of packets, paths or other streams. The conn tells it what came and what was
 * acknowledged, and asks what it has to send.
 */
#ifndef TRANSPORT_STREAM_H
#define TRANSPORT_STREAM_H

#include <base/log.h>

#include "transport/flow.h"
#include "transport/recvbuf.h"
#include "transport/sendbuf.h"

#include <sys/queue.h>

/* RFC 9000 3.1 */
enum stream_send {
    STREAM_SEND_OPEN,        /* more may be written */
    STREAM_SEND_FINISHED,    /* the end is known, not all of it acknowledged */
    STREAM_SEND_DONE,        /* all acknowledged */
    STREAM_SEND_RESET,       /* given up, the peer does not know for sure */
    STREAM_SEND_RESET_ACKED, /* and now it does */
};

/* RFC 9000 3.2 */
enum stream_recv {
    STREAM_RECV_OPEN,       /* more may come */
    STREAM_RECV_SIZE_KNOWN, /* the end is known, bytes are missing */
    STREAM_RECV_COMPLETE,   /* all there, not all read */
    STREAM_RECV_DISCARD,    /* nobody reads any more; the final size is not known yet */
    STREAM_RECV_DONE,       /* read to the end */
    STREAM_RECV_RESET,      /* given up by the peer or by us, final size known */
};

/* Control frames that wait to be sent. */
enum {
    STREAM_CONTROL_HELLO = 0x01, /* open or accept: each side says one of them once */
    STREAM_CONTROL_RESET = 0x02,
    STREAM_CONTROL_STOP = 0x04,
    STREAM_CONTROL_CREDIT = 0x08,
};

/* Events that wait to be fetched; fetched lowest bit first. */
enum {
    STREAM_EVENT_HELLO = 0x01,
    STREAM_EVENT_READABLE = 0x02,
    STREAM_EVENT_WRITABLE = 0x04,
    STREAM_EVENT_RESET = 0x08,
    STREAM_EVENT_GONE = 0x10,
};

enum stream_queue {
    STREAM_QUEUE_NONE,
    STREAM_QUEUE_FRESH,
    STREAM_QUEUE_BULK,
    STREAM_QUEUE_BLOCKED
};

struct stream_text {
    uint8_t *data;
    size_t len;
};

struct stream {
    uint64_t id;
    const struct log *log;
    bool local;          /* opened by us */
    uint8_t send;        /* enum stream_send, set by stream_set_send */
    uint8_t recv;        /* enum stream_recv, set by stream_set_recv */
    uint8_t control;     /* STREAM_CONTROL_* */
    uint8_t events;      /* STREAM_EVENT_* */
    uint8_t queue;       /* enum stream_queue, kept by sched */
    uint8_t lane;        /* enum frame_lane, kept by conn_lane.c */
    bool control_queued; /* in the conn's list of streams with control frames */
    bool control_held;   /* in its list of streams that the peer does not allow yet */
    bool events_queued;  /* in the conn's list of streams with events */
    bool room_queued;    /* in the line of its queue for room */
    bool hello_made;     /* open or accept was asked for */
    bool hello_sent;     /* once at least: data may follow */
    bool hello_acked;
    bool hello_seen; /* the peer's came */
    bool fin_sent;   /* in flight or acknowledged */
    bool fin_acked;
    bool fin_seen;            /* by the application */
    bool wants_room;          /* space() gave none */
    bool over_told;           /* aborted by us, or its RESET event was raised */
    bool breaking;            /* by us: RESET goes out once all bytes are acknowledged */
    bool broken;              /* by the peer: RESET is told once all bytes are read */
    struct stream_text say;   /* our hello's text, until acknowledged */
    struct stream_text heard; /* the peer's, until fetched */
    uint64_t cause;           /* of our reset and stop */
    uint64_t event_cause;
    struct sendbuf out;
    uint64_t send_limit; /* the peer's credit */
    struct recvbuf in;
    struct flow credit;       /* ours for the peer */
    uint64_t granted;         /* credit given in advance, until it is used up */
    uint64_t buffered;        /* bytes of `out` in the conn's sum */
    uint64_t unsent;          /* ... and in its queue's of those that could leave */
    uint64_t turn;            /* bytes it may still bring while others wait */
    uint64_t burst;           /* bytes sent since all was acknowledged: small = goes first */
    uint64_t large_ns;        /* when it last said more than something small, 0 = never */
    uint64_t others_in;       /* bytes of other streams that had come when it spoke last */
    uint64_t quantum;         /* bytes of the current bulk turn */
    bool flow;                /* there were datagrams */
    size_t flow_out, flow_in; /* bytes of them that wait */
    uint64_t flow_number;     /* of the last one that left in parts */
    TAILQ_ENTRY(stream) sched_link;
    TAILQ_ENTRY(stream) control_link;
    TAILQ_ENTRY(stream) event_link;
    TAILQ_ENTRY(stream) room_link;
};

TAILQ_HEAD(stream_list, stream);

struct stream_config {
    size_t send_buffer_max;
    uint64_t send_limit;
    uint64_t window;
    uint64_t window_max;
    struct ring_spares *spares; /* of the session, or NULL */
    const struct log *log;
};

/* NULL when out of memory. */
struct stream *stream_new(uint64_t id, bool local, const struct stream_config *config);
void stream_free(struct stream *s);

/* The only writers of the two states; each change is traced. */
void stream_set_send(struct stream *s, enum stream_send to);
void stream_set_recv(struct stream *s, enum stream_recv to);

/* 0 or ERR_NO_MEMORY. */
int stream_text_set(struct stream_text *t, const void *data, size_t len);
void stream_text_clear(struct stream_text *t);

/* The bytes to send next, within the credit of the stream and `session_left` new bytes; *fin = the
 * end goes with them, maybe alone. False if there are none. */
bool stream_next(const struct stream *s, uint64_t session_left, struct range *out, bool *fin);
/* True if it has something to send as far as its own credit goes. */
bool stream_has_data(const struct stream *s);
/* `range` and maybe the end left. Returns the new bytes among them, which use session credit. */
uint64_t stream_on_sent(struct stream *s, const struct range *range, bool fin);
void stream_on_data_acked(struct stream *s, uint64_t from, uint64_t len, bool fin);
void stream_on_data_lost(struct stream *s, uint64_t from, uint64_t len, bool fin);

/* True while bytes may be written. */
bool stream_is_writable(const struct stream *s);
/* The application may read: something is there, and the hello came first. */
bool stream_is_readable(const struct stream *s);
/* The receiving direction is over. */
bool stream_is_received(const struct stream *s);
/* After bytes or the end came: sets the state that follows from them. */
void stream_update_recv(struct stream *s);

/* Gives up the sending direction: true if a RESET has to go out. */
bool stream_reset(struct stream *s, uint64_t cause);
/* All is acknowledged, and a RESET has to follow it. */
bool stream_breaks_now(const struct stream *s);
/* Nobody reads any more. Returns the bytes that came and were not read. */
uint64_t stream_discard(struct stream *s);
/* Both directions are over and nothing of ours waits for an acknowledgement. */
bool stream_is_over(const struct stream *s);

#endif
