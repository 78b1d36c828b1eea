#include "path/birthday.h"

#include <base/check.h>

enum { PORTS = 65536 - BIRTHDAY_PORT_MIN };

void birthday_init(struct birthday *b, unsigned sockets, struct rng rng)
{
    *b = (struct birthday){
        .budget = sockets < BIRTHDAY_SOCKETS_MAX ? sockets : BIRTHDAY_SOCKETS_MAX, .rng = rng};
}

/* --- sockets --- */

static void set_use(struct birthday *b, unsigned socket, enum birthday_use use)
{
    struct birthday_socket *s = &b->sockets[socket];
    if (s->use != use) {
        b->kept += use == BIRTHDAY_KEPT;
        b->kept -= s->use == BIRTHDAY_KEPT;
        s->use = use;
        b->changed = true;
    }
}

static void take_sockets(struct birthday *b)
{
    b->tried_count = 0;
    for (unsigned i = 1; i <= BIRTHDAY_NUMBERS_MAX && b->tried_count < b->budget; i++) {
        if (b->sockets[i].use == BIRTHDAY_CLOSED) {
            set_use(b, i, BIRTHDAY_TRIED);
            b->sockets[i].who = b->who;
            b->tried[b->tried_count++] = (uint16_t)i;
        }
    }
}

static void give_back(struct birthday *b)
{
    for (unsigned i = 1; i <= BIRTHDAY_NUMBERS_MAX; i++) {
        if (b->sockets[i].use == BIRTHDAY_TRIED) {
            set_use(b, i, BIRTHDAY_CLOSED);
        }
    }
    b->tried_count = 0;
}

void birthday_heard(struct birthday *b, unsigned socket, uint32_t who)
{
    CHECK(socket <= BIRTHDAY_NUMBERS_MAX);
    if (b->sockets[socket].use == BIRTHDAY_TRIED && b->sockets[socket].who == who) {
        set_use(b, socket, BIRTHDAY_KEPT);
    }
}

uint16_t birthday_spare(struct birthday *b)
{
    for (unsigned i = BIRTHDAY_NUMBERS_MAX; i > 0; i--) {
        if (b->sockets[i].use == BIRTHDAY_CLOSED) {
            set_use(b, i, BIRTHDAY_KEPT);
            b->sockets[i].who = BIRTHDAY_NOBODY;
            return (uint16_t)i;
        }
    }
    return 0;
}

void birthday_hand(struct birthday *b, unsigned socket, uint32_t who)
{
    CHECK(socket > 0 && socket <= BIRTHDAY_NUMBERS_MAX);
    CHECK(b->sockets[socket].use == BIRTHDAY_KEPT);
    b->sockets[socket].who = who;
}

void birthday_release(struct birthday *b, unsigned socket)
{
    CHECK(socket <= BIRTHDAY_NUMBERS_MAX);
    if (b->sockets[socket].use == BIRTHDAY_KEPT) {
        set_use(b, socket, BIRTHDAY_CLOSED);
    }
}

bool birthday_changed(struct birthday *b)
{
    bool changed = b->changed;
    b->changed = false;
    return changed;
}

enum birthday_use birthday_use(const struct birthday *b, unsigned socket)
{
    CHECK(socket <= BIRTHDAY_NUMBERS_MAX);
    return b->sockets[socket].use;
}

/* --- states --- */

static void set_state(struct birthday *b, enum birthday_state state, uint64_t lasts_ns,
                      uint64_t now)
{
    bool begins = state == BIRTHDAY_OPENING || state == BIRTHDAY_PROBING;
    b->stats.runs += begins;
    b->state = state;
    b->end_ns = state == BIRTHDAY_IDLE ? TIME_NEVER : now + lasts_ns;
    b->next_ns = begins ? now : TIME_NEVER;
    b->sent = 0;
}

static bool may_begin(struct birthday *b, uint64_t now)
{
    unsigned room = BIRTHDAY_NUMBERS_MAX - b->kept;
    bool may = b->budget > 0 && b->state == BIRTHDAY_IDLE && now >= b->ready_ns &&
               room >= BIRTHDAY_SOCKETS_MIN;
    b->stats.refused += !may;
    return may;
}

bool birthday_ask(struct birthday *b, uint32_t who, uint64_t now)
{
    if (!may_begin(b, now)) {
        return false;
    }
    b->who = who;
    set_state(b, BIRTHDAY_ASKING, BIRTHDAY_ASK_NS, now);
    return true;
}

bool birthday_open(struct birthday *b, uint32_t who, const struct addr *to, uint64_t now)
{
    if (!may_begin(b, now)) {
        return false;
    }
    b->who = who;
    b->to = *to;
    take_sockets(b);
    set_state(b, BIRTHDAY_OPENING, BIRTHDAY_RUN_NS, now);
    return true;
}

bool birthday_probe(struct birthday *b, uint32_t who, const struct addr *known, uint64_t now)
{
    if (b->state != BIRTHDAY_ASKING || b->who != who) {
        return false;
    }
    b->to = *known;
    set_state(b, BIRTHDAY_PROBING, BIRTHDAY_RUN_NS, now);
    return true;
}

void birthday_stop(struct birthday *b, bool won, uint64_t now)
{
    if (b->state == BIRTHDAY_IDLE) {
        return;
    }
    b->stats.won += won && b->state != BIRTHDAY_ASKING;
    b->ready_ns = now + (b->state == BIRTHDAY_ASKING ? BIRTHDAY_PAUSE_NS : BIRTHDAY_REST_NS);
    give_back(b);
    set_state(b, BIRTHDAY_IDLE, 0, now);
}

bool birthday_tick(struct birthday *b, uint64_t now)
{
    bool over = b->state != BIRTHDAY_IDLE && now >= b->end_ns;
    if (over) {
        birthday_stop(b, false, now);
    }
    return over;
}

uint64_t birthday_next_ns(const struct birthday *b)
{
    return b->state == BIRTHDAY_IDLE ? TIME_NEVER : time_min(b->next_ns, b->end_ns);
}

uint64_t birthday_ready_ns(const struct birthday *b)
{
    return b->state == BIRTHDAY_IDLE ? b->ready_ns : b->end_ns + BIRTHDAY_REST_NS;
}

bool birthday_is_with(const struct birthday *b, uint32_t who)
{
    return b->state != BIRTHDAY_IDLE && b->who == who;
}

/* --- datagrams --- */

/* The time of the one after this. What was missed is made up for in short bursts. */
static void advance(struct birthday *b, uint64_t interval_ns, uint64_t now)
{
    uint64_t late = BIRTHDAY_BURST_MAX * interval_ns;
    uint64_t oldest = now > late ? now - late : 0;
    b->next_ns = (b->next_ns > oldest ? b->next_ns : oldest) + interval_ns;
    b->sent++;
    b->stats.sent++;
}

/* Two sweeps over the ports right above the known one, mixed with random ones. */
static uint16_t choose_port(struct birthday *b)
{
    if (b->sent < 2 * BIRTHDAY_NEAR_PROBES && b->sent % 2 == 0) {
        unsigned step = b->sent / 2 % (BIRTHDAY_NEAR_PROBES / 2) + 1;
        unsigned port = b->to.port + step * BIRTHDAY_NEAR_STEP;
        if (port >= BIRTHDAY_PORT_MIN && port < 65536) {
            return (uint16_t)port;
        }
    }
    return (uint16_t)(BIRTHDAY_PORT_MIN + rng_below(b->rng, PORTS));
}

static void probe(struct birthday *b, unsigned *socket, struct addr *to, uint64_t now)
{
    *socket = 0;
    *to = b->to;
    b->hops = 0;
    to->port = choose_port(b);
    advance(b, BIRTHDAY_PROBE_NS, now);
    if (b->sent == BIRTHDAY_PROBES_MAX) {
        b->next_ns = TIME_NEVER;
    }
}

static void open_next(struct birthday *b, unsigned *socket, struct addr *to, uint64_t now)
{
    *socket = b->tried[b->sent % b->tried_count];
    *to = b->to;
    b->hops = b->sent < b->tried_count ? BIRTHDAY_OPENER_HOPS : 0;
    advance(b, BIRTHDAY_OPEN_NS, now);
    if (b->sent == b->tried_count) {
        b->next_ns = b->end_ns - BIRTHDAY_RUN_NS + BIRTHDAY_REOPEN_NS;
    } else if (b->sent == 2 * b->tried_count) {
        b->next_ns = TIME_NEVER;
    }
}

bool birthday_output(struct birthday *b, unsigned *socket, struct addr *to, uint64_t now)
{
    if (b->state == BIRTHDAY_IDLE || now < b->next_ns || now >= b->end_ns) {
        return false;
    }
    CHECK(b->state == BIRTHDAY_OPENING || b->state == BIRTHDAY_PROBING);
    if (b->state == BIRTHDAY_PROBING) {
        probe(b, socket, to, now);
    } else {
        open_next(b, socket, to, now);
    }
    return true;
}
