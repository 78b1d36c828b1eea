#include "app/logsink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { TEXT = 1 << 16, MANY = LOGLIMIT_BURST + 50 };

static bool may(struct loglimit *l, const char *module, const char *name, uint64_t now)
{
    return loglimit_ask(l, module, name, now).write;
}

static void each_event_has_its_own_lines(void **state)
{
    (void)state;
    static struct loglimit l;
    const uint64_t now = 5 * NS_PER_S;
    loglimit_init(&l);
    for (int i = 0; i < LOGLIMIT_BURST; i++) {
        struct loglimit_verdict v = loglimit_ask(&l, "exit", "failed", now);
        assert_true(v.write);
        assert_int_equal(v.last, i == LOGLIMIT_BURST - 1);
        assert_int_equal(v.left_out, 0);
    }
    assert_false(may(&l, "exit", "failed", now));
    assert_true(may(&l, "front", "failed", now));
    assert_true(may(&l, "exit", "asked", now));
}

static void one_more_comes_with_time(void **state)
{
    (void)state;
    static struct loglimit l;
    uint64_t now = 1;
    loglimit_init(&l);
    for (int i = 0; i < LOGLIMIT_BURST + 7; i++) {
        assert_int_equal(may(&l, "exit", "failed", now), i < LOGLIMIT_BURST);
    }
    now += LOGLIMIT_EACH_NS - 1;
    assert_false(may(&l, "exit", "failed", now));
    struct loglimit_verdict v = loglimit_ask(&l, "exit", "failed", now + 1);
    assert_true(v.write && v.last);
    assert_int_equal(v.left_out, 8);
    assert_false(may(&l, "exit", "failed", now + 1));
    /* After a long silence there are as many as at first, and no more. */
    now += 1000 * LOGLIMIT_BURST * LOGLIMIT_EACH_NS;
    assert_int_equal(loglimit_ask(&l, "exit", "failed", now).left_out, 1);
    for (int i = 1; i < LOGLIMIT_BURST + 7; i++) {
        assert_int_equal(may(&l, "exit", "failed", now), i < LOGLIMIT_BURST);
    }
}

static void events_beyond_the_table_share_one_place(void **state)
{
    (void)state;
    static struct loglimit l;
    static char names[LOGLIMIT_EVENTS + 2][8];
    loglimit_init(&l);
    for (size_t i = 0; i < LOGLIMIT_EVENTS + 2; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "e%zu", i);
        assert_true(may(&l, "m", names[i], 1));
    }
    assert_int_equal(l.count, LOGLIMIT_EVENTS);
    for (int i = 3; i < LOGLIMIT_BURST; i++) {
        assert_true(may(&l, "m", names[LOGLIMIT_EVENTS], 1));
    }
    assert_false(may(&l, "m", names[LOGLIMIT_EVENTS + 1], 1));
    assert_true(may(&l, "m", names[0], 1));
}

/* What MANY refusals make of the standard error. */
static char *flood(enum log_level level, enum log_level of)
{
    static char text[TEXT];
    struct logsink sink;
    char path[] = "/tmp/adit-logsink.XXXXXX";
    int to = mkstemp(path);
    int before = dup(STDERR_FILENO);
    assert_true(to >= 0 && before >= 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(dup2(to, STDERR_FILENO), STDERR_FILENO);
    logsink_init(&sink, level, "home");
    for (int i = 0; i < MANY; i++) {
        LOG_AT(&sink.log, of, "exit", "failed", "line=%d", i);
    }
    assert_int_equal(dup2(before, STDERR_FILENO), STDERR_FILENO);
    (void)close(before);
    ssize_t len = pread(to, text, sizeof(text) - 1, 0);
    assert_in_range(len, 1, sizeof(text) - 2);
    (void)close(to);
    text[len] = '\0';
    return text;
}

static size_t count_lines(const char *text)
{
    size_t count = 0;
    for (; *text; text++) {
        count += *text == '\n';
    }
    return count;
}

static void a_flood_of_refusals_ends_in_the_log(void **state)
{
    (void)state;
    char last[64];
    const char *text = flood(LOG_INFO, LOG_INFO);
    assert_int_equal(count_lines(text), LOGLIMIT_BURST);
    (void)snprintf(last, sizeof(last), "exit failed line=%d too_many=yes\n", LOGLIMIT_BURST - 1);
    assert_non_null(strstr(text, last));
    assert_non_null(strstr(text, "info home exit failed line=0\n"));
    assert_int_equal(count_lines(flood(LOG_ERROR, LOG_ERROR)), LOGLIMIT_BURST);
}

static void who_looks_for_a_fault_sees_all(void **state)
{
    (void)state;
    const char *text = flood(LOG_DEBUG, LOG_INFO);
    assert_int_equal(count_lines(text), MANY);
    assert_null(strstr(text, "too_many"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_event_has_its_own_lines),
        cmocka_unit_test(one_more_comes_with_time),
        cmocka_unit_test(events_beyond_the_table_share_one_place),
        cmocka_unit_test(a_flood_of_refusals_ends_in_the_log),
        cmocka_unit_test(who_looks_for_a_fault_sees_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
