/* Clients of this relay and of the others of its cluster reach each other: joins the server's keys
 * and connections with what cluster.h knows of the others.
 *
 * far = a key that is connected to another relay, and from which somebody here has received.
 */
#include "relay/relay_server_internal.h"

#include <base/check.h>
#include <base/err.h>

#include <string.h>

struct far_key {
    uint8_t key[DERP_KEY];
    uint64_t process; /* has it */
    uint64_t stamp;   /* of what said so */
    struct contact_source source;
    TAILQ_ENTRY(far_key) link;
    UT_hash_handle hh;
};

struct server_cluster {
    struct cluster core;
    struct relay_cluster_config config;
    struct far_key *far;
    TAILQ_HEAD(, far_key) far_by_age; /* oldest first */
    struct relay_packets packets;     /* to be published */
    size_t packets_count;
    struct relay_packet *offered; /* the last output's */
};

int server_cluster_open(struct relay_server *s, const struct relay_cluster_config *config)
{
    if (!config) {
        return 0;
    }
    struct cluster_config core = {
        .unix_offset = config->unix_offset, .rng = s->config.rng, .log = s->config.log};
    struct server_cluster *sc = mem_new(1, sizeof(*sc));
    if (!sc || cluster_init(&sc->core, &core, s->now)) {
        mem_free(sc);
        return ERR_NO_MEMORY;
    }
    sc->config = *config;
    TAILQ_INIT(&sc->far_by_age);
    STAILQ_INIT(&sc->packets);
    s->cluster = sc;
    return 0;
}

const struct cluster *server_cluster_core(const struct relay_server *s)
{
    return s->cluster ? &s->cluster->core : NULL;
}

const struct relay_cluster_io_stats *server_cluster_io(const struct relay_server *s)
{
    return s->cluster ? s->cluster->config.io : NULL;
}

uint64_t relay_server_cluster_id(const struct relay_server *s)
{
    return s->cluster ? s->cluster->core.id : 0;
}

/* --- keys elsewhere --- */

static struct far_key *find_far(const struct relay_server *s, const uint8_t key[DERP_KEY])
{
    struct far_key *f = NULL;
    HASH_FIND(hh, s->cluster->far, key, DERP_KEY, f);
    return f;
}

static void free_far(struct relay_server *s, struct far_key *f, bool quietly)
{
    server_end_contacts(s, &f->source, f->key, quietly);
    TAILQ_REMOVE(&s->cluster->far_by_age, f, link);
    HASH_DEL(s->cluster->far, f);
    mem_free(f);
}

static struct far_key *make_far(struct relay_server *s, const uint8_t key[DERP_KEY])
{
    struct server_cluster *sc = s->cluster;
    if (HASH_COUNT(sc->far) >= sc->core.limits.far_max) {
        sc->core.stats.refused++;
        free_far(s, TAILQ_FIRST(&sc->far_by_age), true);
    }
    struct far_key *f = mem_new(1, sizeof(*f));
    if (!f) {
        return NULL;
    }
    memcpy(f->key, key, DERP_KEY);
    f->source.serial = ++s->next_serial;
    LIST_INIT(&f->source.contacts);
    HASH_ADD_KEYPTR(hh, sc->far, f->key, DERP_KEY, f);
    if (!f->hh.tbl) {
        mem_free(f);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&sc->far_by_age, f, link);
    return f;
}

/* What was sent before a claim may arrive after it: the later stamp knows better. */
static struct far_key *note_far(struct relay_server *s, const uint8_t key[DERP_KEY],
                                const struct clustermsg *m, uint64_t stamp)
{
    struct far_key *f = find_far(s, key);
    f = f ? f : make_far(s, key);
    if (f && stamp >= f->stamp) {
        f->process = m->process;
        f->stamp = stamp;
    }
    return f;
}

static void end_process(struct relay_server *s, uint64_t process)
{
    struct far_key *f, *next;
    for (f = TAILQ_FIRST(&s->cluster->far_by_age); f; f = next) {
        next = TAILQ_NEXT(f, link);
        if (f->process == process) {
            free_far(s, f, false);
        }
    }
}

void server_cluster_close(struct relay_server *s)
{
    struct server_cluster *sc = s->cluster;
    struct relay_packet *packet;
    if (!sc) {
        return;
    }
    while (!TAILQ_EMPTY(&sc->far_by_age)) {
        free_far(s, TAILQ_FIRST(&sc->far_by_age), true);
    }
    while ((packet = STAILQ_FIRST(&sc->packets))) {
        STAILQ_REMOVE_HEAD(&sc->packets, link);
        relay_pool_give(&s->pool, packet);
    }
    if (sc->offered) {
        relay_pool_give(&s->pool, sc->offered);
    }
    cluster_deinit(&sc->core);
    mem_free(sc);
    s->cluster = NULL;
}

/* --- keys here --- */

void server_cluster_arrived(struct relay_server *s, struct relay_key *k)
{
    struct far_key *f = s->cluster ? find_far(s, k->key) : NULL;
    if (f) {
        server_move_contacts(&k->source, &f->source);
        free_far(s, f, true);
    }
}

void server_cluster_login(struct relay_server *s, struct relay_key *k)
{
    if (s->cluster) {
        cluster_join(&s->cluster->core, &k->cluster, k->key, s->now);
    }
}

void server_cluster_left(struct relay_server *s, struct relay_key *k)
{
    if (!s->cluster) {
        return;
    }
    struct far_key *f = k->cluster.moved ? find_far(s, k->key) : NULL;
    cluster_leave(&s->cluster->core, &k->cluster);
    if (f) {
        server_move_contacts(&f->source, &k->source);
    }
}

/* --- packets out --- */

static void queue_packet(struct relay_server *s, struct relay_packet *packet)
{
    struct server_cluster *sc = s->cluster;
    if (sc->packets_count == sc->core.limits.queue_max) {
        struct relay_packet *oldest = STAILQ_FIRST(&sc->packets);
        STAILQ_REMOVE_HEAD(&sc->packets, link);
        relay_pool_give(&s->pool, oldest);
        sc->packets_count--;
        sc->core.stats.dropped++;
    }
    STAILQ_INSERT_TAIL(&sc->packets, packet, link);
    sc->packets_count++;
}

bool server_cluster_forward(struct relay_server *s, struct relay_conn *c,
                            struct relay_packet *packet)
{
    const uint8_t *payload = packet->data + DERP_PACKET_OVERHEAD;
    if (!s->cluster) {
        return false;
    }
    struct cluster *core = &s->cluster->core;
    bool asks = derp_is_signalling(payload, packet->len - DERP_PACKET_OVERHEAD);
    switch (cluster_way(core, packet->data + DERP_HEADER, asks ? c->id : 0, s->now)) {
    case CLUSTER_WAY_NOBODY:
        return false;
    case CLUSTER_WAY_NOTHING:
        core->stats.dropped++;
        relay_pool_give(&s->pool, packet);
        return true;
    case CLUSTER_WAY_ASK:
        packet->kind = PACKET_ASKED;
        break;
    case CLUSTER_WAY_PUBLISH:
        packet->kind = PACKET_DATA;
        break;
    }
    packet->from = c->id;
    queue_packet(s, packet);
    return true;
}

/* Fills in what stands before the payload. */
static void offer(struct relay_server *s, struct relay_packet *packet, const struct relay_key *from,
                  struct relay_cluster_output *out)
{
    struct cluster *core = &s->cluster->core;
    bool asked = packet->kind == PACKET_ASKED;
    const uint8_t *to = packet->data + DERP_HEADER;
    struct writer w = writer_of(out->o.head, sizeof(out->o.head));
    clustermsg_write_head(&w, asked ? CLUSTERMSG_ASKED_PACKET : CLUSTERMSG_PACKET,
                          cluster_stamp(core, s->now), core->id);
    write_bytes(&w, to, DERP_KEY);
    write_bytes(&w, from->key, DERP_KEY);
    CHECK(!w.failed);
    out->o.type = CLUSTER_PUBLISH_KEY;
    out->o.process = 0;
    out->o.ask = asked;
    out->o.head_len = writer_len(&w);
    memcpy(out->o.key, to, DERP_KEY);
    out->payload = (struct relay_span){packet->data + DERP_PACKET_OVERHEAD,
                                       packet->len - DERP_PACKET_OVERHEAD};
    core->stats.packets_out++;
    core->stats.bytes_out += out->payload.len;
}

static bool output_packet(struct relay_server *s, struct relay_cluster_output *out)
{
    struct server_cluster *sc = s->cluster;
    struct relay_packet *packet;
    while ((packet = STAILQ_FIRST(&sc->packets))) {
        struct relay_conn *from = server_find(s, packet->from);
        STAILQ_REMOVE_HEAD(&sc->packets, link);
        sc->packets_count--;
        sc->offered = packet;
        if (from && from->key) {
            offer(s, packet, from->key, out);
            return true;
        }
        relay_pool_give(&s->pool, packet);
        sc->offered = NULL;
        s->stats.dropped[RELAY_DROP_LEFT]++;
    }
    return false;
}

bool relay_server_cluster_output(struct relay_server *s, struct relay_cluster_output *out,
                                 uint64_t now)
{
    struct server_cluster *sc = s->cluster;
    if (!sc) {
        return false;
    }
    s->now = now;
    if (sc->offered) {
        relay_pool_give(&s->pool, sc->offered);
        sc->offered = NULL;
    }
    out->payload = (struct relay_span){NULL, 0};
    return cluster_output(&sc->core, &out->o, now) || output_packet(s, out);
}

void relay_server_cluster_bye(struct relay_server *s)
{
    if (s->cluster) {
        cluster_bye(&s->cluster->core);
    }
}

/* --- what the cluster says --- */

/* It has sent something a moment ago, and nobody has said that it left: its relay is just
 * connecting to the messaging again. Who is told that it is nowhere gives up for longer than that
 * takes. */
static bool is_only_away(const struct relay_server *s, const uint8_t key[DERP_KEY])
{
    const struct far_key *f = find_far(s, key);
    uint64_t clock = cluster_stamp(&s->cluster->core, s->now);
    return f && time_since(f->stamp, clock) < CLUSTER_GRACE_NS;
}

static void tell_askers(struct relay_server *s, const struct cluster_event *ev)
{
    if (is_only_away(s, ev->key)) {
        cluster_forget(&s->cluster->core, ev->key);
        return;
    }
    for (size_t i = 0; i < ev->count; i++) {
        struct relay_conn *c = server_find(s, ev->askers[i]);
        if (c && c->state == CONN_OPEN) {
            server_send_gone(s, c, ev->key, DERP_GONE_NOT_HERE);
        }
    }
}

static void take_events(struct relay_server *s)
{
    struct cluster_event ev;
    while (cluster_event(&s->cluster->core, &ev)) {
        switch (ev.type) {
        case CLUSTER_EV_NOT_HERE:
            tell_askers(s, &ev);
            break;
        case CLUSTER_EV_PROCESS_GONE:
            end_process(s, ev.process);
            break;
        case CLUSTER_EV_RESYNC:
            for (struct relay_key *k = s->keys; k; k = k->hh.next) {
                cluster_claim(&s->cluster->core, &k->cluster);
            }
            break;
        }
    }
}

static void note_sender(struct relay_server *s, const struct clustermsg *m, struct relay_conn *to)
{
    struct relay_key *here = server_find_key(s, m->from);
    struct far_key *far = here ? NULL : note_far(s, m->from, m, m->stamp);
    if (here || far) {
        server_note_contact(s, here ? &here->source : &far->source, to);
    }
}

static void take_packet(struct relay_server *s, const struct clustermsg *m)
{
    struct cluster *core = &s->cluster->core;
    const struct relay_key *k = server_find_key(s, m->to);
    if (!k) {
        core->stats.strays++;
        cluster_unsubscribe(core, m->to);
        return;
    }
    if (m->len > DERP_PACKET_MAX) {
        core->stats.unknown++;
        return;
    }
    struct relay_packet *packet = relay_pool_take(&s->pool, DERP_PACKET_OVERHEAD + m->len);
    if (!packet) {
        s->stats.dropped[RELAY_DROP_POOL]++;
        return;
    }
    core->stats.packets_in++;
    core->stats.bytes_in += m->len;
    derp_write_packet(packet->data, DERP_RECV_PACKET, m->from, m->len);
    if (m->len > 0) {
        memcpy(packet->data + DERP_PACKET_OVERHEAD, m->data, m->len);
    }
    note_sender(s, m, k->active);
    server_send_packet(s, k->active, packet);
    if (m->type == CLUSTERMSG_ASKED_PACKET) {
        cluster_say_here(core, m->to, m->process);
    }
}

/* The key has a newer connection there. */
static void give_up(struct relay_server *s, struct relay_key *k)
{
    size_t count = k->conns_count; /* the key goes with the last of them */
    k->cluster.moved = true;
    s->cluster->core.stats.moved++;
    while (count-- > 0) {
        server_kill(s, TAILQ_FIRST(&k->conns), RELAY_CLOSE_MOVED);
    }
}

static void take_claim(struct relay_server *s, const struct clustermsg *m,
                       const struct clustermsg_claim *claim)
{
    struct cluster *core = &s->cluster->core;
    struct relay_key *k = server_find_key(s, claim->key);
    uint64_t ours = k ? cluster_key_stamp(core, &k->cluster) : 0;
    cluster_forget(core, claim->key);
    if (k && (ours > claim->stamp || (ours == claim->stamp && core->id > m->process))) {
        cluster_claim(core, &k->cluster); /* the other one does not know of ours */
        return;
    }
    if (k || find_far(s, claim->key)) {
        (void)note_far(s, claim->key, m,
                       claim->stamp); /* without it contacts are told it is gone */
    }
    if (k) {
        give_up(s, k);
    }
}

static void take_list(struct relay_server *s, const struct clustermsg *m)
{
    for (size_t i = 0; i < m->count; i++) {
        struct clustermsg_claim item = clustermsg_item(m, i);
        struct far_key *f = find_far(s, item.key);
        if (m->type == CLUSTERMSG_CLAIM) {
            take_claim(s, m, &item);
        } else if (m->type == CLUSTERMSG_HERE) {
            cluster_found(&s->cluster->core, item.key, s->now);
        } else if (f && f->process == m->process) {
            free_far(s, f, false);
        }
    }
}

static void take_message(struct relay_server *s, const struct clustermsg *m)
{
    if (m->to) {
        take_packet(s, m);
    } else if (m->count > 0) {
        take_list(s, m);
    } else if (m->type == CLUSTERMSG_BYE) {
        cluster_process_ended(&s->cluster->core, m->process);
    }
}

void relay_server_cluster_input(struct relay_server *s, const uint8_t *data, size_t len,
                                uint64_t now)
{
    struct clustermsg m;
    struct server_cluster *sc = s->cluster;
    s->now = now;
    if (!sc) {
        return;
    }
    if (clustermsg_read(&m, data, len) || m.process == sc->core.id || m.process == 0) {
        sc->core.stats.unknown++;
        return;
    }
    if (cluster_heard(&sc->core, m.process, m.stamp, now)) {
        take_message(s, &m);
    }
    take_events(s);
}

void relay_server_cluster_nobody(struct relay_server *s, const uint8_t key[DERP_KEY], uint64_t now)
{
    s->now = now;
    if (s->cluster) {
        cluster_nobody(&s->cluster->core, key, now);
        take_events(s);
    }
}

void relay_server_cluster_link(struct relay_server *s, bool up, uint64_t now)
{
    s->now = now;
    if (s->cluster) {
        cluster_link(&s->cluster->core, up, now);
        take_events(s);
    }
}

void server_cluster_tick(struct relay_server *s)
{
    if (s->cluster) {
        cluster_tick(&s->cluster->core, s->now);
        take_events(s);
    }
}

uint64_t server_cluster_next(const struct relay_server *s)
{
    return s->cluster ? cluster_next_ns(&s->cluster->core) : TIME_NEVER;
}
