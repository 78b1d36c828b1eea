/* Datagrams between two conns: which are taken, on which path they go, and what becomes of those
 * that cannot be delivered. */
#include <base/err.h>
#include <base/mem.h>

#include "support/conn_pair.h"
#include "wire/packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static uint8_t bytes[FRAME_DATAGRAM_MAX + 1];

struct got {
    size_t count, opened, reset;
    uint64_t stream, last_len;
};

/* Takes the events of one side; streams of the peer are accepted if asked for. */
static void take(struct conn_pair *p, int side, struct got *g, bool accept)
{
    struct conn_event ev;
    while (conn_event(p->side[side], &ev)) {
        if (ev.type == CONN_EVENT_OPENED) {
            g->opened++;
            g->stream = ev.stream;
            if (accept) {
                assert_int_equal(conn_stream_accept(p->side[side], ev.stream, NULL, 0), 0);
            }
        } else if (ev.type == CONN_EVENT_DATAGRAM) {
            g->count++;
            g->last_len = ev.u.datagram.len;
            assert_memory_equal(ev.u.datagram.data, bytes, ev.u.datagram.len);
        } else if (ev.type == CONN_EVENT_RESET) {
            g->reset++;
        }
    }
}

static uint64_t open_flow(struct conn_pair *p)
{
    uint64_t id;
    assert_int_equal(conn_stream_open(p->side[0], "udp", 3, &id), 0);
    return id;
}

static int send_to(struct conn_pair *p, int side, uint64_t id, size_t len)
{
    return conn_datagram_send(p->side[side], id, bytes, len, p->now);
}

static void run(struct conn_pair *p, uint64_t ns, struct got *a, struct got *b)
{
    uint64_t until = p->now + ns;
    while (p->now < until && conn_pair_step(p)) {
        take(p, 0, a, false);
        take(p, 1, b, true);
    }
}

static struct conn_stats stats_of(const struct conn_pair *p, int side)
{
    struct conn_stats s;
    conn_stats(p->side[side], &s);
    return s;
}

static void they_go_both_ways(void **state)
{
    (void)state;
    struct conn_pair p;
    struct got a = {0}, b = {0};
    conn_pair_init(&p);
    uint64_t id = open_flow(&p);
    assert_int_equal(send_to(&p, 0, id, 0), 0);
    assert_int_equal(send_to(&p, 0, id, 1200), 0);
    assert_int_equal(send_to(&p, 0, id, FRAME_DATAGRAM_MAX), 0);
    run(&p, NS_PER_S, &a, &b);
    assert_int_equal(b.count, 3);
    assert_int_equal(b.last_len, FRAME_DATAGRAM_MAX);
    assert_int_equal(send_to(&p, 1, b.stream, 5000), 0);
    run(&p, NS_PER_S, &a, &b);
    assert_int_equal(a.count, 1);
    assert_int_equal(a.last_len, 5000);
    struct conn_stats out = stats_of(&p, 0), in = stats_of(&p, 1);
    assert_int_equal(out.datagrams_out, 3);
    assert_int_equal(in.datagrams_in, 3);
    assert_int_equal(in.bytes_in, 1200 + FRAME_DATAGRAM_MAX);
    assert_int_equal(in.datagrams_lost + out.datagrams_lost, 0);
    assert_int_equal(out.datagrams_expired + out.datagrams_refused, 0);
    conn_pair_free(&p);
}

static void what_cannot_be_sent_is_said(void **state)
{
    (void)state;
    struct conn_pair p;
    struct conn_event ev;
    conn_pair_init(&p);
    uint64_t id = open_flow(&p);
    assert_int_equal(send_to(&p, 0, id + 2, 1), ERR_NOT_FOUND);
    assert_int_equal(send_to(&p, 0, id, FRAME_DATAGRAM_MAX + 1), ERR_TOO_LARGE);
    do {
        assert_true(conn_pair_step(&p));
    } while (!conn_event(p.side[1], &ev));
    assert_int_equal(ev.type, CONN_EVENT_OPENED);
    assert_int_equal(send_to(&p, 1, ev.stream, 1), ERR_STATE); /* not accepted */
    assert_int_equal(conn_stream_accept(p.side[1], ev.stream, NULL, 0), 0);
    assert_int_equal(send_to(&p, 1, ev.stream, 1), 0);
    assert_int_equal(conn_stream_finish(p.side[0], id), 0);
    assert_int_equal(send_to(&p, 0, id, 1), ERR_STATE);
    conn_pair_free(&p);
}

/* One stream cannot take it all, and the ceiling is one for all. */
static void queues_are_bounded_and_shared(void **state)
{
    (void)state;
    enum { LEN = 1000, HELD = LEN + 40, STREAMS = 5 };
    struct conn_limits limits = conn_pair_limits();
    struct conn_pair p;
    struct got a = {0}, b = {0};
    limits.datagrams_max = 100000;
    conn_pair_init_with(&p, &limits);
    size_t total = 0;
    for (size_t i = 0; i < STREAMS; i++) {
        uint64_t id = open_flow(&p);
        size_t own = 0;
        while (send_to(&p, 0, id, LEN) == 0) {
            own++;
        }
        assert_true(own <= limits.datagrams_max / 4 / LEN);
        total += own;
    }
    assert_in_range(total, 90, limits.datagrams_max / HELD + 1);
    assert_int_equal(stats_of(&p, 0).datagrams_refused, STREAMS);
    run(&p, NS_PER_S, &a, &b);
    struct conn_stats out = stats_of(&p, 0);
    assert_int_equal(out.datagrams_out + out.datagrams_expired, total);
    assert_int_equal(b.count, out.datagrams_out);
    conn_pair_free(&p);
}

/* Nobody fetches: what comes past the ceiling is lost, and counted. */
static void a_receiver_that_sleeps_holds_so_much(void **state)
{
    (void)state;
    struct conn_limits limits = conn_pair_limits();
    struct conn_pair p;
    struct got b = {0};
    limits.datagrams_max = 100000;
    conn_pair_init_with(&p, &limits);
    uint64_t id = open_flow(&p);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(send_to(&p, 0, id, 1000), 0);
        uint64_t until = p.now + 5 * NS_PER_MS;
        while (p.now < until && conn_pair_step(&p)) {
        }
    }
    while (conn_pair_step(&p)) {
    }
    take(&p, 1, &b, true);
    assert_int_equal(b.count, 25);
    assert_int_equal(stats_of(&p, 1).datagrams_lost, 175);
    conn_pair_free(&p);
}

static void they_end_with_their_stream(void **state)
{
    (void)state;
    struct conn_pair p;
    struct got a = {0}, b = {0};
    conn_pair_init(&p);
    uint64_t id = open_flow(&p);
    assert_int_equal(send_to(&p, 0, id, 10), 0);
    run(&p, 100 * NS_PER_MS, &a, &b);
    assert_int_equal(b.count, 1);
    assert_int_equal(send_to(&p, 0, id, FRAME_DATAGRAM_MAX), 0);
    assert_int_equal(conn_stream_abort(p.side[0], id, 7), 0);
    assert_int_equal(send_to(&p, 0, id, 10), ERR_STATE);
    run(&p, NS_PER_S, &a, &b);
    assert_int_equal(b.count, 1);
    assert_int_equal(b.reset, 1);
    assert_int_equal(stats_of(&p, 0).datagrams_expired, 1);
    assert_int_equal(conn_stream_count(p.side[0]), 0);
    assert_int_equal(conn_next_ns(p.side[0]), TIME_NEVER);
    conn_pair_free(&p);
}

static size_t put_datagram(uint8_t *out, uint64_t stream)
{
    struct writer w = writer_of(out, 64);
    frame_write_datagram(&w, stream, bytes, 10);
    return writer_len(&w);
}

/* It makes no stream, and waits for none. */
static void one_that_overtook_its_open_is_lost(void **state)
{
    (void)state;
    struct conn_pair p;
    struct got b = {0};
    uint8_t payload[64];
    conn_pair_init(&p);
    size_t len = put_datagram(payload, 0);
    assert_int_equal(conn_input(p.side[1], 1, 0, 1, payload, len, p.now), 0);
    take(&p, 1, &b, true);
    assert_int_equal(b.count + b.opened, 0);
    assert_int_equal(stats_of(&p, 1).datagrams_lost, 1);
    assert_int_equal(conn_stream_count(p.side[1]), 0);
    len = put_datagram(payload, 1); /* of ours, that we never opened */
    assert_int_equal(conn_input(p.side[1], 1, 1, 1, payload, len, p.now), ERR_PROTOCOL);
    conn_pair_free(&p);
}

/* Path 1 is everybody's, path 2 that of the bound: neither's datagrams go with the other's. */
static void bound_flows_stay_on_their_lane(void **state)
{
    (void)state;
    struct conn_pair p;
    struct got a = {0}, b = {0};
    struct conn_path_info info;
    conn_pair_init(&p);
    uint64_t bound = open_flow(&p), any = open_flow(&p);
    assert_int_equal(conn_stream_bind(p.side[0], bound, FRAME_LANE_RELAY), 0);
    assert_int_equal(send_to(&p, 0, bound, 50000), 0);
    run(&p, 100 * NS_PER_MS, &a, &b);
    assert_int_equal(b.count, 0); /* there is no such path: it waits */
    conn_path_use_for(p.side[0], FRAME_LANE_RELAY, 2, false, p.now);
    run(&p, NS_PER_S, &a, &b);
    assert_int_equal(b.count, 1);
    assert_true(conn_path_info(p.side[0], 2, &info));
    assert_in_range(info.bytes_sent, 50000, 60000);
    assert_true(conn_path_info(p.side[0], 1, &info));
    assert_true(info.bytes_sent < 2000);
    assert_int_equal(send_to(&p, 0, any, 50000), 0);
    run(&p, NS_PER_S, &a, &b);
    assert_int_equal(b.count, 2);
    assert_true(conn_path_info(p.side[0], 1, &info));
    assert_in_range(info.bytes_sent, 50000, 60000);
    conn_pair_free(&p);
}

/* Datagrams are lost then, and nothing else. */
static void without_memory_they_are_refused_or_lost(void **state)
{
    (void)state;
    for (size_t n = 1; n < 40; n++) {
        struct conn_pair p;
        struct got a = {0}, b = {0};
        conn_pair_init(&p);
        uint64_t id = open_flow(&p);
        run(&p, 200 * NS_PER_MS, &a, &b);
        mem_fail_after(n);
        int err = send_to(&p, 0, id, 20000);
        assert_true(err == 0 || err == ERR_NO_MEMORY);
        uint64_t until = p.now + 100 * NS_PER_MS;
        while (p.now < until && conn_pair_step(&p)) {
        }
        mem_fail_after(0);
        assert_int_equal(send_to(&p, 0, id, 20000), 0);
        run(&p, NS_PER_S, &a, &b);
        assert_true(b.count >= 1);
        assert_int_equal(b.reset, 0);
        conn_pair_free(&p);
    }
}

int main(void)
{
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 11 + i / 251);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_go_both_ways),
        cmocka_unit_test(what_cannot_be_sent_is_said),
        cmocka_unit_test(queues_are_bounded_and_shared),
        cmocka_unit_test(a_receiver_that_sleeps_holds_so_much),
        cmocka_unit_test(they_end_with_their_stream),
        cmocka_unit_test(one_that_overtook_its_open_is_lost),
        cmocka_unit_test(bound_flows_stay_on_their_lane),
        cmocka_unit_test(without_memory_they_are_refused_or_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
