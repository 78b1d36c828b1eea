#include <base/clock.h>
#include <base/err.h>
#include <base/heap.h>
#include <base/mem.h>
#include <base/rng.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void leaves_in_order_of_time_then_of_setting(void **state)
{
    (void)state;
    struct heap h;
    struct heap_node n[4] = {0};
    assert_int_equal(heap_init(&h, 4), 0);
    heap_set(&h, &n[0], 30);
    heap_set(&h, &n[1], 10);
    heap_set(&h, &n[2], 10);
    heap_set(&h, &n[3], 20);
    heap_set(&h, &n[3], TIME_NEVER);
    const struct heap_node *expected[] = {&n[1], &n[2], &n[0]};
    for (size_t i = 0; i < 3; i++) {
        assert_ptr_equal(heap_first(&h), expected[i]);
        heap_remove(&h, heap_first(&h));
    }
    assert_int_equal(heap_next(&h), TIME_NEVER);
    heap_deinit(&h);
}

static void refuses_past_its_ceiling(void **state)
{
    (void)state;
    struct heap h;
    struct heap_node n[2] = {0};
    assert_int_equal(heap_init(&h, 1), 0);
    assert_int_equal(heap_set(&h, &n[0], 1), 0);
    assert_int_equal(heap_set(&h, &n[1], 1), ERR_NO_ROOM);
    heap_deinit(&h);
}

static void grows_with_all_in_it(void **state)
{
    (void)state;
    struct heap h;
    struct heap_node n[3] = {0};
    assert_int_equal(heap_init(&h, 2), 0);
    assert_int_equal(heap_set(&h, &n[0], 2), 0);
    assert_int_equal(heap_set(&h, &n[1], 1), 0);
    mem_fail_after(1);
    assert_int_equal(heap_grow(&h, 3), ERR_NO_MEMORY);
    mem_fail_after(0);
    assert_int_equal(heap_set(&h, &n[2], 3), ERR_NO_ROOM);
    assert_int_equal(heap_grow(&h, 3), 0);
    assert_int_equal(heap_set(&h, &n[2], 3), 0);
    assert_ptr_equal(heap_first(&h), &n[1]);
    heap_remove(&h, &n[1]);
    assert_ptr_equal(heap_first(&h), &n[0]);
    heap_remove(&h, &n[0]);
    assert_ptr_equal(heap_first(&h), &n[2]);
    heap_deinit(&h);
}

static void stays_sorted_under_random_moves(void **state)
{
    (void)state;
    enum { NODES = 100 };
    struct heap h;
    struct heap_node n[NODES] = {0};
    struct pcg pcg;
    struct rng rng = pcg_rng(&pcg, 1);
    assert_int_equal(heap_init(&h, NODES), 0);
    for (int round = 0; round < 10000; round++) {
        heap_set(&h, &n[rng_below(rng, NODES)],
                 rng_below(rng, 5) ? rng_below(rng, 50) : TIME_NEVER);
        uint64_t least = TIME_NEVER;
        for (int i = 0; i < NODES; i++) {
            least = n[i].slot ? time_min(least, n[i].at) : least;
        }
        assert_int_equal(heap_next(&h), least);
    }
    heap_deinit(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_in_order_of_time_then_of_setting),
        cmocka_unit_test(refuses_past_its_ceiling),
        cmocka_unit_test(grows_with_all_in_it),
        cmocka_unit_test(stays_sorted_under_random_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
