#include "app/logsink.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

enum { TIME_TEXT = 64, NOTE_TEXT = 64 };

static const char *const colours[] = {"\033[31m", "\033[33m", "", "\033[2m", "\033[2m"};

/* RFC 3339, UTC, milliseconds. */
static const char *time_text(char out[TIME_TEXT])
{
    struct timespec now = {0};
    struct tm parts = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &parts);
    char seconds[24];
    (void)strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(out, TIME_TEXT, "%s.%03ldZ ", seconds, now.tv_nsec / 1000000 % 1000);
    return out;
}

/* What became of the event's other lines, put behind this one; "" if nothing. */
static const char *note_text(char out[NOTE_TEXT], const struct loglimit_verdict *v)
{
    const char *end = v->last ? " too_many=yes" : "";
    if (v->left_out > 0) {
        (void)snprintf(out, NOTE_TEXT, " left_out=%llu%s", (unsigned long long)v->left_out, end);
    } else {
        (void)snprintf(out, NOTE_TEXT, "%s", end);
    }
    return out;
}

static void write_line(void *user, enum log_level level, const char *module, const char *event,
                       const char *text)
{
    struct logsink *sink = user;
    char when[TIME_TEXT] = "";
    char note[NOTE_TEXT] = "";
    struct loglimit_verdict v = {.write = true};
    if (sink->log.level < LOG_DEBUG) {
        v = loglimit_ask(&sink->limit, module, event, uv_hrtime());
    }
    if (!v.write) {
        return;
    }
    (void)fprintf(stderr, "%s%s%s%s%s%s %s %s%s%s%s\n", sink->time ? time_text(when) : "",
                  sink->colour ? colours[level] : "", log_level_name(level), sink->name ? " " : "",
                  sink->name ? sink->name : "", sink->colour ? "\033[0m" : "", module, event,
                  text[0] ? " " : "", text, note_text(note, &v));
}

void logsink_init(struct logsink *sink, enum log_level level, const char *name)
{
    const char *no_color = getenv("NO_COLOR");
    sink->log = (struct log){.level = level, .write = write_line, .user = sink};
    sink->name = name;
    loglimit_init(&sink->limit);
    sink->time = getenv("JOURNAL_STREAM") == NULL;
    sink->colour = isatty(STDERR_FILENO) && !(no_color && no_color[0] != '\0');
}
