/* Frames: any bytes are read or refused, and what was read is written and read again the same. */
#include <base/check.h>
#include <base/err.h>

#include "wire/frame.h"
#include "wire/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_again(struct writer *w, const struct frame *f)
{
    switch (f->type) {
    case FRAME_PADDING:
        frame_write_padding(w, 1);
        break;
    case FRAME_PING:
        frame_write_ping(w);
        break;
    case FRAME_ACK:
        frame_write_ack(w, &f->u.ack);
        break;
    case FRAME_RESET:
        frame_write_reset(w, f->u.reset.stream, f->u.reset.cause, f->u.reset.final_size,
                          f->u.reset.at_end);
        break;
    case FRAME_STOP:
        frame_write_stop(w, f->u.stop.stream, f->u.stop.cause);
        break;
    case FRAME_OPEN:
        frame_write_open_bound(w, f->u.open.stream, f->u.open.lane, f->u.open.data, f->u.open.len);
        break;
    case FRAME_OPEN_BOUND:
    case FRAME_RESET_AT_END:
        CHECK(false); /* read as FRAME_OPEN and FRAME_RESET */
        break;
    case FRAME_ACCEPT:
        frame_write_accept(w, f->u.accept.stream, f->u.accept.data, f->u.accept.len);
        break;
    case FRAME_STREAM:
        frame_write_stream(w, f->u.stream.stream, f->u.stream.offset, f->u.stream.len,
                           f->u.stream.fin);
        write_bytes(w, f->u.stream.data, f->u.stream.len);
        break;
    case FRAME_MAX_DATA:
    case FRAME_MAX_STREAM_DATA:
    case FRAME_MAX_STREAMS:
        frame_write_max(w, f->type, f->type == FRAME_MAX_STREAM_DATA ? f->u.max.stream : 0,
                        f->u.max.limit);
        break;
    case FRAME_PATH_CHALLENGE:
        frame_write_challenge(w, f->u.path.token);
        break;
    case FRAME_PATH_RESPONSE:
        frame_write_response(w, f->u.path.token, &f->u.path.seen);
        break;
    case FRAME_CLOSE: /* its writer takes text without zero bytes: nothing to compare */
        frame_write_ping(w);
        break;
    case FRAME_CANDIDATES:
        frame_write_candidates(w, f->u.candidates.list, f->u.candidates.count);
        break;
    case FRAME_DATAGRAM:
        frame_write_datagram(w, f->u.datagram.stream, f->u.datagram.data, f->u.datagram.len);
        break;
    case FRAME_DATAGRAM_PART:
        frame_write_datagram_part(w,
                                  &(struct frame_part){f->u.datagram.stream, f->u.datagram.number,
                                                       f->u.datagram.total, f->u.datagram.offset},
                                  f->u.datagram.len);
        write_bytes(w, f->u.datagram.data, f->u.datagram.len);
        break;
    }
}

/* Written twice over, a frame must be the same bytes: every field survived. */
static void expect_round_trip(const struct frame *f)
{
    static uint8_t first[PACKET_MTU_MAX], second[PACKET_MTU_MAX];
    struct writer w1 = writer_of(first, sizeof(first));
    write_again(&w1, f);
    CHECK(!w1.failed);
    struct reader r = reader_of(first, writer_len(&w1));
    struct frame again;
    CHECK(frame_read(&again, &r) == 0 && reader_left(&r) == 0);
    struct writer w2 = writer_of(second, sizeof(second));
    write_again(&w2, &again);
    CHECK(writer_len(&w1) == writer_len(&w2) && memcmp(first, second, writer_len(&w1)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct packet_data_header header;
    (void)packet_read_data(&header, data, size);
    struct reader r = reader_of(data, size);
    while (reader_left(&r) > 0 && size < PACKET_MTU_MAX / 2) {
        struct frame f;
        int err = frame_read(&f, &r);
        if (err) {
            CHECK(err == ERR_MALFORMED || err == ERR_PROTOCOL);
            break;
        }
        expect_round_trip(&f);
    }
    return 0;
}
