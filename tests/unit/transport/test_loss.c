#include <base/mem.h>

#include "transport/loss.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define RTT (100 * NS_PER_MS)
#define PTO (3 * RTT) /* 100 + 4 * 50 ms */

struct bed {
    struct sentmap sent;
    struct loss loss;
    struct rtt rtt;
};

static void bed_init(struct bed *b)
{
    sentmap_init(&b->sent, 0);
    loss_init(&b->loss, 0);
    rtt_init(&b->rtt);
    rtt_sample(&b->rtt, RTT, 0, 0);
    b->loss.sampled_ns = 0;
}

static void send_at(struct bed *b, uint64_t now)
{
    assert_int_equal(sentmap_reserve(&b->sent), 0);
    sentmap_commit(&b->sent, 100, true, now);
    loss_on_sent(&b->loss, true, now);
}

static void ack(struct bed *b, uint64_t number)
{
    sentmap_set_acked(sentmap_find(&b->sent, number));
    loss_on_settled(&b->loss, true);
    loss_on_acked(&b->loss, number);
}

/* Declares all that is lost by now; returns how many and whether that is persistent. */
static size_t detect(struct bed *b, uint64_t now, bool *persistent)
{
    size_t count = 0;
    uint64_t number;
    while (loss_next(&b->loss, &b->sent, &b->rtt, now, &number)) {
        sentmap_find(&b->sent, number)->state = SENT_LOST;
        loss_on_settled(&b->loss, true);
        bool is = loss_is_persistent(&b->loss, &b->sent, number, PTO);
        if (persistent) {
            *persistent = *persistent || is;
        }
        count++;
    }
    return count;
}

static void three_packets_later_is_lost(void **state)
{
    (void)state;
    struct bed b;
    bed_init(&b);
    for (uint64_t n = 0; n < 5; n++) {
        send_at(&b, NS_PER_S);
    }
    ack(&b, 2);
    assert_int_equal(detect(&b, NS_PER_S + RTT, NULL), 0);
    ack(&b, 3);
    assert_int_equal(detect(&b, NS_PER_S + RTT, NULL), 1);
    assert_int_equal(sentmap_find(&b.sent, 0)->state, SENT_LOST);
    assert_int_equal(sentmap_find(&b.sent, 1)->state, SENT_FLYING);
    /* 9/8 of the round trip after it was sent */
    assert_int_equal(b.loss.loss_ns, NS_PER_S + RTT + RTT / 8);
    sentmap_clear(&b.sent);
}

static void late_is_lost_and_nothing_above_the_largest_is(void **state)
{
    (void)state;
    struct bed b;
    bed_init(&b);
    send_at(&b, NS_PER_S);
    send_at(&b, NS_PER_S + 5);
    send_at(&b, NS_PER_S + 6);
    ack(&b, 1);
    uint64_t late = NS_PER_S + RTT + RTT / 8;
    assert_int_equal(detect(&b, late - 1, NULL), 0);
    assert_int_equal(b.loss.loss_ns, late);
    assert_int_equal(detect(&b, late, NULL), 1);
    assert_int_equal(b.loss.loss_ns, TIME_NEVER);
    assert_int_equal(detect(&b, TIME_NEVER - 1, NULL), 0);
    sentmap_clear(&b.sent);
}

static void reordering_that_was_seen_is_allowed_for(void **state)
{
    (void)state;
    struct bed b;
    bed_init(&b);
    for (uint64_t n = 0; n < 40; n++) {
        send_at(&b, NS_PER_S);
    }
    ack(&b, 9);
    assert_int_equal(detect(&b, NS_PER_S, NULL), 7); /* 0 to 6 */
    loss_on_spurious(&b.loss, 2);
    assert_int_equal(b.loss.packet_threshold, 8);
    ack(&b, 16);
    assert_int_equal(detect(&b, NS_PER_S, NULL), 2); /* 7 and 8 */
    b.loss.acked_end = 1000;
    loss_on_spurious(&b.loss, 2);
    assert_int_equal(b.loss.packet_threshold, LOSS_PACKET_THRESHOLD_MAX);
    sentmap_clear(&b.sent);
}

static void an_unbroken_run_of_three_timeouts_is_persistent(void **state)
{
    (void)state;
    struct bed b;
    bed_init(&b);
    bool persistent = false;
    for (uint64_t n = 0; n < 20; n++) {
        send_at(&b, NS_PER_S + n * PTO / 3);
    }
    ack(&b, 9); /* 0 to 6 lost: two timeouts long */
    detect(&b, NS_PER_S, &persistent);
    assert_false(persistent);
    ack(&b, 12); /* 7 to 9: 9 was acknowledged, so a new run */
    detect(&b, NS_PER_S, &persistent);
    assert_false(persistent);
    sentmap_clear(&b.sent);

    bed_init(&b);
    for (uint64_t n = 0; n < 20; n++) {
        send_at(&b, NS_PER_S + n * PTO / 3);
    }
    ack(&b, 11); /* 0 to 8 */
    detect(&b, NS_PER_S, &persistent);
    assert_false(persistent);
    ack(&b, 12); /* 9: nine thirds of a timeout after 0 */
    detect(&b, NS_PER_S, &persistent);
    assert_true(persistent);
    sentmap_clear(&b.sent);
}

static void before_the_first_sample_nothing_is_persistent(void **state)
{
    (void)state;
    struct bed b;
    bed_init(&b);
    b.loss.sampled_ns = NS_PER_S + 100 * PTO;
    bool persistent = false;
    for (uint64_t n = 0; n < 20; n++) {
        send_at(&b, NS_PER_S + n * PTO);
    }
    ack(&b, 19);
    assert_true(detect(&b, NS_PER_S, &persistent) > 10);
    assert_false(persistent);
    sentmap_clear(&b.sent);
}

static void probe_timeouts_back_off_up_to_a_ceiling(void **state)
{
    (void)state;
    struct bed b;
    bed_init(&b);
    assert_int_equal(loss_pto_ns(&b.loss, PTO), TIME_NEVER);
    send_at(&b, NS_PER_S);
    assert_int_equal(loss_pto_ns(&b.loss, PTO), NS_PER_S + PTO);
    loss_on_pto(&b.loss, 2 * NS_PER_S);
    assert_int_equal(loss_pto_ns(&b.loss, PTO), 2 * NS_PER_S + 2 * PTO);
    for (int i = 0; i < 100; i++) {
        loss_on_pto(&b.loss, 3 * NS_PER_S);
    }
    assert_int_equal(loss_pto_ns(&b.loss, PTO), 3 * NS_PER_S + LOSS_PTO_MAX_NS);
    sentmap_clear(&b.sent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_packets_later_is_lost),
        cmocka_unit_test(late_is_lost_and_nothing_above_the_largest_is),
        cmocka_unit_test(reordering_that_was_seen_is_allowed_for),
        cmocka_unit_test(an_unbroken_run_of_three_timeouts_is_persistent),
        cmocka_unit_test(before_the_first_sample_nothing_is_persistent),
        cmocka_unit_test(probe_timeouts_back_off_up_to_a_ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
