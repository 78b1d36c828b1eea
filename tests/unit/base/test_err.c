#include <base/err.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LIST_CODE(name, code, text) (code),
static const int codes[] = {ERR_TABLE(LIST_CODE)};
enum { CODES = sizeof(codes) / sizeof(codes[0]) };

static void every_code_has_a_name_and_a_text_of_its_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < CODES; i++) {
        assert_string_not_equal(err_name(codes[i]), "UNKNOWN");
        assert_true(strlen(err_text(codes[i])) > 0);
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(codes[i], codes[j]);
            assert_string_not_equal(err_name(codes[i]), err_name(codes[j]));
            assert_string_not_equal(err_text(codes[i]), err_text(codes[j]));
        }
    }
    assert_string_equal(err_name(ERR_NO_MEMORY), "NO_MEMORY");
}

static void codes_stay_clear_of_the_systems(void **state)
{
    (void)state;
    for (size_t i = 0; i < CODES; i++) {
        assert_true(codes[i] < -4096 * 4); /* errno and libuv's own lie above */
    }
}

static void any_other_number_is_unknown(void **state)
{
    (void)state;
    static const int others[] = {0, 1, -1, -20000, -29999};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_string_equal(err_name(others[i]), "UNKNOWN");
        assert_string_equal(err_text(others[i]), "unknown error");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_name_and_a_text_of_its_own),
        cmocka_unit_test(codes_stay_clear_of_the_systems),
        cmocka_unit_test(any_other_number_is_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
