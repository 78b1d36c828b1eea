/* Log lines: level, module, event, then `key=value` pairs. Goes to an injected sink. Control
 * characters, which a stranger's text may have, become '?'.
 *
 * Each event is named once, so that it can be documented and counted. Nothing is formatted when
 * the level is off. A secret is never an argument: log fingerprints, not keys.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum log_level {
    LOG_ERROR,
    LOG_WARN,
    LOG_INFO,
    LOG_DEBUG,
    LOG_TRACE,
};

struct log {
    enum log_level level; /* lines above this level are dropped */
    void (*write)(void *user, enum log_level level, const char *module, const char *event,
                  const char *text);
    void *user;
};

/* True if a line of this level would be written; log may be NULL (no log). */
static inline bool log_on(const struct log *log, enum log_level level)
{
    return log && log->write && level <= log->level;
}

void log_line(const struct log *log, enum log_level level, const char *module, const char *event,
              const char *format, ...) __attribute__((format(printf, 5, 6)));

#define LOG_AT(log, level, module, event, ...)                                                     \
    do {                                                                                           \
        if (log_on(log, level)) {                                                                  \
            log_line(log, level, module, event, __VA_ARGS__);                                      \
        }                                                                                          \
    } while (0)

const char *log_level_name(enum log_level level);
/* -1 if the name is none of error, warn, info, debug, trace. */
int log_level_parse(const char *name);

#endif
