/* How long this thread's turns at a processor are. */
#ifndef OS_TURNS_H
#define OS_TURNS_H

#include <stdbool.h>

/* As short as the system lets them be, or as they were. So whoever waits for the processor gets it
 * soon, and a yield to somebody who would compute for ever costs that much and not a whole turn of
 * some milliseconds. True if they are short now: other systems, and Linux before 6.12, know nothing
 * like it, and a thread for which somebody has chosen a policy is left alone. */
bool turns_shorten(bool on);

#endif
