#include "path/lifetime.h"

#include <base/check.h>

/* Just below what NATs are set to: 30, 45, 60, 90, 120 and 180 s. */
static const uint64_t silences_ns[] = {27 * NS_PER_S, 42 * NS_PER_S,  57 * NS_PER_S,
                                       87 * NS_PER_S, 117 * NS_PER_S, 177 * NS_PER_S};
enum { STEPS = sizeof(silences_ns) / sizeof(silences_ns[0]) };

void lifetime_init(struct lifetime *l, struct rng rng)
{
    *l = (struct lifetime){.rng = rng, .due_ns = TIME_NEVER};
    stuntx_close(&l->tx);
}

bool lifetime_is_running(const struct lifetime *l)
{
    return l->state == LIFETIME_ASKING || l->state == LIFETIME_SILENT;
}

uint64_t lifetime_keep_ns(const struct lifetime *l)
{
    return l->good_ns > 0 ? l->good_ns - LIFETIME_MARGIN_NS : 0;
}

void lifetime_start(struct lifetime *l, const struct addr *server, enum stun_form form,
                    uint64_t now)
{
    CHECK(!lifetime_is_running(l));
    lifetime_init(l, l->rng);
    l->server = *server;
    l->form = form;
    l->state = LIFETIME_ASKING;
    l->due_ns = now;
}

static void finish(struct lifetime *l)
{
    stuntx_close(&l->tx);
    l->state = LIFETIME_DONE;
    l->due_ns = TIME_NEVER;
}

static void be_silent(struct lifetime *l, uint64_t now)
{
    l->state = LIFETIME_SILENT;
    l->due_ns = now + silences_ns[l->step];
}

static void on_answer(struct lifetime *l, const struct addr *mapped, uint64_t now)
{
    stuntx_close(&l->tx);
    if (l->mapped.family == ADDR_NONE) {
        l->mapped = *mapped;
        l->due_ns = now + LIFETIME_AGAIN_NS;
    } else if (!addr_equal(&l->mapped, mapped)) {
        finish(l);
    } else if (l->state == LIFETIME_ASKING) {
        be_silent(l, now);
    } else {
        l->good_ns = silences_ns[l->step++];
        if (l->step == STEPS) {
            finish(l);
        } else {
            be_silent(l, now);
        }
    }
}

bool lifetime_input(struct lifetime *l, const struct addr *from, const void *data, size_t len,
                    uint64_t now)
{
    struct stun_message m;
    struct addr mapped;
    struct addr source = addr_normalize(from);
    if (!lifetime_is_running(l) || !addr_equal(&source, &l->server) ||
        stun_read(&m, data, len) != 0 || stuntx_match(&l->tx, &m) < 0) {
        return false;
    }
    if (!l->tx.open) {
        return true; /* late, or twice */
    }
    if (m.type == STUN_ERROR || !stun_mapped(&m, &mapped)) {
        finish(l);
    } else {
        on_answer(l, &mapped, now);
    }
    return true;
}

size_t lifetime_output(struct lifetime *l, uint8_t *buf, size_t cap, uint64_t now)
{
    if (!lifetime_is_running(l)) {
        return 0;
    }
    if (!l->tx.open && l->due_ns <= now) {
        stuntx_start(&l->tx, &stuntx_plan_silence, l->rng, now);
        l->due_ns = TIME_NEVER;
    }
    return stuntx_output(&l->tx, l->form, 0, buf, cap, now);
}

void lifetime_tick(struct lifetime *l, uint64_t now)
{
    if (lifetime_is_running(l) && stuntx_is_over(&l->tx, now)) {
        finish(l);
    }
}

uint64_t lifetime_next_ns(const struct lifetime *l)
{
    if (!lifetime_is_running(l)) {
        return TIME_NEVER;
    }
    return l->tx.open ? l->tx.next_ns : l->due_ns;
}
