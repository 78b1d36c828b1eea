#include "transport/flow.h"

#include <base/clock.h>

#include "wire/varint.h"

enum { SLOW_ROUNDS = 16 };

void flow_init(struct flow *f, uint64_t window, uint64_t window_max)
{
    *f = (struct flow){.limit = window,
                       .window = window,
                       .window_min = window,
                       .window_max = window_max > window ? window_max : window};
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

void flow_narrow(struct flow *f, uint64_t window)
{
    if (window < f->window_min) {
        window = f->window_min;
    }
    if (window < f->window) {
        f->window = window;
    }
}

void flow_grant(struct flow *f, uint64_t limit)
{
    flow_widen(f, limit);
    if (f->limit < f->window) {
        f->limit = f->window;
    }
}

bool flow_press(struct flow *f)
{
    flow_widen(f, 2 * f->window);
    uint64_t limit = f->consumed + f->window;
    if (limit <= f->limit || limit > VARINT_MAX) {
        return false;
    }
    f->limit = limit;
    return true;
}

static void tune(struct flow *f, uint64_t rtt_ns, uint64_t now)
{
    if (f->raised_ns == 0) {
        return;
    }
    uint64_t took_ns = time_since(f->raised_ns, now);
    if (took_ns <= rtt_ns / 2) {
        flow_widen(f, 2 * f->window);
    } else if (took_ns / SLOW_ROUNDS >= rtt_ns) {
        flow_narrow(f, f->window / 2);
    }
}

static uint64_t left_after(const struct flow *f, uint64_t len)
{
    return f->limit > f->consumed + len ? f->limit - f->consumed - len : 0;
}

bool flow_is_due(const struct flow *f, uint64_t len)
{
    return left_after(f, len) <= f->window - f->window / 4;
}

bool flow_consume(struct flow *f, uint64_t len, uint64_t rtt_ns, uint64_t now)
{
    bool due = flow_is_due(f, len);
    f->consumed += len;
    if (!due) {
        return false;
    }
    tune(f, rtt_ns, now);
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
