#include "transport/dgramq.h"

#include <base/err.h>
#include <base/mem.h>
#include <base/rng.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { MAX = 1 << 16, LEN_MAX = 20000 };

static uint8_t pattern[LEN_MAX + 256];

static int push(struct dgramq *q, uint64_t n, size_t len)
{
    const struct dgram d = {.stream = n, .at_ns = n * 3, .data = pattern + n % 251, .len = len};
    return dgramq_push(q, &d);
}

static void expect_first(struct dgramq *q, uint64_t n, size_t len)
{
    struct dgram d;
    assert_true(dgramq_first(q, &d));
    assert_int_equal(d.stream, n);
    assert_int_equal(d.at_ns, n * 3);
    assert_int_equal(d.len, len);
    dgramq_pop(q); /* leaves the bytes alone */
    assert_memory_equal(d.data, pattern + n % 251, len);
}

static void first_in_first_out(void **state)
{
    (void)state;
    struct dgramq q;
    struct dgram d;
    dgramq_init(&q, MAX);
    assert_false(dgramq_first(&q, &d));
    assert_null(q.data);
    assert_int_equal(push(&q, 1, 0), 0);
    assert_int_equal(push(&q, 2, 1), 0);
    assert_int_equal(push(&q, 3, LEN_MAX), 0);
    expect_first(&q, 1, 0);
    expect_first(&q, 2, 1);
    expect_first(&q, 3, LEN_MAX);
    assert_true(dgramq_is_empty(&q));
    dgramq_clear(&q);
    assert_null(q.data);
}

/* Any lengths in any order, around the ring's end and through its growth. */
static void keeps_everything_in_order(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct pcg pcg;
        struct rng rng = pcg_rng(&pcg, seed);
        struct dgramq q;
        static size_t lens[5000];
        uint64_t in = 0, out = 0;
        dgramq_init(&q, MAX);
        while (out < 4000) {
            size_t len =
                rng_below(rng, 4) ? (size_t)rng_below(rng, 100) : (size_t)rng_below(rng, LEN_MAX);
            bool full = in - out > 0 && rng_below(rng, 3) == 0;
            if (!full && in < 4999 && push(&q, in, len) == 0) {
                lens[in++] = len;
            } else if (out < in) {
                expect_first(&q, out, lens[out]);
                out++;
            }
            assert_true(q.used <= q.size && q.size <= MAX);
            assert_int_equal(q.count, in - out);
        }
        dgramq_clear(&q);
    }
}

static void refuses_past_its_ceiling(void **state)
{
    (void)state;
    struct dgramq q;
    dgramq_init(&q, MAX);
    uint64_t n = 0;
    while (push(&q, n, 1000) == 0) {
        n++;
    }
    assert_int_equal(n, MAX / (1000 + DGRAMQ_HEAD));
    assert_int_equal(push(&q, n, 1000), ERR_NO_ROOM);
    assert_int_equal(push(&q, n, LEN_MAX * 2), ERR_NO_ROOM);
    for (uint64_t i = 0; i < n; i++) {
        expect_first(&q, i, 1000);
    }
    dgramq_clear(&q);
}

static void without_memory_nothing_is_taken(void **state)
{
    (void)state;
    struct dgramq q;
    dgramq_init(&q, MAX);
    mem_fail_after(1);
    assert_int_equal(push(&q, 1, 10), ERR_NO_MEMORY);
    mem_fail_after(0);
    assert_int_equal(push(&q, 1, 10), 0);
    mem_fail_after(1);
    assert_int_equal(push(&q, 2, LEN_MAX), ERR_NO_MEMORY); /* it would have to grow */
    mem_fail_after(0);
    expect_first(&q, 1, 10);
    assert_true(dgramq_is_empty(&q));
    dgramq_clear(&q);
}

int main(void)
{
    for (size_t i = 0; i < sizeof(pattern); i++) {
        pattern[i] = (uint8_t)(i * 7 + i / 255);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_in_first_out),
        cmocka_unit_test(keeps_everything_in_order),
        cmocka_unit_test(refuses_past_its_ceiling),
        cmocka_unit_test(without_memory_nothing_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
