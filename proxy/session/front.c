#include "session/front.h"

const struct front_times front_times_default = {
    .negotiate = 15 * NS_PER_S,
    .connect = 30 * NS_PER_S,
    .linger = 5 * NS_PER_S,
};

/* RFC 1928 section 6. What the target or the network before it did is told as it is; what stands
 * between front and exit is a general failure, so that nobody looks for the fault at the target. */
static const struct {
    enum cause cause;
    enum socks5_rep rep;
} reps[] = {
    {CAUSE_NOT_ALLOWED, SOCKS5_REP_NOT_ALLOWED},
    {CAUSE_REFUSED_BY_ROUTE, SOCKS5_REP_NOT_ALLOWED},
    {CAUSE_NET_UNREACHABLE, SOCKS5_REP_NET_UNREACHABLE},
    {CAUSE_HOST_UNREACHABLE, SOCKS5_REP_HOST_UNREACHABLE},
    {CAUSE_NAME_NOT_FOUND, SOCKS5_REP_HOST_UNREACHABLE},
    {CAUSE_UNKNOWN_PEER, SOCKS5_REP_HOST_UNREACHABLE},
    {CAUSE_REFUSED, SOCKS5_REP_REFUSED},
    {CAUSE_TIMED_OUT, SOCKS5_REP_TTL_EXPIRED},
};

enum socks5_rep front_rep(enum cause cause)
{
    for (size_t i = 0; i < sizeof(reps) / sizeof(reps[0]); i++) {
        if (reps[i].cause == cause) {
            return reps[i].rep;
        }
    }
    return SOCKS5_REP_FAILURE;
}

static void set_state(struct front *f, enum front_state state, uint64_t deadline)
{
    f->state = state;
    f->deadline = deadline;
}

static void post(struct front *f, enum front_event_type type)
{
    f->events |= (uint8_t)(1U << type);
}

static void begin_closing(struct front *f, uint64_t now)
{
    set_state(f, FRONT_CLOSING, time_add(now, f->times.linger));
    post(f, FRONT_EVENT_CLOSE);
}

static void fault(struct front *f, enum front_fault what, const char *why, uint64_t now)
{
    f->fault = what;
    f->why = why;
    begin_closing(f, now);
}

void front_init(struct front *f, const struct front_times *times, uint64_t now)
{
    *f = (struct front){.times = *times};
    socks5_init(&f->socks);
    set_state(f, FRONT_NEGOTIATING, time_add(now, times->negotiate));
}

static bool sniff(struct front *f, uint8_t first, uint64_t now)
{
    enum sniff what = sniff_byte(first);
    f->sniffed = true;
    if (what != SNIFF_SOCKS5) {
        fault(f, FRONT_FAULT_PROTOCOL, sniff_name(what), now);
    }
    return what == SNIFF_SOCKS5;
}

static void look_at_socks(struct front *f, uint64_t now)
{
    enum socks5_state state = socks5_state(&f->socks);
    if (state == SOCKS5_REQUEST) {
        set_state(f, FRONT_CONNECTING, time_add(now, f->times.connect));
        post(f, FRONT_EVENT_CONNECT);
    } else if (state == SOCKS5_FAILED) {
        fault(f, FRONT_FAULT_REQUEST, socks5_why(&f->socks), now);
    }
}

size_t front_input(struct front *f, const void *data, size_t len, uint64_t now)
{
    if (f->state == FRONT_CLOSING) {
        return len;
    }
    if (f->state != FRONT_NEGOTIATING || len == 0) {
        return 0;
    }
    if (!f->sniffed && !sniff(f, *(const uint8_t *)data, now)) {
        return len;
    }
    size_t taken = socks5_input(&f->socks, data, len);
    look_at_socks(f, now);
    return f->state == FRONT_CLOSING ? len : taken;
}

size_t front_output(struct front *f, void *out, size_t cap)
{
    return socks5_output(&f->socks, out, cap);
}

void front_tick(struct front *f, uint64_t now)
{
    if (now < f->deadline) {
        return;
    }
    switch (f->state) {
    case FRONT_NEGOTIATING:
        fault(f, FRONT_FAULT_SLOW, "no request in time", now);
        break;
    case FRONT_CONNECTING:
        f->deadline = TIME_NEVER;
        post(f, FRONT_EVENT_EXPIRED);
        break;
    case FRONT_CLOSING:
        f->deadline = TIME_NEVER;
        post(f, FRONT_EVENT_DROP);
        break;
    case FRONT_OPEN:
        break;
    }
}

uint64_t front_next_ns(const struct front *f)
{
    return f->deadline;
}

enum front_event_type front_event(struct front *f)
{
    for (unsigned type = FRONT_EVENT_CONNECT; type <= FRONT_EVENT_DROP; type++) {
        if (f->events & 1U << type) {
            f->events &= (uint8_t) ~(1U << type);
            return (enum front_event_type)type;
        }
    }
    return FRONT_EVENT_NONE;
}

void front_connected(struct front *f, const struct addr *bound)
{
    if (f->state != FRONT_CONNECTING) {
        return;
    }
    socks5_reply(&f->socks, SOCKS5_REP_OK, bound);
    set_state(f, FRONT_OPEN, TIME_NEVER);
}

void front_failed(struct front *f, enum cause cause, uint64_t now)
{
    if (f->state != FRONT_CONNECTING) {
        return;
    }
    socks5_reply(&f->socks, front_rep(cause), NULL);
    f->events = 0; /* an expiry not looked at yet is settled by this */
    begin_closing(f, now);
}

enum front_state front_state(const struct front *f)
{
    return f->state;
}

const struct target *front_target(const struct front *f)
{
    return socks5_target(&f->socks);
}
