/* Packets that go out by a second path as well: path 1 of the pair is in use, 2 gets the copies. */
#include <base/clock.h>

#include "support/conn_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What left side 0, by path. */
struct seen {
    uint64_t bytes[3];
    unsigned packets[3];
    uint64_t bound_bytes[3]; /* of stream number 1 */
};

static void note(struct conn_pair *p, const struct conn_pair_packet *packet)
{
    struct seen *seen = p->spy_user;
    struct reader r = reader_of(packet->data, packet->len);
    if (packet->to != 1) {
        return;
    }
    seen->packets[packet->path]++;
    while (reader_left(&r) > 0) {
        struct frame f;
        assert_int_equal(frame_read(&f, &r), 0);
        if (f.type == FRAME_STREAM) {
            uint64_t *bytes = f.u.stream.stream >> 1 == 1 ? seen->bound_bytes : seen->bytes;
            bytes[packet->path] += f.u.stream.len;
        }
    }
}

static void init(struct conn_pair *p, struct seen *seen, bool all)
{
    conn_pair_init(p);
    *seen = (struct seen){0};
    p->spy = note;
    p->spy_user = seen;
    p->reply_same = true;
    conn_path_copy(p->side[0], 2, all);
}

static uint64_t copied(const struct conn_pair *p)
{
    struct conn_stats stats;
    conn_stats(p->side[0], &stats);
    return stats.packets_copied;
}

static void everything_goes_out_twice_and_arrives_once(void **state)
{
    (void)state;
    struct conn_pair p;
    struct seen seen;
    init(&p, &seen, true);
    struct conn_end ends[2] = {{.to_write = 3000}, {.to_write = 100}};
    conn_pair_open(&p, &ends[0]);
    conn_pair_run_to_end(&p, ends, 5 * NS_PER_S);
    conn_pair_check_complete(&p, ends);
    assert_int_equal(seen.bytes[1], 3000);
    assert_int_equal(seen.bytes[2], 3000);
    assert_true(copied(&p) > 0);
    conn_pair_settle(&p);
    conn_pair_free(&p);
}

/* Whichever of both paths is dead: no byte is late. */
static void a_dead_path_costs_no_time(void **state)
{
    (void)state;
    uint64_t took[3];
    for (uint8_t dead = 0; dead < 3; dead++) {
        struct conn_pair p;
        struct seen seen;
        init(&p, &seen, true);
        p.delay_ns[1] = p.delay_ns[2] = 20 * NS_PER_MS;
        p.dead[dead] = dead != 0;
        struct conn_end ends[2] = {{.to_write = 3000}, {.to_write = 0}};
        conn_pair_open(&p, &ends[0]);
        uint64_t start = p.now;
        while (ends[1].read < 3000) {
            assert_true(conn_pair_step(&p));
            conn_pair_run_events(&p, ends);
        }
        took[dead] = p.now - start;
        conn_pair_free(&p);
    }
    assert_true(took[1] <= took[0] + NS_PER_MS);
    assert_true(took[2] <= took[0] + NS_PER_MS);
}

/* A lost copy is nobody's loss: it is sent again by neither path. */
static void a_lost_copy_is_not_made_up_for(void **state)
{
    (void)state;
    struct conn_pair p;
    struct seen seen;
    init(&p, &seen, true);
    p.dead[2] = true;
    struct conn_end ends[2] = {{.to_write = 30000}, {.to_write = 0}};
    conn_pair_open(&p, &ends[0]);
    conn_pair_run_to_end(&p, ends, 5 * NS_PER_S);
    conn_pair_check_complete(&p, ends);
    assert_int_equal(seen.bytes[1], 30000);
    struct conn_path_info info;
    assert_true(conn_path_info(p.side[0], 2, &info));
    assert_true(seen.bytes[2] <= info.cwnd); /* no more than a window of copies */
    conn_pair_settle(&p);
    conn_pair_free(&p);
}

static void what_is_bound_to_a_lane_is_not_copied(void **state)
{
    (void)state;
    struct conn_pair p;
    struct seen seen;
    init(&p, &seen, true);
    conn_path_use_for(p.side[0], FRAME_LANE_DIRECT, 1, false, p.now);
    struct conn_end free_end = {.to_write = 500};
    struct conn_end bound = {.to_write = 500};
    conn_pair_open(&p, &free_end);
    assert_int_equal(conn_stream_open(p.side[0], "target", 6, &bound.id), 0);
    assert_int_equal(conn_stream_bind(p.side[0], bound.id, FRAME_LANE_DIRECT), 0);
    conn_pair_feed(p.side[0], &bound);
    for (int i = 0; i < 50 && conn_pair_step(&p); i++) {
    }
    assert_int_equal(seen.bound_bytes[1], 500);
    assert_int_equal(seen.bound_bytes[2], 0);
    conn_pair_free(&p);
}

/* Standing by: nothing is copied until a timeout, and then what is sent again. */
static void without_all_only_probes_are_copied(void **state)
{
    (void)state;
    struct conn_pair p;
    struct seen seen;
    init(&p, &seen, false);
    struct conn_end ends[2] = {{.to_write = 3000}, {.to_write = 0}};
    conn_pair_open(&p, &ends[0]);
    conn_pair_run_to_end(&p, ends, 5 * NS_PER_S);
    assert_int_equal(copied(&p), 0);
    assert_int_equal(seen.bytes[2], 0);
    p.dead[1] = true;
    struct conn_end more[2] = {{.to_write = 400}, {.to_write = 0}};
    conn_pair_open(&p, &more[0]);
    while (more[1].read < 400) {
        assert_true(conn_pair_step(&p));
        conn_pair_run_events(&p, more);
    }
    assert_in_range(copied(&p), 1, 2); /* two probes a timeout */
    assert_int_equal(seen.bytes[2] + seen.bound_bytes[2], 400);
    conn_pair_free(&p);
}

static void a_blocked_or_closed_path_gets_none(void **state)
{
    (void)state;
    for (int closed = 0; closed < 2; closed++) {
        struct conn_pair p;
        struct seen seen;
        init(&p, &seen, true);
        if (closed) {
            conn_path_close(p.side[0], 2, p.now);
            assert_int_equal(conn_path_copies(p.side[0]), 0);
        } else {
            conn_path_block(p.side[0], 2, true);
        }
        struct conn_end ends[2] = {{.to_write = 3000}, {.to_write = 0}};
        conn_pair_open(&p, &ends[0]);
        conn_pair_run_to_end(&p, ends, 5 * NS_PER_S);
        conn_pair_check_complete(&p, ends);
        assert_int_equal(seen.packets[2], 0);
        conn_pair_free(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_goes_out_twice_and_arrives_once),
        cmocka_unit_test(a_dead_path_costs_no_time),
        cmocka_unit_test(a_lost_copy_is_not_made_up_for),
        cmocka_unit_test(what_is_bound_to_a_lane_is_not_copied),
        cmocka_unit_test(without_all_only_probes_are_copied),
        cmocka_unit_test(a_blocked_or_closed_path_gets_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
