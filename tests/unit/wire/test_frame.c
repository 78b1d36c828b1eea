#include "wire/frame.h"

#include <base/err.h>
#include <base/rng.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "wire/varint.h"

enum { ROOM = 4096 };

#define LONG_ID (UINT64_C(1) << 40)

static uint8_t buf[ROOM];

static struct frame read_one(size_t len)
{
    struct frame f;
    struct reader r = reader_of(buf, len);
    assert_int_equal(frame_read(&f, &r), 0);
    assert_int_equal(reader_left(&r), 0);
    return f;
}

/* Every shorter form of the `len` bytes in buf is refused, without a read past its end: each is
 * copied to the end of its own block, where the sanitizer watches. */
static void expect_no_prefix_reads(size_t len)
{
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *copy = test_malloc(cut + 1);
        memcpy(copy + 1, buf, cut);
        struct frame f;
        struct reader r = reader_of(copy + 1, cut);
        assert_int_equal(frame_read(&f, &r), ERR_MALFORMED);
        test_free(copy);
    }
}

static size_t written(const struct writer *w)
{
    assert_false(w->failed);
    expect_no_prefix_reads(writer_len(w));
    return writer_len(w);
}

static void ping_and_padding(void **state)
{
    (void)state;
    struct writer w = writer_of(buf, ROOM);
    frame_write_ping(&w);
    assert_int_equal(read_one(written(&w)).type, FRAME_PING);
    w = writer_of(buf, ROOM);
    frame_write_padding(&w, 100);
    frame_write_ping(&w);
    struct reader r = reader_of(buf, writer_len(&w));
    struct frame f;
    assert_int_equal(frame_read(&f, &r), 0);
    assert_int_equal(f.type, FRAME_PADDING); /* the whole run */
    assert_int_equal(reader_left(&r), 1);
}

static void reset_stop_and_limits(void **state)
{
    (void)state;
    struct writer w = writer_of(buf, ROOM);
    struct frame f;
    for (int at_end = 0; at_end < 2; at_end++) {
        w = writer_of(buf, ROOM);
        frame_write_reset(&w, LONG_ID, 7, VARINT_MAX, at_end);
        f = read_one(written(&w));
        assert_int_equal(f.type, FRAME_RESET);
        assert_int_equal(f.u.reset.stream, LONG_ID);
        assert_int_equal(f.u.reset.cause, 7);
        assert_int_equal(f.u.reset.final_size, VARINT_MAX);
        assert_int_equal(f.u.reset.at_end, at_end);
    }
    w = writer_of(buf, ROOM);
    frame_write_stop(&w, 5, 70000);
    f = read_one(written(&w));
    assert_int_equal(f.type, FRAME_STOP);
    assert_int_equal(f.u.stop.stream, 5);
    assert_int_equal(f.u.stop.cause, 70000);
    static const enum frame_type limits[] = {FRAME_MAX_DATA, FRAME_MAX_STREAM_DATA,
                                             FRAME_MAX_STREAMS};
    for (size_t i = 0; i < 3; i++) {
        w = writer_of(buf, ROOM);
        frame_write_max(&w, limits[i], 9, LONG_ID);
        f = read_one(written(&w));
        assert_int_equal(f.type, limits[i]);
        assert_int_equal(f.u.max.limit, LONG_ID);
        if (limits[i] == FRAME_MAX_STREAM_DATA) {
            assert_int_equal(f.u.max.stream, 9);
        }
    }
}

static void open_and_accept(void **state)
{
    (void)state;
    uint8_t target[FRAME_TARGET_MAX + 1] = "example.net:443";
    struct writer w = writer_of(buf, ROOM);
    frame_write_open(&w, 4, target, FRAME_TARGET_MAX);
    struct frame f = read_one(written(&w));
    assert_int_equal(f.type, FRAME_OPEN);
    assert_int_equal(f.u.open.stream, 4);
    assert_int_equal(f.u.open.len, FRAME_TARGET_MAX);
    assert_memory_equal(f.u.open.data, target, FRAME_TARGET_MAX);
    w = writer_of(buf, ROOM);
    frame_write_accept(&w, 4, NULL, 0);
    f = read_one(written(&w));
    assert_int_equal(f.type, FRAME_ACCEPT);
    assert_int_equal(f.u.accept.len, 0);
    w = writer_of(buf, ROOM);
    frame_write_open(&w, 4, target, FRAME_TARGET_MAX + 1);
    struct reader r = reader_of(buf, writer_len(&w));
    assert_int_equal(frame_read(&f, &r), ERR_MALFORMED);
}

static void open_of_a_bound_stream(void **state)
{
    (void)state;
    static const uint8_t target[] = "x:1";
    for (int lane = FRAME_LANE_ANY; lane < FRAME_LANES; lane++) {
        struct writer w = writer_of(buf, ROOM);
        frame_write_open_bound(&w, 9, (enum frame_lane)lane, target, 3);
        assert_int_equal(buf[0], lane == FRAME_LANE_ANY ? 0x06 : 0x0c);
        struct frame f = read_one(written(&w));
        assert_int_equal(f.type, FRAME_OPEN);
        assert_int_equal(f.u.open.stream, 9);
        assert_int_equal(f.u.open.lane, lane);
        assert_int_equal(f.u.open.len, 3);
        assert_memory_equal(f.u.open.data, target, 3);
    }
    static const uint8_t lanes[] = {0, 3, 63};
    for (size_t i = 0; i < sizeof(lanes); i++) {
        const uint8_t bad[] = {0x0c, 9, lanes[i], 1, 'x'};
        struct reader r = reader_of(bad, sizeof(bad));
        struct frame f;
        assert_int_equal(frame_read(&f, &r), ERR_MALFORMED);
    }
}

static void stream_data(void **state)
{
    (void)state;
    for (int fin = 0; fin < 2; fin++) {
        struct writer w = writer_of(buf, ROOM);
        frame_write_stream(&w, 8, LONG_ID, 5, fin);
        assert_int_equal(writer_len(&w), frame_stream_overhead(8, LONG_ID));
        write_bytes(&w, "hello", 5);
        struct frame f = read_one(written(&w));
        assert_int_equal(f.type, FRAME_STREAM);
        assert_int_equal(f.u.stream.stream, 8);
        assert_int_equal(f.u.stream.offset, LONG_ID);
        assert_int_equal(f.u.stream.fin, fin);
        assert_int_equal(f.u.stream.len, 5);
        assert_memory_equal(f.u.stream.data, "hello", 5);
    }
    /* Without a length it is all the rest. */
    struct reader r = reader_of("\x09\x08\x00rest", 7);
    struct frame f;
    assert_int_equal(frame_read(&f, &r), 0);
    assert_true(f.u.stream.fin);
    assert_int_equal(f.u.stream.len, 4);
    assert_int_equal(reader_left(&r), 0);
    /* No stream is longer than a varint can say. */
    struct writer w = writer_of(buf, ROOM);
    frame_write_stream(&w, 8, VARINT_MAX, 1, false);
    write_u8(&w, 'x');
    r = reader_of(buf, writer_len(&w));
    assert_int_equal(frame_read(&f, &r), ERR_MALFORMED);
}

static void path_probes(void **state)
{
    (void)state;
    static const uint8_t token[FRAME_CHALLENGE_LEN] = "12345678";
    struct writer w = writer_of(buf, ROOM);
    frame_write_challenge(&w, token);
    struct frame f = read_one(written(&w));
    assert_int_equal(f.type, FRAME_PATH_CHALLENGE);
    assert_memory_equal(f.u.path.token, token, sizeof(token));
    static const char *const seen[] = {"192.0.2.7:41741", "[2001:db8::7]:1"};
    for (size_t i = 0; i < 3; i++) {
        struct addr addr = {0};
        if (i < 2) {
            assert_int_equal(addr_parse(&addr, seen[i]), 0);
        }
        w = writer_of(buf, ROOM);
        frame_write_response(&w, token, i < 2 ? &addr : NULL);
        f = read_one(written(&w));
        assert_int_equal(f.type, FRAME_PATH_RESPONSE);
        assert_memory_equal(f.u.path.token, token, sizeof(token));
        assert_true(addr_equal(&f.u.path.seen, &addr));
    }
    buf[1 + FRAME_CHALLENGE_LEN] = 5; /* no such family */
    struct reader r = reader_of(buf, ROOM);
    assert_int_equal(frame_read(&f, &r), ERR_MALFORMED);
}

static void close_cuts_a_long_text(void **state)
{
    (void)state;
    char text[2 * FRAME_CLOSE_TEXT_MAX];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    struct writer w = writer_of(buf, ROOM);
    frame_write_close(&w, 3, text);
    struct frame f = read_one(written(&w));
    assert_int_equal(f.type, FRAME_CLOSE);
    assert_int_equal(f.u.close.cause, 3);
    assert_int_equal(f.u.close.len, FRAME_CLOSE_TEXT_MAX);
    w = writer_of(buf, ROOM);
    frame_write_close(&w, 3, "");
    assert_int_equal(read_one(written(&w)).u.close.len, 0);
}

static void candidates(void **state)
{
    (void)state;
    struct frame_candidate list[FRAME_CANDIDATES_MAX];
    for (size_t i = 0; i < FRAME_CANDIDATES_MAX; i++) {
        list[i] = (struct frame_candidate){(uint8_t)(i * 8), addr_ipv4(10, 0, 0, (uint8_t)i, 9)};
        if (i % 2) {
            assert_int_equal(addr_parse(&list[i].addr, "[2001:db8::1]:65535"), 0);
        }
    }
    for (size_t count = 0; count <= FRAME_CANDIDATES_MAX; count += 8) {
        struct writer w = writer_of(buf, ROOM);
        frame_write_candidates(&w, list, count);
        struct frame f = read_one(written(&w));
        assert_int_equal(f.type, FRAME_CANDIDATES);
        assert_int_equal(f.u.candidates.count, count);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(f.u.candidates.list[i].source, list[i].source);
            assert_true(addr_equal(&f.u.candidates.list[i].addr, &list[i].addr));
        }
    }
    struct frame f;
    struct reader r = reader_of("\x20\x21", 2); /* 33 of them */
    assert_int_equal(frame_read(&f, &r), ERR_MALFORMED);
    r = reader_of("\x20\x01\x00\x00", 4); /* without an address */
    assert_int_equal(frame_read(&f, &r), ERR_MALFORMED);
}

static void datagrams(void **state)
{
    (void)state;
    struct writer w = writer_of(buf, ROOM);
    frame_write_datagram(&w, 6, (const uint8_t *)"data", 4);
    struct frame f = read_one(written(&w));
    assert_int_equal(f.type, FRAME_DATAGRAM);
    assert_int_equal(f.u.datagram.stream, 6);
    assert_memory_equal(f.u.datagram.data, "data", 4);
    assert_int_equal(writer_len(&w), frame_datagram_overhead(6, 4) + 4);
}

static void parts_of_datagrams(void **state)
{
    (void)state;
    const struct frame_part part = {
        .stream = VARINT_MAX, .number = VARINT_MAX, .total = FRAME_DATAGRAM_MAX, .offset = 65820};
    struct writer w = writer_of(buf, ROOM);
    frame_write_datagram_part(&w, &part, 4);
    assert_int_equal(writer_len(&w), FRAME_PART_OVERHEAD - 3);
    write_bytes(&w, "data", 4);
    struct frame f = read_one(written(&w));
    assert_int_equal(f.type, FRAME_DATAGRAM_PART);
    assert_int_equal(f.u.datagram.stream, VARINT_MAX);
    assert_int_equal(f.u.datagram.number, VARINT_MAX);
    assert_int_equal(f.u.datagram.total, FRAME_DATAGRAM_MAX);
    assert_int_equal(f.u.datagram.offset, 65820);
    assert_int_equal(f.u.datagram.len, 4);
    assert_memory_equal(f.u.datagram.data, "data", 4);
}

/* Past its end, larger than any datagram, or empty. */
static void refuses_parts_that_cannot_be(void **state)
{
    (void)state;
    const struct frame_part bad[] = {{.total = 3},
                                     {.total = 10, .offset = 7},
                                     {.total = 10, .offset = VARINT_MAX},
                                     {.total = FRAME_DATAGRAM_MAX + 1}};
    struct frame f;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct writer w = writer_of(buf, ROOM);
        frame_write_datagram_part(&w, &bad[i], 4);
        write_bytes(&w, "data", 4);
        struct reader r = reader_of(buf, writer_len(&w));
        assert_int_equal(frame_read(&f, &r), ERR_MALFORMED);
    }
    struct writer w = writer_of(buf, ROOM);
    frame_write_datagram_part(&w, &(struct frame_part){.total = 4}, 0);
    struct reader r = reader_of(buf, writer_len(&w));
    assert_int_equal(frame_read(&f, &r), ERR_MALFORMED);
}

/* --- acknowledgements --- */

/* The most ranges, with gaps and lengths that grow from 1 to 8 bytes on the wire. */
static struct frame_ack make_ack(void)
{
    struct frame_ack ack = {.path = 3, .delay_us = 25000, .count = FRAME_ACK_RANGES_MAX};
    uint64_t at = VARINT_MAX;
    for (size_t i = 0; i < FRAME_ACK_RANGES_MAX; i++) {
        uint64_t step = UINT64_C(1) << (i % 55);
        ack.ranges[i].last = at;
        ack.ranges[i].first = at - (i % 3 ? step : 0);
        at = ack.ranges[i].first - 2 - (i % 5 ? step : 0);
    }
    return ack;
}

static void expect_same_ack(const struct frame_ack *got, const struct frame_ack *want, size_t count)
{
    assert_int_equal(got->path, want->path);
    assert_int_equal(got->delay_us, want->delay_us);
    assert_int_equal(got->count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(got->ranges[i].first, want->ranges[i].first);
        assert_int_equal(got->ranges[i].last, want->ranges[i].last);
    }
}

static void acknowledges_the_most_ranges(void **state)
{
    (void)state;
    struct frame_ack ack = make_ack();
    struct writer w = writer_of(buf, ROOM);
    frame_write_ack(&w, &ack);
    struct frame f = read_one(written(&w));
    assert_int_equal(f.type, FRAME_ACK);
    expect_same_ack(&f.u.ack, &ack, FRAME_ACK_RANGES_MAX);
    /* Down to packet 0. */
    ack = (struct frame_ack){.count = 2, .ranges = {{2, 2}, {0, 0}}};
    w = writer_of(buf, ROOM);
    frame_write_ack(&w, &ack);
    f = read_one(written(&w));
    expect_same_ack(&f.u.ack, &ack, 2);
}

static void acknowledges_the_newest_ranges_that_fit(void **state)
{
    (void)state;
    struct frame_ack ack = make_ack();
    struct writer w = writer_of(buf, ROOM);
    frame_write_ack(&w, &ack);
    size_t whole = writer_len(&w);
    size_t count_before = 0;
    for (size_t room = 0; room <= whole; room++) {
        w = writer_of(buf, room);
        frame_write_ack(&w, &ack);
        if (w.failed) {
            assert_int_equal(count_before, 0); /* only when not even one range fits */
            continue;
        }
        struct frame f = read_one(writer_len(&w));
        assert_true(f.u.ack.count >= count_before);
        count_before = f.u.ack.count;
        expect_same_ack(&f.u.ack, &ack, count_before);
    }
    assert_in_range(count_before, FRAME_ACK_RANGES_MAX - 1, FRAME_ACK_RANGES_MAX);
}

/* Path, largest, delay, count, first, {gap, length}*: all one byte each here. */
static void refuses_ranges_that_cannot_be(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        int result;
    } acks[] = {
        {"\x02\x01\x05\x00\x00\x05", 6, 0},                     /* 0..5 */
        {"\x02\x01\x05\x00\x00\x06", 6, ERR_MALFORMED},         /* first below 0 */
        {"\x02\x01\x05\x00\x01\x01\x02\x00", 8, 0},             /* 4..5, 0 */
        {"\x02\x01\x05\x00\x01\x01\x02\x01", 8, ERR_MALFORMED}, /* length below 0 */
        {"\x02\x01\x05\x00\x01\x01\x03\x00", 8, ERR_MALFORMED}, /* gap below 0 */
        {"\x02\x01\x05\x00\x01\x05\x00\x00", 8, ERR_MALFORMED}, /* nothing left below */
        {"\x02\x01\x05\x00\x40\x40\x00", 7, ERR_MALFORMED},     /* 65 ranges */
        {"\x02\x01\x05\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00", 13, ERR_MALFORMED},
    };
    for (size_t i = 0; i < sizeof(acks) / sizeof(acks[0]); i++) {
        struct frame f;
        struct reader r = reader_of(acks[i].bytes, acks[i].len);
        assert_int_equal(frame_read(&f, &r), acks[i].result);
    }
}

/* --- anything --- */

static bool is_defined(int type)
{
    switch (type) {
    case FRAME_PADDING:
    case FRAME_PING:
    case FRAME_ACK:
    case FRAME_RESET_AT_END:
    case FRAME_RESET:
    case FRAME_STOP:
    case FRAME_OPEN:
    case FRAME_ACCEPT:
    case FRAME_MAX_DATA:
    case FRAME_MAX_STREAM_DATA:
    case FRAME_MAX_STREAMS:
    case FRAME_PATH_CHALLENGE:
    case FRAME_PATH_RESPONSE:
    case FRAME_CLOSE:
    case FRAME_CANDIDATES:
    case FRAME_DATAGRAM:
    case FRAME_DATAGRAM_PART:
        return true;
    default:
        return (type >= FRAME_STREAM && type <= FRAME_STREAM + 3) || type == FRAME_OPEN_BOUND;
    }
}

static void refuses_types_it_does_not_define(void **state)
{
    (void)state;
    memset(buf, 0, sizeof(buf));
    for (int type = 0; type < 256; type++) {
        struct frame f;
        buf[0] = (uint8_t)type;
        struct reader r = reader_of(buf, 100);
        assert_int_equal(frame_read(&f, &r) == ERR_PROTOCOL, !is_defined(type));
    }
}

static void reads_random_bytes_without_harm(void **state)
{
    (void)state;
    struct pcg pcg;
    struct rng rng = pcg_rng(&pcg, 3);
    for (int round = 0; round < 20000; round++) {
        size_t len = 1 + rng_below(rng, 200);
        uint8_t *data = test_malloc(len);
        rng_fill(rng, data, len);
        data[0] &= 0x3f; /* mostly a type that exists */
        struct reader r = reader_of(data, len);
        while (reader_left(&r) > 0) {
            struct frame f;
            size_t before = reader_left(&r);
            int err = frame_read(&f, &r);
            if (err) {
                assert_true(err == ERR_MALFORMED || err == ERR_PROTOCOL);
                break;
            }
            assert_true(reader_left(&r) < before);
        }
        test_free(data);
    }
}

static void writers_fail_where_room_ends(void **state)
{
    (void)state;
    static const uint8_t token[FRAME_CHALLENGE_LEN];
    struct addr addr = addr_ipv4(1, 2, 3, 4, 5);
    struct frame_candidate one = {1, addr};
    for (int kind = 0; kind < 10; kind++) {
        size_t len = 0;
        for (size_t room = ROOM;; room = room == ROOM ? len - 1 : room - 1) {
            struct writer w = writer_of(buf, room);
            switch (kind) {
            case 0:
                frame_write_ping(&w);
                break;
            case 1:
                frame_write_padding(&w, 9);
                break;
            case 2:
                frame_write_reset(&w, 1, 2, 300, false);
                break;
            case 3:
                frame_write_stop(&w, 1, 2);
                break;
            case 4:
                frame_write_open(&w, 1, token, sizeof(token));
                break;
            case 5:
                frame_write_stream(&w, 1, 100, 5, true);
                break;
            case 6:
                frame_write_response(&w, token, &addr);
                break;
            case 7:
                frame_write_close(&w, 1, "text");
                break;
            case 8:
                frame_write_candidates(&w, &one, 1);
                break;
            default:
                frame_write_datagram(&w, 1, token, sizeof(token));
                break;
            }
            assert_int_equal(w.failed, room != ROOM);
            len = room == ROOM ? writer_len(&w) : len;
            if (room == 0) {
                break;
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ping_and_padding),
        cmocka_unit_test(reset_stop_and_limits),
        cmocka_unit_test(open_and_accept),
        cmocka_unit_test(open_of_a_bound_stream),
        cmocka_unit_test(stream_data),
        cmocka_unit_test(path_probes),
        cmocka_unit_test(close_cuts_a_long_text),
        cmocka_unit_test(candidates),
        cmocka_unit_test(datagrams),
        cmocka_unit_test(parts_of_datagrams),
        cmocka_unit_test(refuses_parts_that_cannot_be),
        cmocka_unit_test(acknowledges_the_most_ranges),
        cmocka_unit_test(acknowledges_the_newest_ranges_that_fit),
        cmocka_unit_test(refuses_ranges_that_cannot_be),
        cmocka_unit_test(refuses_types_it_does_not_define),
        cmocka_unit_test(reads_random_bytes_without_harm),
        cmocka_unit_test(writers_fail_where_room_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
