#include "path/sequence.h"

#include <base/check.h>

#include <stdlib.h>

#include "path/cand.h"

void sequence_init(struct sequence *s, struct rng rng)
{
    *s = (struct sequence){.rng = rng, .end_ns = TIME_NEVER, .next_ns = TIME_NEVER};
}

/* --- states --- */

static void set_state(struct sequence *s, enum sequence_state state, uint64_t lasts_ns,
                      uint64_t now)
{
    s->state = state;
    s->begun_ns = now;
    s->end_ns = state == SEQUENCE_IDLE ? TIME_NEVER : time_add(now, lasts_ns);
    s->next_ns = state == SEQUENCE_SENDING ? now : TIME_NEVER;
}

bool sequence_start(struct sequence *s, uint32_t who, bool wide, const struct addr *server,
                    enum stun_form form, uint64_t now)
{
    if (s->state != SEQUENCE_IDLE || now < s->ready_ns) {
        return false;
    }
    s->who = who;
    s->wide = wide;
    s->server = *server;
    s->form = form;
    s->ours = s->theirs = (struct sequence_numbers){0};
    s->sent = 0;
    for (unsigned i = 0; i < SEQUENCE_SOCKETS; i++) {
        s->mapped[i] = (struct addr){0};
        stuntx_start(&s->tx[i], &stuntx_plan_brief, s->rng, now + SEQUENCE_OPEN_NS);
    }
    set_state(s, SEQUENCE_ASKING, SEQUENCE_ASK_NS, now);
    return true;
}

void sequence_stop(struct sequence *s, bool won, uint64_t now)
{
    if (s->state == SEQUENCE_IDLE) {
        return;
    }
    bool sent = s->state == SEQUENCE_SENDING;
    s->stats.won += won && sent;
    s->ready_ns = now + (sent ? SEQUENCE_REST_NS : SEQUENCE_PAUSE_NS);
    for (unsigned i = 0; i < SEQUENCE_SOCKETS; i++) {
        stuntx_close(&s->tx[i]);
    }
    set_state(s, SEQUENCE_IDLE, 0, now);
}

bool sequence_tick(struct sequence *s, uint64_t now)
{
    bool over = s->state != SEQUENCE_IDLE && now >= s->end_ns;
    if (over) {
        sequence_stop(s, false, now);
    }
    return over;
}

bool sequence_is_with(const struct sequence *s, uint32_t who)
{
    return s->state != SEQUENCE_IDLE && s->who == who;
}

uint64_t sequence_calm_ns(const struct sequence *s)
{
    switch (s->state) {
    case SEQUENCE_IDLE:
        break;
    case SEQUENCE_ASKING:
    case SEQUENCE_TOLD:
        return s->end_ns;
    case SEQUENCE_SENDING: /* once each packet has its mapping nothing can shift them any more */
        return s->begun_ns + SEQUENCE_COUNT * SEQUENCE_SEND_NS;
    }
    return 0;
}

static void begin_if_met(struct sequence *s, uint64_t now)
{
    if (s->state == SEQUENCE_TOLD && s->theirs.next.family != ADDR_NONE) {
        set_state(s, SEQUENCE_SENDING, SEQUENCE_RUN_NS, now);
        s->stats.runs++;
    }
}

void sequence_meet(struct sequence *s, uint32_t who, const struct sequence_numbers *theirs,
                   uint64_t now)
{
    if (sequence_is_with(s, who) && s->state != SEQUENCE_SENDING) {
        s->theirs = *theirs;
        begin_if_met(s, now);
    }
}

/* --- our own numbers --- */

/* The step of ports in the order in which they were asked for, 0 if they follow none. */
static int step_of(const struct addr *mapped)
{
    int step = 0;
    for (unsigned i = 1; i < SEQUENCE_SOCKETS; i++) {
        int delta = mapped[i].port - mapped[i - 1].port;
        bool turned = step != 0 && (delta < 0) != (step < 0);
        if (delta == 0 || turned || abs(delta) > SEQUENCE_STEP_MAX ||
            !addr_equal_ip(&mapped[i], &mapped[0])) {
            return 0;
        }
        /* Others' mappings in between make gaps: the smallest is the likeliest to be the step. */
        step = step == 0 || abs(delta) < abs(step) ? delta : step;
    }
    return step;
}

/* The port i steps on; 0 past the end of ports. */
static uint16_t port_after(const struct sequence_numbers *n, long i)
{
    long port = n->next.port + i * n->step;
    return port > 0 && port <= UINT16_MAX ? (uint16_t)port : 0;
}

static void on_all_answers(struct sequence *s, uint64_t now)
{
    struct sequence_numbers last = {.next = s->mapped[SEQUENCE_SOCKETS - 1],
                                    .step = step_of(s->mapped)};
    uint16_t next = port_after(&last, 1);
    if (last.step == 0 || next == 0 || port_after(&last, 2) == 0) {
        sequence_stop(s, false, now);
        return;
    }
    s->ours = last;
    s->ours.next.port = next;
    set_state(s, SEQUENCE_TOLD, SEQUENCE_TOLD_NS, now);
    begin_if_met(s, now);
}

bool sequence_input(struct sequence *s, unsigned n, const struct addr *from, const void *data,
                    size_t len, uint64_t now)
{
    struct stun_message m;
    struct addr mapped;
    struct addr source = addr_normalize(from);
    CHECK(n < SEQUENCE_SOCKETS);
    if (s->state == SEQUENCE_IDLE || !addr_equal(&source, &s->server) ||
        stun_read(&m, data, len) != 0 || stuntx_match(&s->tx[n], &m) < 0) {
        return false;
    }
    if (!s->tx[n].open) {
        return true; /* late, or twice */
    }
    stuntx_close(&s->tx[n]);
    if (m.type == STUN_ERROR || !stun_mapped(&m, &mapped)) {
        sequence_stop(s, false, now);
        return true;
    }
    s->mapped[n] = mapped;
    bool all = true;
    for (unsigned i = 0; i < SEQUENCE_SOCKETS; i++) {
        all = all && s->mapped[i].family != ADDR_NONE;
    }
    if (all) {
        on_all_answers(s, now);
    }
    return true;
}

size_t sequence_ask(struct sequence *s, unsigned *n, uint8_t *buf, size_t cap, uint64_t now)
{
    for (unsigned i = 0; i < SEQUENCE_SOCKETS && s->state == SEQUENCE_ASKING; i++) {
        size_t len = stuntx_output(&s->tx[i], s->form, 0, buf, cap, now);
        if (len > 0) {
            *n = i;
            return len;
        }
    }
    return 0;
}

/* --- datagrams --- */

/* The time of the one after this. What was missed is made up for in short bursts. */
static void advance(struct sequence *s, uint64_t now)
{
    uint64_t late = SEQUENCE_BURST_MAX * SEQUENCE_SEND_NS;
    uint64_t oldest = now > late ? now - late : 0;
    s->next_ns = (s->next_ns > oldest ? s->next_ns : oldest) + SEQUENCE_SEND_NS;
    s->sent++;
    s->stats.sent++;
    unsigned round = s->sent / SEQUENCE_COUNT;
    if (round == SEQUENCE_ROUNDS) {
        s->next_ns = TIME_NEVER;
    } else if (s->sent % SEQUENCE_COUNT == 0) {
        s->next_ns = s->begun_ns + round * SEQUENCE_ROUND_NS;
    }
}

bool sequence_output(struct sequence *s, struct addr *to, uint64_t now)
{
    if (s->state != SEQUENCE_SENDING || now < s->next_ns || now >= s->end_ns) {
        return false;
    }
    long i = s->sent % SEQUENCE_COUNT;
    *to = s->theirs.next;
    to->port = port_after(&s->theirs, s->wide ? i + i / SEQUENCE_HOLD : i);
    s->hops = s->sent < SEQUENCE_COUNT ? SEQUENCE_OPENER_HOPS : 0;
    if (to->port == 0) { /* NATs begin again somewhere that nobody knows */
        s->next_ns = TIME_NEVER;
        return false;
    }
    advance(s, now);
    return true;
}

uint64_t sequence_next_ns(const struct sequence *s)
{
    uint64_t next = time_min(s->end_ns, s->next_ns);
    for (unsigned i = 0; i < SEQUENCE_SOCKETS && s->state == SEQUENCE_ASKING; i++) {
        next = time_min(next, s->tx[i].next_ns);
    }
    return next;
}

/* --- what is said --- */

static bool is_of_a_reflexive(const struct frame_candidate *list, size_t count,
                              const struct addr *a)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i].source == CAND_REFLEXIVE && addr_equal_ip(&list[i].addr, a)) {
            return true;
        }
    }
    return false;
}

bool sequence_list_numbers(const struct frame_candidate *list, size_t count,
                           struct sequence_numbers *out)
{
    const struct addr *said[2] = {NULL, NULL};
    for (size_t i = 0; i < count; i++) {
        if (list[i].source == CAND_SEQUENCE) {
            *(said[0] ? &said[1] : &said[0]) = &list[i].addr;
        }
    }
    if (!said[1] || said[0]->family != ADDR_IPV4 || !addr_equal_ip(said[0], said[1])) {
        return false;
    }
    struct sequence_numbers n = {.next = *said[0], .step = said[1]->port - said[0]->port};
    if (n.step == 0 || abs(n.step) > SEQUENCE_STEP_MAX || n.next.port == 0 ||
        !is_of_a_reflexive(list, count, &n.next)) {
        return false;
    }
    *out = n;
    return true;
}

void sequence_list_tell(const struct sequence_numbers *n, struct frame_candidate out[2])
{
    for (long i = 0; i < 2; i++) {
        out[i] = (struct frame_candidate){.source = CAND_SEQUENCE, .addr = n->next};
        out[i].addr.port = port_after(n, i);
    }
}
