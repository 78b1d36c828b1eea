/* Who may bring how much, and when: transport/conn_room.c, through whole conns. */
#include "support/conn_pair.h"
#include "transport/conn_internal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { STREAMS = 20, PIECE = 65536, UNSENT = 262144 };

static struct conn_pair *make(void)
{
    static struct conn_pair p;
    const struct conn_limits limits = conn_limits_default();
    conn_pair_init_with(&p, &limits);
    return &p;
}

/* Opened, and known to the peer: what is written may leave at once. */
static void open_streams(struct conn_pair *p, uint64_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(conn_stream_open(p->side[0], "t", 1, &ids[i]), 0);
    }
    conn_pair_run_reading(p, NS_PER_S);
}

static struct conn_queue *queue(const struct conn_pair *p)
{
    return &p->side[0]->queues[FRAME_LANE_ANY];
}

/* All that it may bring, as an application with more than enough brings it. */
static size_t bring(struct conn_pair *p, uint64_t id)
{
    static const uint8_t content[PIECE];
    size_t sum = 0, took;
    while ((took = conn_stream_write(p->side[0], id, content, PIECE)) > 0) {
        sum += took;
    }
    return sum;
}

static void few_bytes_wait_however_many_streams_have_some(void **state)
{
    (void)state;
    uint64_t ids[STREAMS];
    struct conn_pair *p = make();
    open_streams(p, ids, STREAMS);
    assert_true(bring(p, ids[0]) >= PIECE);
    size_t beside = 0;
    for (size_t i = 1; i < STREAMS; i++) {
        size_t len = bring(p, ids[i]);
        assert_true(len > 0); /* a little of everybody */
        beside += len;
    }
    assert_true(queue(p)->unsent <= UNSENT + (STREAMS - 1) * 16384);
    assert_true(beside <= UNSENT + (STREAMS - 1) * 16384);
    uint64_t sum = 0;
    for (size_t i = 0; i < STREAMS; i++) {
        sum += sendbuf_held(&conn_find(p->side[0], ids[i])->out);
    }
    assert_int_equal(queue(p)->unsent, sum);
    conn_pair_free(p);
}

/* Each in turn, with a turn's bytes; none is passed over, and all gets there. */
static void turns_go_round(void **state)
{
    (void)state;
    uint64_t ids[STREAMS];
    size_t got[STREAMS] = {0};
    struct conn_pair *p = make();
    struct conn_event ev;
    open_streams(p, ids, STREAMS);
    for (size_t i = 0; i < STREAMS; i++) {
        (void)bring(p, ids[i]);
    }
    for (int step = 0; step < 12000 && conn_pair_step(p); step++) {
        while (conn_event(p->side[0], &ev)) {
            for (size_t i = 0; i < STREAMS && ev.type == CONN_EVENT_WRITABLE; i++) {
                got[i] += ids[i] == ev.stream ? bring(p, ids[i]) : 0;
            }
        }
        conn_pair_read_all(p);
    }
    size_t least = SIZE_MAX, most = 0;
    for (size_t i = 0; i < STREAMS; i++) {
        least = got[i] < least ? got[i] : least;
        most = got[i] > most ? got[i] : most;
    }
    print_message("             %zu to %zu bytes\n", least, most);
    assert_true(least > 2 * PIECE);
    assert_true(most - least <= 2 * UNSENT); /* two turns at most */
    conn_pair_free(p);
}

static void who_says_little_does_not_stand_in_line(void **state)
{
    (void)state;
    uint64_t ids[STREAMS];
    const uint8_t word[100] = {0};
    struct conn_pair *p = make();
    open_streams(p, ids, STREAMS);
    for (size_t i = 0; i < STREAMS - 1; i++) {
        (void)bring(p, ids[i]);
    }
    assert_false(TAILQ_EMPTY(&queue(p)->waiting));
    for (size_t i = 0; i < 80; i++) {
        assert_int_equal(conn_stream_write(p->side[0], ids[STREAMS - 1], word, sizeof(word)),
                         sizeof(word));
    }
    conn_pair_free(p);
}

/* Bytes that a stopped reader's credit does not cover hold up nobody. */
static void stopped_readers_take_no_turns(void **state)
{
    (void)state;
    uint64_t ids[STREAMS];
    struct conn_pair *p = make();
    struct conn_event ev;
    open_streams(p, ids, STREAMS);
    for (int step = 0; step < 20000; step++) {
        for (size_t i = 0; i < STREAMS - 1; i++) {
            (void)bring(p, ids[i]);
        }
        if (queue(p)->unsent == 0) {
            break; /* all that they brought is beyond their credit */
        }
        while (conn_event(p->side[0], &ev)) {
        }
        (void)conn_pair_step(p);
    }
    assert_int_equal(queue(p)->unsent, 0);
    print_message("             %llu bytes wait\n", (unsigned long long)p->side[0]->buffered);
    assert_true(p->side[0]->buffered > UNSENT);
    assert_true(bring(p, ids[STREAMS - 1]) >= PIECE);
    conn_pair_free(p);
}

/* Both when it is given up and when it is in the line. */
static void who_goes_leaves_the_line(void **state)
{
    (void)state;
    uint64_t ids[STREAMS];
    struct conn_pair *p = make();
    open_streams(p, ids, STREAMS);
    for (size_t i = 0; i < STREAMS; i++) {
        (void)bring(p, ids[i]);
    }
    for (size_t i = 0; i < STREAMS; i++) {
        assert_int_equal(conn_stream_abort(p->side[0], ids[i], 1), 0);
    }
    assert_int_equal(queue(p)->unsent, 0);
    assert_int_equal(p->side[0]->buffered, 0);
    conn_pair_run_reading(p, 5 * NS_PER_S);
    assert_int_equal(conn_stream_count(p->side[0]), 0);
    assert_true(TAILQ_EMPTY(&queue(p)->waiting));
    conn_pair_free(p);
}

/* Room that output makes is told at once, not when the next acknowledgement comes. */
static void output_makes_room(void **state)
{
    (void)state;
    uint64_t id;
    uint8_t packet[PAYLOAD_MAX];
    uint64_t number;
    struct conn_event ev;
    struct conn_pair *p = make();
    open_streams(p, &id, 1);
    struct conn *c = p->side[0];
    for (int i = 0; i < 50; i++) { /* so that the window is wide */
        (void)bring(p, id);
        conn_pair_run_reading(p, 20 * NS_PER_MS);
    }
    size_t first = bring(p, id);
    assert_false(conn_has_writer(c));
    size_t sent = 0;
    while (!conn_has_writer(c)) {
        size_t len = conn_output(c, conn_path_used(c), packet, MTU, &number, p->now);
        assert_true(len > 0);
        sent += len;
    }
    assert_true(sent <= first);
    assert_true(conn_event(c, &ev));
    assert_int_equal(ev.type, CONN_EVENT_WRITABLE);
    assert_true(bring(p, id) > 0);
    conn_pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_bytes_wait_however_many_streams_have_some),
        cmocka_unit_test(turns_go_round),
        cmocka_unit_test(who_says_little_does_not_stand_in_line),
        cmocka_unit_test(stopped_readers_take_no_turns),
        cmocka_unit_test(who_goes_leaves_the_line),
        cmocka_unit_test(output_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
