/* Log lines on stderr: "TIME LEVEL MODULE EVENT key=value ...".
 *
 * Under journald (JOURNAL_STREAM) the time is left to it. Colour only on a terminal, and not when
 * NO_COLOR says no.
 *
 * Of each event only so many lines are written (loglimit.h), unless the level is debug or trace:
 * the last before some are left out ends with too_many=yes, the next that is written says how many
 * were (left_out=N).
 */
#ifndef APP_LOGSINK_H
#define APP_LOGSINK_H

#include "app/loglimit.h"

#include <base/log.h>

#include <stdbool.h>

struct logsink {
    struct log log;   /* hand this out */
    const char *name; /* put before the module; NULL = none */
    bool time, colour;
    struct loglimit limit;
};

/* `name` tells several nodes in one process apart. The sink must not move afterwards. */
void logsink_init(struct logsink *sink, enum log_level level, const char *name);

#endif
