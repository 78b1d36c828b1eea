/* How many one peer has at once, and how fast it gets new ones: a count, and a bucket that fills
 * with `rate` a second and holds a second's worth.
 */
#ifndef SESSION_QUOTA_H
#define SESSION_QUOTA_H

#include <base/clock.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct quota {
    uint64_t max, rate; /* 0: no limit */
    uint64_t count;
    uint64_t filled_ns; /* when the bucket was, or would be, empty */
};

void quota_init(struct quota *q, uint64_t max, uint64_t rate, uint64_t now);
/* One more, given back with quota_give; false: at a limit, nothing is taken. */
bool quota_take(struct quota *q, uint64_t now);
void quota_give(struct quota *q);

#endif
