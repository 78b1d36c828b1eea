/* Notices that time passed which this process did not see: the machine slept, or was stopped and
 * copied elsewhere. NAT mappings are gone then, and perhaps the whole network is another one.
 *
 * Sleep shows in the clock that counts it against the one that does not; a virtual machine that was
 * frozen shows, once its wall clock is set, as a jump of that. Small steps and steps back are
 * somebody setting the clock.
 */
#ifndef OS_CLOCKMON_H
#define OS_CLOCKMON_H

#include <stdbool.h>
#include <stdint.h>

enum {
    CLOCKMON_SLEEP_MS = 1000, /* of sleep that count */
    CLOCKMON_STEP_MS = 60000, /* of the wall clock */
};

struct clockmon {
    uint64_t slept_ns; /* all sleep so far */
    uint64_t wall_ns;  /* wall clock minus the steady one, modulo 2^64 */
};

/* The clocks as they are. `awake` does not count sleep; the same as `now` where there is none. */
void clockmon_init(struct clockmon *c, uint64_t now, uint64_t awake, uint64_t wall);
/* True if one of them has jumped since the last call. */
bool clockmon_jumped(struct clockmon *c, uint64_t now, uint64_t awake, uint64_t wall);

/* A descriptor that becomes readable when the wall clock is set or the machine wakes up, so that
 * nobody has to look; -errno (-ENOSYS: not on this system). */
int clockmon_open(void);
/* Makes it ready for the next time. 0 or -errno. */
int clockmon_rearm(int fd);
void clockmon_close(int fd);

#endif
