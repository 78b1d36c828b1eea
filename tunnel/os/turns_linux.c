/* sched_setattr(2): since Linux 6.12 sched_runtime is the length of an ordinary thread's turns. */
#include "os/turns.h"

#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TURN_NS UINT64_C(100000) /* the least that the system takes */

/* The system's struct sched_attr as it was first (48 bytes; it goes by the size): not every C
 * library has it. */
struct attr {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

static bool get(struct attr *attr)
{
    *attr = (struct attr){0};
    return syscall(SYS_sched_getattr, 0, attr, sizeof(*attr), 0) == 0;
}

bool turns_shorten(bool on)
{
    struct attr attr;
    if (!get(&attr) || attr.policy != SCHED_OTHER) {
        return false;
    }
    attr.size = sizeof(attr);
    attr.runtime = on ? TURN_NS : 0; /* 0 = the system's own */
    /* Older systems take it, and do nothing. */
    bool done = syscall(SYS_sched_setattr, 0, &attr, 0) == 0 && get(&attr);
    return on && done && attr.runtime == TURN_NS;
}
