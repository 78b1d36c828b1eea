#include "session/quota.h"

#include <base/check.h>

/* The bucket as a point in time: each one taken moves it on by 1/rate, and it is never further
 * behind `now` than a second, which is the bucket's size. */
void quota_init(struct quota *q, uint64_t max, uint64_t rate, uint64_t now)
{
    *q = (struct quota){.max = max, .rate = rate};
    q->filled_ns = now > NS_PER_S ? now - NS_PER_S : 0;
}

bool quota_take(struct quota *q, uint64_t now)
{
    if (q->max > 0 && q->count >= q->max) {
        return false;
    }
    if (q->rate > 0) {
        uint64_t full = now > NS_PER_S ? now - NS_PER_S : 0;
        uint64_t from = q->filled_ns > full ? q->filled_ns : full;
        uint64_t to = from + NS_PER_S / q->rate;
        if (to > now) {
            return false;
        }
        q->filled_ns = to;
    }
    q->count++;
    return true;
}

void quota_give(struct quota *q)
{
    CHECK(q->count > 0);
    q->count--;
}
