#include "transport/reassembly.h"

#include <base/mem.h>
#include <base/rng.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { TOTAL = 65507 };

static uint8_t bytes[TOTAL];

static const uint8_t *add(struct reassembly *r, uint64_t number, size_t total, size_t from,
                          size_t to, uint64_t now)
{
    const struct reassembly_part part = {.stream = 4,
                                         .number = number,
                                         .total = total,
                                         .offset = from,
                                         .data = bytes + from,
                                         .len = to - from};
    return reassembly_add(r, &part, now);
}

/* In any order, with some of them twice. */
static void parts_in_any_order(void **state)
{
    (void)state;
    enum { PARTS = 55, LEN = TOTAL / PARTS + 1 };
    struct pcg pcg;
    struct rng rng = pcg_rng(&pcg, 1);
    struct reassembly r;
    reassembly_init(&r);
    for (uint64_t round = 0; round < 50; round++) {
        bool sent[PARTS] = {false};
        const uint8_t *whole = NULL;
        for (size_t left = PARTS; left > 0;) {
            size_t i = (size_t)rng_below(rng, PARTS);
            size_t end = (i + 1) * LEN < TOTAL ? (i + 1) * LEN : TOTAL;
            left -= !sent[i];
            sent[i] = true;
            whole = add(&r, round, TOTAL, i * LEN, end, round);
            assert_int_equal(whole != NULL, left == 0);
        }
        assert_memory_equal(whole, bytes, TOTAL);
    }
    assert_int_equal(r.lost, 0);
    reassembly_clear(&r);
}

static void old_ones_are_forgotten(void **state)
{
    (void)state;
    struct reassembly r;
    reassembly_init(&r);
    assert_null(add(&r, 1, 100, 0, 50, 0));
    assert_null(add(&r, 2, 100, 0, 50, REASSEMBLY_NS));
    assert_null(add(&r, 1, 100, 50, 100, REASSEMBLY_NS + 1)); /* its first part is gone */
    assert_int_equal(r.lost, 1);
    assert_non_null(add(&r, 2, 100, 50, 100, REASSEMBLY_NS + 1));
    reassembly_clear(&r);
    assert_int_equal(r.lost, 2);
}

static void the_oldest_makes_room(void **state)
{
    (void)state;
    struct reassembly r;
    reassembly_init(&r);
    for (uint64_t n = 0; n <= REASSEMBLY_SLOTS; n++) {
        assert_null(add(&r, n, 100, 0, 50, n));
    }
    assert_int_equal(r.lost, 1);
    assert_non_null(add(&r, 1, 100, 50, 100, 50));
    assert_null(add(&r, 0, 100, 50, 100, 50));
    reassembly_clear(&r);
}

static void parts_that_disagree_give_it_up(void **state)
{
    (void)state;
    struct reassembly r;
    reassembly_init(&r);
    assert_null(add(&r, 1, 100, 0, 50, 0));
    assert_null(add(&r, 1, 90, 50, 90, 0));
    assert_int_equal(r.lost, 1);
    for (size_t i = 0; i <= REASSEMBLY_RANGES_MAX; i++) { /* more holes than anybody makes */
        assert_null(add(&r, 2, TOTAL, i * 2, i * 2 + 1, 0));
    }
    assert_int_equal(r.lost, 2);
    reassembly_clear(&r);
}

static void without_memory_it_is_lost(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 2; n++) {
        struct reassembly r;
        reassembly_init(&r);
        mem_fail_after(n);
        assert_null(add(&r, 1, 100, 0, 50, 0));
        mem_fail_after(0);
        assert_int_equal(r.lost, 1);
        assert_null(add(&r, 2, 100, 0, 50, 0));
        assert_non_null(add(&r, 2, 100, 50, 100, 0));
        reassembly_clear(&r);
    }
}

int main(void)
{
    for (size_t i = 0; i < TOTAL; i++) {
        bytes[i] = (uint8_t)(i * 5 + i / 253);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_in_any_order),
        cmocka_unit_test(old_ones_are_forgotten),
        cmocka_unit_test(the_oldest_makes_room),
        cmocka_unit_test(parts_that_disagree_give_it_up),
        cmocka_unit_test(without_memory_it_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
