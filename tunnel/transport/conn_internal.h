/* struct conn, shared by the conn_*.c files of this folder only.
 *
 *   conn.c         life, paths, what it tells about itself
 *   conn_recv.c    payload -> frames -> streams
 *   conn_lane.c    which path the frames of which streams take
 *   conn_copy.c    packets that go out by a second path as well
 *   conn_settle.c  acknowledgements, and what becomes of frames that arrived or were lost
 *   conn_send.c    what goes into the next packet
 *   conn_timer.c   deadlines
 *   conn_stream.c  the application's calls
 *   conn_credit.c  credit for the peer
 *   conn_room.c    room in our send buffers, and whose turn it is to fill it
 *   conn_datagram.c  datagrams, both ways
 *   conn_close.c   the end of streams and of the session
 *   conn_event.c   what the application fetches
 */
#ifndef TRANSPORT_CONN_INTERNAL_H
#define TRANSPORT_CONN_INTERNAL_H

#include "transport/ack.h"
#include "transport/conn.h"
#include "transport/dgramq.h"
#include "transport/flow.h"
#include "transport/path.h"
#include "transport/reassembly.h"
#include "transport/sched.h"
#include "transport/stream.h"
#include "transport/table.h"

enum { CONN_COPY_MAX = 1472 }; /* payload of a packet that can be copied */

enum conn_state {
    CONN_OPEN,
    CONN_CLOSING, /* one CLOSE has to go out */
    CONN_CLOSED,
};

/* Our ids, or the peer's. */
struct conn_ids {
    uint64_t next;  /* index of the next stream to open, or of the next not seen */
    uint64_t limit; /* indexes below may be opened */
    uint64_t known; /* theirs: a limit that the peer has confirmed */
    uint64_t open;  /* streams of this side in the table */
    uint64_t gone;  /* streams of this side that came and went */
};

/* What waits for one of the paths in use. */
struct conn_queue {
    struct stream_list control; /* streams with control frames to send */
    struct sched sched;
    struct stream_list waiting; /* for room: in the order of their turns */
    uint64_t unsent;            /* bytes of its streams that could leave */
    uint64_t passed_over;       /* by datagrams, bytes: then it is their turn */
};

struct conn {
    struct conn_limits limits;
    struct conn_peer_limits peer;
    const struct log *log;
    const struct cc_ops *congestion;
    struct rng rng;
    bool even;
    bool started;
    enum conn_state state;
    uint64_t now;               /* of the last call that had one */
    uint8_t used[FRAME_LANES];  /* the path of each lane, 0 = none now */
    uint8_t share[FRAME_LANES]; /* whose queue the lane's streams wait in */
    struct conn_queue queues[FRAME_LANES];
    struct path paths[PACKET_PATHS_MAX];
    struct ack acks[PACKET_PATHS_MAX];

    struct table streams;
    struct conn_ids ours;
    struct conn_ids theirs;
    struct ranges unseen;      /* their indexes below next of which nothing came yet */
    struct stream_list held;   /* streams that the peer does not allow yet */
    struct stream_list events; /* streams with events */

    struct flow credit;  /* of the session, for the peer */
    uint64_t send_limit; /* of the session, by the peer */
    uint64_t send_used;
    bool credit_pending;  /* MAX_DATA */
    bool streams_pending; /* MAX_STREAMS */
    bool starved;         /* a writer got no room for want of memory */
    size_t over_count;    /* streams with over_told */
    uint64_t granted;     /* credit given in advance to streams that have not used it yet */
    uint64_t buffered;    /* bytes in all send buffers */

    uint64_t haste_ns; /* until when conn_is_hasty */
    bool said;         /* conn_take_said */

    struct ring_spares spares; /* of the streams' buffers */
    uint64_t spares_ns;        /* when to look at them next, if there are any */

    struct {
        size_t count;
        struct frame_candidate list[FRAME_CANDIDATES_MAX];
        uint64_t version;
        uint64_t known; /* confirmed */
        bool pending;
    } candidates;

    struct {
        uint8_t path; /* 0 = none are made */
        bool all;
        size_t len; /* of the one that waits; 0 = none does */
        size_t record_count;
        struct sent_record records[SENTMAP_PER_PACKET_MAX];
        uint8_t payload[CONN_COPY_MAX];
    } copy;

    struct {
        uint64_t cause;
        char text[FRAME_CLOSE_TEXT_MAX + 1];
    } closing;

    struct {
        struct {
            struct dgramq queue;
            size_t sent;       /* bytes of the first that have left */
            uint64_t ready_ns; /* since when the lane has a path */
        } out[FRAME_LANES];
        struct dgramq in;
        struct reassembly parts;
        size_t flows; /* streams with datagrams: without one no memory is held */
    } datagrams;

    /* events of the whole session: one place each */
    uint32_t suspects; /* bit per path */
    bool candidates_event;
    bool closed_event;
    uint64_t closed_cause;
    struct {
        size_t count;
        struct frame_candidate list[FRAME_CANDIDATES_MAX];
        uint8_t path; /* by which packet it came, so that an older one does not replace it */
        uint64_t number;
    } peer_candidates;

    struct conn_stats stats;
    struct frame frame; /* being read; large, so not on the stack */
};

/* --- streams, for all parts --- */

static inline struct stream *conn_find(const struct conn *c, uint64_t id)
{
    return table_find(&c->streams, id);
}

/* Makes a stream and puts it in the table; NULL when out of memory. */
struct stream *conn_add_stream(struct conn *c, uint64_t id, bool local);
/* The end of one that came and went; and of one that could not be made after all. */
void conn_drop_stream(struct conn *c, struct stream *s);
void conn_forget_stream(struct conn *c, struct stream *s);
/* Queues control frames (STREAM_CONTROL_*). */
void conn_want_control(struct conn *c, struct stream *s, uint8_t frames);
void conn_raise(struct conn *c, struct stream *s, uint8_t event);
/* Takes events back that mean nothing any more. */
void conn_lower(struct conn *c, struct stream *s, uint8_t events);
/* Takes one of a list's streams out of every list it is in. */
void conn_unlink(struct conn *c, struct stream *s);
/* Raises GONE when nothing is left to do. */
void conn_check_over(struct conn *c, struct stream *s);
/* The same, asked for by the peer: the application is told once. */
void conn_end_stream_by_peer(struct conn *c, struct stream *s, uint64_t cause);
/* The peer ends both directions, ours at once, its own when what came is read. */
void conn_break_by_peer(struct conn *c, struct stream *s, uint64_t cause);
/* After an acknowledgement: sends the RESET of conn_stream_break if nothing is before it any more.
 */
void conn_settle_break(struct conn *c, struct stream *s);
/* Both directions end: our side is reset, what still comes is thrown away. */
void conn_end_stream(struct conn *c, struct stream *s, uint64_t cause);
/* The application, or nobody, has taken `len` bytes: session credit. */
void conn_consume_session(struct conn *c, uint64_t len, uint64_t now);
/* ... and credit of the stream. */
void conn_consume_stream(struct conn *c, struct stream *s, uint64_t len, uint64_t now);
/* Bytes came that cannot be read yet: more credit, if that is all that waits. */
void conn_relieve(struct conn *c, struct stream *s);
/* More credit at once for a new stream; and taken off the account again. */
void conn_grant(struct conn *c, struct stream *s);
void conn_end_grant(struct conn *c, struct stream *s);
/* Peers' streams come and go: raises what they may open. */
void conn_update_limits(struct conn *c);
/* RTT for the tuning of windows. */
uint64_t conn_rtt(const struct conn *c);

/* --- room for writers --- */

/* How much the stream's send buffer may hold now: sets out.fit. */
void conn_fit_buffer(struct conn *c, struct stream *s);
/* Its send buffer, its credit or its state has changed. */
void conn_count_buffer(struct conn *c, struct stream *s);
/* The same after `len` bytes were written. */
void conn_note_brought(struct conn *c, struct stream *s, size_t len);
/* It counts no more, here and in its queue. */
void conn_forget_buffer(struct conn *c, struct stream *s);
/* Its writer found no room: it is told when it is its turn. */
void conn_want_room(struct conn *c, struct stream *s);
/* It may have got room of its own: it stands in line again if it wants any. */
void conn_tell_writable(struct conn *c, struct stream *s);
void conn_leave_line(struct conn *c, struct stream *s);
/* Whose turn it is to write now, or NULL. It is in the line no more. */
struct stream *conn_next_writer(struct conn *c);

/* --- lanes --- */

void conn_lanes_init(struct conn *c);
/* The queues that a stream waits in. */
static inline struct conn_queue *conn_queue_of(struct conn *c, const struct stream *s)
{
    return &c->queues[c->share[s->lane]];
}
/* It may have got something to send. */
static inline void conn_want_data(struct conn *c, struct stream *s)
{
    sched_add(&conn_queue_of(c, s)->sched, s);
}
void conn_set_lane(struct conn *c, struct stream *s, enum frame_lane lane);
/* The path is used by no lane any more. */
void conn_leave_path(struct conn *c, uint8_t path);
/* Some lane uses the path. */
bool conn_carries(const struct conn *c, uint8_t path);
/* Something other than acknowledgements waits for the path. */
bool conn_has_data(struct conn *c, uint8_t path);
/* When what waits for the lane's path may leave. */
uint64_t conn_lane_ns(const struct conn *c, enum frame_lane lane);
/* The session got credit. */
void conn_unblock(struct conn *c);

/* --- copies --- */

/* The next packet of the path should be copied, if what it carries may be. */
bool conn_copy_is_wanted(const struct conn *c, uint8_t path, uint64_t now);
/* How large its payload may be then. */
size_t conn_copy_room(const struct conn *c);
void conn_copy_take(struct conn *c, const struct path *p, const struct sent_packet *packet,
                    const uint8_t *payload, size_t len);
/* The copy that waits leaves, as conn_output. */
size_t conn_copy_put(struct conn *c, uint8_t *buf, size_t cap, uint64_t *number, uint64_t now);
/* The path cannot take it now. */
void conn_copy_drop(struct conn *c, uint8_t path);

/* --- packets --- */

int conn_on_ack(struct conn *c, const struct frame_ack *ack, uint64_t now);
/* Takes out what is lost by now and queues it again. */
void conn_detect_lost(struct conn *c, struct path *p, uint64_t now);
/* Queues the frames of one packet again. */
void conn_requeue(struct conn *c, const struct path *p, const struct sent_packet *packet);
/* Queues what was in flight longest again, without calling it lost. */
void conn_requeue_oldest(struct conn *c, uint8_t path);
/* Queues what is in flight on the path again and takes it out of flight. */
void conn_move_flight(struct conn *c, struct path *p);
/* Our path on which acknowledgements of the peer's `from` leave; 0 = none now. */
uint8_t conn_reply_path(const struct conn *c, uint8_t from);

/* --- datagrams --- */

void conn_init_datagrams(struct conn *c);
void conn_free_datagrams(struct conn *c);
/* One of the streams with datagrams goes. */
void conn_drop_flow(struct conn *c, const struct stream *s);
/* One of the lane may leave; drops those that may not any more. */
bool conn_has_datagram(struct conn *c, enum frame_lane lane);
/* Streams wait beside them and it is their turn. */
bool conn_datagrams_yield(struct conn *c, enum frame_lane lane);
/* Writes the next one, or a part of it; `fresh`: no other went into this packet. False if there is
 * none, or no room for it. */
bool conn_write_datagram(struct conn *c, enum frame_lane lane, struct writer *w, bool fresh);
/* `len` bytes of the stream left. */
void conn_on_stream_sent(struct conn *c, const struct stream *s, size_t len);

/* --- haste --- */

/* Bytes of the stream have just been put into a packet. */
void conn_haste_note(struct conn *c, struct stream *s);
int conn_on_datagram(struct conn *c, const struct frame *f, uint64_t now);
bool conn_take_datagram(struct conn *c, struct conn_event *ev);

static inline uint64_t conn_send_left(const struct conn *c)
{
    return c->send_limit - c->send_used;
}

#endif
