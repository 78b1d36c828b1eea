#include <base/rng.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void the_same_seed_gives_the_same_numbers(void **state)
{
    (void)state;
    struct pcg a, b, c;
    struct rng ra = pcg_rng(&a, 42), rb = pcg_rng(&b, 42), rc = pcg_rng(&c, 43);
    int different = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t v = rng_u64(ra);
        assert_int_equal(v, rng_u64(rb));
        different += v != rng_u64(rc);
    }
    assert_true(different > 90);
}

static void fills_any_length_and_no_more(void **state)
{
    (void)state;
    struct pcg pcg;
    struct rng rng = pcg_rng(&pcg, 1);
    for (size_t len = 0; len < 32; len++) {
        uint8_t out[33], zero[33] = {0};
        memset(out, 0, sizeof(out));
        rng_fill(rng, out, len);
        assert_memory_equal(out + len, zero, sizeof(out) - len);
        assert_true(len < 8 || memcmp(out, zero, len) != 0);
    }
}

static void below_is_uniform(void **state)
{
    (void)state;
    struct pcg pcg;
    struct rng rng = pcg_rng(&pcg, 1);
    uint32_t count[10] = {0};
    for (int i = 0; i < 100000; i++) {
        uint64_t v = rng_below(rng, 10);
        assert_in_range(v, 0, 9);
        count[v]++;
    }
    for (int i = 0; i < 10; i++) {
        assert_in_range(count[i], 9600, 10400); /* four standard deviations: 380 */
    }
    assert_int_equal(rng_below(rng, 1), 0);
    /* Modulo would make the lower half twice as likely. */
    uint64_t bound = UINT64_C(3) << 62;
    int low = 0;
    for (int i = 0; i < 10000; i++) {
        low += rng_below(rng, bound) < bound / 3;
    }
    assert_in_range(low, 3333 - 200, 3333 + 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_numbers),
        cmocka_unit_test(fills_any_length_and_no_more),
        cmocka_unit_test(below_is_uniform),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
