#include "policy/config_keys.h"

#include "policy/config.h"
#include "support/config_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void table_is_complete(void **state)
{
    (void)state;
    for (const struct config_key *k = config_keys_table; k->name; k++) {
        bool known = false;
        for (const struct config_section *s = config_sections; s->name; s++) {
            known = known || strcmp(s->name, k->section) == 0;
        }
        assert_true(known);
        assert_true(k->type < CONFIG_TYPES);
        assert_true(k->accepted[0] && k->initial);
        assert_true(strlen(k->help) > 10 && k->help[strlen(k->help) - 1] == '.');
    }
}

/* The text from the section's line to the next section's. */
static char *section_text(const char *text, const char *section)
{
    char head[64];
    size_t len = (size_t)snprintf(head, sizeof(head), "\n[%s", section);
    const char *from = strstr(text, head);
    if (!from) {
        fail_msg("[%s] is not in example.ini", section);
        return NULL;
    }
    const char *to = strstr(from + len, "\n[");
    size_t size = to ? (size_t)(to - from) : strlen(from);
    char *copy = calloc(1, size + 1);
    assert_non_null(copy);
    memcpy(copy, from, size);
    return copy;
}

static bool has_line(const char *text, const char *start)
{
    char line[300];
    (void)snprintf(line, sizeof(line), "\n%s", start);
    return strstr(text, line) != NULL;
}

static void example_has_every_key_with_its_default(void **state)
{
    (void)state;
    char *text = config_text_read(TEST_SOURCE "/conf/example.ini");
    for (const struct config_key *k = config_keys_table; k->name; k++) {
        char *section = section_text(text, k->section);
        const char *name = k->type == CONFIG_ROUTE     ? "default"
                           : k->type == CONFIG_FORWARD ? "127.0.0.1:2222"
                           : k->type == CONFIG_SERVE   ? "wiki"
                                                       : k->name;
        bool fixed = k->initial[0] && !k->computed;
        char line[256];
        (void)snprintf(line, sizeof(line), fixed ? "#%s = %s\n" : "%s = %s", name,
                       fixed ? k->initial : "");
        if (!has_line(section, line)) {
            fail_msg("\"%s\" is not in [%s] of example.ini", line, k->section);
        }
        free(section);
    }
    free(text);
}

/* "#key = value" becomes "key = value"; sentences have a space after their '#'. */
static void switch_on_defaults(char *text)
{
    for (char *at = text; *at; at++) {
        bool first = at == text || at[-1] == '\n';
        if (first && at[0] == '#' && at[1] != ' ' && at[1] != '\n') {
            at[0] = ' ';
        }
    }
}

static void files_in_conf_are_valid(void **state)
{
    (void)state;
    static const char *const names[] = {TEST_SOURCE "/conf/example.ini",
                                        TEST_SOURCE "/conf/minimal.ini",
                                        TEST_SOURCE "/conf/relay.ini"};
    for (size_t i = 0; i < COUNT(names); i++) {
        char *text = config_text_read(names[i]);
        config_free(config_text_parse(text));
        switch_on_defaults(text);
        config_free(config_text_parse(text));
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_complete),
        cmocka_unit_test(example_has_every_key_with_its_default),
        cmocka_unit_test(files_in_conf_are_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
