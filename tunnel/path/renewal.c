#include "path/renewal.h"

#include <base/check.h>

void renewal_init(struct renewal *r, struct rng rng)
{
    *r = (struct renewal){.rng = rng, .due_ns = TIME_NEVER};
    stuntx_close(&r->tx);
}

uint64_t renewal_ahead_ns(const struct renewal *r)
{
    return r->life_ns / RENEWAL_AHEAD;
}

static void set_made(struct renewal *r, uint64_t made_ns)
{
    bool known = r->life_ns != 0 && made_ns != 0;
    r->made_ns = made_ns;
    r->due_ns = known ? made_ns + r->life_ns - renewal_ahead_ns(r) : TIME_NEVER;
}

static void set_begun(struct renewal *r, uint64_t begun_ns, uint64_t latest_ns)
{
    r->begun_ns = begun_ns;
    r->latest_ns = latest_ns;
    if (r->mapped.family == ADDR_NONE) {
        set_made(r, begun_ns);
    }
}

/* --- learning --- */

static bool is_alike(uint64_t a, uint64_t b)
{
    uint64_t less = time_min(a, b);
    uint64_t slack = less / 8 > RENEWAL_ALIKE_NS ? less / 8 : RENEWAL_ALIKE_NS;
    return (a > b ? a - b : b - a) <= slack;
}

void renewal_seen(struct renewal *r, const struct addr *mapped, uint64_t now)
{
    bool same = addr_equal(mapped, &r->shared);
    r->seen_ns = same || r->shared.family == ADDR_NONE ? now : r->seen_ns;
    r->shared = r->shared.family == ADDR_NONE ? *mapped : r->shared;
    if (r->begun_ns == 0) {
        set_begun(r, now, now);
    } else if (same && r->life_ns != 0 &&
               time_since(r->latest_ns, now) > r->life_ns + r->life_ns / 4) {
        r->life_ns = r->age_ns = 0; /* it is not so, or not any more */
        set_made(r, r->made_ns);
    }
}

bool renewal_doubt(struct renewal *r, uint64_t now)
{
    if (r->doubt_ns != 0 && time_since(r->doubt_ns, now) < RENEWAL_DOUBT_NS) {
        return false;
    }
    r->doubt_ns = now;
    return true;
}

/* The former mapping was there then at the latest time that is known, or 0. */
static uint64_t lasted_until(const struct renewal *r, uint64_t now)
{
    bool doubted = r->doubt_ns != 0 && time_since(r->doubt_ns, now) <= RENEWAL_ALIKE_NS;
    return doubted && r->doubt_ns > r->seen_ns ? r->doubt_ns : r->seen_ns;
}

void renewal_changed(struct renewal *r, uint64_t now)
{
    uint64_t until = lasted_until(r, now);
    bool vague = until == 0 || time_since(until, now) > RENEWAL_ALIKE_NS;
    bool known = !vague && r->begun_ns != 0 && r->begun_ns == r->latest_ns;
    uint64_t age = known ? time_since(r->begun_ns, now) : 0;
    bool plausible = age >= RENEWAL_LIFE_MIN_NS && age <= RENEWAL_LIFE_MAX_NS;
    if (plausible && r->age_ns != 0 && is_alike(age, r->age_ns)) {
        r->life_ns = time_min(age, r->age_ns);
    }
    r->age_ns = plausible ? age : 0;
    r->shared = (struct addr){0}; /* until the next answer */
    r->seen_ns = 0;
    set_begun(r, vague && until != 0 ? until : now, now);
}

void renewal_lapse(struct renewal *r)
{
    r->begun_ns = r->age_ns = 0;
    r->seen_ns = r->doubt_ns = 0;
    r->shared = (struct addr){0};
}

/* --- renewing --- */

bool renewal_is_due(const struct renewal *r, uint64_t now)
{
    return !r->asking && r->due_ns <= now;
}

void renewal_start(struct renewal *r, const struct addr *server, enum stun_form form, uint64_t now)
{
    CHECK(!r->asking && r->life_ns != 0);
    r->server = *server;
    r->form = form;
    r->asking = true;
    r->asked_ns = now;
    r->due_ns = TIME_NEVER;
    stuntx_start(&r->tx, &stuntx_plan_brief, r->rng, now);
}

static void stop_asking(struct renewal *r)
{
    stuntx_close(&r->tx);
    r->asking = false;
}

void renewal_stop(struct renewal *r, uint64_t now)
{
    stop_asking(r);
    r->mapped = (struct addr){0};
    set_made(r, r->begun_ns);
    if (r->due_ns <= now) {
        set_made(r, 0);
    }
}

static void fail(struct renewal *r, uint64_t now)
{
    stop_asking(r);
    r->failed++;
    uint64_t end = r->made_ns + r->life_ns;
    r->due_ns = r->made_ns != 0 && end > now + NS_PER_S ? now + (end - now) / 2 : TIME_NEVER;
}

bool renewal_input(struct renewal *r, const struct addr *from, const void *data, size_t len,
                   uint64_t now)
{
    struct stun_message m;
    struct addr mapped;
    struct addr source = addr_normalize(from);
    if (!r->asking || !addr_equal(&source, &r->server) || stun_read(&m, data, len) != 0 ||
        stuntx_match(&r->tx, &m) < 0) {
        return false;
    }
    if (m.type == STUN_ERROR || !stun_mapped(&m, &mapped)) {
        fail(r, now);
        return true;
    }
    stop_asking(r);
    r->mapped = mapped;
    r->done++;
    set_made(r, r->asked_ns);
    return true;
}

size_t renewal_output(struct renewal *r, uint8_t *buf, size_t cap, uint64_t now)
{
    return r->asking ? stuntx_output(&r->tx, r->form, 0, buf, cap, now) : 0;
}

bool renewal_tick(struct renewal *r, uint64_t now)
{
    bool over = r->asking && stuntx_is_over(&r->tx, now);
    if (over) {
        fail(r, now);
    }
    return over;
}

uint64_t renewal_next_ns(const struct renewal *r)
{
    return r->asking ? r->tx.next_ns : r->due_ns;
}
