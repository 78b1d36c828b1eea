/* Lets others run. */
#ifndef OS_YIELD_H
#define OS_YIELD_H

/* Whoever waits for this processor is let by; comes back at once if nobody does. */
void sys_yield(void);

#endif
