/* The loop's rounds while bulk moves: short ones as soon as somebody talks beside it. */
#include "unit/loop/talk_world.h"

enum { BULK = 24 << 20, LONG_BYTES = 4 * 65536 };

static uint64_t sent_by(const struct end *e)
{
    struct adit_peer_stats stats;
    assert_true(adit_peer_stats(e->adit, 0, &stats));
    return stats.bytes_out;
}

struct rounds {
    unsigned all, longs; /* that sent something, that sent more than a few batches */
};

/* Of a's bulk, round by round, until so many bytes more have left. */
static struct rounds count_rounds(struct world *w, uint64_t bytes)
{
    struct rounds r = {0};
    uint64_t before = sent_by(&w->a), end = before + bytes;
    while (!w->over && before < end) {
        (void)uv_run(&w->loop, UV_RUN_ONCE);
        uint64_t now = sent_by(&w->a);
        r.all += now > before;
        r.longs += now - before >= LONG_BYTES;
        before = now;
    }
    assert_false(w->over);
    return r;
}

static void rounds_are_short_while_somebody_talks(void **state)
{
    (void)state;
    struct world w;
    talk_begin(&w, false);
    w.a.silent = true;
    UNTIL(&w, w.a.heard > 0);
    assert_int_equal(adit_open(w.a.adit, 0, "bulk", 4, NULL, &w.a.bulk), 0);
    w.a.has_bulk = true;
    talk_fill(&w.a);
    (void)count_rounds(&w, BULK); /* the path is learnt */
    struct rounds alone = count_rounds(&w, BULK);
    w.a.silent = false;
    talk_say(&w.a);
    UNTIL(&w, w.a.heard > 10);
    struct rounds beside = count_rounds(&w, BULK);
    assert_true(alone.longs * 4 >= alone.all);
    assert_true(beside.longs * 20 <= beside.all);
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
