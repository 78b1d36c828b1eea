/* What was freed goes back to the system, where malloc would keep it for later (glibc); elsewhere
 * nothing happens. Walks over all free memory: some milliseconds after a thousand connections. */
#ifndef OS_TRIM_H
#define OS_TRIM_H

void trim_memory(void);

#endif
