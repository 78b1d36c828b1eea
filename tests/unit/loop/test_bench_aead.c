#include <adit/bench.h>
#include <adit/key.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "crypto/aead.h"

static void what_the_machine_has_is_measured(void **state)
{
    (void)state;
    assert_int_equal(adit_init(), 0);
    assert_true(adit_bench_aead(ADIT_AEAD_CHACHA20POLY1305, 1400, 5) > 1000000);
    assert_true(adit_bench_aead(ADIT_AEAD_CHACHA20POLY1305, SIZE_MAX, 1) > 1000000);
    assert_int_equal(adit_bench_aead(ADIT_AEAD_AES256GCM, 1400, 5) > 0,
                     aead_available(AEAD_AES256GCM));
    assert_int_equal(adit_bench_aead(ADIT_AEAD_NONE, 1400, 5), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_machine_has_is_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
