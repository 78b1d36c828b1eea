#include <base/log.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct sink {
    char line[1024];
    int lines;
};

static void keep(void *user, enum log_level level, const char *module, const char *event,
                 const char *text)
{
    struct sink *sink = user;
    (void)snprintf(sink->line, sizeof(sink->line), "%s %s %s %s", log_level_name(level), module,
                   event, text);
    sink->lines++;
}

static int evaluated;

static int count_evaluation(void)
{
    return ++evaluated;
}

static void writes_level_module_event_and_pairs(void **state)
{
    (void)state;
    struct sink sink = {.lines = 0};
    struct log log = {LOG_INFO, keep, &sink};
    LOG_AT(&log, LOG_WARN, "path", "lost", "id=%d rtt_ms=%d", 3, 18);
    assert_string_equal(sink.line, "warn path lost id=3 rtt_ms=18");
    assert_int_equal(sink.lines, 1);
}

static void formats_nothing_when_the_level_is_off(void **state)
{
    (void)state;
    struct sink sink = {.lines = 0};
    struct log log = {LOG_INFO, keep, &sink};
    LOG_AT(&log, LOG_DEBUG, "path", "lost", "n=%d", count_evaluation());
    LOG_AT((const struct log *)NULL, LOG_ERROR, "path", "lost", "n=%d", count_evaluation());
    assert_int_equal(evaluated, 0);
    assert_int_equal(sink.lines, 0);
}

/* What a relay or a proxy says stands in a line: it cannot begin another one, or paint. */
static void keeps_a_line_one_line(void **state)
{
    (void)state;
    struct sink sink = {.lines = 0};
    struct log log = {LOG_INFO, keep, &sink};
    LOG_AT(&log, LOG_WARN, "relay", "health", "says=\"%s\"", "a\nerror x\x1b[31m\x7f\r\xc3\xa9");
    assert_string_equal(sink.line, "warn relay health says=\"a?error x?[31m??\xc3\xa9\"");
    assert_int_equal(sink.lines, 1);
}

static void cuts_a_line_that_is_too_long(void **state)
{
    (void)state;
    char text[2000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    struct sink sink = {.lines = 0};
    struct log log = {LOG_INFO, keep, &sink};
    LOG_AT(&log, LOG_INFO, "m", "e", "%s", text);
    assert_int_equal(strlen(sink.line), strlen("info m e ") + 511);
}

static void level_names_round_trip(void **state)
{
    (void)state;
    for (int level = LOG_ERROR; level <= (int)LOG_TRACE; level++) {
        assert_int_equal(log_level_parse(log_level_name((enum log_level)level)), level);
    }
    assert_int_equal(log_level_parse("loud"), -1);
    assert_int_equal(log_level_parse(""), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_level_module_event_and_pairs),
        cmocka_unit_test(formats_nothing_when_the_level_is_off),
        cmocka_unit_test(keeps_a_line_one_line),
        cmocka_unit_test(cuts_a_line_that_is_too_long),
        cmocka_unit_test(level_names_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
