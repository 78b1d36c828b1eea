#include "transport/ranges.h"

#include <base/err.h>
#include <base/mem.h>
#include <base/rng.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void expect(const struct ranges *r, const struct range *list, size_t count)
{
    assert_int_equal(r->count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(r->list[i].start, list[i].start);
        assert_int_equal(r->list[i].end, list[i].end);
    }
}

#define EXPECT(r, ...)                                                                             \
    expect(r, (const struct range[]){__VA_ARGS__},                                                 \
           sizeof((const struct range[]){__VA_ARGS__}) / sizeof(struct range))

static void joins_what_overlaps_or_touches(void **state)
{
    (void)state;
    struct ranges r;
    ranges_init(&r, 10);
    assert_int_equal(ranges_add(&r, 10, 20), 0);
    assert_int_equal(ranges_add(&r, 30, 40), 0);
    assert_int_equal(ranges_add(&r, 50, 60), 0);
    assert_int_equal(ranges_add(&r, 5, 5), 0); /* nothing */
    EXPECT(&r, {10, 20}, {30, 40}, {50, 60});
    assert_int_equal(ranges_add(&r, 20, 25), 0);
    assert_int_equal(ranges_add(&r, 28, 30), 0);
    EXPECT(&r, {10, 25}, {28, 40}, {50, 60});
    assert_int_equal(ranges_add(&r, 0, 2), 0);
    assert_int_equal(ranges_add(&r, 25, 50), 0);
    EXPECT(&r, {0, 2}, {10, 60});
    assert_int_equal(ranges_add(&r, 12, 13), 0);
    EXPECT(&r, {0, 2}, {10, 60});
    ranges_deinit(&r);
}

static void takes_out_and_splits(void **state)
{
    (void)state;
    struct ranges r;
    ranges_init(&r, 10);
    assert_int_equal(ranges_add(&r, 10, 100), 0);
    assert_int_equal(ranges_remove(&r, 20, 30), 0);
    assert_int_equal(ranges_remove(&r, 50, 60), 0);
    EXPECT(&r, {10, 20}, {30, 50}, {60, 100});
    assert_int_equal(ranges_remove(&r, 15, 70), 0);
    EXPECT(&r, {10, 15}, {70, 100});
    assert_int_equal(ranges_remove(&r, 0, 10), 0);
    assert_int_equal(ranges_remove(&r, 15, 70), 0);
    EXPECT(&r, {10, 15}, {70, 100});
    ranges_remove_below(&r, 12);
    EXPECT(&r, {12, 15}, {70, 100});
    ranges_drop_lowest(&r);
    EXPECT(&r, {70, 100});
    ranges_remove_below(&r, 1000);
    assert_int_equal(r.count, 0);
    ranges_deinit(&r);
}

static void stays_as_it_was_at_its_ceiling(void **state)
{
    (void)state;
    struct ranges r;
    ranges_init(&r, 2);
    assert_int_equal(ranges_add(&r, 0, 10), 0);
    assert_int_equal(ranges_add(&r, 20, 30), 0);
    assert_int_equal(ranges_add(&r, 40, 50), ERR_NO_ROOM);
    assert_int_equal(ranges_remove(&r, 2, 4), ERR_NO_ROOM);
    EXPECT(&r, {0, 10}, {20, 30});
    assert_int_equal(ranges_add(&r, 10, 15), 0); /* no new range */
    ranges_drop_lowest(&r);
    assert_int_equal(ranges_add(&r, 40, 50), 0);
    EXPECT(&r, {20, 30}, {40, 50});
    ranges_deinit(&r);
}

static void stays_as_it_was_without_memory(void **state)
{
    (void)state;
    struct ranges r;
    ranges_init(&r, 100);
    mem_fail_after(1);
    assert_int_equal(ranges_add(&r, 0, 1), ERR_NO_MEMORY);
    mem_fail_after(0);
    assert_int_equal(r.count, 0);
    while (r.count == 0 || r.count < r.room) {
        assert_int_equal(ranges_add(&r, 10 * r.count, 10 * r.count + 5), 0);
    }
    size_t full = r.count;
    mem_fail_after(1);
    assert_int_equal(ranges_remove(&r, 2, 3), ERR_NO_MEMORY);
    assert_int_equal(ranges_add(&r, 1000, 1001), ERR_NO_MEMORY);
    mem_fail_after(0);
    assert_int_equal(r.count, full);
    assert_true(ranges_covers(&r, 0, 5));
    ranges_deinit(&r);
}

static void reaches_to_the_last_number(void **state)
{
    (void)state;
    struct ranges r;
    ranges_init(&r, 2);
    assert_int_equal(ranges_add(&r, UINT64_MAX - 1, UINT64_MAX), 0);
    assert_true(ranges_contains(&r, UINT64_MAX - 1));
    assert_false(ranges_contains(&r, UINT64_MAX - 2));
    assert_false(ranges_contains(&r, UINT64_MAX));
    ranges_deinit(&r);
}

enum { NUMBERS = 64 };

static void expect_same(const struct ranges *r, const bool *model)
{
    for (uint64_t i = 0; i < NUMBERS; i++) {
        assert_int_equal(ranges_contains(r, i), model[i]);
    }
    for (size_t i = 0; i < r->count; i++) {
        assert_true(r->list[i].start < r->list[i].end);
        assert_true(i == 0 || r->list[i - 1].end < r->list[i].start);
    }
}

static void equals_a_plain_table_under_random_changes(void **state)
{
    (void)state;
    struct pcg pcg;
    struct rng rng = pcg_rng(&pcg, 7);
    bool model[NUMBERS] = {false};
    struct ranges r;
    ranges_init(&r, NUMBERS);
    for (int round = 0; round < 20000; round++) {
        uint64_t start = rng_below(rng, NUMBERS);
        uint64_t end = start + rng_below(rng, 1 + (NUMBERS - start) / 4 + 1);
        end = end < NUMBERS ? end : NUMBERS;
        bool add = rng_below(rng, 2);
        assert_int_equal(add ? ranges_add(&r, start, end) : ranges_remove(&r, start, end), 0);
        bool covered = true;
        for (uint64_t i = start; i < end; i++) {
            model[i] = add;
            covered = covered && model[i];
        }
        assert_int_equal(ranges_covers(&r, start, end), covered);
        expect_same(&r, model);
    }
    ranges_clear(&r);
    assert_int_equal(r.count, 0);
    ranges_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_what_overlaps_or_touches),
        cmocka_unit_test(takes_out_and_splits),
        cmocka_unit_test(stays_as_it_was_at_its_ceiling),
        cmocka_unit_test(stays_as_it_was_without_memory),
        cmocka_unit_test(reaches_to_the_last_number),
        cmocka_unit_test(equals_a_plain_table_under_random_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
