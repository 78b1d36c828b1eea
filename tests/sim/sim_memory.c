/* Memory runs out: what cannot be made is refused, what was promised arrives once there is some. */
#include <base/mem.h>

#include "sim/pair.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)

static void a_conn_is_made_whole_or_not_at_all(void **state)
{
    (void)state;
    struct pcg pcg;
    struct conn_config config = {.limits = conn_limits_default(), .rng = pcg_rng(&pcg, 1)};
    struct conn *c = NULL;
    size_t n = 0;
    while (!c) {
        mem_fail_after(++n);
        c = conn_new(&config);
        mem_fail_after(0);
        assert_true(n < 100);
    }
    assert_true(n > 1);
    conn_free(c);
}

static void opening_fails_cleanly(void **state)
{
    (void)state;
    struct pair_config config = pair_config_default("sim_memory", 1);
    struct pair *p = pair_new(&config);
    struct app_plan plan = app_transfer(1000, 1000);
    bool refused = false, opened = false;
    for (size_t n = 1; n < 10; n++) {
        mem_fail_after(n);
        bool open = app_try_open(&p->side[0].app, &plan);
        mem_fail_after(0);
        refused = refused || !open;
        opened = opened || open;
        pair_rest(p, MS(100));
    }
    assert_true(refused && opened);
    pair_finish(p, NS_PER_S);
    assert_int_equal(p->side[0].app.bytes_read, p->side[0].app.opened * plan.down);
    assert_int_equal(p->side[1].app.bytes_read, p->side[0].app.opened * plan.up);
    pair_settle(p);
    pair_free(p);
}

/* Bouts without memory in the middle of transfers, on both sides: nothing breaks, and everything
 * goes on when there is some again. A packet that found no memory is one that was lost. */
static void transfers_survive_bouts_without_memory(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct pair_config config = pair_config_default("sim_memory", seed);
        struct pair *p = pair_new(&config);
        struct rng rng = p->world.rng;
        struct app_plan plan = app_transfer(1000000, 1000000);
        for (int i = 0; i < 4; i++) {
            plan.down_after_up = i % 2;
            pair_open(p, 0, &plan);
        }
        for (int i = 0; i < 10; i++) {
            pair_rest(p, rng_below(rng, MS(50)));
            mem_fail_after(1 + rng_below(rng, 5));
            pair_rest(p, rng_below(rng, MS(50)));
            mem_fail_after(0);
        }
        pair_finish(p, 3 * pair_ideal_ns(8000000, 100000000, MS(40)) + 2 * NS_PER_S);
        pair_settle(p);
        pair_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_conn_is_made_whole_or_not_at_all),
        cmocka_unit_test(opening_fails_cleanly),
        cmocka_unit_test(transfers_survive_bouts_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
