#include "transport/flow.h"

#include <base/clock.h>

#include "wire/varint.h"

void flow_init(struct flow *f, uint64_t window, uint64_t window_max)
{
    *f = (struct flow){
        .limit = window, .window = window, .window_max = window_max > window ? window_max : window};
}

void flow_widen(struct flow *f, uint64_t window)
{
    if (window > f->window_max) {
        window = f->window_max;
    }
    if (window > f->window) {
        f->window = window;
    }
}

bool flow_consume(struct flow *f, uint64_t len, uint64_t rtt_ns, uint64_t now)
{
    f->consumed += len;
    uint64_t left = f->limit > f->consumed ? f->limit - f->consumed : 0;
    if (left > f->window / 2) {
        return false;
    }
    if (f->raised_ns > 0 && time_since(f->raised_ns, now) <= rtt_ns) {
        flow_widen(f, 2 * f->window);
    }
    uint64_t limit = f->consumed + f->window;
    if (limit > VARINT_MAX) {
        limit = VARINT_MAX;
    }
    if (limit <= f->limit) {
        return false;
    }
    f->raised_ns = now;
    f->limit = limit;
    return true;
}
