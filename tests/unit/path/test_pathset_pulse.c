/* When a pathset challenges which paths: busy, quiet, asleep. */
#include "support/pathset_bench.h"

static void probes_back_off_while_there_is_no_answer(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    uint64_t interval = PATHSET_PROBE_FIRST_NS;
    for (int i = 0; i < 12; i++) {
        assert_int_equal(challenges(&b, p), 1);
        assert_int_equal(pathset_next_ns(&b.set, b.now), b.now + interval);
        b.now += interval - 1;
        assert_int_equal(challenges(&b, p), 0);
        b.now++;
        interval = time_min(2 * interval, PATHSET_PROBE_LAST_NS);
    }
    assert_int_equal(interval, PATHSET_PROBE_LAST_NS);
}

static void probes_of_a_dead_path_are_rarer_in_quiet_times(void **state)
{
    (void)state;
    BENCH(b, PATHSET_QUIET);
    struct path *p = add_direct(&b, 1);
    (void)add_relay(&b, 0);
    (void)choose(&b);
    unsigned count = 0;
    uint64_t end = b.now + 600 * NS_PER_S;
    while (b.now < end) {
        count += challenges(&b, p);
        b.now = pathset_next_ns(&b.set, b.now);
    }
    assert_true(count < 16);
    pathset_set_pulse(&b.set, PATHSET_BUSY, b.now);
    assert_int_equal(challenges(&b, p), 1);
}

static void a_far_path_keeps_its_trust(void **state)
{
    (void)state;
    static const uint64_t rtts[] = {1 * MS, 99 * MS, 101 * MS, 150 * MS, 300 * MS, 1200 * MS};
    for (size_t i = 0; i < sizeof(rtts) / sizeof(rtts[0]); i++) {
        BENCH(b, PATHSET_BUSY);
        struct path *p = add_direct(&b, 1);
        (void)add_relay(&b, 0);
        (void)pass(&b, 10 * NS_PER_S, p, rtts[i]);
        assert_int_equal(b.set.best, p->id);
        assert_int_equal(pass(&b, 300 * NS_PER_S, p, rtts[i]), 0);
    }
}

static void a_lost_heartbeat_does_not_end_trust(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    prove(&b, p, 10 * MS);
    b.now += PATHSET_HEARTBEAT_NS;
    for (int i = 0; i < 4; i++) { /* these are lost */
        assert_int_equal(challenges(&b, p), 1);
        b.now = pathset_next_ns(&b.set, b.now);
    }
    assert_int_equal(challenges(&b, p), 1);
    b.now += 10 * MS;
    assert_true(pathset_is_trusted(p, b.now));
    answer(&b, p);
    assert_true(pathset_is_trusted(p, b.now + PATHSET_TRUST_NS - 1));
}

static void a_quiet_session_stays_on_its_path(void **state)
{
    (void)state;
    BENCH(b, PATHSET_QUIET);
    struct path *p = add_direct(&b, 1);
    (void)add_relay(&b, 0);
    (void)pass(&b, 2 * NS_PER_S, p, 20 * MS);
    assert_int_equal(b.set.best, p->id);
    assert_int_equal(pass(&b, 600 * NS_PER_S, p, 20 * MS), 0);
}

/* One side's keep-alive is the other's too: only one of both asks. */
static void of_two_quiet_sides_one_asks(void **state)
{
    (void)state;
    BENCH(a, PATHSET_QUIET);
    BENCH(b, PATHSET_QUIET);
    struct path *p = add_direct(&a, 1);
    struct path *q = add_direct(&b, 2);
    prove(&a, p, 10 * MS);
    b.now = a.now;
    prove(&b, q, 10 * MS);
    a.now = b.now;
    unsigned asked[2] = {0};
    uint64_t end = a.now + 600 * NS_PER_S;
    uint64_t last = a.now;
    while (a.now < end) {
        (void)choose(&a);
        (void)choose(&b);
        if (challenges(&a, p) > 0) {
            asked[0]++;
            pathset_answered(&b.set, q, b.now);
            answer(&a, p);
            last = a.now;
        }
        if (challenges(&b, q) > 0) {
            asked[1]++;
            pathset_answered(&a.set, p, a.now);
            answer(&b, q);
            last = a.now;
        }
        assert_int_equal(a.set.best, p->id);
        assert_int_equal(b.set.best, q->id);
        assert_true(a.now - last <= PATHSET_KEEPALIVE_NS + 2 * PATHSET_KEEPALIVE_JITTER_NS);
        a.now = b.now = time_min(pathset_next_ns(&a.set, a.now), pathset_next_ns(&b.set, b.now));
    }
    assert_true(asked[0] + asked[1] <= 600 * NS_PER_S / PATHSET_KEEPALIVE_NS + 3);
    assert_true(asked[0] < 3 || asked[1] < 3);
}

static void a_measured_lifetime_sets_the_pace_of_keep_alives(void **state)
{
    (void)state;
    BENCH(b, PATHSET_QUIET);
    struct path *p = add_direct(&b, 1);
    pathset_set_keep(&b.set, 115 * NS_PER_S);
    prove(&b, p, 10 * MS);
    (void)choose(&b);
    unsigned count = 0;
    uint64_t end = b.now + 3600 * NS_PER_S;
    while ((b.now = pathset_next_ns(&b.set, b.now)) < end) {
        assert_int_equal(choose(&b), p->id);
        if (challenges(&b, p) > 0) {
            answer(&b, p);
            count++;
        }
    }
    assert_in_range(count, 3600 / 115 - 1, 3600 / 115 + 1);
}

static void data_after_a_quiet_time_asks_for_a_fresh_proof(void **state)
{
    (void)state;
    BENCH(b, PATHSET_QUIET);
    struct path *p = add_direct(&b, 1);
    struct path *r = add_relay(&b, 0);
    (void)pass(&b, 2 * NS_PER_S, p, 20 * MS);
    (void)pass(&b, PATHSET_TRUST_NS, p, 20 * MS);
    assert_int_equal(choose(&b), p->id);
    pathset_set_pulse(&b.set, PATHSET_BUSY, b.now);
    assert_ways(&b, r, p, true);
    assert_int_equal(challenges(&b, p), 1);
    b.now += 20 * MS;
    answer(&b, p);
    assert_ways(&b, p, r, false);
}

static void nothing_is_sent_while_asleep(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    prove(&b, p, 10 * MS);
    pathset_set_pulse(&b.set, PATHSET_ASLEEP, b.now);
    b.now += 3600 * NS_PER_S;
    assert_int_equal(pathset_next_ns(&b.set, b.now), TIME_NEVER);
    assert_int_equal(challenges(&b, p), 0);
    pathset_set_pulse(&b.set, PATHSET_BUSY, b.now);
    assert_int_equal(challenges(&b, p), 1);
}

static void everything_is_challenged_at_once_when_asked_for(void **state)
{
    (void)state;
    BENCH(b, PATHSET_BUSY);
    struct path *p = add_direct(&b, 1);
    struct path *r = add_relay(&b, 0);
    (void)challenges(&b, NULL);
    assert_int_equal(challenges(&b, p) + challenges(&b, r), 0);
    pathset_probe_all(&b.set, b.now);
    assert_int_equal(challenges(&b, p), 1);
    pathset_probe_all(&b.set, b.now);
    assert_int_equal(challenges(&b, r), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(probes_back_off_while_there_is_no_answer),
        cmocka_unit_test(probes_of_a_dead_path_are_rarer_in_quiet_times),
        cmocka_unit_test(a_far_path_keeps_its_trust),
        cmocka_unit_test(a_lost_heartbeat_does_not_end_trust),
        cmocka_unit_test(a_quiet_session_stays_on_its_path),
        cmocka_unit_test(of_two_quiet_sides_one_asks),
        cmocka_unit_test(a_measured_lifetime_sets_the_pace_of_keep_alives),
        cmocka_unit_test(data_after_a_quiet_time_asks_for_a_fresh_proof),
        cmocka_unit_test(nothing_is_sent_while_asleep),
        cmocka_unit_test(everything_is_challenged_at_once_when_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
