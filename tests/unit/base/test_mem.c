#include <base/mem.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void new_memory_is_zeroed_and_aligned(void **state)
{
    (void)state;
    for (size_t size = 0; size < 300; size += 13) {
        uint8_t *p = mem_new(1, size);
        assert_non_null(p);
        for (size_t i = 0; i < size; i++) {
            assert_int_equal(p[i], 0);
        }
        assert_true(size < 64 || (uintptr_t)p % 64 == 0);
        mem_free(p);
    }
}

static void a_product_that_overflows_is_refused(void **state)
{
    (void)state;
    assert_null(mem_new(SIZE_MAX / 4, 8));
    assert_null(mem_new(8, SIZE_MAX / 4));
}

static void resizing_keeps_the_contents(void **state)
{
    (void)state;
    char *p = mem_text("adit");
    assert_non_null(p);
    char *q = mem_resize(p, 1000);
    assert_non_null(q);
    assert_string_equal(q, "adit");
    mem_free(q);
}

static void the_nth_allocation_fails_and_all_after_it(void **state)
{
    (void)state;
    mem_fail_after(3);
    char *a = mem_new(1, 10);
    char *b = mem_text("b");
    assert_non_null(a);
    assert_non_null(b);
    assert_null(mem_new(1, 10));
    assert_null(mem_resize(a, 20)); /* the old block lives */
    a[9] = 'x';
    assert_null(mem_text("c"));
    mem_fail_after(0);
    char *d = mem_new(1, 1);
    assert_non_null(d);
    mem_free(a);
    mem_free(b);
    mem_free(d);
    mem_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_memory_is_zeroed_and_aligned),
        cmocka_unit_test(a_product_that_overflows_is_refused),
        cmocka_unit_test(resizing_keeps_the_contents),
        cmocka_unit_test(the_nth_allocation_fails_and_all_after_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
