#include "transport/pacer.h"

#include <base/rng.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { MTU = 1200, WINDOW = 125000 };
#define RTT_NS (100 * NS_PER_MS) /* with WINDOW and no gain: 10 Mbit/s = 1,250,000 bytes/s */

static struct pacer make(bool slow_start, uint64_t now)
{
    struct pacer p;
    pacer_init(&p, MTU, now);
    pacer_update(&p, WINDOW, RTT_NS, slow_start, now);
    return p;
}

static void has_no_limit_before_the_first_rtt(void **state)
{
    (void)state;
    struct pacer p;
    pacer_init(&p, MTU, 5);
    for (int i = 0; i < 100; i++) {
        assert_true(pacer_next(&p, 5) <= 5);
        pacer_sent(&p, MTU, 5);
    }
    pacer_update(&p, WINDOW, RTT_NS, true, 5);
    assert_true(pacer_next(&p, 5) > 5);
}

static void takes_its_rate_from_window_and_rtt(void **state)
{
    (void)state;
    struct pacer p = make(false, 0);
    assert_int_equal(p.rate, 1250000 * 5 / 4);
    assert_int_equal(p.burst, 10 * MTU);
    p = make(true, 0);
    assert_int_equal(p.rate, 2 * 1250000);
    pacer_update(&p, 12500000, 10 * NS_PER_MS, true, 0);
    assert_int_equal(p.burst, p.rate / 200); /* 5 ms of it */
    pacer_set_rate(&p, 12345678, 0);
    assert_int_equal(p.rate, 12345678);
}

/* A timer that is late may be made up for; silence may not. */
static void rest_leaves_less_in_the_bucket(void **state)
{
    (void)state;
    struct pacer p;
    pacer_init(&p, MTU, 0);
    pacer_set_rate(&p, 100000000, 0);
    assert_int_equal(p.burst, 500000);
    while (pacer_next(&p, 0) == 0) {
        pacer_sent(&p, MTU, 0);
    }
    uint64_t now = 10 * NS_PER_MS;
    struct pacer late = p;
    size_t burst = 0, bytes = 0;
    for (; pacer_next(&late, now) <= now; burst += MTU) {
        pacer_sent(&late, MTU, now);
    }
    pacer_rest(&p, now);
    for (; pacer_next(&p, now) <= now; bytes += MTU) {
        pacer_sent(&p, MTU, now);
    }
    assert_in_range(burst, 500000 - MTU, 500000);
    assert_in_range(bytes, 200000 - MTU, 200000);
}

static void spaces_packets_after_the_burst(void **state)
{
    (void)state;
    struct pacer p = make(false, 0);
    for (int i = 0; i < 10; i++) {
        assert_true(pacer_next(&p, 0) <= 0);
        pacer_sent(&p, MTU, 0);
    }
    uint64_t gap = MTU * NS_PER_S / p.rate;
    uint64_t now = 0;
    for (uint64_t i = 1; i <= 1000; i++) {
        now = pacer_next(&p, now);
        assert_in_range(now, i * gap, i * gap + i + 1);
        pacer_sent(&p, MTU, now);
    }
}

static void forgets_nothing_but_saves_no_more_than_the_burst(void **state)
{
    (void)state;
    struct pacer p = make(false, 0);
    uint64_t now = 100 * 3600 * NS_PER_S; /* a long night */
    for (int i = 0; i < 10; i++) {
        assert_true(pacer_next(&p, now) <= now);
        pacer_sent(&p, MTU, now);
    }
    assert_true(pacer_next(&p, now) > now);
}

static void lets_a_probe_through_without_debt(void **state)
{
    (void)state;
    struct pacer p = make(false, 0);
    pacer_sent(&p, 1000 * MTU, 0);
    assert_in_range(pacer_next(&p, 0), 1, MTU * NS_PER_S / p.rate + 1);
}

static void survives_extremes(void **state)
{
    (void)state;
    struct pacer p;
    pacer_init(&p, 16384, 1);
    pacer_update(&p, UINT64_MAX / 8, 0, true, 2);
    pacer_sent(&p, 16384, 3);
    assert_true(pacer_next(&p, TIME_NEVER - 1) <= TIME_NEVER - 1);
    pacer_sent(&p, 16384, TIME_NEVER - 1);
    pacer_init(&p, MTU, 1);
    pacer_update(&p, 2 * MTU, UINT64_MAX, true, 2);
    assert_true(p.rate > 0);
    pacer_sent(&p, 10 * MTU, 2);
    assert_true(pacer_next(&p, 2) > 2);
}

enum { SENDS = 1500 };

/* Any interval that begins and ends with a send; wider ones hold fewer bytes per time. */
static void expect_guarantee(const struct pacer *p, const uint64_t *at, const uint64_t *bytes)
{
    for (int i = 0; i < SENDS; i++) {
        uint64_t sum = 0;
        for (int j = i; j < SENDS; j++) {
            sum += bytes[j];
            /* sum <= burst + rate * T, without division */
            assert_true(sum <= p->burst ||
                        (sum - p->burst) * NS_PER_S <= p->rate * (at[j] - at[i]));
        }
    }
}

static void keeps_its_guarantee_over_any_interval(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct pcg pcg;
        struct rng rng = pcg_rng(&pcg, seed);
        uint64_t at[SENDS], bytes[SENDS];
        uint64_t now = NS_PER_S;
        struct pacer p = make(seed % 2, now);
        int count = 0;
        while (count < SENDS) {
            uint64_t next = pacer_next(&p, now);
            if (next > now) {
                /* Mostly wait a little at random, at times until the very moment. */
                now = rng_below(rng, 4) ? now + rng_below(rng, 3 * NS_PER_MS) : next;
                continue;
            }
            at[count] = now;
            bytes[count] = 1 + rng_below(rng, MTU);
            pacer_sent(&p, bytes[count++], now);
            if (rng_below(rng, 50) == 0) {
                now += rng_below(rng, 100 * NS_PER_MS);
            }
        }
        expect_guarantee(&p, at, bytes);
    }
}

/* The other side of the guarantee: whoever asks every millisecond gets the rate. */
static void keeps_the_rate_with_a_millisecond_timer(void **state)
{
    (void)state;
    struct pacer p;
    pacer_init(&p, MTU, 0);
    pacer_update(&p, 12500000, 100 * NS_PER_MS, false, 0); /* 1.25 Gbit/s */
    uint64_t sent = 0;
    for (uint64_t now = 0; now < NS_PER_S; now += NS_PER_MS) {
        while (pacer_next(&p, now) <= now) {
            pacer_sent(&p, MTU, now);
            sent += MTU;
        }
    }
    assert_in_range(sent, p.rate * 998 / 1000, p.rate + p.burst);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_no_limit_before_the_first_rtt),
        cmocka_unit_test(takes_its_rate_from_window_and_rtt),
        cmocka_unit_test(rest_leaves_less_in_the_bucket),
        cmocka_unit_test(spaces_packets_after_the_burst),
        cmocka_unit_test(forgets_nothing_but_saves_no_more_than_the_burst),
        cmocka_unit_test(lets_a_probe_through_without_debt),
        cmocka_unit_test(survives_extremes),
        cmocka_unit_test(keeps_its_guarantee_over_any_interval),
        cmocka_unit_test(keeps_the_rate_with_a_millisecond_timer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
