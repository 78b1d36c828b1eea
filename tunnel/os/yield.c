#include "os/yield.h"

#include <sched.h>

void sys_yield(void)
{
    (void)sched_yield();
}
