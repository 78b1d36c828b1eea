#include <base/log.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LOG_TEXT_MAX = 512 };

static const char *const level_names[] = {"error", "warn", "info", "debug", "trace"};

/* Some of the text may be a stranger's: nothing in it begins a new line or speaks to a terminal. */
static void flatten(char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        *text = c < ' ' || c == 0x7f ? '?' : *text;
    }
}

void log_line(const struct log *log, enum log_level level, const char *module, const char *event,
              const char *format, ...)
{
    char text[LOG_TEXT_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    flatten(text);
    log->write(log->user, level, module, event, text);
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

int log_level_parse(const char *name)
{
    for (int i = 0; i <= (int)LOG_TRACE; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            return i;
        }
    }
    return -1;
}
