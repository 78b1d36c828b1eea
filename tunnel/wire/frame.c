#include "wire/frame.h"

#include <base/check.h>
#include <base/err.h>

#include "wire/varint.h"

/* --- reading --- */

static void read_addr(struct reader *r, struct addr *out)
{
    struct addr a = {.family = read_u8(r)};
    if (a.family == ADDR_IPV4 || a.family == ADDR_IPV6) {
        a.port = read_u16(r);
        read_copy(r, a.ip, a.family == ADDR_IPV4 ? 4 : 16);
    } else if (a.family != ADDR_NONE) {
        r->failed = true;
    }
    *out = a;
}

/* A length and that many bytes in place, at most `max`. */
static const uint8_t *read_block(struct reader *r, size_t max, size_t *len)
{
    uint64_t n = varint_read(r);
    if (n > max) {
        r->failed = true;
    }
    *len = r->failed ? 0 : (size_t)n;
    return read_bytes(r, *len);
}

/* Ranges beyond FRAME_ACK_RANGES_MAX are an error: our writer never makes them. */
static void read_ack(struct reader *r, struct frame_ack *ack)
{
    ack->path = varint_read(r);
    uint64_t largest = varint_read(r);
    ack->delay_us = varint_read(r);
    uint64_t more = varint_read(r);
    uint64_t below = varint_read(r);
    if (r->failed || more >= FRAME_ACK_RANGES_MAX || below > largest) {
        r->failed = true;
        return;
    }
    ack->ranges[0] = (struct frame_range){largest - below, largest};
    ack->count = 1;
    for (uint64_t i = 0; i < more; i++) {
        uint64_t gap = varint_read(r);
        uint64_t len = varint_read(r);
        uint64_t first = ack->ranges[ack->count - 1].first;
        if (r->failed || gap + 2 > first || len > first - gap - 2) {
            r->failed = true;
            return;
        }
        uint64_t last = first - gap - 2;
        ack->ranges[ack->count++] = (struct frame_range){last - len, last};
    }
}

static void read_open(struct reader *r, struct frame *f, bool bound)
{
    f->u.open.stream = varint_read(r);
    uint64_t lane = bound ? varint_read(r) : FRAME_LANE_ANY;
    if (bound && lane != FRAME_LANE_DIRECT && lane != FRAME_LANE_RELAY) {
        r->failed = true;
    }
    f->u.open.lane = r->failed ? FRAME_LANE_ANY : (enum frame_lane)lane;
    f->u.open.data = read_block(r, FRAME_TARGET_MAX, &f->u.open.len);
}

static void read_stream(struct reader *r, struct frame *f, uint8_t flags)
{
    f->u.stream.stream = varint_read(r);
    f->u.stream.offset = varint_read(r);
    f->u.stream.fin = flags & FRAME_STREAM_FIN;
    if (flags & FRAME_STREAM_LEN) {
        f->u.stream.data = read_block(r, reader_left(r), &f->u.stream.len);
    } else {
        f->u.stream.len = reader_left(r);
        f->u.stream.data = read_bytes(r, f->u.stream.len);
    }
    if (f->u.stream.offset > VARINT_MAX - f->u.stream.len) {
        r->failed = true;
    }
}

size_t frame_read_list(struct reader *r, struct frame_candidate *list, size_t max)
{
    uint64_t count = varint_read(r);
    if (count > max) {
        r->failed = true;
    }
    for (size_t i = 0; i < count && !r->failed; i++) {
        list[i].source = read_u8(r);
        read_addr(r, &list[i].addr);
        if (list[i].addr.family == ADDR_NONE) {
            r->failed = true;
        }
    }
    return r->failed ? 0 : (size_t)count;
}

static void read_candidates(struct reader *r, struct frame *f)
{
    f->u.candidates.count = frame_read_list(r, f->u.candidates.list, FRAME_CANDIDATES_MAX);
}

static void read_part(struct reader *r, struct frame *f)
{
    f->u.datagram.stream = varint_read(r);
    f->u.datagram.number = varint_read(r);
    f->u.datagram.total = varint_read(r);
    f->u.datagram.offset = varint_read(r);
    f->u.datagram.data = read_block(r, reader_left(r), &f->u.datagram.len);
    uint64_t total = f->u.datagram.total;
    if (total > FRAME_DATAGRAM_MAX || f->u.datagram.len == 0 || f->u.datagram.len > total ||
        f->u.datagram.offset > total - f->u.datagram.len) {
        r->failed = true;
    }
}

static void read_reset(struct reader *r, struct frame *f, bool at_end)
{
    f->u.reset.stream = varint_read(r);
    f->u.reset.cause = varint_read(r);
    f->u.reset.final_size = varint_read(r);
    f->u.reset.at_end = at_end;
}

static void skip_padding(struct reader *r)
{
    while (r->at < r->end && *r->at == FRAME_PADDING) {
        r->at++;
    }
}

static int read_body(struct reader *r, struct frame *f)
{
    switch (f->type) {
    case FRAME_PADDING:
        skip_padding(r);
        break;
    case FRAME_PING:
        break;
    case FRAME_ACK:
        read_ack(r, &f->u.ack);
        break;
    case FRAME_RESET:
        read_reset(r, f, false);
        break;
    case FRAME_STOP:
        f->u.stop.stream = varint_read(r);
        f->u.stop.cause = varint_read(r);
        break;
    case FRAME_OPEN:
        read_open(r, f, false);
        break;
    case FRAME_ACCEPT:
        f->u.accept.stream = varint_read(r);
        f->u.accept.data = read_block(r, FRAME_TARGET_MAX, &f->u.accept.len);
        break;
    case FRAME_MAX_STREAM_DATA:
        f->u.max.stream = varint_read(r);
        f->u.max.limit = varint_read(r);
        break;
    case FRAME_MAX_DATA:
    case FRAME_MAX_STREAMS:
        f->u.max.limit = varint_read(r);
        break;
    case FRAME_PATH_RESPONSE:
        read_copy(r, f->u.path.token, FRAME_CHALLENGE_LEN);
        read_addr(r, &f->u.path.seen);
        break;
    case FRAME_PATH_CHALLENGE:
        read_copy(r, f->u.path.token, FRAME_CHALLENGE_LEN);
        break;
    case FRAME_CLOSE:
        f->u.close.cause = varint_read(r);
        f->u.close.text = read_block(r, FRAME_CLOSE_TEXT_MAX, &f->u.close.len);
        break;
    case FRAME_CANDIDATES:
        read_candidates(r, f);
        break;
    case FRAME_DATAGRAM:
        f->u.datagram.stream = varint_read(r);
        f->u.datagram.data = read_block(r, reader_left(r), &f->u.datagram.len);
        break;
    case FRAME_DATAGRAM_PART:
        read_part(r, f);
        break;
    case FRAME_STREAM: /* dealt with by the caller, because of its flags */
    case FRAME_OPEN_BOUND:
    case FRAME_RESET_AT_END:
    default:
        return ERR_PROTOCOL;
    }
    return r->failed ? ERR_MALFORMED : 0;
}

int frame_read(struct frame *out, struct reader *r)
{
    uint8_t type = read_u8(r);
    if (type >= FRAME_STREAM && type <= (FRAME_STREAM | FRAME_STREAM_FIN | FRAME_STREAM_LEN)) {
        out->type = FRAME_STREAM;
        read_stream(r, out, type & (FRAME_STREAM_FIN | FRAME_STREAM_LEN));
        return r->failed ? ERR_MALFORMED : 0;
    }
    if (type == FRAME_OPEN_BOUND) {
        out->type = FRAME_OPEN;
        read_open(r, out, true);
        return r->failed ? ERR_MALFORMED : 0;
    }
    if (type == FRAME_RESET_AT_END) {
        out->type = FRAME_RESET;
        read_reset(r, out, true);
        return r->failed ? ERR_MALFORMED : 0;
    }
    out->type = (enum frame_type)type;
    return r->failed ? ERR_MALFORMED : read_body(r, out);
}

/* --- writing --- */

static void write_addr(struct writer *w, const struct addr *a)
{
    write_u8(w, a->family);
    if (a->family != ADDR_NONE) {
        write_u16(w, a->port);
        write_bytes(w, a->ip, a->family == ADDR_IPV4 ? 4 : 16);
    }
}

static void write_block(struct writer *w, const void *data, size_t len)
{
    varint_write(w, len);
    write_bytes(w, data, len);
}

void frame_write_ping(struct writer *w)
{
    write_u8(w, FRAME_PING);
}

void frame_write_padding(struct writer *w, size_t len)
{
    uint8_t *p = write_space(w, len);
    if (p) {
        memset(p, FRAME_PADDING, len);
    }
}

/* How many of the ranges fit into `room` bytes; at least 1, for the writer to fail on. */
static size_t ack_fitting(const struct frame_ack *ack, size_t room)
{
    size_t used = varint_len(ack->ranges[0].last - ack->ranges[0].first);
    size_t count = 1;
    while (count < ack->count) {
        const struct frame_range *above = &ack->ranges[count - 1];
        const struct frame_range *range = &ack->ranges[count];
        used += varint_len(above->first - range->last - 2) + varint_len(range->last - range->first);
        if (used > room) {
            break;
        }
        count++;
    }
    return count;
}

void frame_write_ack(struct writer *w, const struct frame_ack *ack)
{
    CHECK(ack->count >= 1 && ack->count <= FRAME_ACK_RANGES_MAX);
    write_u8(w, FRAME_ACK);
    varint_write(w, ack->path);
    varint_write(w, ack->ranges[0].last);
    varint_write(w, ack->delay_us);
    size_t room = writer_room(w);
    size_t count = ack_fitting(ack, room > 2 ? room - 2 : 0);
    varint_write(w, count - 1);
    varint_write(w, ack->ranges[0].last - ack->ranges[0].first);
    for (size_t i = 1; i < count; i++) {
        varint_write(w, ack->ranges[i - 1].first - ack->ranges[i].last - 2);
        varint_write(w, ack->ranges[i].last - ack->ranges[i].first);
    }
}

void frame_write_reset(struct writer *w, uint64_t stream, uint64_t cause, uint64_t final_size,
                       bool at_end)
{
    write_u8(w, at_end ? FRAME_RESET_AT_END : FRAME_RESET);
    varint_write(w, stream);
    varint_write(w, cause);
    varint_write(w, final_size);
}

void frame_write_stop(struct writer *w, uint64_t stream, uint64_t cause)
{
    write_u8(w, FRAME_STOP);
    varint_write(w, stream);
    varint_write(w, cause);
}

void frame_write_open(struct writer *w, uint64_t stream, const uint8_t *target, size_t len)
{
    frame_write_open_bound(w, stream, FRAME_LANE_ANY, target, len);
}

void frame_write_open_bound(struct writer *w, uint64_t stream, enum frame_lane lane,
                            const uint8_t *target, size_t len)
{
    write_u8(w, lane == FRAME_LANE_ANY ? FRAME_OPEN : FRAME_OPEN_BOUND);
    varint_write(w, stream);
    if (lane != FRAME_LANE_ANY) {
        varint_write(w, lane);
    }
    write_block(w, target, len);
}

void frame_write_accept(struct writer *w, uint64_t stream, const uint8_t *info, size_t len)
{
    write_u8(w, FRAME_ACCEPT);
    varint_write(w, stream);
    write_block(w, info, len);
}

void frame_write_stream(struct writer *w, uint64_t stream, uint64_t offset, size_t len, bool fin)
{
    write_u8(w, (uint8_t)(FRAME_STREAM | FRAME_STREAM_LEN | (fin ? FRAME_STREAM_FIN : 0)));
    varint_write(w, stream);
    varint_write(w, offset);
    varint_write_2(w, len);
}

size_t frame_stream_overhead(uint64_t stream, uint64_t offset)
{
    return 1 + varint_len(stream) + varint_len(offset) + 2;
}

void frame_write_max(struct writer *w, enum frame_type type, uint64_t stream, uint64_t limit)
{
    write_u8(w, (uint8_t)type);
    if (type == FRAME_MAX_STREAM_DATA) {
        varint_write(w, stream);
    }
    varint_write(w, limit);
}

void frame_write_challenge(struct writer *w, const uint8_t token[FRAME_CHALLENGE_LEN])
{
    write_u8(w, FRAME_PATH_CHALLENGE);
    write_bytes(w, token, FRAME_CHALLENGE_LEN);
}

void frame_write_response(struct writer *w, const uint8_t token[FRAME_CHALLENGE_LEN],
                          const struct addr *seen)
{
    static const struct addr none;
    write_u8(w, FRAME_PATH_RESPONSE);
    write_bytes(w, token, FRAME_CHALLENGE_LEN);
    write_addr(w, seen ? seen : &none);
}

void frame_write_close(struct writer *w, uint64_t cause, const char *text)
{
    size_t len = strlen(text);
    write_u8(w, FRAME_CLOSE);
    varint_write(w, cause);
    write_block(w, text, len < FRAME_CLOSE_TEXT_MAX ? len : FRAME_CLOSE_TEXT_MAX);
}

void frame_write_list(struct writer *w, const struct frame_candidate *list, size_t count)
{
    varint_write(w, count);
    for (size_t i = 0; i < count; i++) {
        write_u8(w, list[i].source);
        write_addr(w, &list[i].addr);
    }
}

void frame_write_candidates(struct writer *w, const struct frame_candidate *list, size_t count)
{
    CHECK(count <= FRAME_CANDIDATES_MAX);
    write_u8(w, FRAME_CANDIDATES);
    frame_write_list(w, list, count);
}

void frame_write_datagram(struct writer *w, uint64_t stream, const uint8_t *data, size_t len)
{
    write_u8(w, FRAME_DATAGRAM);
    varint_write(w, stream);
    write_block(w, data, len);
}

size_t frame_datagram_overhead(uint64_t stream, size_t len)
{
    return 1 + varint_len(stream) + varint_len(len);
}

void frame_write_datagram_part(struct writer *w, const struct frame_part *part, size_t len)
{
    write_u8(w, FRAME_DATAGRAM_PART);
    varint_write(w, part->stream);
    varint_write(w, part->number);
    varint_write(w, part->total);
    varint_write(w, part->offset);
    varint_write(w, len);
}
