/* Streams that are bound to a kind of path: path 1 of the pair is direct, path 2 a relay's. */
#include <base/clock.h>
#include <base/err.h>

#include "support/conn_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STREAMS = 3 };

/* Bytes of streams, and targets, that left by path, for each of three streams. */
struct seen {
    uint64_t bytes[STREAMS][3];
    unsigned opens[STREAMS][3];
    unsigned bare; /* opens without a target */
};

static void note(struct conn_pair *p, const struct conn_pair_packet *packet)
{
    struct seen *seen = p->spy_user;
    struct reader r = reader_of(packet->data, packet->len);
    while (reader_left(&r) > 0) {
        struct frame f;
        assert_int_equal(frame_read(&f, &r), 0);
        if (f.type == FRAME_STREAM) {
            assert_true(f.u.stream.stream >> 1 < STREAMS);
            seen->bytes[f.u.stream.stream >> 1][packet->path] += f.u.stream.len;
        } else if (f.type == FRAME_OPEN && f.u.open.len == 0) {
            seen->bare++;
        } else if (f.type == FRAME_OPEN) {
            seen->opens[f.u.open.stream >> 1][packet->path]++;
        }
    }
}

static void init(struct conn_pair *p, struct seen *seen)
{
    conn_pair_init(p);
    *seen = (struct seen){0};
    p->spy = note;
    p->spy_user = seen;
}

static void use(struct conn_pair *p, enum frame_lane lane, uint8_t path, bool resend)
{
    for (int i = 0; i < 2; i++) {
        conn_path_use_for(p->side[i], lane, path, resend, p->now);
    }
}

static void open_bound(struct conn_pair *p, struct conn_end *e, enum frame_lane lane)
{
    assert_int_equal(conn_stream_open(p->side[0], "target", 6, &e->id), 0);
    assert_int_equal(conn_stream_bind(p->side[0], e->id, lane), 0);
    conn_pair_feed(p->side[0], e);
}

static void steps(struct conn_pair *p, struct conn_end *ends, int count)
{
    for (int i = 0; i < count && conn_pair_step(p); i++) {
        conn_pair_run_events(p, ends);
    }
}

/* --- one stream --- */

static void it_waits_for_a_path_of_its_lane(void **state)
{
    (void)state;
    for (int lane = FRAME_LANE_DIRECT; lane <= FRAME_LANE_RELAY; lane++) {
        struct conn_pair p;
        struct seen seen;
        uint8_t mine = lane == FRAME_LANE_DIRECT ? 1 : 2;
        uint8_t other = (uint8_t)(3 - mine);
        init(&p, &seen);
        p.hash_drop = 30;
        use(&p, FRAME_LANE_ANY, other, false);
        struct conn_end ends[2] = {{.to_write = 300000}, {.to_write = 200000}};
        open_bound(&p, &ends[0], (enum frame_lane)lane);
        steps(&p, ends, 1000);
        assert_false(ends[1].opened);
        assert_int_equal(conn_next_ns(p.side[0]), TIME_NEVER);
        use(&p, (enum frame_lane)lane, mine, false);
        conn_pair_run_to_end(&p, ends, 60 * NS_PER_S);
        conn_pair_check_complete(&p, ends);
        assert_int_equal(seen.bytes[0][other] + seen.opens[0][other], 0);
        assert_true(seen.bytes[0][mine] >= 500000);
        conn_pair_settle(&p);
        conn_pair_free(&p);
    }
}

/* What was in flight when its path died must not come out on the other path. */
static void what_is_lost_is_sent_again_in_its_lane(void **state)
{
    (void)state;
    struct conn_pair p;
    struct seen seen;
    init(&p, &seen);
    use(&p, FRAME_LANE_DIRECT, 1, false);
    struct conn_end ends[2] = {{.to_write = 900000}, {.to_write = 900000}};
    open_bound(&p, &ends[0], FRAME_LANE_DIRECT);
    while (ends[0].read < 100000 || ends[1].read < 100000) {
        steps(&p, ends, 1);
    }
    p.dead[1] = true;
    p.count = 0;
    use(&p, FRAME_LANE_ANY, 2, true);
    steps(&p, ends, 50); /* probes go out */
    use(&p, FRAME_LANE_DIRECT, 0, true);
    steps(&p, ends, 2000);
    assert_int_equal(seen.bytes[0][2], 0);
    struct conn_path_info info;
    assert_true(conn_path_info(p.side[0], 1, &info));
    assert_int_equal(info.in_flight, 0);
    p.dead[1] = false;
    use(&p, FRAME_LANE_DIRECT, 1, false);
    conn_pair_run_to_end(&p, ends, 10 * NS_PER_S);
    conn_pair_check_complete(&p, ends);
    assert_int_equal(seen.bytes[0][2] + seen.opens[0][2], 0);
    conn_pair_settle(&p);
    conn_pair_free(&p);
}

static void a_closed_path_leaves_its_lane_without_one(void **state)
{
    (void)state;
    struct conn_pair p;
    struct seen seen;
    init(&p, &seen);
    use(&p, FRAME_LANE_DIRECT, 1, false);
    struct conn_end ends[2] = {{.to_write = 900000}, {.to_write = 10}};
    open_bound(&p, &ends[0], FRAME_LANE_DIRECT);
    while (ends[1].read < 100000) {
        steps(&p, ends, 1);
    }
    for (int i = 0; i < 2; i++) {
        conn_path_close(p.side[i], 1, p.now);
    }
    p.count = 0;
    use(&p, FRAME_LANE_ANY, 2, false);
    steps(&p, ends, 2000);
    assert_int_equal(conn_path_used_for(p.side[0], FRAME_LANE_DIRECT), 0);
    assert_int_equal(seen.bytes[0][2], 0);
    for (int i = 0; i < 2; i++) {
        conn_path_open(p.side[i], 1, MTU, p.now);
    }
    use(&p, FRAME_LANE_DIRECT, 1, false);
    conn_pair_run_to_end(&p, ends, 10 * NS_PER_S);
    conn_pair_check_complete(&p, ends);
    assert_int_equal(seen.bytes[0][2], 0);
    conn_pair_free(&p);
}

/* --- giving up --- */

/* The opener has waited long enough. The peer hears that there was a stream, but not where to. */
static void a_stream_that_never_had_a_path_can_be_given_up(void **state)
{
    (void)state;
    struct conn_pair p;
    struct seen seen;
    init(&p, &seen);
    use(&p, FRAME_LANE_ANY, 2, false);
    struct conn_end ends[2] = {{.to_write = 5000}, {0}};
    open_bound(&p, &ends[0], FRAME_LANE_DIRECT);
    steps(&p, ends, 100);
    assert_int_equal(conn_stream_abort(p.side[0], ends[0].id, 6), 0);
    conn_pair_run_to_end(&p, ends, NS_PER_S);
    assert_true(ends[1].reset);
    assert_int_equal(ends[1].cause, 6);
    assert_string_equal(ends[1].text, "");
    assert_int_equal(seen.bare, 1);
    assert_int_equal(seen.opens[0][1] + seen.opens[0][2], 0);
    assert_int_equal(seen.bytes[0][1] + seen.bytes[0][2], 0);
    conn_pair_settle(&p);
    conn_pair_free(&p);
}

/* Either side, after its lane has died under it. */
static void a_stream_whose_path_died_can_be_given_up(void **state)
{
    (void)state;
    for (int who = 0; who < 2; who++) {
        struct conn_pair p;
        struct seen seen;
        init(&p, &seen);
        use(&p, FRAME_LANE_DIRECT, 1, false);
        struct conn_end ends[2] = {{.to_write = 1 << 30}, {.to_write = 1 << 30}};
        open_bound(&p, &ends[0], FRAME_LANE_DIRECT);
        while (ends[1].read < 100000) {
            steps(&p, ends, 1);
        }
        p.dead[1] = true;
        use(&p, FRAME_LANE_ANY, 2, true);
        assert_int_equal(conn_stream_abort(p.side[who], ends[who].id, 6), 0);
        conn_pair_run_to_end(&p, ends, NS_PER_S);
        assert_true(ends[1 - who].reset);
        assert_int_equal(seen.bytes[0][2], 0);
        conn_pair_settle(&p);
        conn_pair_free(&p);
    }
}

static void it_is_bound_before_anything_leaves_or_not_at_all(void **state)
{
    (void)state;
    struct conn_pair p;
    struct conn_event ev;
    conn_pair_init(&p);
    uint64_t id;
    assert_int_equal(conn_stream_bind(p.side[0], 8, FRAME_LANE_DIRECT), ERR_NOT_FOUND);
    assert_int_equal(conn_stream_open(p.side[0], "t", 1, &id), 0);
    assert_int_equal(conn_stream_bind(p.side[0], id, FRAME_LANE_DIRECT), 0);
    assert_int_equal(conn_stream_bind(p.side[0], id, FRAME_LANE_ANY), 0);
    while (!conn_event(p.side[1], &ev)) {
        assert_true(conn_pair_step(&p));
    }
    assert_int_equal(ev.type, CONN_EVENT_OPENED);
    assert_int_equal(conn_stream_bind(p.side[0], id, FRAME_LANE_RELAY), ERR_STATE);
    assert_int_equal(conn_stream_bind(p.side[1], id, FRAME_LANE_RELAY), ERR_STATE);
    conn_pair_free(&p);
}

/* --- several --- */

struct many {
    struct conn_end ends[STREAMS][2];
};

static void run_many(struct conn_pair *p, struct many *m)
{
    struct conn_event ev;
    (void)conn_pair_step(p);
    for (int side = 0; side < 2; side++) {
        while (conn_event(p->side[side], &ev)) {
            if (ev.type <= CONN_EVENT_GONE) {
                conn_pair_note_event(p, side, &m->ends[ev.stream >> 1][side], &ev);
            }
        }
    }
}

/* One stream of each kind at the same time; the choice for those that are not bound goes to and
 * fro meanwhile, so that lanes share a path and part again. */
static void each_keeps_to_its_lane_while_the_choice_moves(void **state)
{
    (void)state;
    struct conn_pair p;
    struct seen seen;
    struct many m = {0};
    init(&p, &seen);
    p.hash_drop = 10;
    use(&p, FRAME_LANE_DIRECT, 1, false);
    use(&p, FRAME_LANE_RELAY, 2, false);
    for (int i = 0; i < STREAMS; i++) {
        m.ends[i][0].to_write = m.ends[i][1].to_write = 600000;
        open_bound(&p, &m.ends[i][0], (enum frame_lane)i);
    }
    bool gone = false;
    for (unsigned round = 0; !gone; round++) {
        assert_true(round < 200000);
        if (round % 150 == 0) {
            use(&p, FRAME_LANE_ANY, 1 + (round / 150) % 2, round / 150 % 3 == 0);
        }
        run_many(&p, &m);
        gone = true;
        for (int i = 0; i < STREAMS; i++) {
            gone = gone && m.ends[i][0].gone && m.ends[i][1].gone;
        }
    }
    for (int i = 0; i < STREAMS; i++) {
        conn_pair_check_complete(&p, m.ends[i]);
    }
    assert_true(seen.bytes[0][1] > 50000 && seen.bytes[0][2] > 50000);
    assert_int_equal(seen.bytes[1][2] + seen.opens[1][2], 0);
    assert_int_equal(seen.bytes[2][1] + seen.opens[2][1], 0);
    assert_int_equal(seen.opens[1][1] > 0, true);
    conn_pair_free(&p);
}

/* A stream that is bound to the path that all use gets no more of it than its neighbour. */
static void lanes_on_one_path_take_turns(void **state)
{
    (void)state;
    struct conn_pair p;
    struct seen seen;
    struct many m = {0};
    init(&p, &seen);
    use(&p, FRAME_LANE_DIRECT, 1, false);
    for (int i = 0; i < STREAMS; i++) {
        m.ends[i][0].to_write = 2000000;
        open_bound(&p, &m.ends[i][0], i == 2 ? FRAME_LANE_DIRECT : FRAME_LANE_ANY);
    }
    while (!m.ends[0][1].gone && !m.ends[1][1].gone && !m.ends[2][1].gone) {
        run_many(&p, &m);
    }
    for (int i = 0; i < STREAMS; i++) {
        assert_true(m.ends[i][1].read > 1600000);
    }
    conn_pair_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_waits_for_a_path_of_its_lane),
        cmocka_unit_test(what_is_lost_is_sent_again_in_its_lane),
        cmocka_unit_test(a_closed_path_leaves_its_lane_without_one),
        cmocka_unit_test(a_stream_that_never_had_a_path_can_be_given_up),
        cmocka_unit_test(a_stream_whose_path_died_can_be_given_up),
        cmocka_unit_test(it_is_bound_before_anything_leaves_or_not_at_all),
        cmocka_unit_test(each_keeps_to_its_lane_while_the_choice_moves),
        cmocka_unit_test(lanes_on_one_path_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
