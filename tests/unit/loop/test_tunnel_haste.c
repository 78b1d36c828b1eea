/* The loop's rounds while bulk moves: short ones as soon as somebody talks beside it. */
#include "unit/loop/talk_world.h"

enum { BULK = 8 << 20 };

static uint64_t sent_by(const struct end *e)
{
    struct adit_peer_stats stats;
    assert_true(adit_peer_stats(e->adit, 0, &stats));
    return stats.bytes_out;
}

/* That a took to send so many bytes of its bulk. */
static unsigned count_rounds(struct world *w, uint64_t bytes)
{
    unsigned rounds = 0;
    uint64_t before = sent_by(&w->a), end = before + bytes;
    while (!w->over && before < end) {
        (void)uv_run(&w->loop, UV_RUN_ONCE);
        uint64_t now = sent_by(&w->a);
        rounds += now > before;
        before = now;
    }
    assert_false(w->over);
    return rounds;
}

static void rounds_are_short_while_somebody_talks(void **state)
{
    (void)state;
    struct world w;
    talk_begin(&w, 0);
    w.a.silent = true;
    UNTIL(&w, w.a.heard > 0);
    assert_int_equal(adit_open(w.a.adit, 0, "bulk", 4, NULL, &w.a.bulk), 0);
    w.a.has_bulk = true;
    talk_fill(&w.a);
    (void)count_rounds(&w, BULK); /* the path is learnt */
    unsigned alone = count_rounds(&w, BULK);
    w.a.silent = false;
    talk_say(&w.a);
    UNTIL(&w, w.a.heard > 10);
    unsigned beside = count_rounds(&w, BULK);
    assert_true(beside * 2 >= alone * 3);
    talk_assert_direct(&w.a);
    talk_finish(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounds_are_short_while_somebody_talks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
