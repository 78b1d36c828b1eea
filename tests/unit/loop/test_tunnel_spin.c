/* The loop's waits between two nodes that talk. Both are in one loop, so that whoever waits is
 * answered as soon as it can be. */
#include "unit/loop/talk_world.h"

#define SPIN_NS (20 * NS_PER_MS) /* a round may be slow here, but not as slow */
/* Who has looked so often was not held back by others, who want the processor now and then. */
enum { SPINS = 3, SILENCE_MS = 100, SILENT_ROUNDS_MAX = 1500 };

static uint64_t spins(const struct end *e)
{
    struct adit_counters n;
    adit_counters(e->adit, &n);
    return n.waits_polled;
}

/* Who is talked to quickly does not sleep between two words. */
static void a_conversation_is_had_awake(void **state)
{
    (void)state;
    struct world w;
    talk_begin(&w, SPIN_NS);
    UNTIL(&w, spins(&w.a) >= SPINS && spins(&w.b) >= SPINS);
    talk_assert_direct(&w.a);
    talk_assert_direct(&w.b);
    talk_finish(&w);
}

static void unless_it_shall_not(void **state)
{
    (void)state;
    struct world w;
    talk_begin(&w, 0);
    UNTIL(&w, w.a.heard >= 500);
    assert_true(spins(&w.a) + spins(&w.b) == 0);
    talk_finish(&w);
}

/* Until the timer says so: how many rounds. */
static unsigned rest(struct world *w, uint64_t ms)
{
    unsigned rounds = 0;
    w->over = false;
    (void)uv_timer_start(&w->timer, talk_on_timer, ms, 0);
    while (!w->over) {
        (void)uv_run(&w->loop, UV_RUN_ONCE);
        rounds++;
    }
    return rounds;
}

/* The word that is not answered ends it: the loop sleeps, and its rounds can be counted. */
static void silence_is_slept_through(void **state)
{
    (void)state;
    struct world w;
    talk_begin(&w, SPIN_NS);
    UNTIL(&w, spins(&w.a) >= SPINS && spins(&w.b) >= SPINS);
    adit_abort(w.a.adit, w.a.stream, CAUSE_CANCELLED);
    (void)rest(&w, SILENCE_MS);
    assert_in_range(rest(&w, SILENCE_MS), 1, SILENT_ROUNDS_MAX);
    talk_finish(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_conversation_is_had_awake),
        cmocka_unit_test(unless_it_shall_not),
        cmocka_unit_test(silence_is_slept_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
