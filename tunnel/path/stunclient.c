#include "path/stunclient.h"

#include <base/check.h>
#include <base/err.h>

static struct stunclient_server *end(struct stunclient *c)
{
    return &c->servers[STUNCLIENT_SERVERS_MAX];
}

void stunclient_init(struct stunclient *c, const struct stuntx_plan *plan, struct rng rng)
{
    *c = (struct stunclient){.plan = plan ? plan : &stuntx_plan_fast, .rng = rng};
}

/* --- servers --- */

static bool has_result(const struct stunclient_server *s)
{
    return s->used && s->mapped.family != ADDR_NONE;
}

int stunclient_add(struct stunclient *c, const struct addr *server, enum stun_form form,
                   uint64_t now)
{
    struct addr addr = addr_normalize(server);
    struct stunclient_server *room = NULL;
    for (struct stunclient_server *s = c->servers; s < end(c); s++) {
        if (s->used && addr_equal(&s->addr, &addr)) {
            s->form = form;
            return (int)(s - c->servers);
        }
        room = !room && !s->used ? s : room;
    }
    if (!room) {
        c->stats.no_room++;
        return ERR_NO_ROOM;
    }
    *room = (struct stunclient_server){.used = true, .addr = addr, .form = form, .due_ns = now};
    stuntx_close(&room->tx);
    return (int)(room - c->servers);
}

const struct stunclient_server *stunclient_get(const struct stunclient *c, int server)
{
    CHECK(server >= 0 && server < STUNCLIENT_SERVERS_MAX);
    return c->servers[server].used ? &c->servers[server] : NULL;
}

/* True if a answered and is the faster one; who was never measured comes last. */
static bool faster(const struct stunclient_server *a, const struct stunclient_server *b)
{
    return a->rtt_ns != 0 && (b->rtt_ns == 0 || a->rtt_ns < b->rtt_ns);
}

const struct stunclient_server *stunclient_best(const struct stunclient *c, enum addr_family family)
{
    const struct stunclient_server *best = NULL;
    for (const struct stunclient_server *s = c->servers; s < &c->servers[STUNCLIENT_SERVERS_MAX];
         s++) {
        if (has_result(s) && s->mapped.family == family && (!best || faster(s, best))) {
            best = s;
        }
    }
    return best;
}

/* --- when to ask --- */

static uint64_t refresh_interval(struct stunclient *c)
{
    return STUNCLIENT_REFRESH_MIN_NS +
           rng_below(c->rng, STUNCLIENT_REFRESH_MAX_NS - STUNCLIENT_REFRESH_MIN_NS + 1);
}

static bool is_keeper(const struct stunclient *c, const struct stunclient_server *s)
{
    return has_result(s) && stunclient_best(c, (enum addr_family)s->mapped.family) == s;
}

void stunclient_need(struct stunclient *c, bool needed, uint64_t now)
{
    if (needed == c->needed) {
        return;
    }
    c->needed = needed;
    for (struct stunclient_server *s = c->servers; s < end(c); s++) {
        if (s->used && !needed && s->tx.open) {
            stuntx_close(&s->tx);
            s->due_ns = now; /* it was about to be asked: so it is, when needed again */
        }
    }
}

static void ask_family(struct stunclient *c, enum addr_family family, uint64_t now)
{
    for (struct stunclient_server *s = c->servers; s < end(c); s++) {
        if (s->used && (family == ADDR_NONE || s->addr.family == family) && !s->tx.open) {
            s->due_ns = time_min(s->due_ns, now);
        }
    }
}

void stunclient_ask_all(struct stunclient *c, uint64_t now)
{
    ask_family(c, ADDR_NONE, now);
}

void stunclient_ask_keeper(struct stunclient *c, enum addr_family family, uint64_t now)
{
    for (struct stunclient_server *s = c->servers; s < end(c); s++) {
        if (is_keeper(c, s) && s->mapped.family == family && !s->tx.open) {
            s->due_ns = time_min(s->due_ns, now);
        }
    }
}

void stunclient_forget(struct stunclient *c, uint64_t now)
{
    for (struct stunclient_server *s = c->servers; s < end(c); s++) {
        if (s->used) {
            *s = (struct stunclient_server){
                .used = true, .addr = s->addr, .form = s->form, .due_ns = now};
            stuntx_close(&s->tx);
        }
    }
    c->tell_changed_ipv4 = false;
    c->tell_changed_ipv6 = false;
    c->changed_to_ipv4 = (struct addr){0};
    c->changed_to_ipv6 = (struct addr){0};
}

/* After an answer. Whoever is the keeper now, perhaps another one than before, must be asked within
 * the short interval; the rest can wait. */
static void plan_after_answer(struct stunclient *c, struct stunclient_server *s, uint64_t now)
{
    s->due_ns = now + STUNCLIENT_ROUND_NS;
    for (struct stunclient_server *k = c->servers; k < end(c); k++) {
        if (is_keeper(c, k) && k->mapped.family == s->mapped.family) {
            k->due_ns = time_min(k->due_ns, now + refresh_interval(c));
        }
    }
}

/* A server that vanishes keeps its place as keeper no longer: another one must hold the mapping. */
static void plan_after_silence(struct stunclient *c, struct stunclient_server *s, uint64_t now)
{
    bool keeper = is_keeper(c, s);
    s->silent = s->silent < UINT8_MAX ? (uint8_t)(s->silent + 1) : s->silent;
    s->rtt_ns = 0;
    uint64_t wait = refresh_interval(c);
    for (int i = 1; i < s->silent && wait < STUNCLIENT_BACKOFF_MAX_NS; i++) {
        wait *= 2;
    }
    s->due_ns = now + time_min(wait, STUNCLIENT_BACKOFF_MAX_NS);
    if (keeper && s->silent == 1) {
        uint64_t own = s->due_ns;
        ask_family(c, (enum addr_family)s->addr.family, now);
        s->due_ns = own;
    }
}

/* --- answers --- */

/* Only the keeper's mapping is kept alive: that another server sees a new one after minutes is
 * what a hard NAT does, and no reason to ask everybody again. */
static void note_change(struct stunclient *c, struct stunclient_server *s, bool keeper,
                        uint64_t now)
{
    bool ipv4 = s->mapped.family == ADDR_IPV4;
    struct addr *to = ipv4 ? &c->changed_to_ipv4 : &c->changed_to_ipv6;
    c->stats.changes++;
    if (!addr_equal(to, &s->mapped)) { /* not told yet by another server */
        *to = s->mapped;
        *(ipv4 ? &c->tell_changed_ipv4 : &c->tell_changed_ipv6) = true;
    }
    if (keeper) {
        uint64_t own = s->due_ns;
        ask_family(c, (enum addr_family)s->addr.family, now);
        s->due_ns = own;
    }
}

static void on_success(struct stunclient *c, struct stunclient_server *s,
                       const struct stun_message *m, int sending, uint64_t now)
{
    struct addr mapped;
    if (!stun_mapped(m, &mapped)) {
        c->stats.malformed++;
        return;
    }
    c->stats.answered++;
    bool news = !has_result(s) || !addr_equal(&s->mapped, &mapped);
    bool changed = has_result(s) && news;
    bool keeper = is_keeper(c, s);
    uint64_t rtt_ns = stuntx_rtt(&s->tx, sending, now);
    s->rtt_ns = rtt_ns != 0 ? rtt_ns : s->rtt_ns;
    s->since_ns = news ? s->tx.sent_ns[0] : s->since_ns;
    s->order = news ? s->asked : s->order;
    s->heard_ns = now;
    s->mapped = mapped;
    s->other = m->other_address;
    s->rewritten = m->xor_mapped.family != ADDR_NONE && m->mapped.family != ADDR_NONE &&
                   !addr_equal(&m->xor_mapped, &m->mapped);
    s->silent = 0;
    s->tell_mapped = true;
    stuntx_close(&s->tx);
    plan_after_answer(c, s, now);
    if (changed) {
        note_change(c, s, keeper, now);
    }
}

static void on_failure(struct stunclient *c, struct stunclient_server *s, uint16_t error,
                       uint64_t now)
{
    c->stats.timeouts += error == 0;
    c->stats.refused += error != 0;
    s->error = error;
    s->tell_timeout = true;
    stuntx_close(&s->tx);
    plan_after_silence(c, s, now);
}

bool stunclient_input(struct stunclient *c, const struct addr *from, const void *data, size_t len,
                      uint64_t now)
{
    struct stun_message m;
    if (stun_read(&m, data, len) != 0) {
        c->stats.strangers++;
        return false;
    }
    struct addr source = addr_normalize(from);
    for (struct stunclient_server *s = c->servers; s < end(c); s++) {
        int sending = s->used && addr_equal(&s->addr, &source) ? stuntx_match(&s->tx, &m) : -1;
        if (sending < 0) {
            continue;
        }
        if (!s->tx.open) {
            return true; /* late, or twice: ours, and nothing new */
        }
        if (m.type == STUN_ERROR) {
            on_failure(c, s, m.error != 0 ? m.error : STUN_SERVER_ERROR, now);
        } else {
            on_success(c, s, &m, sending, now);
        }
        return true;
    }
    c->stats.strangers++;
    return false;
}

/* --- the other calls --- */

size_t stunclient_output(struct stunclient *c, struct addr *to, uint8_t *buf, size_t cap,
                         uint64_t now)
{
    if (!c->needed) {
        return 0;
    }
    for (struct stunclient_server *s = c->servers; s < end(c); s++) {
        if (!s->used) {
            continue;
        }
        if (!s->tx.open && s->due_ns <= now) {
            stuntx_start(&s->tx, c->plan, c->rng, now);
        }
        size_t len = stuntx_output(&s->tx, s->form, 0, buf, cap, now);
        if (len > 0) {
            *to = s->addr;
            s->asked = s->tx.sent == 1 ? c->stats.sent : s->asked;
            c->stats.sent++;
            return len;
        }
    }
    return 0;
}

void stunclient_tick(struct stunclient *c, uint64_t now)
{
    for (struct stunclient_server *s = c->servers; s < end(c); s++) {
        if (s->used && stuntx_is_over(&s->tx, now)) {
            on_failure(c, s, 0, now);
        }
    }
}

uint64_t stunclient_next_ns(const struct stunclient *c)
{
    uint64_t next = TIME_NEVER;
    for (int i = 0; c->needed && i < STUNCLIENT_SERVERS_MAX; i++) {
        const struct stunclient_server *s = &c->servers[i];
        if (s->used) {
            next = time_min(next, s->tx.open ? s->tx.next_ns : s->due_ns);
        }
    }
    return next;
}

static bool server_event(struct stunclient *c, struct stunclient_server *s,
                         struct stunclient_event *ev)
{
    if (!s->tell_mapped && !s->tell_timeout) {
        return false;
    }
    enum stunclient_event_type type = s->tell_mapped ? STUNCLIENT_MAPPED : STUNCLIENT_TIMEOUT;
    *(s->tell_mapped ? &s->tell_mapped : &s->tell_timeout) = false;
    *ev = (struct stunclient_event){
        .type = type, .server = (int)(s - c->servers), .family = s->addr.family, .error = s->error};
    if (type == STUNCLIENT_MAPPED) {
        ev->family = s->mapped.family;
        ev->addr = s->mapped;
        ev->rtt_ns = s->rtt_ns;
        ev->since_ns = s->since_ns;
        ev->order = s->order;
        ev->error = 0;
    }
    return true;
}

bool stunclient_event(struct stunclient *c, struct stunclient_event *ev)
{
    for (struct stunclient_server *s = c->servers; s < end(c); s++) {
        if (s->used && server_event(c, s, ev)) {
            return true;
        }
    }
    bool *tell = c->tell_changed_ipv4 ? &c->tell_changed_ipv4 : &c->tell_changed_ipv6;
    if (!*tell) {
        return false;
    }
    *ev =
        (struct stunclient_event){.type = STUNCLIENT_CHANGED,
                                  .server = -1,
                                  .family = tell == &c->tell_changed_ipv4 ? ADDR_IPV4 : ADDR_IPV6};
    *tell = false;
    return true;
}
