/* Two conns and everything that a peer with the right keys may say: payloads of any content in any
 * order, true ones that are bent, lost, doubled and late, over several paths that come and go.
 *
 * Until a payload was bent or made up, the guarantee of conn.h holds: what is read is what was
 * written. After an error the conn is closed, as its caller does. */
#include "transport/conn.h"

#include "wire/packet.h"

#include <base/bytes.h>
#include <base/check.h>
#include <base/clock.h>

#include <stdlib.h>
#include <string.h>

enum { QUEUE_MAX = 48, STREAMS_MAX = 8, STEPS_MAX = 600, PAYLOAD_MAX = 1204, PATHS = 3 };

struct payload {
    uint8_t path;
    uint64_t number;
    size_t len;
    uint8_t data[PAYLOAD_MAX];
};

struct side {
    struct conn *conn;
    bool broken; /* input returned an error */
    uint64_t streams[STREAMS_MAX];
    uint64_t written[STREAMS_MAX], read[STREAMS_MAX];
    size_t stream_count;
    uint64_t last_number[PATHS + 1];
    size_t first, count;
    struct payload out[QUEUE_MAX]; /* on their way from here */
};

struct world {
    struct pcg pcg;
    struct rng rng;
    struct side side[2];
    uint64_t now;
    bool honest; /* nothing was bent or made up so far */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- streams --- */

static uint8_t byte_at(uint64_t stream, uint64_t offset)
{
    return (uint8_t)(stream * 7 + offset * 13 + offset / 251);
}

static void add_stream(struct side *s, uint64_t id)
{
    if (s->stream_count < STREAMS_MAX) {
        size_t k = s->stream_count++;
        s->streams[k] = id;
        s->written[k] = s->read[k] = 0;
    }
}

static void write_some(struct side *s, size_t k, size_t want)
{
    uint8_t *at = NULL;
    size_t len = conn_stream_space(s->conn, s->streams[k], want, &at);
    len = len < want ? len : want;
    for (size_t i = 0; i < len; i++) {
        at[i] = byte_at(s->streams[k], s->written[k] + i);
    }
    if (len > 0) {
        conn_stream_wrote(s->conn, s->streams[k], len);
        s->written[k] += len;
    }
}

static void read_some(const struct world *w, struct side *s, size_t k, size_t max)
{
    const uint8_t *at = NULL;
    bool fin = false;
    size_t ready = conn_stream_peek(s->conn, s->streams[k], &at, &fin);
    size_t len = ready < max ? ready : max;
    for (size_t i = 0; w->honest && i < len; i++) {
        CHECK(at[i] == byte_at(s->streams[k], s->read[k] + i));
    }
    s->read[k] += len;
    if (len > 0 || fin) {
        conn_stream_consume(s->conn, s->streams[k], len, w->now);
    }
}

/* --- driving --- */

static void check_datagram(const struct world *w, const struct conn_event *ev)
{
    const uint8_t *bytes = ev->u.datagram.data;
    CHECK(ev->u.datagram.len <= FRAME_DATAGRAM_MAX);
    for (size_t i = 0; w->honest && i < ev->u.datagram.len; i++) {
        CHECK(bytes[i] == ev->u.datagram.len / 260);
    }
}

static void drain_events(const struct world *w, struct side *s)
{
    static struct conn_event ev;
    for (unsigned i = 0; conn_event(s->conn, &ev); i++) {
        CHECK(i < 10000);
        if (ev.type == CONN_EVENT_OPENED) {
            add_stream(s, ev.stream);
            (void)conn_stream_accept(s->conn, ev.stream, "ok", 2);
        } else if (ev.type == CONN_EVENT_DATAGRAM) {
            check_datagram(w, &ev);
        }
    }
}

static void produce(struct world *w, struct side *s)
{
    static uint8_t spare[PAYLOAD_MAX];
    uint8_t path;
    for (unsigned i = 0; (path = conn_next_path(s->conn, w->now)) != 0; i++) {
        bool full = s->count == QUEUE_MAX;
        struct payload *p = &s->out[(s->first + s->count) % QUEUE_MAX];
        uint64_t number = 0;
        CHECK(i < 10000 && path <= PATHS);
        size_t len =
            conn_output(s->conn, path, full ? spare : p->data, PAYLOAD_MAX, &number, w->now);
        if (len == 0) {
            break;
        }
        CHECK(len <= PAYLOAD_MAX && number >= s->last_number[path]); /* a nonce never comes again */
        s->last_number[path] = number + 1;
        if (!full) {
            p->path = path;
            p->number = number;
            p->len = len;
            s->count++;
        }
    }
}

static void drive(struct world *w, struct side *s)
{
    drain_events(w, s);
    produce(w, s);
    drain_events(w, s);
}

static void give(struct world *w, struct side *to, const struct payload *p, uint8_t reply)
{
    if (to->broken) {
        return;
    }
    uint8_t *copy = malloc(p->len > 0 ? p->len : 1);
    CHECK(copy);
    memcpy(copy, p->data, p->len);
    int err = conn_input(to->conn, p->path, p->number, reply, copy, p->len, w->now);
    free(copy);
    CHECK(err == 0 || !w->honest);
    if (err != 0) {
        to->broken = true;
        conn_abandon(to->conn, 20);
    }
    drive(w, to);
}

/* --- steps --- */

static void step_packet(struct world *w, struct reader *r, uint8_t how)
{
    struct side *from = &w->side[how & 1];
    if (from->count == 0) {
        return;
    }
    size_t ahead = how & 2 ? (how >> 4) % from->count : 0; /* one that overtakes stays there too */
    struct payload p = from->out[(from->first + ahead) % QUEUE_MAX];
    if (ahead == 0) {
        from->first = (from->first + 1) % QUEUE_MAX;
        from->count--;
    }
    if (how & 4) {
        w->honest = false;
        p.data[read_u16(r) % p.len] = read_u8(r);
        p.len -= read_u8(r) % p.len;
    }
    if ((how >> 4) % 8 != 7) { /* else it is lost */
        give(w, &w->side[1 - (how & 1)], &p, how & 8 ? 1 : 0);
    }
}

static void step_made_up(struct world *w, struct reader *r, uint8_t how)
{
    struct payload p = {.path = (uint8_t)(1 + (how >> 1) % (PACKET_PATHS_MAX - 1))};
    p.number = how & 64 ? read_u64(r) & PACKET_NUMBER_MAX : read_u8(r);
    p.len = read_u8(r);
    p.len = p.len < reader_left(r) ? p.len : reader_left(r);
    read_copy(r, p.data, p.len);
    if (p.len > 0) {
        w->honest = false;
        give(w, &w->side[how & 1], &p, how & 32 ? 2 : 0);
    }
}

static void step_time(struct world *w, uint8_t how)
{
    w->now += NS_PER_US << how % 32;
    for (size_t i = 0; i < 2; i++) {
        conn_tick(w->side[i].conn, w->now);
        drive(w, &w->side[i]);
    }
}

/* Its bytes tell its length: one put together wrongly is seen. */
static void send_datagram(const struct world *w, struct side *s, size_t k, size_t len)
{
    static uint8_t bytes[255 * 260];
    memset(bytes, (int)(len / 260), len);
    (void)conn_datagram_send(s->conn, s->streams[k], bytes, len, w->now);
}

static void step_stream(struct world *w, struct reader *r, uint8_t how)
{
    struct side *s = &w->side[how & 1];
    size_t k = s->stream_count > 0 ? (how >> 4) % s->stream_count : 0;
    uint64_t id;
    if ((how >> 1 & 7) < 2) {
        if (s->stream_count < STREAMS_MAX && conn_stream_open(s->conn, "t", 1, &id) == 0) {
            (void)conn_stream_bind(s->conn, id, (enum frame_lane)((how >> 4) % FRAME_LANES));
            add_stream(s, id);
        }
    } else if (s->stream_count > 0) {
        switch (how >> 1 & 7) {
        case 2:
        case 3:
            write_some(s, k, (size_t)read_u8(r) * 16);
            break;
        case 4:
            (void)conn_stream_finish(s->conn, s->streams[k]);
            break;
        case 5:
            (void)conn_stream_abort(s->conn, s->streams[k], 10);
            break;
        case 6:
            send_datagram(w, s, k, (size_t)read_u8(r) * 260);
            break;
        default:
            read_some(w, s, k, (size_t)read_u8(r) * 16);
            break;
        }
    }
    drive(w, s);
}

static void step_path(struct world *w, uint8_t how)
{
    struct side *s = &w->side[how & 1];
    uint8_t path = (uint8_t)(1 + (how >> 4) % PATHS);
    struct conn_path_info info;
    bool open = conn_path_info(s->conn, path, &info);
    switch (how >> 1 & 7) {
    case 0:
        if (open) {
            conn_path_use(s->conn, path, how & 128, w->now);
        }
        break;
    case 1:
        if (open) {
            conn_path_use_for(s->conn, how & 128 ? FRAME_LANE_RELAY : FRAME_LANE_DIRECT, path,
                              how & 64, w->now);
        }
        break;
    case 2:
        if (open) {
            conn_path_close(s->conn, path, w->now);
        } else {
            conn_path_open(s->conn, path, PAYLOAD_MAX + PACKET_DATA_OVERHEAD, w->now);
        }
        break;
    case 3:
    case 4:
        if (open) {
            conn_path_block(s->conn, path, how & 128);
        }
        break;
    case 5:
        conn_path_use(s->conn, 0, how & 128, w->now);
        break;
    case 6:
        conn_send_candidates(s->conn, NULL, 0);
        break;
    default:
        if (how >> 4 == 15) {
            conn_close(s->conn, 18, "bye");
        }
        break;
    }
    drive(w, s);
}

static void play(struct world *w, struct reader *r)
{
    for (unsigned i = 0; i < STEPS_MAX && reader_left(r) > 0; i++) {
        uint8_t what = read_u8(r);
        uint8_t how = read_u8(r);
        switch (what % 8) {
        case 0:
        case 1:
        case 2:
            step_packet(w, r, how);
            break;
        case 3:
            step_made_up(w, r, how);
            break;
        case 4:
            step_time(w, how);
            break;
        case 5:
        case 6:
            step_stream(w, r, how);
            break;
        default:
            step_path(w, how);
            break;
        }
    }
}

static void make_side(struct world *w, size_t i)
{
    struct conn_config config = {.limits = conn_limits_default(), .even = i == 0, .rng = w->rng};
    config.limits.session_window = config.limits.stream_window = 4096;
    config.limits.session_window_max = config.limits.stream_window_max = 16384;
    config.limits.send_buffer_max = 16384;
    config.limits.streams_max = 5;
    const struct conn_peer_limits peer = {.session_window = 4096,
                                          .stream_window = 4096,
                                          .streams_max = 5,
                                          .max_ack_delay_ns = config.limits.max_ack_delay_ns};
    struct side *s = &w->side[i];
    s->conn = conn_new(&config);
    CHECK(s->conn);
    conn_start(s->conn, &peer, w->now);
    conn_path_open(s->conn, 1, PAYLOAD_MAX + PACKET_DATA_OVERHEAD, w->now);
    conn_path_use(s->conn, 1, false, w->now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r = reader_of(data, size);
    struct world *w = calloc(1, sizeof(*w));
    CHECK(w);
    w->now = 1000 * NS_PER_S;
    w->honest = true;
    w->rng = pcg_rng(&w->pcg, 9);
    make_side(w, 0);
    make_side(w, 1);
    play(w, &r);
    conn_free(w->side[0].conn);
    conn_free(w->side[1].conn);
    free(w);
    return 0;
}
