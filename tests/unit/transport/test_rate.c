#include <base/clock.h>

#include "transport/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
#define START_NS (5 * NS_PER_S)
enum { BYTES = 1000, COUNT = 200 };

static struct rate_stamp stamps[COUNT];
static uint64_t sent_ns[COUNT];

/* COUNT packets, one each `gap_ns`, from START_NS on. */
static void send_all(struct rate *r, uint64_t gap_ns)
{
    for (size_t i = 0; i < COUNT; i++) {
        sent_ns[i] = START_NS + i * gap_ns;
        rate_on_sent(r, &stamps[i], i * BYTES, BYTES, sent_ns[i]);
    }
}

static struct rate_sample ack(struct rate *r, size_t first, size_t count, uint64_t now)
{
    struct rate_sample s;
    for (size_t i = first; i < first + count; i++) {
        rate_on_acked(r, &stamps[i], sent_ns[i], BYTES, now);
    }
    assert_true(rate_take(r, &s, 0, MS(1), now));
    return s;
}

/* One packet a millisecond goes out and comes back: a megabyte per second. */
static void measures_a_steady_flow(void **state)
{
    (void)state;
    struct rate r;
    struct rate_sample s = {0};
    rate_init(&r);
    uint64_t now = START_NS;
    size_t sent = 0, acked = 0;
    for (; sent < COUNT; now += MS(1)) {
        if (now >= START_NS + MS(50)) {
            s = ack(&r, acked++, 1, now);
        }
        sent_ns[sent] = now;
        rate_on_sent(&r, &stamps[sent], (sent - acked) * BYTES, BYTES, now);
        sent++;
    }
    assert_in_range(s.bw, 970000, 1030000);
    assert_int_equal(s.rtt_ns, MS(50));
    assert_int_equal(s.delivered, 50 * BYTES);
    assert_false(s.limited);
}

/* Packets that left over 199 ms and are acknowledged all at once were not delivered at once. */
static void a_lump_of_acknowledgements_is_no_faster_than_the_sending(void **state)
{
    (void)state;
    struct rate r;
    rate_init(&r);
    send_all(&r, MS(1));
    struct rate_sample s = ack(&r, 0, COUNT, START_NS + MS(300));
    uint64_t most = (uint64_t)COUNT * BYTES * 1000 / 199;
    assert_in_range(s.bw, 1, most);
}

/* ... and a burst that leaves at once is no faster than its acknowledgements. */
static void a_burst_is_no_faster_than_its_acknowledgements(void **state)
{
    (void)state;
    struct rate r;
    struct rate_sample s = {0};
    rate_init(&r);
    send_all(&r, 0);
    for (size_t i = 0; i < COUNT; i++) {
        s = ack(&r, i, 1, START_NS + MS(40) + i * MS(1));
    }
    assert_in_range(s.bw, 1, (uint64_t)COUNT * BYTES * 1000 / 239);
}

static void gives_no_sample_over_less_than_a_round_trip(void **state)
{
    (void)state;
    struct rate r;
    struct rate_sample s;
    rate_init(&r);
    send_all(&r, 0);
    rate_on_acked(&r, &stamps[0], sent_ns[0], BYTES, START_NS + MS(10));
    assert_true(rate_take(&r, &s, 0, MS(40), START_NS + MS(10)));
    assert_int_equal(s.bw, 0);
    assert_int_equal(s.newly_acked, BYTES);
    assert_false(rate_take(&r, &s, 0, MS(40), START_NS + MS(11)));
}

static void says_when_the_sender_was_the_limit(void **state)
{
    (void)state;
    struct rate r;
    struct rate_sample s;
    rate_init(&r);
    sent_ns[0] = sent_ns[1] = sent_ns[2] = START_NS;
    rate_on_sent(&r, &stamps[0], 0, BYTES, START_NS);
    rate_mark_limited(&r, BYTES);
    rate_on_sent(&r, &stamps[1], BYTES, BYTES, START_NS);
    rate_on_acked(&r, &stamps[0], START_NS, BYTES, START_NS + MS(10));
    assert_true(rate_take(&r, &s, BYTES, MS(1), START_NS + MS(10)));
    assert_false(s.limited);
    rate_on_acked(&r, &stamps[1], START_NS, BYTES, START_NS + MS(11));
    assert_true(rate_take(&r, &s, 0, MS(1), START_NS + MS(11)));
    assert_true(s.limited);
    /* What was in flight then has arrived: samples are whole again. */
    sent_ns[2] = START_NS + MS(12);
    rate_on_sent(&r, &stamps[2], 0, BYTES, sent_ns[2]);
    rate_on_acked(&r, &stamps[2], sent_ns[2], BYTES, START_NS + MS(22));
    assert_true(rate_take(&r, &s, 0, MS(1), START_NS + MS(22)));
    assert_false(s.limited);
}

static void counts_what_was_lost_since_the_packet_left(void **state)
{
    (void)state;
    struct rate r;
    rate_init(&r);
    send_all(&r, MS(1));
    rate_on_lost(&r, 3 * BYTES);
    struct rate_sample s = ack(&r, 0, 1, START_NS + MS(300));
    assert_int_equal(s.lost, 3 * BYTES);
    assert_int_equal(s.newly_lost, 3 * BYTES);
    assert_int_equal(s.tx_in_flight, BYTES);
    rate_on_spurious(&r, BYTES);
    s = ack(&r, 100, 1, START_NS + MS(301));
    assert_int_equal(s.lost, 2 * BYTES);
    assert_int_equal(s.newly_lost, 0);
    assert_int_equal(s.tx_in_flight, 101 * BYTES);
    assert_int_equal(s.total, 3 * BYTES);
}

/* An hour without a packet is no part of any interval. */
static void silence_does_not_count(void **state)
{
    (void)state;
    struct rate r;
    rate_init(&r);
    rate_on_sent(&r, &stamps[0], 0, BYTES, START_NS);
    sent_ns[0] = START_NS;
    (void)ack(&r, 0, 1, START_NS + MS(20));
    uint64_t later = START_NS + 3600 * NS_PER_S;
    for (size_t i = 0; i < 20; i++) {
        sent_ns[i] = later;
        rate_on_sent(&r, &stamps[i], i * BYTES, BYTES, later);
    }
    struct rate_sample s = ack(&r, 0, 20, later + MS(20));
    assert_int_equal(s.bw, 20 * BYTES * 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measures_a_steady_flow),
        cmocka_unit_test(a_lump_of_acknowledgements_is_no_faster_than_the_sending),
        cmocka_unit_test(a_burst_is_no_faster_than_its_acknowledgements),
        cmocka_unit_test(gives_no_sample_over_less_than_a_round_trip),
        cmocka_unit_test(says_when_the_sender_was_the_limit),
        cmocka_unit_test(counts_what_was_lost_since_the_packet_left),
        cmocka_unit_test(silence_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
