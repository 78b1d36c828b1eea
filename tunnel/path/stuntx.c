#include "path/stuntx.h"

#include <base/check.h>

#include <string.h>

const struct stuntx_plan stuntx_plan_rfc8489 = {
    .rto_ns = 500 * NS_PER_MS, .wait_ns = 8 * NS_PER_S, .sends = 7};
const struct stuntx_plan stuntx_plan_fast = {
    .rto_ns = 100 * NS_PER_MS, .wait_ns = 1500 * NS_PER_MS, .sends = 5, .fresh_ids = true};
const struct stuntx_plan stuntx_plan_silence = {
    .rto_ns = 500 * NS_PER_MS, .wait_ns = 1500 * NS_PER_MS, .sends = 3};
const struct stuntx_plan stuntx_plan_brief = {
    .rto_ns = 250 * NS_PER_MS, .wait_ns = 750 * NS_PER_MS, .sends = 3};

void stuntx_start(struct stuntx *t, const struct stuntx_plan *plan, struct rng rng, uint64_t now)
{
    CHECK(plan->sends > 0 && plan->sends <= STUNTX_SENDS_MAX);
    *t = (struct stuntx){.plan = plan, .open = true, .next_ns = now};
    rng_fill(rng, t->id, sizeof(t->id));
}

void stuntx_close(struct stuntx *t)
{
    t->open = false;
    t->next_ns = TIME_NEVER;
}

/* The id of the n-th sending. */
static void id_of(const struct stuntx *t, int sending, uint8_t out[STUN_TXID_LEN])
{
    memcpy(out, t->id, STUN_TXID_LEN);
    if (t->plan->fresh_ids) {
        out[STUN_TXID_LEN - 1] = (uint8_t)(out[STUN_TXID_LEN - 1] + sending);
    }
}

static bool all_sent(const struct stuntx *t)
{
    return t->sent == t->plan->sends;
}

size_t stuntx_output(struct stuntx *t, enum stun_form form, uint8_t change, uint8_t *buf,
                     size_t cap, uint64_t now)
{
    if (!t->open || all_sent(t) || t->next_ns > now) {
        return 0;
    }
    uint8_t id[STUN_TXID_LEN];
    id_of(t, t->sent, id);
    size_t len = stun_write_request(buf, cap, id, form, change);
    if (len == 0) {
        return 0;
    }
    t->sent_ns[t->sent] = now;
    t->next_ns = now + (t->plan->rto_ns << t->sent);
    t->sent++;
    if (all_sent(t)) {
        t->next_ns = now + t->plan->wait_ns;
    }
    return len;
}

bool stuntx_is_over(const struct stuntx *t, uint64_t now)
{
    return t->open && all_sent(t) && t->next_ns <= now;
}

int stuntx_match(const struct stuntx *t, const struct stun_message *m)
{
    if (!t->plan || (m->type != STUN_SUCCESS && m->type != STUN_ERROR)) {
        return -1;
    }
    for (int i = 0; i < t->sent; i++) {
        uint8_t id[STUN_TXID_LEN];
        id_of(t, i, id);
        if (memcmp(id, m->txid, sizeof(id)) == 0) {
            return i;
        }
    }
    return -1;
}

uint64_t stuntx_rtt(const struct stuntx *t, int sending, uint64_t now)
{
    CHECK(sending >= 0 && sending < t->sent);
    if (!t->plan->fresh_ids && t->sent > 1) {
        return 0;
    }
    return time_since(t->sent_ns[sending], now);
}
