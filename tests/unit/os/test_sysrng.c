#include "os/sysrng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void fills_exactly_and_never_twice_the_same(void **state)
{
    (void)state;
    uint8_t a[40] = {0};
    uint8_t b[40] = {0};
    uint8_t zero[4] = {0};
    rng_fill(sys_rng(), a, 32);
    rng_fill(sys_rng(), b, 32);
    assert_memory_not_equal(a, b, 32);
    assert_memory_not_equal(a + 28, zero, 4); /* filled up to the end (wrong once in 2^32) */
    assert_memory_equal(a + 32, zero, 4);     /* and not past it */
    assert_memory_equal(a + 36, zero, 4);
}

static void every_bit_takes_both_values(void **state)
{
    (void)state;
    uint64_t ones = 0;
    uint64_t zeros = 0;
    for (int i = 0; i < 128; i++) {
        uint64_t v = rng_u64(sys_rng());
        ones |= v;
        zeros |= ~v;
    }
    assert_true(ones == UINT64_MAX);
    assert_true(zeros == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_exactly_and_never_twice_the_same),
        cmocka_unit_test(every_bit_takes_both_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
