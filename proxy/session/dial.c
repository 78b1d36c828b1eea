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

void dial_init(struct dial *d)
{
    *d = (struct dial){
        .cause = CAUSE_NAME_NOT_FOUND, .next_try = TIME_NEVER, .deadline = TIME_NEVER};
}

void dial_add(struct dial *d, const struct acl *acl, const char *name, const struct addr *addr)
{
    CHECK(!d->started);
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

/* RFC 8305 section 4 with a "First Address Family Count" of 1. */
static void interleave(struct dial *d)
{
    struct addr sorted[DIAL_ADDRS_MAX];
    bool used[DIAL_ADDRS_MAX] = {false};
    uint8_t want = d->count ? d->addrs[0].family : ADDR_NONE;
    for (size_t n = 0; n < d->count; n++) {
        size_t pick = d->count;
        for (size_t i = d->count; i-- > 0;) {
            bool better =
                pick == d->count || d->addrs[i].family == want || d->addrs[pick].family != want;
            pick = !used[i] && better ? i : pick;
        }
        used[pick] = true;
        sorted[n] = d->addrs[pick];
        want = sorted[n].family == ADDR_IPV4 ? ADDR_IPV6 : ADDR_IPV4;
    }
    for (size_t n = 0; n < d->count; n++) {
        d->addrs[n] = sorted[n];
    }
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
    if (d->next < d->count) {
        d->next++;
        d->running++;
        d->next_try = d->next < d->count ? time_add(now, DIAL_DELAY) : TIME_NEVER;
    } else if (d->running == 0) {
        fail(d);
    }
}

void dial_start(struct dial *d, uint64_t now)
{
    CHECK(!d->started);
    d->started = true;
    d->deadline = time_add(now, DIAL_TIMEOUT);
    interleave(d);
    advance(d, now);
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
    if (d->tried == d->next) {
        return false;
    }
    size_t slot = d->tried++;
    d->slots[slot] = DIAL_SLOT_TRYING;
    *ev = (struct dial_event){.type = DIAL_EVENT_TRY, .slot = slot, .addr = d->addrs[slot]};
    return true;
}
