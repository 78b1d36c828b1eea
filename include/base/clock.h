/* Time in this program: unsigned nanoseconds of a monotonic clock, handed in as `now`.
 *
 * Only tunnel/os reads a clock. TIME_NEVER means "no deadline".
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define TIME_NEVER UINT64_MAX
#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

static inline uint64_t time_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Sum that stays TIME_NEVER once it would pass it. */
static inline uint64_t time_add(uint64_t a, uint64_t b)
{
    return a > TIME_NEVER - b ? TIME_NEVER : a + b;
}

/* now - then, or 0 when `then` lies ahead. */
static inline uint64_t time_since(uint64_t then, uint64_t now)
{
    return now > then ? now - then : 0;
}

#endif
