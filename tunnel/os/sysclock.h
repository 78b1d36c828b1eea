/* The real clocks. Only the shell reads them, once per loop round; cores are handed `now`. */
#ifndef OS_SYSCLOCK_H
#define OS_SYSCLOCK_H

#include <stdint.h>

/* Monotonic nanoseconds that go on counting while the machine sleeps (CLOCK_BOOTTIME on Linux), so
 * that a session that woke up knows how long it slept. libuv's own clock does not: never mix them.
 */
uint64_t sys_now_ns(void);

/* The same without the time in which the machine slept, where the system tells them apart: only the
 * difference says anything. */
uint64_t sys_awake_ns(void);

/* Wall clock: nanoseconds since 1970. May jump, either way. */
uint64_t sys_unix_ns(void);

#endif
