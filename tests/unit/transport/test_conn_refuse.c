/* A peer that breaks the rules, or has lost its mind. */
#include <base/clock.h>
#include <base/err.h>
#include <base/mem.h>

#include "support/conn_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int send_raw(struct conn_pair *p, uint64_t number, const struct writer *w)
{
    return conn_input(p->side[1], 1, number, 0, w->start, writer_len(w), p->now);
}

static void a_broken_peer_is_refused(void **state)
{
    (void)state;
    struct conn_pair p;
    conn_pair_init(&p);
    uint8_t raw[256];
    uint8_t data[16] = {0};
    uint64_t number = 0;
    const struct conn_limits limits = conn_pair_limits();

    struct writer w = writer_of(raw, sizeof(raw));
    frame_write_stream(&w, limits.streams_max << 1, 0, 1, false);
    write_bytes(&w, data, 1);
    assert_int_equal(send_raw(&p, number++, &w), ERR_STREAM_LIMIT);

    w = writer_of(raw, sizeof(raw));
    frame_write_stream(&w, 0, limits.stream_window - 3, 4, false);
    write_bytes(&w, data, 4);
    assert_int_equal(send_raw(&p, number++, &w), ERR_FLOW_CONTROL);

    w = writer_of(raw, sizeof(raw));
    frame_write_stream(&w, 0, 100, 4, true);
    write_bytes(&w, data, 4);
    assert_int_equal(send_raw(&p, number++, &w), 0);
    w = writer_of(raw, sizeof(raw));
    frame_write_stream(&w, 0, 104, 1, false);
    write_bytes(&w, data, 1);
    assert_int_equal(send_raw(&p, number++, &w), ERR_PROTOCOL);
    w = writer_of(raw, sizeof(raw));
    frame_write_reset(&w, 0, 1, 103, false);
    assert_int_equal(send_raw(&p, number++, &w), ERR_PROTOCOL);

    w = writer_of(raw, sizeof(raw));
    frame_write_accept(&w, 0, data, 1); /* for the peer's own stream */
    assert_int_equal(send_raw(&p, number++, &w), ERR_PROTOCOL);
    w = writer_of(raw, sizeof(raw));
    frame_write_max(&w, FRAME_MAX_STREAM_DATA, 1, 5); /* ours, never opened */
    assert_int_equal(send_raw(&p, number++, &w), ERR_PROTOCOL);

    const struct frame_ack ack = {.path = 1, .count = 1, .ranges = {{0, 1000}}};
    w = writer_of(raw, sizeof(raw));
    frame_write_ack(&w, &ack); /* of packets never sent */
    assert_int_equal(send_raw(&p, number++, &w), ERR_PROTOCOL);

    raw[0] = 0x3f;
    w = writer_of(raw, sizeof(raw));
    w.at++;
    assert_int_equal(send_raw(&p, number, &w), ERR_PROTOCOL);
    conn_pair_free(&p);
}

static void note_number(struct conn_pair *p, const struct conn_pair_packet *packet)
{
    uint64_t *last = p->spy_user;
    *last = packet->to == 1 && packet->path == 1 ? packet->number : *last;
}

/* RFC 9000 21.4: some numbers never left. */
static void who_acknowledges_what_never_came_is_found_out(void **state)
{
    (void)state;
    struct conn_pair p;
    conn_pair_init(&p);
    struct conn_end ends[2] = {{.to_write = 2000000}};
    uint64_t last = 0;
    uint8_t raw[64];
    p.spy = note_number;
    p.spy_user = &last;
    conn_pair_open(&p, &ends[0]);
    conn_pair_run_to_end(&p, ends, 60 * NS_PER_S);
    conn_pair_check_complete(&p, ends);
    assert_true(last > 1000);
    const struct frame_ack ack = {.path = 1, .count = 1, .ranges = {{0, last}}};
    struct writer w = writer_of(raw, sizeof(raw));
    frame_write_ack(&w, &ack);
    assert_int_equal(conn_input(p.side[0], 1, 1 << 20, 0, raw, writer_len(&w), p.now),
                     ERR_PROTOCOL);
    conn_pair_free(&p);
}

static void an_older_packet_brings_no_older_candidates(void **state)
{
    (void)state;
    struct conn_pair p;
    conn_pair_init(&p);
    uint8_t raw[64];
    struct conn_event ev;
    struct frame_candidate one = {.source = 1, .addr = {.family = ADDR_IPV4}};
    for (uint16_t number = 2; number >= 1; number--) {
        one.addr.port = number;
        struct writer w = writer_of(raw, sizeof(raw));
        frame_write_candidates(&w, &one, 1);
        assert_int_equal(send_raw(&p, number, &w), 0);
    }
    assert_true(conn_event(p.side[1], &ev));
    assert_int_equal(ev.u.candidates.list[0].addr.port, 2);
    assert_false(conn_event(p.side[1], &ev));
    conn_pair_free(&p);
}

static void session_credit_bounds_all_streams_together(void **state)
{
    (void)state;
    struct conn_pair p;
    conn_pair_init(&p);
    uint8_t raw[64];
    const struct conn_limits limits = conn_pair_limits();
    uint64_t streams = limits.session_window / limits.stream_window;
    for (uint64_t i = 0; i <= streams; i++) {
        struct writer w = writer_of(raw, sizeof(raw));
        frame_write_stream(&w, i << 1, limits.stream_window - 1, 1, false);
        write_u8(&w, 1);
        assert_int_equal(send_raw(&p, i, &w), i < streams ? 0 : ERR_FLOW_CONTROL);
    }
    conn_pair_free(&p);
}

static void data_before_its_open_waits(void **state)
{
    (void)state;
    struct conn_pair p;
    conn_pair_init(&p);
    uint8_t raw[64];
    struct conn_event ev;
    const uint8_t *at;
    bool fin;
    struct writer w = writer_of(raw, sizeof(raw));
    frame_write_stream(&w, 6, 0, 2, true);
    write_bytes(&w, "hi", 2);
    assert_int_equal(send_raw(&p, 1, &w), 0);
    assert_false(conn_event(p.side[1], &ev));
    assert_int_equal(conn_stream_peek(p.side[1], 6, &at, &fin), 0);
    w = writer_of(raw, sizeof(raw));
    frame_write_open(&w, 6, (const uint8_t *)"t", 1);
    frame_write_open(&w, 2, (const uint8_t *)"older", 5);
    assert_int_equal(send_raw(&p, 0, &w), 0);
    assert_true(conn_event(p.side[1], &ev));
    assert_int_equal(ev.type, CONN_EVENT_OPENED);
    assert_int_equal(ev.stream, 6);
    assert_true(conn_event(p.side[1], &ev));
    assert_int_equal(ev.type, CONN_EVENT_READABLE);
    assert_int_equal(conn_stream_peek(p.side[1], 6, &at, &fin), 2);
    assert_true(fin);
    assert_true(conn_event(p.side[1], &ev));
    assert_int_equal(ev.type, CONN_EVENT_OPENED);
    assert_int_equal(ev.stream, 2);
    assert_int_equal(ev.u.text.len, 5);
    conn_pair_free(&p);
}

/* Frames of a peer that has lost its mind: errors perhaps, but no crash and no leak. */
static void mangled_payloads_do_no_harm(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 150; seed++) {
        struct conn_pair p;
        conn_pair_init(&p);
        p.mangled = true;
        p.rng = pcg_rng(&p.pcg, seed);
        struct conn_end ends[2] = {{.to_write = 20000}, {.to_write = 20000}};
        conn_pair_open(&p, &ends[0]);
        int err = 0;
        for (int i = 0; i < 100 && err == 0 && conn_pair_step(&p); i++) {
            struct conn_event ev;
            for (size_t k = 0; k < p.count && err == 0; k++) {
                struct conn_pair_packet bad = p.wire[k];
                for (uint64_t n = rng_below(p.rng, 3) + 1; n > 0; n--) {
                    bad.data[rng_below(p.rng, bad.len < 40 ? bad.len : 40)] =
                        (uint8_t)rng_below(p.rng, 256);
                }
                err = conn_input(p.side[bad.to], 1, bad.number + 1000 + seed, 1, bad.data, bad.len,
                                 p.now);
            }
            for (int k = 0; k < 2 && err == 0; k++) {
                while (conn_event(p.side[k], &ev)) {
                    const uint8_t *at;
                    bool fin;
                    size_t len = conn_stream_peek(p.side[k], ev.stream, &at, &fin);
                    conn_stream_consume(p.side[k], ev.stream, len, p.now);
                    conn_stream_write(p.side[k], ev.stream, "some", 4);
                }
            }
            if (p.count > WIRE_MAX / 2) {
                break;
            }
        }
        conn_pair_free(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broken_peer_is_refused),
        cmocka_unit_test(who_acknowledges_what_never_came_is_found_out),
        cmocka_unit_test(an_older_packet_brings_no_older_candidates),
        cmocka_unit_test(session_credit_bounds_all_streams_together),
        cmocka_unit_test(data_before_its_open_waits),
        cmocka_unit_test(mangled_payloads_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
