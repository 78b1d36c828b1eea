#include "wire/websocket.h"

#include <base/err.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

static const uint8_t mask[WS_MASK] = {0x37, 0xfa, 0x21, 0x3d};

struct got {
    uint8_t data[200000];
    size_t len;
    unsigned pings, pongs, closes;
    uint8_t control[WS_CONTROL_MAX];
    size_t control_len;
};

/* Feeds `step` bytes at a time, in place if `in_place`; the reader's last word. */
static int feed(struct ws_reader *r, const uint8_t *bytes, size_t len, size_t step, struct got *got)
{
    memset(got, 0, sizeof(*got));
    for (size_t i = 0; i < len; i += step) {
        size_t part = len - i < step ? len - i : step;
        uint8_t *copy = malloc(part);
        assert_non_null(copy);
        memcpy(copy, bytes + i, part);
        const uint8_t *at = copy;
        struct ws_piece piece;
        int word;
        while ((word = ws_read(r, &at, copy + part, copy, part, &piece)) > 0) {
            if (piece.opcode == WS_BINARY) {
                memcpy(got->data + got->len, piece.data, piece.len);
                got->len += piece.len;
                continue;
            }
            got->pings += piece.opcode == WS_PING;
            got->pongs += piece.opcode == WS_PONG;
            got->closes += piece.opcode == WS_CLOSE;
            memcpy(got->control, piece.data, piece.len);
            got->control_len = piece.len;
        }
        if (word < 0) {
            free(copy);
            return word;
        }
        assert_ptr_equal(at, copy + part);
        free(copy);
    }
    return 0;
}

/* RFC 6455 section 5.7, with text made binary. */
static void the_rfcs_examples_are_read(void **state)
{
    (void)state;
    static const uint8_t single[] = {0x82, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f};
    static const uint8_t masked[] = {0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d,
                                     0x7f, 0x9f, 0x4d, 0x51, 0x58};
    static const uint8_t parts[] = {0x02, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f};
    static const uint8_t ping[] = {0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f};
    static struct got got;
    for (size_t step = 1; step < 20; step++) {
        struct ws_reader r;
        ws_reader_init(&r, false);
        assert_int_equal(feed(&r, single, sizeof(single), step, &got), 0);
        assert_int_equal(got.len, 5);
        assert_memory_equal(got.data, "Hello", 5);
        assert_int_equal(feed(&r, parts, sizeof(parts), step, &got), 0);
        assert_int_equal(got.len, 5);
        assert_memory_equal(got.data, "Hello", 5);
        assert_int_equal(feed(&r, ping, sizeof(ping), step, &got), 0);
        assert_int_equal(got.pings, 1);
        assert_int_equal(got.control_len, 5);
        assert_memory_equal(got.control, "Hello", 5);
        ws_reader_init(&r, true);
        assert_int_equal(feed(&r, masked, sizeof(masked), step, &got), 0);
        assert_int_equal(got.len, 5);
        assert_memory_equal(got.data, "Hello", 5);
    }
}

static void what_is_written_is_read_again(void **state)
{
    (void)state;
    static const size_t lens[] = {0, 1, 125, 126, 127, 4000, WS_MESSAGE_MAX, 65535};
    static uint8_t data[65535];
    static uint8_t frame[65535 + WS_HEADER_MAX];
    static struct got got;
    randombytes_buf(data, sizeof(data));
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        for (int server = 0; server < 2; server++) {
            struct ws_reader r;
            size_t head = ws_write_header(frame, WS_BINARY, lens[i], server ? mask : NULL);
            assert_true(head <= WS_HEADER_MAX);
            if (server) {
                ws_mask(frame + head, data, lens[i], mask, 0);
            } else {
                memcpy(frame + head, data, lens[i]);
            }
            ws_reader_init(&r, server != 0);
            for (size_t step = 1; step < 70000; step = step * 7 + 1) {
                assert_int_equal(feed(&r, frame, head + lens[i], step, &got), 0);
                assert_int_equal(got.len, lens[i]);
                assert_memory_equal(got.data, data, lens[i]);
            }
        }
    }
}

static void masking_goes_on_where_it_stopped(void **state)
{
    (void)state;
    uint8_t data[40];
    uint8_t whole[40];
    uint8_t parts[40];
    randombytes_buf(data, sizeof(data));
    ws_mask(whole, data, sizeof(data), mask, 0);
    for (size_t cut = 0; cut <= sizeof(data); cut++) {
        ws_mask(parts, data, cut, mask, 0);
        ws_mask(parts + cut, data + cut, sizeof(data) - cut, mask, cut);
        assert_memory_equal(parts, whole, sizeof(whole));
    }
}

static void a_control_frame_may_stand_inside_a_message(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x02, 0x01, 'a', 0x89, 0x01, 'p', 0x80, 0x01, 'b', 0x88, 0x00};
    static struct got got;
    struct ws_reader r;
    ws_reader_init(&r, false);
    assert_int_equal(feed(&r, bytes, sizeof(bytes), 100, &got), 0);
    assert_int_equal(got.len, 2);
    assert_memory_equal(got.data, "ab", 2);
    assert_int_equal(got.pings, 1);
    assert_int_equal(got.closes, 1);
}

static void what_breaks_the_rules_is_refused(void **state)
{
    (void)state;
    static const struct {
        bool server;
        uint8_t bytes[16];
        size_t len;
    } bad[] = {
        {false, {0x81, 0x01, 'x'}, 3},                        /* text */
        {false, {0x83, 0x00}, 2},                             /* no such opcode */
        {false, {0xc2, 0x00}, 2},                             /* a reserved bit */
        {false, {0x80, 0x01, 'x'}, 3},                        /* goes on with nothing */
        {false, {0x02, 0x00, 0x82, 0x00}, 4},                 /* begins inside another one */
        {false, {0x09, 0x00}, 2},                             /* a control frame in parts */
        {false, {0x89, 0x7e, 0x00, 0x7e}, 4},                 /* a long one */
        {false, {0x82, 0x80, 1, 2, 3, 4}, 6},                 /* a server that masks */
        {true, {0x82, 0x01, 'x', 0, 0, 0, 0}, 7},             /* a client that does not */
        {false, {0x82, 0x7f, 0xff, 0, 0, 0, 0, 0, 0, 0}, 10}, /* longer than any */
    };
    static struct got got;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        for (size_t step = 1; step < 20; step += 18) {
            struct ws_reader r;
            ws_reader_init(&r, bad[i].server);
            assert_int_equal(feed(&r, bad[i].bytes, bad[i].len, step, &got), ERR_PROTOCOL);
        }
    }
}

static void the_proof_is_that_of_the_rfc(void **state)
{
    (void)state;
    char out[WS_ACCEPT_TEXT];
    assert_true(ws_is_available());
    assert_true(ws_accept(out, "dGhlIHNhbXBsZSBub25jZQ=="));
    assert_string_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_false(ws_accept(out, ""));
    assert_false(ws_accept(out, "dGhlIHNhbXBsZSBub25jZQ"));
    assert_false(ws_accept(out, "dGhlIHNhbXBsZSBub25jZ!=="));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rfcs_examples_are_read),
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(masking_goes_on_where_it_stopped),
        cmocka_unit_test(a_control_frame_may_stand_inside_a_message),
        cmocka_unit_test(what_breaks_the_rules_is_refused),
        cmocka_unit_test(the_proof_is_that_of_the_rfc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
