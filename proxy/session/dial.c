#include "session/dial.h"

#include <base/check.h>

#include <errno.h>

static const struct {
    int err;
    enum cause cause;
} causes[] = {
    {ECONNREFUSED, CAUSE_REFUSED},
    {ENOENT, CAUSE_REFUSED}, /* a unix socket: nobody has made it */
    {ENETUNREACH, CAUSE_NET_UNREACHABLE},
    {ENETDOWN, CAUSE_NET_UNREACHABLE},
    {EADDRNOTAVAIL, CAUSE_NET_UNREACHABLE}, /* Linux: no address of that family here */
    {EAFNOSUPPORT, CAUSE_NET_UNREACHABLE},
    {EHOSTUNREACH, CAUSE_HOST_UNREACHABLE},
    {EHOSTDOWN, CAUSE_HOST_UNREACHABLE},
    {ETIMEDOUT, CAUSE_TIMED_OUT},
    {ECONNRESET, CAUSE_TARGET_RESET},
    {EACCES, CAUSE_NOT_ALLOWED}, /* a local firewall's reject */
    {EPERM, CAUSE_NOT_ALLOWED},
    {EMFILE, CAUSE_LIMIT},
    {ENFILE, CAUSE_LIMIT},
    {ENOBUFS, CAUSE_LIMIT},
    {ENOMEM, CAUSE_LIMIT},
};

enum cause dial_cause(int err)
{
    for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++) {
        if (causes[i].err == -err) {
            return causes[i].cause;
        }
    }
    return CAUSE_FAILED;
}

/* Of several addresses' failures the one that says most about the target is told: an answer of
 * the machine before silence, silence before a missing route. */
static unsigned weight(enum cause cause)
{
    static const enum cause telling[] = {
        CAUSE_NAME_NOT_FOUND, CAUSE_NOT_ALLOWED,     CAUSE_FAILED,
        CAUSE_LIMIT,          CAUSE_NET_UNREACHABLE, CAUSE_HOST_UNREACHABLE,
        CAUSE_TIMED_OUT,      CAUSE_TARGET_RESET,    CAUSE_REFUSED,
    };
    unsigned n = 0;
    for (unsigned i = 0; i < sizeof(telling) / sizeof(telling[0]); i++) {
        n = telling[i] == cause ? i + 1 : n;
    }
    return n;
}

static void note(struct dial *d, enum cause cause)
{
    if (weight(cause) > weight(d->cause)) {
        d->cause = cause;
    }
}

void dial_init(struct dial *d, uint64_t timeout_ns)
{
    *d = (struct dial){.cause = CAUSE_NAME_NOT_FOUND,
                       .timeout_ns = timeout_ns,
                       .next_try = TIME_NEVER,
                       .deadline = TIME_NEVER};
}

void dial_add(struct dial *d, const struct acl *acl, const char *name, const struct addr *addr)
{
    struct addr a = addr_normalize(addr);
    if (acl && !acl_allows(acl, &a, a.port, name)) {
        note(d, CAUSE_NOT_ALLOWED);
        return;
    }
    for (size_t i = 0; i < d->count; i++) {
        if (addr_equal(&d->addrs[i], &a)) {
            return;
        }
    }
    if (d->count < DIAL_ADDRS_MAX) {
        d->addrs[d->count++] = a;
    }
}

void dial_forbid(struct dial *d)
{
    note(d, CAUSE_NOT_ALLOWED);
}

void dial_blame(struct dial *d, enum cause cause)
{
    note(d, cause);
}

/* The next address to try: of the family whose turn it is, else of the other; d->count: none. */
static size_t pick(const struct dial *d)
{
    size_t any = d->count;
    for (size_t i = d->count; i-- > 0;) {
        any = d->slots[i] == DIAL_SLOT_WAITING ? i : any;
    }
    for (size_t i = any; i < d->count && d->turn != ADDR_NONE; i++) {
        if (d->slots[i] == DIAL_SLOT_WAITING && d->addrs[i].family == d->turn) {
            return i;
        }
    }
    return any;
}

static void finish(struct dial *d, const struct dial_event *last)
{
    d->finished = true;
    d->last = *last;
    d->next_try = TIME_NEVER;
    d->deadline = TIME_NEVER;
}

static void fail(struct dial *d)
{
    finish(d, &(struct dial_event){.type = DIAL_EVENT_FAILED, .cause = d->cause});
}

/* One more address may be tried now. */
static void advance(struct dial *d, uint64_t now)
{
    size_t slot = pick(d);
    d->racing = true;
    if (slot < d->count) {
        d->slots[slot] = DIAL_SLOT_DUE;
        d->running++;
        d->turn = d->addrs[slot].family == ADDR_IPV4 ? ADDR_IPV6 : ADDR_IPV4;
        d->last_try = now;
        d->next_try = pick(d) < d->count ? time_add(now, DIAL_DELAY) : TIME_NEVER;
        return;
    }
    d->next_try = TIME_NEVER;
    if (d->running == 0 && !d->waits_v4 && !d->waits_v6) {
        fail(d);
    }
}

void dial_start(struct dial *d, uint64_t now)
{
    CHECK(!d->racing);
    d->deadline = time_add(now, d->timeout_ns);
    advance(d, now);
}

void dial_wait(struct dial *d, uint64_t now)
{
    CHECK(!d->racing);
    d->deadline = time_add(now, d->timeout_ns);
    d->waits_v4 = true;
    d->waits_v6 = true;
    d->turn = ADDR_IPV6;
}

/* Addresses that came while others are being tried wait for their turn like those. */
static void join_race(struct dial *d, uint64_t now)
{
    if (d->running == 0) {
        advance(d, now);
    } else if (d->next_try == TIME_NEVER && pick(d) < d->count) {
        uint64_t due = time_add(d->last_try, DIAL_DELAY);
        d->next_try = due > now ? due : now;
    }
}

void dial_answered(struct dial *d, uint8_t family, uint64_t now)
{
    bool *waits = family == ADDR_IPV4 ? &d->waits_v4 : &d->waits_v6;
    *waits = false;
    if (d->finished) {
        return;
    }
    bool some = pick(d) < d->count;
    if (d->racing) {
        join_race(d, now);
    } else if (!d->waits_v6 && (some || !d->waits_v4)) {
        advance(d, now);
    } else if (some) {
        d->next_try = time_add(now, DIAL_RESOLUTION_DELAY);
    }
}

static bool is_trying(const struct dial *d, size_t slot)
{
    CHECK(slot < DIAL_ADDRS_MAX);
    return !d->finished && d->slots[slot] == DIAL_SLOT_TRYING;
}

void dial_connected(struct dial *d, size_t slot)
{
    if (is_trying(d, slot)) {
        d->slots[slot] = DIAL_SLOT_OVER;
        finish(d, &(struct dial_event){.type = DIAL_EVENT_DONE, .slot = slot});
    }
}

void dial_attempt_failed(struct dial *d, size_t slot, int err, uint64_t now)
{
    if (!is_trying(d, slot)) {
        return;
    }
    d->slots[slot] = DIAL_SLOT_OVER;
    d->running--;
    note(d, dial_cause(err));
    advance(d, now);
}

void dial_tick(struct dial *d, uint64_t now)
{
    if (now >= d->deadline) {
        note(d, CAUSE_TIMED_OUT);
        fail(d);
    } else if (now >= d->next_try) {
        advance(d, now);
    }
}

uint64_t dial_next_ns(const struct dial *d)
{
    return time_min(d->deadline, d->next_try);
}

bool dial_event(struct dial *d, struct dial_event *ev)
{
    if (d->finished) {
        *ev = d->last;
        d->last.type = DIAL_EVENT_NONE;
        return ev->type != DIAL_EVENT_NONE;
    }
    for (size_t slot = 0; slot < d->count; slot++) {
        if (d->slots[slot] == DIAL_SLOT_DUE) {
            d->slots[slot] = DIAL_SLOT_TRYING;
            *ev = (struct dial_event){.type = DIAL_EVENT_TRY, .slot = slot, .addr = d->addrs[slot]};
            return true;
        }
    }
    return false;
}
