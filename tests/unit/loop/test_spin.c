#include "loop/spin.h"

#include <base/clock.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define LIMIT (100 * NS_PER_US)
#define SHORT (LIMIT - 1)
#define PAUSE (100 * NS_PER_MS)

static const struct spin_round told_app = {.bytes = 100};
static const struct spin_round told_peer = {.bytes = 100, .sent = true};
static const struct spin_round moved_bulk = {.bytes = 65536, .sent = true};

struct world {
    struct spin spin;
    uint64_t now;
};

static struct world begin(void)
{
    struct world w = {.now = 1000 * NS_PER_S};
    spin_init(&w.spin, LIMIT);
    return w;
}

static void waits(struct world *w, const struct spin_round *r, unsigned count, uint64_t each_ns)
{
    for (unsigned i = 0; i < count; i++) {
        spin_wait(&w->spin, r, w->now);
        w->now += each_ns;
        spin_wake(&w->spin, w->now);
    }
}

/* Whether it would spin right after such a round. */
static bool pays_after(struct world *w, const struct spin_round *r)
{
    spin_wait(&w->spin, r, w->now);
    bool pays = spin_pays(&w->spin, w->now);
    w->spin.since_ns = TIME_NEVER; /* nothing is learnt from it */
    return pays;
}

static void short_waits_have_it_spin(void **state)
{
    (void)state;
    struct world w = begin();
    waits(&w, &told_peer, 3, SHORT);
    assert_false(pays_after(&w, &told_peer));
    waits(&w, &told_peer, 1, SHORT);
    assert_true(pays_after(&w, &told_peer));
}

static void long_waits_have_it_sleep(void **state)
{
    (void)state;
    struct world w = begin();
    waits(&w, &told_peer, 1000, SHORT);
    waits(&w, &told_peer, 4, LIMIT);
    assert_true(pays_after(&w, &told_peer));
    waits(&w, &told_peer, 1, LIMIT);
    assert_false(pays_after(&w, &told_peer));
    waits(&w, &told_peer, 1000, NS_PER_S);
    waits(&w, &told_peer, 4, SHORT); /* not held against it for ever */
    assert_true(pays_after(&w, &told_peer));
}

static void it_ends_with_the_limit(void **state)
{
    (void)state;
    struct world w = begin();
    waits(&w, &told_peer, 8, SHORT);
    assert_false(spin_pays(&w.spin, w.now)); /* no wait is under way */
    spin_wait(&w.spin, &told_peer, w.now);
    assert_true(spin_pays(&w.spin, w.now + LIMIT - 1));
    assert_false(spin_pays(&w.spin, w.now + LIMIT));
}

/* A peer beyond a real network, and an application here. */
static void waits_for_peers_and_applications_are_told_apart(void **state)
{
    (void)state;
    struct world w = begin();
    for (int i = 0; i < 100; i++) {
        waits(&w, &told_peer, 1, 20 * NS_PER_MS);
        waits(&w, &told_app, 1, 30 * NS_PER_US);
    }
    assert_false(pays_after(&w, &told_peer));
    assert_true(pays_after(&w, &told_app));
}

static void not_while_bulk_moves(void **state)
{
    (void)state;
    struct world w = begin();
    waits(&w, &told_peer, 8, SHORT);
    waits(&w, &moved_bulk, 8, SHORT);
    assert_false(pays_after(&w, &moved_bulk));
    assert_false(pays_after(&w, &told_peer)); /* it acknowledged some */
    w.now += 2 * NS_PER_MS;
    assert_true(pays_after(&w, &told_peer));
}

static void others_have_the_processor(void **state)
{
    (void)state;
    struct world w = begin();
    waits(&w, &told_peer, 8, SHORT);
    spin_yielded(&w.spin, w.now, w.now + 400 * NS_PER_US); /* they were quick */
    assert_true(pays_after(&w, &told_peer));
    spin_yielded(&w.spin, w.now - 4 * NS_PER_MS, w.now);
    assert_false(pays_after(&w, &told_peer));
    w.now += PAUSE - 1;
    assert_false(pays_after(&w, &told_peer));
    w.now += 1;
    assert_true(pays_after(&w, &told_peer));
}

/* How long it does not spin after a yield that took long. */
static uint64_t pause_of(struct world *w)
{
    spin_yielded(&w->spin, w->now - 4 * NS_PER_MS, w->now);
    for (uint64_t ms = 0; ms < 100000; ms++, w->now += NS_PER_MS) {
        if (pays_after(w, &told_peer)) {
            return ms * NS_PER_MS;
        }
    }
    return TIME_NEVER;
}

static void others_that_stay_are_looked_for_less_often(void **state)
{
    (void)state;
    struct world w = begin();
    waits(&w, &told_peer, 8, SHORT);
    assert_true(pause_of(&w) == PAUSE);
    assert_true(pause_of(&w) == 2 * PAUSE);
    assert_true(pause_of(&w) == 4 * PAUSE);
    for (int i = 0; i < 10; i++) {
        (void)pause_of(&w);
    }
    assert_true(pause_of(&w) == 5 * PAUSE);
    w.now += 5 * PAUSE; /* for as long they were gone */
    assert_true(pause_of(&w) == PAUSE);
}

static void without_a_limit_it_never_spins(void **state)
{
    (void)state;
    struct world w = begin();
    spin_init(&w.spin, 0);
    waits(&w, &told_peer, 100, 0);
    assert_false(pays_after(&w, &told_peer));
}

static void a_wake_without_a_wait_teaches_nothing(void **state)
{
    (void)state;
    struct world w = begin();
    for (int i = 0; i < 100; i++) {
        spin_wake(&w.spin, w.now);
    }
    assert_false(pays_after(&w, &told_app));
    assert_false(pays_after(&w, &told_peer));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_waits_have_it_spin),
        cmocka_unit_test(long_waits_have_it_sleep),
        cmocka_unit_test(it_ends_with_the_limit),
        cmocka_unit_test(waits_for_peers_and_applications_are_told_apart),
        cmocka_unit_test(not_while_bulk_moves),
        cmocka_unit_test(others_have_the_processor),
        cmocka_unit_test(others_that_stay_are_looked_for_less_often),
        cmocka_unit_test(without_a_limit_it_never_spins),
        cmocka_unit_test(a_wake_without_a_wait_teaches_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
