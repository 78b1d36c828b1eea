#include <base/clock.h>
#include <base/err.h>
#include <base/mem.h>

#include "transport/sentmap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static uint64_t send_one(struct sentmap *m, size_t records, bool eliciting, uint64_t now)
{
    assert_int_equal(sentmap_reserve(m), 0);
    for (size_t i = 0; i < records; i++) {
        const struct sent_record r = {.type = SENT_STREAM, .id = m->next, .from = i};
        sentmap_note(m, &r);
    }
    assert_int_equal(sentmap_noted(m), records);
    return sentmap_commit(m, 100, eliciting, now);
}

static void ack(struct sentmap *m, uint64_t number)
{
    sentmap_set_acked(sentmap_find(m, number));
}

static void remembers_what_each_packet_carried(void **state)
{
    (void)state;
    struct sentmap m;
    sentmap_init(&m, 1000);
    for (uint64_t n = 1000; n < 3000; n++) {
        assert_int_equal(send_one(&m, n % 5, true, n), n);
    }
    for (uint64_t n = 1000; n < 3000; n++) {
        const struct sent_packet *p = sentmap_find(&m, n);
        assert_int_equal(p->sent_ns, n);
        assert_int_equal(p->records, n % 5);
        for (size_t i = 0; i < p->records; i++) {
            assert_int_equal(sentmap_record(&m, p, i)->id, n);
            assert_int_equal(sentmap_record(&m, p, i)->from, i);
        }
    }
    assert_null(sentmap_find(&m, 999));
    assert_null(sentmap_find(&m, 3000));
    sentmap_clear(&m);
}

static void trims_from_the_front_only(void **state)
{
    (void)state;
    struct sentmap m;
    sentmap_init(&m, 0);
    for (uint64_t n = 0; n < 6; n++) {
        send_one(&m, 1, n != 3, n);
    }
    ack(&m, 1);
    sentmap_trim(&m, 0);
    assert_int_equal(m.first, 0); /* 0 is in flight */
    ack(&m, 0);
    sentmap_find(&m, 2)->state = SENT_LOST;
    sentmap_trim(&m, 2);
    assert_int_equal(m.first, 2); /* lost, but may still be acknowledged */
    sentmap_trim(&m, 100);
    assert_int_equal(m.first, 4); /* 3 was not ack-eliciting, 4 is in flight */
    ack(&m, 4);
    ack(&m, 5);
    sentmap_trim(&m, 0);
    assert_int_equal(m.first, 6);
    assert_int_equal(send_one(&m, 2, true, 9), 6);
    assert_int_equal(sentmap_record(&m, sentmap_find(&m, 6), 1)->from, 1);
    sentmap_clear(&m);
}

static void skips_acknowledged_runs(void **state)
{
    (void)state;
    struct sentmap m;
    sentmap_init(&m, 0);
    for (uint64_t n = 0; n < 100; n++) {
        send_one(&m, 0, true, n);
    }
    for (uint64_t n = 10; n < 90; n++) {
        if (n != 50) {
            ack(&m, n);
        }
    }
    assert_int_equal(sentmap_skip_acked(&m, 5), 5);
    assert_int_equal(sentmap_skip_acked(&m, 10), 50);
    assert_int_equal(sentmap_skip_acked(&m, 50), 50);
    assert_int_equal(sentmap_skip_acked(&m, 70), 90);
    assert_int_equal(sentmap_skip_acked(&m, 95), 95);
    sentmap_clear(&m);
}

/* A peer may acknowledge in any order it likes: no order may leave us with something to walk over
 * each time. */
static void skips_what_was_acknowledged_in_any_order(void **state)
{
    (void)state;
    enum { COUNT = SENTMAP_PACKETS_MAX, TIMES = 100000 };
    static const uint64_t steps[] = {1, 2, 8191};
    for (size_t k = 0; k < sizeof(steps) / sizeof(steps[0]); k++) {
        struct sentmap m;
        sentmap_init(&m, 7);
        for (uint64_t n = 0; n < COUNT; n++) {
            send_one(&m, 0, true, n);
        }
        for (uint64_t i = 0; i < steps[k]; i++) {
            for (uint64_t n = i; n < COUNT - 1; n += steps[k]) {
                if (n > 0) {
                    ack(&m, 7 + n);
                }
            }
        }
        for (uint64_t i = 0; i < TIMES; i++) { /* would be 10^10 steps one by one */
            assert_int_equal(sentmap_skip_acked(&m, 7 + 1 + i % 2), 7 + COUNT - 1);
        }
        assert_int_equal(sentmap_skip_acked(&m, 7), 7);
        sentmap_clear(&m);
    }
}

static void has_a_ceiling_and_drops_what_is_settled(void **state)
{
    (void)state;
    struct sentmap m;
    sentmap_init(&m, 0);
    for (uint64_t n = 0; n < SENTMAP_PACKETS_MAX; n++) {
        send_one(&m, 0, true, n);
    }
    assert_int_equal(sentmap_reserve(&m), ERR_NO_ROOM);
    sentmap_find(&m, 0)->state = SENT_LOST;
    assert_int_equal(sentmap_reserve(&m), 0);
    assert_int_equal(m.first, 1);
    sentmap_clear(&m);
    assert_int_equal(m.next, SENTMAP_PACKETS_MAX);
    mem_fail_after(1);
    assert_int_equal(sentmap_reserve(&m), ERR_NO_MEMORY);
    mem_fail_after(0);
    assert_int_equal(send_one(&m, 1, true, 0), SENTMAP_PACKETS_MAX);
    sentmap_clear(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(remembers_what_each_packet_carried),
        cmocka_unit_test(trims_from_the_front_only),
        cmocka_unit_test(skips_acknowledged_runs),
        cmocka_unit_test(skips_what_was_acknowledged_in_any_order),
        cmocka_unit_test(has_a_ceiling_and_drops_what_is_settled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
