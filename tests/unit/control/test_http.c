#include "control/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void request_is_complete_with_its_last_byte(void **state)
{
    (void)state;
    static const char text[] = "GET /status HTTP/1.1\r\nHost: adit\r\n\r\n";
    struct control_request r;
    for (size_t len = 0; len < sizeof(text) - 1; len++) {
        assert_int_equal(control_parse_request(&r, text, len), CONTROL_MORE);
    }
    assert_int_equal(control_parse_request(&r, text, sizeof(text) - 1), CONTROL_COMPLETE);
    assert_true(r.get);
    assert_string_equal(r.path, "/status");
    assert_int_equal(control_parse_request(&r, "POST /x HTTP/1.1\r\n\r\n", 20), CONTROL_COMPLETE);
    assert_false(r.get);
}

static void bad_requests_are_bad(void **state)
{
    (void)state;
    struct control_request r;
    char text[CONTROL_HEAD_MAX];
    assert_int_equal(control_parse_request(&r, "\x05\x01\x00", 3), CONTROL_BAD);
    memset(text, 'a', sizeof(text));
    memcpy(text, "GET /", 5); /* a path longer than any of ours */
    assert_int_equal(control_parse_request(&r, text, sizeof(text)), CONTROL_BAD);
    memcpy(text, "GET / HTTP/1.1\r\nX: ", 19); /* a head that does not end */
    assert_int_equal(control_parse_request(&r, text, sizeof(text) - 1), CONTROL_MORE);
    assert_int_equal(control_parse_request(&r, text, sizeof(text)), CONTROL_BAD);
}

static void answer_comes_back_as_it_was_made(void **state)
{
    (void)state;
    char text[CONTROL_ANSWER_HEAD_MAX + 16];
    size_t len = control_answer_head(text, 200, "application/json", 2);
    memcpy(text + len, "{}", 2);
    len += 2;
    struct control_answer a;
    for (size_t some = 0; some < len; some++) {
        assert_int_equal(control_parse_answer(&a, text, some, false), CONTROL_MORE);
        assert_int_equal(control_parse_answer(&a, text, some, true), CONTROL_BAD);
    }
    assert_int_equal(control_parse_answer(&a, text, len, true), CONTROL_COMPLETE);
    assert_int_equal(a.status, 200);
    assert_int_equal(a.body_len, 2);
    assert_memory_equal(a.body, "{}", 2);
    len = control_answer_head(text, 404, "application/json", 0);
    assert_int_equal(control_parse_answer(&a, text, len, true), CONTROL_COMPLETE);
    assert_int_equal(a.status, 404);
    assert_int_equal(a.body_len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_is_complete_with_its_last_byte),
        cmocka_unit_test(bad_requests_are_bad),
        cmocka_unit_test(answer_comes_back_as_it_was_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
