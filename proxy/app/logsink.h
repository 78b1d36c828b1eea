/* Log lines on stderr: "TIME LEVEL MODULE EVENT key=value ...".
 *
 * Under journald (JOURNAL_STREAM) the time is left to it. Colour only on a terminal, and not when
 * NO_COLOR says no.
 */
#ifndef APP_LOGSINK_H
#define APP_LOGSINK_H

#include <base/log.h>

#include <stdbool.h>

struct logsink {
    struct log log;   /* hand this out */
    const char *name; /* put before the module; NULL = none */
    bool time, colour;
};

/* `name` tells several nodes in one process apart. The sink must not move afterwards. */
void logsink_init(struct logsink *sink, enum log_level level, const char *name);

#endif
