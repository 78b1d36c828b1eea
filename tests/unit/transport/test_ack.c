#include <base/clock.h>

#include "transport/ack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define DELAY (25 * NS_PER_MS)

enum { FULL = 1200, SMALL = 40 };

static void receive_bytes(struct ack *a, uint64_t number, size_t eliciting, uint64_t now)
{
    assert_false(ack_has_seen(a, number));
    assert_int_equal(ack_on_received(a, number, eliciting, DELAY, 0, now), 0);
    assert_true(ack_has_seen(a, number));
}

static void receive(struct ack *a, uint64_t number, bool eliciting, uint64_t now)
{
    receive_bytes(a, number, eliciting ? FULL : 0, now);
}

static void every_second_packet_or_after_the_delay(void **state)
{
    (void)state;
    struct ack a;
    ack_init(&a);
    receive(&a, 0, false, 5);
    assert_int_equal(a.due_ns, TIME_NEVER);
    receive(&a, 1, true, 10);
    assert_int_equal(a.due_ns, 10 + DELAY);
    receive(&a, 2, true, 20);
    assert_int_equal(a.due_ns, 0);
    ack_on_sent(&a);
    assert_int_equal(a.due_ns, TIME_NEVER);
    ack_deinit(&a);
}

/* A request and its answer are two packets, not four. */
static void small_ones_by_their_bytes(void **state)
{
    (void)state;
    struct ack a;
    ack_init(&a);
    for (uint64_t n = 0; n < ACK_SMALL_MAX - 1; n++) {
        receive_bytes(&a, n, SMALL, 10 + n);
        assert_int_equal(a.due_ns, 10 + DELAY); /* of the first */
    }
    receive_bytes(&a, ACK_SMALL_MAX - 1, SMALL, 90);
    assert_int_equal(a.due_ns, 0);
    ack_on_sent(&a);
    /* What is behind them counts with them. */
    receive_bytes(&a, ACK_SMALL_MAX, SMALL, 100);
    receive_bytes(&a, ACK_SMALL_MAX + 1, FULL, 110);
    assert_int_equal(a.due_ns, 100 + DELAY);
    receive_bytes(&a, ACK_SMALL_MAX + 2, FULL, 120);
    assert_int_equal(a.due_ns, 0);
    ack_deinit(&a);
}

/* The sender waits for three numbers behind a gap before it repeats (RFC 9002 section 6.1.1). */
static void small_ones_behind_a_gap_as_full_ones(void **state)
{
    (void)state;
    struct ack a;
    ack_init(&a);
    receive_bytes(&a, 0, SMALL, 10);
    receive_bytes(&a, 2, SMALL, 20);
    assert_int_equal(a.due_ns, 0);
    ack_on_sent(&a);
    receive_bytes(&a, 3, SMALL, 30);
    assert_int_equal(a.due_ns, 30 + DELAY);
    receive_bytes(&a, 4, SMALL, 40);
    assert_int_equal(a.due_ns, 0);
    ack_on_sent(&a);
    receive_bytes(&a, 5, SMALL, 50);
    receive_bytes(&a, 6, SMALL, 60);
    assert_int_equal(a.due_ns, 50 + DELAY);
    ack_deinit(&a);
}

/* 10,000 a second and a round trip of 40 ms: one for each 2 ms, and 4 ms after the last at most. */
static void fewer_where_many_packets_come(void **state)
{
    (void)state;
    struct ack a;
    ack_init(&a);
    assert_int_equal(ack_period(0), 0);
    assert_int_equal(ack_period(800 * NS_PER_US), 100 * NS_PER_US);
    uint64_t period = ack_period(40 * NS_PER_MS);
    assert_int_equal(period, 2 * NS_PER_MS);
    uint64_t now = NS_PER_S;
    unsigned due = 0;
    for (uint64_t n = 0; n < 2000; n++, now += 100 * NS_PER_US) {
        assert_int_equal(ack_on_received(&a, n, FULL, DELAY, period, now), 0);
        assert_true(a.due_ns <= now + (n < 25 ? DELAY : 2 * period));
        if (a.due_ns <= now) {
            ack_on_sent(&a);
            due++;
        }
    }
    assert_in_range(due, 2000 / 21, 2000 / 19 + 15);
    /* A gap is told at once, whatever the rate. */
    assert_int_equal(ack_on_received(&a, 2001, FULL, DELAY, period, now), 0);
    assert_int_equal(a.due_ns, 0);
    ack_on_sent(&a);
    /* After a pause it is every second one again, and the whole delay. */
    now += NS_PER_S;
    assert_int_equal(ack_on_received(&a, 2002, FULL, DELAY, period, now), 0);
    assert_int_equal(a.due_ns, now + DELAY);
    assert_int_equal(ack_on_received(&a, 2003, FULL, DELAY, period, now + 1), 0);
    assert_int_equal(a.due_ns, 0);
    ack_deinit(&a);
}

static void never_more_than_the_ceiling_at_once(void **state)
{
    (void)state;
    struct ack a;
    ack_init(&a);
    uint64_t now = NS_PER_S;
    for (uint64_t n = 0; n < 100000; n++, now += 100) {
        assert_int_equal(ack_on_received(&a, n, FULL, DELAY, ACK_PERIOD_MAX_NS, now), 0);
        assert_true(a.eliciting <= ACK_EVERY_MAX);
        if (a.due_ns <= now) {
            ack_on_sent(&a);
        }
    }
    assert_int_equal(a.every, ACK_EVERY_MAX);
    ack_deinit(&a);
}

static void at_once_when_out_of_order(void **state)
{
    (void)state;
    struct ack a;
    ack_init(&a);
    receive(&a, 0, true, 10);
    ack_on_sent(&a);
    receive(&a, 2, true, 20); /* a gap */
    assert_int_equal(a.due_ns, 0);
    ack_on_sent(&a);
    receive(&a, 1, true, 30); /* and what fills it */
    assert_int_equal(a.due_ns, 0);
    ack_on_sent(&a);
    receive(&a, 3, true, 40);
    assert_int_equal(a.due_ns, 40 + DELAY);
    ack_deinit(&a);
}

/* They make no acknowledgement due, but one that leaves with data tells of the gap before them,
 * for as long as the sender may not know it. */
static void along_with_data_behind_a_gap(void **state)
{
    (void)state;
    struct ack a;
    ack_init(&a);
    receive(&a, 0, false, 10);
    receive(&a, 1, false, 20);
    assert_false(a.along);
    for (uint64_t n = 3; n < 3 + ACK_GAP_NEAR - 1; n++) {
        receive(&a, n, false, 10 * n);
        assert_true(a.along);
        assert_int_equal(a.due_ns, TIME_NEVER);
        ack_on_sent(&a);
        assert_false(a.along);
    }
    receive(&a, 3 + ACK_GAP_NEAR - 1, false, 100);
    assert_false(a.along);
    ack_deinit(&a);
}

static void tells_ranges_downwards_and_the_delay(void **state)
{
    (void)state;
    struct ack a;
    struct frame_ack frame;
    ack_init(&a);
    assert_false(ack_make(&a, &frame, 0));
    receive(&a, 1, true, 10 * NS_PER_US);
    receive(&a, 2, true, 10 * NS_PER_US);
    receive(&a, 7, true, 20 * NS_PER_US);
    receive(&a, 4, true, 90 * NS_PER_US);
    assert_true(ack_make(&a, &frame, 100 * NS_PER_US));
    assert_int_equal(frame.delay_us, 80); /* of the largest */
    assert_int_equal(frame.count, 3);
    assert_int_equal(frame.ranges[0].first, 7);
    assert_int_equal(frame.ranges[1].last, 4);
    assert_int_equal(frame.ranges[2].first, 1);
    assert_int_equal(frame.ranges[2].last, 2);
    ack_deinit(&a);
}

static void forgets_the_lowest_range_past_the_ceiling(void **state)
{
    (void)state;
    struct ack a;
    ack_init(&a);
    for (uint64_t i = 0; i <= FRAME_ACK_RANGES_MAX; i++) {
        receive(&a, 10 + 2 * i, true, i);
    }
    assert_int_equal(a.got.count, FRAME_ACK_RANGES_MAX);
    assert_true(ack_has_seen(&a, 3)); /* forgotten counts as seen: never taken twice */
    assert_true(ack_has_seen(&a, 10));
    assert_false(ack_has_seen(&a, 11));
    ack_deinit(&a);
}

static void asks_to_be_confirmed_and_forgets_then(void **state)
{
    (void)state;
    struct ack a;
    ack_init(&a);
    for (uint64_t i = 0; i < 60; i++) {
        receive(&a, 2 * i, true, i);
    }
    assert_true(ack_wants_confirmation(&a));
    ack_on_asked(&a);
    assert_false(ack_wants_confirmation(&a)); /* not again for the next few packets */
    for (uint64_t i = 1000; i < 1100; i++) {
        receive(&a, i, true, i);
    }
    assert_true(ack_wants_confirmation(&a));
    ack_on_confirmed(&a, 1050);
    assert_int_equal(a.got.count, 1);
    assert_false(ack_wants_confirmation(&a));
    assert_true(ack_has_seen(&a, 119));
    assert_false(ack_has_seen(&a, 900)); /* a late one may still come */
    ack_on_confirmed(&a, 40);
    assert_int_equal(a.got.count, 1);
    ack_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_second_packet_or_after_the_delay),
        cmocka_unit_test(small_ones_by_their_bytes),
        cmocka_unit_test(small_ones_behind_a_gap_as_full_ones),
        cmocka_unit_test(fewer_where_many_packets_come),
        cmocka_unit_test(never_more_than_the_ceiling_at_once),
        cmocka_unit_test(at_once_when_out_of_order),
        cmocka_unit_test(along_with_data_behind_a_gap),
        cmocka_unit_test(tells_ranges_downwards_and_the_delay),
        cmocka_unit_test(forgets_the_lowest_range_past_the_ceiling),
        cmocka_unit_test(asks_to_be_confirmed_and_forgets_then),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
