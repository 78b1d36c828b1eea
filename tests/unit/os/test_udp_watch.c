#include "os/udp_watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000000)

/* A sender that says every second what became of `rate` datagrams. */
struct sender {
    struct udp_watch watch;
    struct udp_watch_totals totals;
    uint64_t now;
    bool batches;
    unsigned trials; /* times that batches went off */
};

static void second(struct sender *s, uint64_t rate, unsigned lost_with, unsigned lost_without)
{
    s->now += SECOND;
    s->totals.sent += rate;
    s->totals.batched += s->batches ? rate : 0;
    s->totals.lost += rate * (s->batches ? lost_with : lost_without) / 100;
    bool batches = udp_watch_look(&s->watch, &s->totals, s->now);
    s->trials += s->batches && !batches;
    s->batches = batches;
}

static void batches_that_get_lost_are_given_up(void **state)
{
    (void)state;
    static const uint64_t rates[] = {20, 40, 1000, 100000};
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct sender s = {.batches = true};
        int seconds = 0;
        while (!s.watch.over && ++seconds < 60) {
            second(&s, rates[i], 90, 1);
        }
        assert_in_range(seconds, 2, 40);
        for (int k = 0; k < 1000; k++) {
            second(&s, rates[i], 90, 1);
            assert_false(s.batches);
        }
    }
}

static void a_lossy_path_keeps_its_batches(void **state)
{
    (void)state;
    struct sender s = {.batches = true};
    for (int k = 0; k < 3600; k++) {
        second(&s, 500, 30, 25);
    }
    assert_true(s.batches);
    assert_in_range(s.trials, 1, 12); /* ever more seldom */
}

/* A queue on the way that overflowed once: without batches all is well, but with them too. */
static void a_loss_that_does_not_come_back_proves_nothing(void **state)
{
    (void)state;
    struct sender s = {.batches = true};
    for (int k = 0; k < 1000; k++) {
        second(&s, 500, k % 100 < 2 ? 40 : 0, 0);
    }
    assert_false(s.watch.over);
    assert_true(s.trials >= 1);
}

static void little_or_unbatched_traffic_is_no_evidence(void **state)
{
    (void)state;
    struct sender s = {.batches = true};
    for (int k = 0; k < 100; k++) {
        s.now += SECOND;
        s.totals.sent += 100;
        s.totals.lost += 90;
        assert_true(udp_watch_look(&s.watch, &s.totals, s.now));
    }
    struct sender small = {.batches = true};
    for (int k = 0; k < 15; k++) {
        second(&small, 2, 100, 0);
        assert_true(small.batches);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_that_get_lost_are_given_up),
        cmocka_unit_test(a_lossy_path_keeps_its_batches),
        cmocka_unit_test(a_loss_that_does_not_come_back_proves_nothing),
        cmocka_unit_test(little_or_unbatched_traffic_is_no_evidence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
