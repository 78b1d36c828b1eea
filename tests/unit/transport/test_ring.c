#include "transport/ring.h"

#include <base/err.h>
#include <base/mem.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { PIECE = 64 * 1024 };

static void bytes_stay_when_it_grows(void **state)
{
    (void)state;
    struct ring r = {0};
    uint8_t in[5000], out[5000];
    for (size_t i = 0; i < sizeof(in); i++) {
        in[i] = (uint8_t)(i * 7);
    }
    assert_int_equal(ring_reserve(&r, 3000, 3000, 3000 + RING_MIN), 0);
    ring_put(&r, 3000, in, RING_MIN);
    assert_int_equal(ring_reserve(&r, 3000, 3000 + RING_MIN, 3000 + sizeof(in)), 0);
    ring_put(&r, 3000 + RING_MIN, in + RING_MIN, sizeof(in) - RING_MIN);
    ring_get(&r, 3000, out, sizeof(out));
    assert_memory_equal(in, out, sizeof(in));
    ring_release(&r);
    assert_null(r.data);
}

/* Wherever the stream stands: what fits in lies there in one piece. */
static void a_new_window_is_not_broken(void **state)
{
    (void)state;
    struct ring r = {0};
    for (uint64_t at = 0; at < 20; at++) {
        uint64_t from = at * 12345;
        size_t len = RING_MIN;
        assert_int_equal(ring_reserve(&r, from, from, from + RING_MIN), 0);
        (void)ring_at(&r, from, &len);
        assert_int_equal(len, RING_MIN);
        ring_release(&r);
    }
}

static void emptied_memory_serves_the_next_ring(void **state)
{
    (void)state;
    struct ring_spares spares = {0};
    struct ring a = {.spares = &spares}, b = {.spares = &spares};
    assert_int_equal(ring_reserve(&a, 0, 0, PIECE), 0);
    const uint8_t *was = a.data;
    ring_release(&a);
    assert_int_equal(spares.count, 1);
    assert_int_equal(spares.bytes, PIECE);
    mem_fail_after(1); /* nothing new is asked for */
    assert_int_equal(ring_reserve(&b, 0, 0, 10), 0);
    assert_int_equal(ring_reserve(&a, 0, 0, 10), ERR_NO_MEMORY);
    mem_fail_after(0);
    assert_ptr_equal(b.data, was);
    assert_int_equal(spares.count, 0);
    assert_int_equal(spares.bytes, 0);
    ring_release(&b);
    ring_spares_free(&spares);
}

static void the_smallest_that_is_large_enough_is_taken(void **state)
{
    (void)state;
    struct ring_spares spares = {0};
    static const size_t sizes[] = {PIECE, 4 * PIECE, 2 * PIECE, RING_MIN};
    struct ring r[4];
    for (size_t i = 0; i < 4; i++) {
        r[i] = (struct ring){.spares = &spares};
        assert_int_equal(ring_reserve(&r[i], 0, 0, sizes[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        ring_release(&r[i]);
    }
    struct ring one = {.spares = &spares};
    assert_int_equal(ring_reserve(&one, 0, 0, PIECE + 1), 0);
    assert_int_equal(one.size, 2 * PIECE);
    assert_int_equal(spares.count, 3);
    ring_release(&one);
    ring_spares_free(&spares);
    assert_int_equal(spares.bytes, 0);
}

static void there_is_a_ceiling(void **state)
{
    (void)state;
    enum { MANY = 2 * RING_SPARES_MAX };
    struct ring_spares spares = {0};
    struct ring r[MANY];
    for (size_t size = RING_MIN; size <= RING_SPARE_BYTES / 2; size *= 128) {
        for (size_t i = 0; i < MANY; i++) {
            r[i] = (struct ring){.spares = &spares};
            assert_int_equal(ring_reserve(&r[i], 0, 0, size), 0);
        }
        for (size_t i = 0; i < MANY; i++) {
            ring_release(&r[i]);
            assert_true(spares.count <= RING_SPARES_MAX && spares.bytes <= RING_SPARE_BYTES);
        }
    }
    assert_int_equal(spares.count, RING_SPARES_MAX);
    ring_spares_free(&spares);
}

static void what_nobody_uses_goes_back(void **state)
{
    (void)state;
    struct ring_spares spares = {0};
    struct ring r = {.spares = &spares};
    assert_int_equal(ring_reserve(&r, 0, 0, PIECE), 0);
    ring_release(&r);
    ring_spares_age(&spares);
    assert_int_equal(spares.count, 1);
    assert_int_equal(ring_reserve(&r, 0, 0, PIECE), 0);
    ring_release(&r);
    ring_spares_age(&spares);
    assert_int_equal(spares.count, 1);
    ring_spares_age(&spares);
    assert_int_equal(spares.count, 0);
}

/* The first piece of the next burst finds room for all of it, so that nothing is moved. */
static void what_was_needed_comes_back_at_once(void **state)
{
    (void)state;
    struct ring_spares spares = {0};
    struct ring r = {.spares = &spares};
    for (int burst = 0; burst < 3; burst++) {
        assert_int_equal(ring_reserve(&r, 0, 0, 1000), 0);
        assert_int_equal(r.size, burst == 0 ? RING_MIN : 4 * PIECE);
        assert_int_equal(ring_reserve(&r, 0, 1000, 3 * PIECE), 0);
        assert_int_equal(r.size, 4 * PIECE);
        ring_release(&r);
    }
    for (size_t size = 4 * PIECE; size > RING_MIN; size /= 2) {
        ring_spares_free(&spares); /* a larger one would serve as well */
        assert_int_equal(r.hint, size);
        assert_int_equal(ring_reserve(&r, 0, 0, 1000), 0);
        assert_int_equal(r.size, size < RING_HINT_MAX ? size : RING_HINT_MAX);
        size = r.size;
        ring_release(&r);
    }
    ring_spares_free(&spares);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_stay_when_it_grows),
        cmocka_unit_test(a_new_window_is_not_broken),
        cmocka_unit_test(emptied_memory_serves_the_next_ring),
        cmocka_unit_test(the_smallest_that_is_large_enough_is_taken),
        cmocka_unit_test(there_is_a_ceiling),
        cmocka_unit_test(what_nobody_uses_goes_back),
        cmocka_unit_test(what_was_needed_comes_back_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
