#include "support/config_text.h"

#include <base/err.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const struct config_env config_text_env = {
    .name = "laptop", .state = "/state", .control = NULL, .home = "/somewhere"};

struct config *config_text_parse(const char *text)
{
    struct config *config = NULL;
    struct config_errors errors;
    int err =
        config_parse(&config, "/etc/adit/adit.ini", text, strlen(text), &config_text_env, &errors);
    for (size_t i = 0; i < errors.count; i++) {
        char line[512];
        print_error("%s\n", config_error_format(&errors, i, line, sizeof(line)));
    }
    assert_int_equal(err, 0);
    assert_int_equal(errors.count, 0);
    return config;
}

void config_text_refuse(const char *text, const char *message)
{
    struct config *config = NULL;
    struct config_errors errors;
    char line[1024];
    assert_int_equal(config_parse(&config, "f.ini", text, strlen(text), &config_text_env, &errors),
                     ERR_MALFORMED);
    assert_null(config);
    assert_true(errors.count > 0);
    assert_string_equal(config_error_format(&errors, 0, line, sizeof(line)), message);
    assert_int_equal(errors.count, 1);
}

void config_text_refuse_part(const char *text, const char *part)
{
    struct config *config = NULL;
    struct config_errors errors;
    char line[1024];
    assert_int_equal(config_parse(&config, "f.ini", text, strlen(text), &config_text_env, &errors),
                     ERR_MALFORMED);
    assert_int_equal(errors.count, 1);
    config_error_format(&errors, 0, line, sizeof(line));
    if (!strstr(line, part)) {
        fail_msg("\"%s\" is not in: %s", part, line);
    }
}

char *config_text_read(const char *path)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *text = calloc(1, 1 << 16);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 16) - 1, f) > 0);
    (void)fclose(f);
    return text;
}
