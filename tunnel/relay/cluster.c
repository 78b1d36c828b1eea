/* What the relay says, and which of the others live. */
#include "relay/cluster_internal.h"

#include <base/check.h>
#include <base/err.h>

#include <string.h>

static size_t size_or(size_t value, size_t otherwise)
{
    return value > 0 ? value : otherwise;
}

unsigned cluster_hash(const struct cluster *c, const void *data, size_t len)
{
    uint8_t out[crypto_shorthash_BYTES];
    unsigned hash;
    _Static_assert(sizeof(c->hash_seed) == crypto_shorthash_KEYBYTES, "a seed is a key");
    crypto_shorthash(out, data, len, c->hash_seed);
    memcpy(&hash, out, sizeof(hash));
    return hash;
}

int cluster_init(struct cluster *c, const struct cluster_config *config, uint64_t now)
{
    const struct cluster_limits *l = &config->limits;
    *c =
        (struct cluster){.offset = config->unix_offset, .log = config->log, .alive_at = TIME_NEVER};
    c->limits = (struct cluster_limits){.processes_max = size_or(l->processes_max, 256),
                                        .asks_max = size_or(l->asks_max, 4096),
                                        .far_max = size_or(l->far_max, 65536),
                                        .queue_max = size_or(l->queue_max, 1024)};
    TAILQ_INIT(&c->answered);
    TAILQ_INIT(&c->fresh);
    TAILQ_INIT(&c->due);
    c->down_ns = now;
    while (c->id == 0) {
        c->id = rng_u64(config->rng);
    }
    rng_fill(config->rng, c->hash_seed, sizeof(c->hash_seed));
    c->processes = mem_new(c->limits.processes_max, sizeof(*c->processes));
    if (!c->processes || heap_init(&c->timers, c->limits.asks_max)) {
        cluster_deinit(c);
        return ERR_NO_MEMORY;
    }
    return 0;
}

void cluster_deinit(struct cluster *c)
{
    cluster_ask_free_all(c);
    heap_deinit(&c->timers);
    mem_free(c->processes);
    *c = (struct cluster){0};
}

uint64_t cluster_stamp(const struct cluster *c, uint64_t now)
{
    return time_add(c->offset, now);
}

/* --- what is connected here --- */

uint64_t cluster_key_stamp(const struct cluster *c, const struct cluster_key *k)
{
    return time_add(c->offset, k->login_ns);
}

static struct cluster_keys *list_of(struct cluster *c, const struct cluster_key *k)
{
    return k->subscribed ? &c->due : &c->fresh;
}

void cluster_claim(struct cluster *c, struct cluster_key *k)
{
    if (!k->due) {
        k->due = true;
        TAILQ_INSERT_TAIL(list_of(c, k), k, link);
    }
}

void cluster_join(struct cluster *c, struct cluster_key *k, const uint8_t *key, uint64_t now)
{
    k->key = key;
    k->login_ns = now;
    k->moved = false;
    cluster_forget(c, key);
    cluster_claim(c, k);
}

/* What finds no room is repaired later: a message for a key that is not here ends its subscription,
 * and others learn by asking that it is gone. */
static void note_left(struct cluster *c, const uint8_t *key, bool tell)
{
    if (c->left_count == CLUSTER_LEFT_MAX) {
        c->stats.refused++;
        return;
    }
    memcpy(c->left[c->left_count].key, key, CLUSTERMSG_KEY);
    c->left[c->left_count++].tell = tell;
}

void cluster_leave(struct cluster *c, struct cluster_key *k)
{
    if (k->due) {
        TAILQ_REMOVE(list_of(c, k), k, link);
        k->due = false;
    }
    if (k->subscribed) {
        k->subscribed = false;
        note_left(c, k->key, !k->moved);
    }
}

void cluster_unsubscribe(struct cluster *c, const uint8_t key[CLUSTERMSG_KEY])
{
    note_left(c, key, false);
}

void cluster_say_here(struct cluster *c, const uint8_t key[CLUSTERMSG_KEY], uint64_t process)
{
    if (c->here_count == CLUSTER_HERE_MAX) {
        c->stats.refused++;
        return;
    }
    struct cluster_here *h = &c->here[(c->here_first + c->here_count++) % CLUSTER_HERE_MAX];
    memcpy(h->key, key, CLUSTERMSG_KEY);
    h->process = process;
}

void cluster_bye(struct cluster *c)
{
    c->want_bye = true;
}

/* --- who lives --- */

static struct cluster_process *find_process(struct cluster *c, uint64_t id)
{
    for (size_t i = 0; i < c->process_count; i++) {
        if (c->processes[i].id == id) {
            return &c->processes[i];
        }
    }
    return NULL;
}

static struct cluster_process *add_process(struct cluster *c, uint64_t id)
{
    if (c->process_count == c->limits.processes_max) {
        c->stats.refused++;
        return NULL;
    }
    struct cluster_process *p = &c->processes[c->process_count++];
    *p = (struct cluster_process){.id = id};
    LOG_AT(c->log, LOG_INFO, "cluster", "relay_found", "process=%016llx", (unsigned long long)id);
    c->want_resync = true; /* both may have had connections of one key while apart */
    return p;
}

/* Who has a clock that is far behind is heard as soon as it has heard of ours. */
bool cluster_heard(struct cluster *c, uint64_t process, uint64_t stamp, uint64_t now)
{
    struct cluster_process *p = find_process(c, process);
    uint64_t clock = cluster_stamp(c, now);
    if (stamp > CLUSTER_STAMP_MAX) {
        c->stats.unknown++;
        return false;
    }
    if (time_since(stamp, clock) > CLUSTER_STALE_NS) {
        c->stats.stale++;
        return false;
    }
    if (stamp > clock) {
        c->offset = stamp - now;
    }
    if (!p) {
        p = add_process(c, process);
    }
    if (p && !p->gone) {
        p->heard_ns = now;
    }
    return true;
}

void cluster_process_ended(struct cluster *c, uint64_t process)
{
    struct cluster_process *p = find_process(c, process);
    if (p) {
        p->gone = true;
    }
}

size_t cluster_process_count(const struct cluster *c)
{
    return c->process_count;
}

void cluster_link(struct cluster *c, bool up, uint64_t now)
{
    if (up == c->up) {
        return;
    }
    LOG_AT(c->log, up ? LOG_INFO : LOG_WARN, "cluster", up ? "up" : "down", "relays=%zu",
           c->process_count);
    c->up = up;
    c->down_ns = now;
    c->alive_at = up ? now : TIME_NEVER;
    c->want_resync = c->want_resync || up;
    c->resync_ns = up ? 0 : c->resync_ns; /* at once: what was said meanwhile is lost */
    c->stats.links += up;
}

/* --- driving it --- */

static uint64_t resync_at(const struct cluster *c)
{
    bool wanted = c->want_resync && c->up;
    return !wanted ? TIME_NEVER : c->resync_ns == 0 ? 0 : c->resync_ns + CLUSTER_RESYNC_NS;
}

void cluster_tick(struct cluster *c, uint64_t now)
{
    cluster_ask_tick(c, now);
    if (now >= c->alive_at) {
        c->alive_at = now + CLUSTER_ALIVE_NS;
        c->want_alive = true;
    }
    for (size_t i = 0; i < c->process_count; i++) {
        struct cluster_process *p = &c->processes[i];
        p->gone = p->gone || time_since(p->heard_ns, now) >= CLUSTER_DEAD_NS;
    }
    if (now >= resync_at(c)) {
        c->want_resync = false;
        c->resync = true;
        c->resync_ns = now;
    }
}

uint64_t cluster_next_ns(const struct cluster *c)
{
    uint64_t next = time_min(heap_next(&c->timers), c->alive_at);
    for (size_t i = 0; i < c->process_count; i++) {
        next = time_min(next, c->processes[i].heard_ns + CLUSTER_DEAD_NS);
    }
    return time_min(next, resync_at(c));
}

static bool process_event(struct cluster *c, struct cluster_event *ev)
{
    for (size_t i = 0; i < c->process_count; i++) {
        if (c->processes[i].gone) {
            *ev = (struct cluster_event){.type = CLUSTER_EV_PROCESS_GONE,
                                         .process = c->processes[i].id};
            LOG_AT(c->log, LOG_INFO, "cluster", "relay_gone", "process=%016llx",
                   (unsigned long long)ev->process);
            c->processes[i] = c->processes[--c->process_count];
            return true;
        }
    }
    return false;
}

bool cluster_event(struct cluster *c, struct cluster_event *ev)
{
    if (c->resync) {
        c->resync = false;
        *ev = (struct cluster_event){.type = CLUSTER_EV_RESYNC};
        return true;
    }
    return cluster_ask_event(c, ev) || process_event(c, ev);
}

/* --- outputs --- */

static struct writer begin(const struct cluster *c, struct cluster_output *out,
                           enum clustermsg_type type, uint64_t now)
{
    struct writer w = writer_of(out->head, sizeof(out->head));
    clustermsg_write_head(&w, type, cluster_stamp(c, now), c->id);
    return w;
}

static void finish(struct cluster_output *out, enum cluster_output_type type,
                   const struct writer *w)
{
    CHECK(!w->failed);
    out->type = type;
    out->head_len = writer_len(w);
}

/* First all are unsubscribed from, then one message tells of those that really left. */
static bool output_left(struct cluster *c, struct cluster_output *out, uint64_t now)
{
    if (c->left_told < c->left_count) {
        out->type = CLUSTER_UNSUBSCRIBE;
        memcpy(out->key, c->left[c->left_told++].key, CLUSTERMSG_KEY);
        return true;
    }
    struct writer w = begin(c, out, CLUSTERMSG_LEFT, now);
    for (size_t i = 0; i < c->left_count; i++) {
        if (c->left[i].tell) {
            write_bytes(&w, c->left[i].key, CLUSTERMSG_KEY);
        }
    }
    c->left_count = c->left_told = 0;
    finish(out, CLUSTER_PUBLISH_ALL, &w);
    return out->head_len > CLUSTERMSG_HEAD;
}

static bool output_subscription(struct cluster *c, struct cluster_output *out)
{
    struct cluster_key *k = TAILQ_FIRST(&c->fresh);
    if (!k) {
        return false;
    }
    TAILQ_REMOVE(&c->fresh, k, link);
    k->subscribed = true;
    TAILQ_INSERT_TAIL(&c->due, k, link);
    out->type = CLUSTER_SUBSCRIBE;
    memcpy(out->key, k->key, CLUSTERMSG_KEY);
    return true;
}

static bool output_claims(struct cluster *c, struct cluster_output *out, uint64_t now)
{
    struct cluster_key *k;
    struct writer w = begin(c, out, CLUSTERMSG_CLAIM, now);
    for (size_t n = 0; n < CLUSTERMSG_KEYS_MAX && (k = TAILQ_FIRST(&c->due)); n++) {
        TAILQ_REMOVE(&c->due, k, link);
        k->due = false;
        write_bytes(&w, k->key, CLUSTERMSG_KEY);
        write_u64(&w, cluster_key_stamp(c, k));
    }
    finish(out, CLUSTER_PUBLISH_ALL, &w);
    return out->head_len > CLUSTERMSG_HEAD;
}

static bool output_here(struct cluster *c, struct cluster_output *out, uint64_t now)
{
    if (c->here_count == 0) {
        return false;
    }
    const struct cluster_here *h = &c->here[c->here_first];
    struct writer w = begin(c, out, CLUSTERMSG_HERE, now);
    write_bytes(&w, h->key, CLUSTERMSG_KEY);
    memcpy(out->key, h->key, CLUSTERMSG_KEY);
    out->process = h->process;
    c->here_first = (c->here_first + 1) % CLUSTER_HERE_MAX;
    c->here_count--;
    finish(out, CLUSTER_PUBLISH_PROCESS, &w);
    return true;
}

static bool output_flag(struct cluster *c, struct cluster_output *out, bool *flag,
                        enum clustermsg_type type, uint64_t now)
{
    if (!*flag) {
        return false;
    }
    *flag = false;
    struct writer w = begin(c, out, type, now);
    finish(out, CLUSTER_PUBLISH_ALL, &w);
    return true;
}

bool cluster_output(struct cluster *c, struct cluster_output *out, uint64_t now)
{
    out->ask = false;
    return (c->left_count > 0 && output_left(c, out, now)) || output_subscription(c, out) ||
           (!TAILQ_EMPTY(&c->due) && output_claims(c, out, now)) || output_here(c, out, now) ||
           output_flag(c, out, &c->want_alive, CLUSTERMSG_ALIVE, now) ||
           output_flag(c, out, &c->want_bye, CLUSTERMSG_BYE, now);
}
