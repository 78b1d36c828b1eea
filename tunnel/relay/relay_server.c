/* Life of the relay and of its connections: slots, timers, events. */
#include "relay/relay_server_internal.h"

#include <base/check.h>
#include <base/err.h>

#include <string.h>

static const char *const close_texts[] = {
#define CLOSE_TEXT(name, text) [RELAY_CLOSE_##name] = (text),
    RELAY_CLOSE_TABLE(CLOSE_TEXT)
#undef CLOSE_TEXT
};

static const char *const state_names[] = {
    [CONN_HTTP] = "http",     [CONN_LOGIN] = "login",   [CONN_OPEN] = "open",
    [CONN_ANSWER] = "answer", [CONN_LINGER] = "linger", [CONN_DEAD] = "dead",
};

const char *relay_close_text(enum relay_close reason)
{
    CHECK(reason < RELAY_CLOSE_COUNT);
    return close_texts[reason];
}

unsigned server_hash(const struct relay_server *s, const void *data, size_t len)
{
    uint8_t out[crypto_shorthash_BYTES];
    unsigned hash;
    crypto_shorthash(out, data, len, s->hash_seed);
    memcpy(&hash, out, sizeof(hash));
    return hash;
}

static void *grown(const void *old, size_t size, size_t count, size_t more)
{
    uint8_t *out = mem_new(more, size);
    if (out && count > 0) {
        memcpy(out, old, count * size);
    }
    return out;
}

int server_grow(struct relay_server *s, size_t slots)
{
    if (slots <= s->slots) {
        return 0;
    }
    struct relay_conn **conns = grown(s->conns, sizeof(*conns), s->slots, slots);
    uint32_t *free_slots = grown(s->free_slots, sizeof(*free_slots), s->free_count, slots);
    uint32_t *generations = grown(s->generations, sizeof(*generations), s->slots, slots);
    if (!conns || !free_slots || !generations || heap_grow(&s->timers, slots)) {
        mem_free(conns);
        mem_free(free_slots);
        mem_free(generations);
        return ERR_NO_MEMORY;
    }
    mem_free(s->conns);
    mem_free(s->free_slots);
    mem_free(s->generations);
    s->conns = conns;
    s->free_slots = free_slots;
    s->generations = generations;
    for (size_t i = slots; i > s->slots; i--) {
        s->free_slots[s->free_count++] = (uint32_t)(i - 1);
    }
    s->slots = slots;
    return 0;
}

static int make_tables(struct relay_server *s, const struct relay_server_config *config)
{
    int err = server_grow(s, s->config.limits.clients_max);
    return err ? err : server_copy_lists(s, config);
}

struct relay_server *relay_server_new(const struct relay_server_config *config)
{
    struct relay_server *s = mem_new(1, sizeof(*s));
    if (!s) {
        return NULL;
    }
    s->config = *config;
    s->config.cluster = NULL; /* copied elsewhere */
    server_fill_limits(&s->config.limits);
    TAILQ_INIT(&s->tell);
    TAILQ_INIT(&s->pending);
    relay_pool_init(&s->pool, s->config.limits.pool_bytes_max);
    rng_fill(config->rng, s->hash_seed, sizeof(s->hash_seed));
    if (crypto_scalarmult_base(s->public_key, config->secret) || make_tables(s, config) ||
        server_cluster_open(s, config->cluster)) {
        relay_server_free(s);
        return NULL;
    }
    return s;
}

static void let_address_go(struct relay_server *s, struct relay_conn *c)
{
    if (c->address && --c->address->count == 0) {
        HASH_DEL(s->addresses, c->address);
        mem_free(c->address);
    }
    c->address = NULL;
}

static void free_conn(struct relay_server *s, struct relay_conn *c)
{
    uint32_t slot = (uint32_t)c->id;
    if (c->tell) {
        TAILQ_REMOVE(&s->tell, c, told);
    }
    server_send_deinit(s, c, true);
    server_ws_close(c);
    s->conns[slot] = NULL;
    s->free_slots[s->free_count++] = slot;
    mem_free(c);
}

/* Everything but the memory and the bytes that the shell holds. */
static void retire(struct relay_server *s, struct relay_conn *c, enum relay_close reason)
{
    char text[ADDR_TEXT_MAX];
    LOG_AT(s->config.log, reason == RELAY_CLOSE_GONE ? LOG_DEBUG : LOG_INFO, "relay_server",
           "close", "from=%s state=%s why=\"%s\"", addr_format(&c->from, text),
           state_names[c->state], relay_close_text(reason));
    if (c->state != CONN_OPEN) {
        server_no_longer_pending(s, c);
    }
    server_set_state(s, c, CONN_DEAD);
    c->reason = reason;
    s->stats.closed[reason]++;
    s->stats.connections--;
    heap_remove(&s->timers, &c->timer);
    server_http_close(c);
    if (c->partial) {
        relay_pool_give(&s->pool, c->partial);
        c->partial = NULL;
    }
    server_send_deinit(s, c, false);
    let_address_go(s, c);
    server_logout(s, c);
}

void server_kill(struct relay_server *s, struct relay_conn *c, enum relay_close reason)
{
    if (c->state != CONN_DEAD) {
        retire(s, c, reason);
        server_tell(s, c, TELL_CLOSE);
    }
}

void relay_server_free(struct relay_server *s)
{
    if (!s) {
        return;
    }
    for (size_t i = 0; i < s->slots; i++) {
        struct relay_conn *c = s->conns[i];
        if (c && c->state != CONN_DEAD) {
            retire(s, c, RELAY_CLOSE_GONE);
        }
    }
    for (size_t i = 0; i < s->slots; i++) {
        if (s->conns[i]) {
            free_conn(s, s->conns[i]);
        }
    }
    server_cluster_close(s);
    relay_pool_deinit(&s->pool);
    heap_deinit(&s->timers);
    mem_free(s->conns);
    mem_free(s->free_slots);
    mem_free(s->generations);
    mem_free(s->allowed);
    mem_free(s->metrics);
    sodium_memzero(s, sizeof(*s));
    mem_free(s);
}

void relay_server_public_key(const struct relay_server *s, uint8_t out[32])
{
    memcpy(out, s->public_key, DERP_KEY);
}

size_t relay_server_slots(const struct relay_server *s)
{
    return s->slots;
}

size_t relay_server_slots_after(const struct relay_server *s,
                                const struct relay_server_config *config)
{
    struct relay_server_limits limits = config->limits;
    server_fill_limits(&limits);
    return limits.clients_max > s->slots ? limits.clients_max : s->slots;
}

struct relay_conn *server_find(const struct relay_server *s, uint64_t id)
{
    uint32_t slot = (uint32_t)id;
    if (slot >= s->slots) {
        return NULL;
    }
    struct relay_conn *c = s->conns[slot];
    return c && c->id == id && c->state != CONN_DEAD ? c : NULL;
}

void server_set_state(struct relay_server *s, struct relay_conn *c, enum conn_state state)
{
    LOG_AT(s->config.log, LOG_TRACE, "relay_server", "state", "slot=%u from=%s to=%s",
           (unsigned)(uint32_t)c->id, state_names[c->state], state_names[state]);
    c->state = state;
}

void server_tell(struct relay_server *s, struct relay_conn *c, unsigned what)
{
    if (c->tell == 0) {
        TAILQ_INSERT_TAIL(&s->tell, c, told);
    }
    /* Of pausing and resuming only the later one counts. */
    unsigned undone = what & TELL_PAUSE ? TELL_RESUME : what & TELL_RESUME ? TELL_PAUSE : 0;
    c->tell = (c->tell & ~undone) | what;
}

void server_schedule(struct relay_server *s, struct relay_conn *c, uint64_t at)
{
    if (c->timer.slot == 0 || at < c->timer.at) {
        CHECK(heap_set(&s->timers, &c->timer, at) == 0); /* one place for each slot */
    }
}

/* One house: an IPv4 address, or an IPv6 /64. */
static struct address_count *find_address(const struct relay_server *s, const struct addr *from,
                                          uint8_t ip[16])
{
    struct address_count *found = NULL;
    struct addr a = addr_normalize(from);
    memset(ip, 0, 16);
    memcpy(ip, a.ip, a.family == ADDR_IPV4 ? 4 : 8);
    ip[15] = a.family;
    HASH_FIND(hh, s->addresses, ip, sizeof(found->ip), found);
    return found;
}

static int take_address(struct relay_server *s, struct relay_conn *c)
{
    uint8_t ip[16];
    struct address_count *a = find_address(s, &c->from, ip);
    if (!a) {
        a = mem_new(1, sizeof(*a));
        if (!a) {
            return ERR_NO_MEMORY;
        }
        memcpy(a->ip, ip, sizeof(ip));
        HASH_ADD_KEYPTR(hh, s->addresses, a->ip, sizeof(a->ip), a);
        if (!a->hh.tbl) {
            mem_free(a);
            return ERR_NO_MEMORY;
        }
    }
    a->count++;
    c->address = a;
    return 0;
}

static int refuse(struct relay_server *s, enum relay_refusal why, int err)
{
    s->stats.refused[why]++;
    return err;
}

/* The id is the slot and, above it, how often the slot was used: never 0, never soon the same. */
static uint64_t take_slot(struct relay_server *s, struct relay_conn *c)
{
    uint32_t slot = s->free_slots[--s->free_count];
    if (++s->generations[slot] == 0) {
        s->generations[slot] = 1;
    }
    s->conns[slot] = c;
    return (uint64_t)s->generations[slot] << 32 | slot;
}

void server_no_longer_pending(struct relay_server *s, struct relay_conn *c)
{
    TAILQ_REMOVE(&s->pending, c, waits);
    s->pending_count--;
}

/* Connections that say nothing cost a place for a while. Who takes many of them pushes out its own,
 * and a client that logs in as fast as the network lets it is not in time to be pushed. */
static void add_pending(struct relay_server *s, struct relay_conn *c)
{
    if (s->pending_count >= s->config.limits.pending_max) {
        server_kill(s, TAILQ_FIRST(&s->pending), RELAY_CLOSE_CROWDED);
    }
    TAILQ_INSERT_TAIL(&s->pending, c, waits);
    s->pending_count++;
}

int relay_server_accept(struct relay_server *s, const struct addr *from, uint64_t now, uint64_t *id)
{
    uint8_t ip[16];
    s->now = now;
    if (s->slots - s->free_count >= s->config.limits.clients_max) {
        return refuse(s, RELAY_REFUSED_CLIENTS, ERR_NO_ROOM);
    }
    const struct address_count *a = find_address(s, from, ip);
    if (a && a->count >= s->config.limits.clients_per_address_max) {
        return refuse(s, RELAY_REFUSED_ADDRESS, ERR_REFUSED);
    }
    struct relay_conn *c = mem_new(1, sizeof(*c));
    if (!c) {
        return refuse(s, RELAY_REFUSED_MEMORY, ERR_NO_MEMORY);
    }
    c->from = *from;
    if (server_http_open(c) || take_address(s, c)) {
        server_http_close(c);
        mem_free(c);
        return refuse(s, RELAY_REFUSED_MEMORY, ERR_NO_MEMORY);
    }
    server_send_init(c);
    c->id = take_slot(s, c);
    c->resume_at = TIME_NEVER;
    c->keep_alive_at = TIME_NEVER;
    c->restarting_at = TIME_NEVER;
    c->handshake_end = time_add(now, s->config.limits.handshake_timeout_ns);
    server_schedule(s, c, c->handshake_end);
    add_pending(s, c);
    s->stats.accepted++;
    s->stats.connections++;
    *id = c->id;
    return 0;
}

void relay_server_closed(struct relay_server *s, uint64_t id, uint64_t now)
{
    struct relay_conn *c = server_find(s, id);
    s->now = now;
    if (c) {
        retire(s, c, c->state == CONN_LINGER ? RELAY_CLOSE_DONE : RELAY_CLOSE_GONE);
    } else {
        /* The shell was faster than its own taking of CLOSE: then there is nothing to tell. */
        uint32_t slot = (uint32_t)id;
        c = slot < s->slots ? s->conns[slot] : NULL;
    }
    if (c && c->id == id) {
        free_conn(s, c);
    }
}

void relay_server_input(struct relay_server *s, uint64_t id, const void *data, size_t len,
                        uint64_t now)
{
    struct relay_conn *c = server_find(s, id);
    const uint8_t *at = data;
    s->now = now;
    if (c && c->state == CONN_HTTP && len > 0) {
        size_t n = server_http_input(s, c, at, len);
        at += n;
        len -= n;
    }
    if (c && c->state == CONN_LINGER) {
        server_linger_input(s, c, len);
    } else if (c && len > 0 && c->ws) {
        server_ws_input(s, c, at, len);
    } else if (c && len > 0) {
        server_recv_frames(s, c, at, len);
    }
}

/* Deadlines only ever move away without the heap being told: a timer that fires too early finds
 * nothing due and is set anew. */
static void run_timer(struct relay_server *s, struct relay_conn *c)
{
    if (s->now >= c->handshake_end) {
        server_kill(s, c, c->state == CONN_LINGER ? RELAY_CLOSE_DONE : RELAY_CLOSE_TIMEOUT);
        return;
    }
    server_recv_timer(s, c);
    server_send_timer(s, c);
    if (c->state != CONN_DEAD) {
        uint64_t next = time_min(c->handshake_end, c->resume_at);
        next = time_min(next, server_send_next(s, c));
        CHECK(next > s->now && heap_set(&s->timers, &c->timer, next) == 0);
    }
}

void relay_server_tick(struct relay_server *s, uint64_t now)
{
    s->now = now;
    while (heap_next(&s->timers) <= now && heap_first(&s->timers)) {
        run_timer(s, container_of(heap_first(&s->timers), struct relay_conn, timer));
    }
    server_cluster_tick(s);
}

uint64_t relay_server_next_ns(const struct relay_server *s)
{
    return time_min(heap_next(&s->timers), server_cluster_next(s));
}

bool relay_server_event(struct relay_server *s, struct relay_server_event *ev)
{
    static const struct {
        unsigned bit;
        enum relay_server_event_type type;
    } order[] = {
        {TELL_PAUSE, RELAY_SERVER_EV_PAUSE},
        {TELL_RESUME, RELAY_SERVER_EV_RESUME},
        {TELL_WRITABLE, RELAY_SERVER_EV_WRITABLE},
        {TELL_FINISH, RELAY_SERVER_EV_FINISH},
    };
    struct relay_conn *c = TAILQ_FIRST(&s->tell);
    if (!c) {
        return false;
    }
    *ev = (struct relay_server_event){.id = c->id, .reason = c->reason};
    if (c->tell & TELL_CLOSE) {
        ev->type = RELAY_SERVER_EV_CLOSE;
        free_conn(s, c);
        return true;
    }
    size_t i = 0;
    while (!(c->tell & order[i].bit)) {
        i++;
    }
    ev->type = order[i].type;
    c->tell &= ~order[i].bit;
    if (c->tell == 0) {
        TAILQ_REMOVE(&s->tell, c, told);
    }
    return true;
}

const struct relay_server_stats *relay_server_stats(const struct relay_server *s)
{
    return &s->stats;
}
