#include "transport/pmtud.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { BASE = 1232, ETHERNET = 1472, MOST = 16384 };

#define S(n) ((uint64_t)(n)*NS_PER_S)

static uint64_t next_number;

static void start(struct pmtud *m, size_t most)
{
    next_number = 100;
    pmtud_init(m, BASE);
    pmtud_search(m, most, S(1));
}

/* Probes until the search is quiet, on a path that carries `mtu`. How many probes that took. */
static unsigned search(struct pmtud *m, size_t mtu, uint64_t now)
{
    unsigned probes = 0;
    size_t size;
    while ((size = pmtud_wants(m, now)) > 0) {
        uint64_t number = next_number++;
        assert_true(size > m->size);
        assert_true(++probes < 40);
        pmtud_on_sent(m, number);
        assert_int_equal(pmtud_wants(m, now), 0); /* one at a time */
        if (size <= mtu) {
            assert_true(pmtud_on_acked(m, number, size, now));
            assert_int_equal(m->size, size);
        } else {
            pmtud_on_probe_lost(m, number, now);
        }
    }
    return probes;
}

static void does_not_search_unless_told(void **state)
{
    (void)state;
    struct pmtud m;
    pmtud_init(&m, 8192);
    assert_int_equal(m.size, 8192);
    assert_int_equal(pmtud_wants(&m, S(1000)), 0);
    assert_false(pmtud_on_acked(&m, 1, 8192, S(1)));
    assert_false(pmtud_on_doubt(&m, 2, S(1)));
}

static void finds_the_size_of_usual_networks(void **state)
{
    (void)state;
    static const struct {
        size_t mtu, found;
    } cases[] = {{1232, 1232}, {1280, 1232},   {1372, 1372},   {1392, 1392}, {1420, 1412},
                 {1452, 1452}, {1464, 1464},   {1472, 1472},   {8972, 8972}, {9100, 8972},
                 {4096, 4052}, {16384, 16384}, {65507, 16384}, {16383, 8972}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pmtud m;
        start(&m, MOST);
        unsigned probes = search(&m, cases[i].mtu, S(1));
        assert_int_equal(m.size, cases[i].found);
        assert_true(probes <= 1 + 4 * PMTUD_PROBES_MAX);
    }
}

static void tries_ethernet_first(void **state)
{
    (void)state;
    struct pmtud m;
    start(&m, MOST);
    assert_int_equal(pmtud_wants(&m, S(1)), ETHERNET);
    start(&m, 1400);
    assert_true(pmtud_wants(&m, S(1)) <= 1400);
    assert_true(search(&m, MOST, S(1)) > 0);
    assert_int_equal(m.size, 1392);
}

static void a_size_fails_after_three_probes_only(void **state)
{
    (void)state;
    struct pmtud m;
    start(&m, MOST);
    for (unsigned i = 0; i < PMTUD_PROBES_MAX; i++) {
        assert_int_equal(pmtud_wants(&m, S(1)), ETHERNET);
        pmtud_on_sent(&m, next_number);
        pmtud_on_probe_lost(&m, next_number + 1, S(1)); /* that is none of ours */
        assert_int_equal(pmtud_wants(&m, S(1)), 0);
        pmtud_on_probe_lost(&m, next_number++, S(1));
    }
    assert_true(pmtud_wants(&m, S(1)) < ETHERNET);
}

static void a_late_probe_proves_its_size(void **state)
{
    (void)state;
    struct pmtud m;
    start(&m, MOST);
    for (unsigned i = 0; i < PMTUD_PROBES_MAX; i++) {
        (void)pmtud_wants(&m, S(1));
        pmtud_on_sent(&m, next_number);
        pmtud_on_probe_lost(&m, next_number++, S(1));
    }
    assert_true(pmtud_on_acked(&m, next_number - 1, ETHERNET, S(2)));
    assert_int_equal(m.size, ETHERNET);
    assert_true(search(&m, ETHERNET, S(2)) == 0); /* what it tried meanwhile is of no use */
    assert_int_equal(m.size, ETHERNET);
}

static void tries_larger_ones_again_after_a_while(void **state)
{
    (void)state;
    struct pmtud m;
    start(&m, MOST);
    assert_true(search(&m, 1392, S(1)) > 0);
    assert_int_equal(search(&m, ETHERNET, S(1) + PMTUD_RAISE_NS - 1), 0);
    assert_true(search(&m, ETHERNET, S(1) + PMTUD_RAISE_NS) > 0);
    assert_int_equal(m.size, ETHERNET);
    start(&m, MOST);
    assert_true(search(&m, MOST, S(1)) > 0);
    assert_int_equal(search(&m, MOST, S(1) + 2 * PMTUD_RAISE_NS), 0); /* nothing is larger */
}

static void falls_back_in_a_black_hole(void **state)
{
    (void)state;
    struct pmtud m;
    start(&m, MOST);
    (void)search(&m, ETHERNET, S(1));
    for (unsigned i = 1; i < PMTUD_LOST_MAX; i++) {
        assert_false(pmtud_on_lost(&m, next_number++, ETHERNET, 200, S(2)));
    }
    assert_false(pmtud_on_lost(&m, next_number++, BASE, 200, S(2))); /* proves nothing */
    assert_true(pmtud_on_lost(&m, next_number++, ETHERNET, 200, S(2)));
    assert_int_equal(m.size, BASE);
    /* Those sent before count no more, neither way. */
    assert_false(pmtud_on_acked(&m, 199, ETHERNET, S(2)));
    assert_false(pmtud_on_lost(&m, 199, ETHERNET, 200, S(2)));
    assert_int_equal(m.size, BASE);
    next_number = 200;
    assert_int_equal(search(&m, 1412, S(2) + PMTUD_PAUSE_NS - 1), 0);
    assert_true(search(&m, 1412, S(2) + PMTUD_PAUSE_NS) > 0);
    assert_int_equal(m.size, 1412);
}

static void scattered_losses_are_no_black_hole(void **state)
{
    (void)state;
    struct pmtud m;
    start(&m, MOST);
    (void)search(&m, ETHERNET, S(1));
    for (unsigned i = 0; i < 10 * PMTUD_LOST_MAX; i++) {
        assert_false(pmtud_on_lost(&m, next_number++, ETHERNET, 200, S(2)));
        if (i % (PMTUD_LOST_MAX - 1) == 0) {
            assert_false(pmtud_on_acked(&m, next_number++, ETHERNET, S(2)));
        }
    }
    assert_int_equal(m.size, ETHERNET);
}

/* The acknowledgement that tells of the losses says that what was sent behind them arrived. */
static void a_burst_of_losses_is_no_black_hole(void **state)
{
    (void)state;
    struct pmtud m;
    start(&m, MOST);
    (void)search(&m, ETHERNET, S(1));
    assert_false(pmtud_on_acked(&m, next_number + 1000, ETHERNET, S(2)));
    for (unsigned i = 0; i < 1000; i++) {
        assert_false(pmtud_on_lost(&m, next_number + i, ETHERNET, 2000, S(2)));
    }
    assert_int_equal(m.size, ETHERNET);
}

static void pauses_longer_when_it_falls_again_and_again(void **state)
{
    (void)state;
    struct pmtud m;
    start(&m, MOST);
    uint64_t now = S(1);
    uint64_t expected = PMTUD_PAUSE_NS;
    for (int i = 0; i < 10; i++) {
        (void)search(&m, ETHERNET, now);
        assert_int_equal(m.size, ETHERNET);
        assert_true(pmtud_on_doubt(&m, next_number, now));
        assert_false(pmtud_on_doubt(&m, next_number, now)); /* it is at the bottom */
        assert_int_equal(m.quiet_ns, now + expected);
        now = m.quiet_ns;
        expected = expected < PMTUD_PAUSE_MAX_NS ? 2 * expected : PMTUD_PAUSE_MAX_NS;
    }
    now += 2 * PMTUD_PAUSE_MAX_NS; /* a long peace is a new beginning */
    (void)search(&m, ETHERNET, now);
    assert_true(pmtud_on_doubt(&m, next_number, now));
    assert_int_equal(m.quiet_ns, now + PMTUD_PAUSE_NS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(does_not_search_unless_told),
        cmocka_unit_test(finds_the_size_of_usual_networks),
        cmocka_unit_test(tries_ethernet_first),
        cmocka_unit_test(a_size_fails_after_three_probes_only),
        cmocka_unit_test(a_late_probe_proves_its_size),
        cmocka_unit_test(tries_larger_ones_again_after_a_while),
        cmocka_unit_test(falls_back_in_a_black_hole),
        cmocka_unit_test(scattered_losses_are_no_black_hole),
        cmocka_unit_test(a_burst_of_losses_is_no_black_hole),
        cmocka_unit_test(pauses_longer_when_it_falls_again_and_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
