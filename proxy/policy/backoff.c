#include "policy/backoff.h"

#include <base/check.h>

#include <string.h>

void backoff_init(struct backoff *b)
{
    *b = (struct backoff){0};
}

static struct addr subject(const struct addr *addr)
{
    struct addr a = addr_normalize(addr);
    a.port = 0;
    if (a.family == ADDR_IPV6) {
        memset(a.ip + 8, 0, 8);
    }
    return a;
}

/* The index of the address, or count. */
static size_t find(const struct backoff *b, const struct addr *addr)
{
    struct addr a = subject(addr);
    size_t i = 0;
    while (i < b->count && !addr_equal_ip(&b->items[i].addr, &a)) {
        i++;
    }
    return i;
}

bool backoff_holds(const struct backoff *b, const struct addr *addr, uint64_t now)
{
    size_t i = find(b, addr);
    return i < b->count && now < b->items[i].until;
}

static size_t oldest(const struct backoff *b)
{
    size_t best = 0;
    for (size_t i = 1; i < b->count; i++) {
        best = b->items[i].last < b->items[best].last ? i : best;
    }
    return best;
}

static size_t place_for(struct backoff *b, const struct addr *addr)
{
    size_t i = b->count < BACKOFF_ADDRS ? b->count++ : oldest(b);
    memset(&b->items[i], 0, sizeof(b->items[i]));
    b->items[i].addr = subject(addr);
    return i;
}

static uint64_t hold_time(unsigned failures)
{
    uint64_t time = BACKOFF_MIN;
    for (unsigned n = BACKOFF_FREE + 1; n < failures && time < BACKOFF_MAX; n++) {
        time *= 2;
    }
    return time < BACKOFF_MAX ? time : BACKOFF_MAX;
}

void backoff_wrong(struct backoff *b, const struct addr *addr, uint64_t now)
{
    size_t i = find(b, addr);
    if (i == b->count) {
        i = place_for(b, addr);
    }
    CHECK(i < BACKOFF_ADDRS);
    b->items[i].failures++;
    b->items[i].last = now;
    if (b->items[i].failures > BACKOFF_FREE) {
        b->items[i].until = time_add(now, hold_time(b->items[i].failures));
    }
}

void backoff_right(struct backoff *b, const struct addr *addr)
{
    size_t i = find(b, addr);
    if (i < b->count) {
        b->items[i] = b->items[--b->count];
    }
}
