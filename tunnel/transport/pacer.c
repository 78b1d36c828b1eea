#include "transport/pacer.h"

#include <base/check.h>

enum { BURST_PACKETS = 10 };

/* Bytes per second; more would not fit the products below into 64 bits. */
#define RATE_MAX (UINT64_C(1) << 37)

void pacer_init(struct pacer *p, size_t mtu, uint64_t now)
{
    CHECK(mtu > 0);
    *p = (struct pacer){
        .tokens = BURST_PACKETS * (uint64_t)mtu,
        .burst = BURST_PACKETS * (uint64_t)mtu,
        .last_ns = now,
        .mtu = mtu,
    };
}

/* Time in which the rate gives `bytes`, rounded up. bytes <= burst. */
static uint64_t time_for(const struct pacer *p, uint64_t bytes)
{
    return (bytes * NS_PER_S + p->rate - 1) / p->rate;
}

/* Puts what the time since last_ns gave into the bucket. last_ns moves by the whole bytes only, so
 * that frequent calls lose no fractions. */
static void refill(struct pacer *p, uint64_t now)
{
    uint64_t missing = p->burst > p->tokens ? p->burst - p->tokens : 0;
    uint64_t elapsed = time_since(p->last_ns, now);
    if (p->rate == 0 || elapsed == 0) {
        return;
    }
    if (elapsed >= time_for(p, missing)) {
        p->tokens += missing;
        p->last_ns = now;
        return;
    }
    uint64_t earned = p->rate * elapsed / NS_PER_S;
    p->tokens += earned;
    p->last_ns += time_for(p, earned);
}

static uint64_t burst_of(const struct pacer *p, uint64_t ns)
{
    uint64_t least = BURST_PACKETS * (uint64_t)p->mtu;
    uint64_t given = p->rate * (ns / NS_PER_US) / (NS_PER_S / NS_PER_US);
    return given > least ? given : least;
}

void pacer_update(struct pacer *p, uint64_t cwnd, uint64_t srtt_ns, bool slow_start, uint64_t now)
{
    uint64_t gained = slow_start ? 2 * cwnd : cwnd + cwnd / 4;
    uint64_t srtt = srtt_ns > 0 ? srtt_ns : 1;
    uint64_t rate = gained < UINT64_MAX / NS_PER_S ? gained * NS_PER_S / srtt : RATE_MAX;
    pacer_set_rate(p, rate, now);
}

void pacer_set_rate(struct pacer *p, uint64_t rate, uint64_t now)
{
    refill(p, now);
    rate = rate > 0 ? rate : 1;
    bool first = p->rate == 0;
    p->rate = rate < RATE_MAX ? rate : RATE_MAX;
    p->burst = burst_of(p, PACER_LATE_NS);
    if (first) {
        refill(p, now);
    }
    p->tokens = p->tokens < p->burst ? p->tokens : p->burst;
}

uint64_t pacer_next(const struct pacer *p, uint64_t now)
{
    if (p->rate == 0 || p->tokens >= p->mtu) {
        return now;
    }
    return time_add(p->last_ns, time_for(p, p->mtu - p->tokens));
}

void pacer_sent(struct pacer *p, size_t bytes, uint64_t now)
{
    refill(p, now);
    if (p->rate == 0) {
        p->last_ns = now;
    }
    p->tokens -= bytes < p->tokens ? bytes : p->tokens;
}

void pacer_rest(struct pacer *p, uint64_t now)
{
    uint64_t most = burst_of(p, PACER_QUANTUM_NS);
    refill(p, now);
    p->tokens = p->tokens < most ? p->tokens : most;
}
