/* Deadlines: late packets, probe timeouts, delayed acknowledgements, the pace. */
#include "transport/conn.h"

#include <base/check.h>

#include "transport/conn_internal.h"

enum { PROBES = 2 };

#define STARVED_NS (10 * NS_PER_MS)
#define SPARES_NS NS_PER_S /* memory that nobody used for so long goes back */

void conn_requeue_oldest(struct conn *c, uint8_t path)
{
    const struct path *p = &c->paths[path];
    size_t count = 0;
    for (uint64_t n = p->loss.scan; n < p->sent.next && count < PROBES; n++) {
        const struct sent_packet *packet = sentmap_find(&p->sent, n);
        if (packet && packet->state == SENT_FLYING && packet->eliciting) {
            conn_requeue(c, p, packet);
            count += conn_has_data(c, path) ? 1 : 0;
        }
    }
}

static void suspect(struct conn *c, uint8_t path, uint64_t now)
{
    struct path *p = &c->paths[path];
    p->suspect = true;
    if (pmtud_on_doubt(&p->pmtud, p->sent.next, now)) {
        path_update_mtu(p);
    }
    c->suspects |= UINT32_C(1) << path;
    LOG_AT(c->log, LOG_DEBUG, "conn", "path_suspect", "path=%u timeouts=%u", path,
           p->loss.pto_count);
}

/* RFC 9002 6.2.4. A path that is not used is not probed: its frames go where data goes. Nor is one
 * probed for pings and frames that arrived otherwise: lost probes would bring forth new ones. */
static void on_pto(struct conn *c, uint8_t path, uint64_t now)
{
    struct path *p = &c->paths[path];
    if (p->loss.pto_count == 0) {
        p->silent_ns = p->loss.pto_from_ns;
    }
    loss_on_pto(&p->loss, now);
    if (p->loss.pto_count >= PATH_SUSPECT_PTOS && !p->suspect &&
        time_since(p->silent_ns, now) >= PATH_SUSPECT_NS) {
        suspect(c, path, now);
    }
    bool used = conn_carries(c, path);
    if (used && !conn_has_data(c, path)) {
        conn_requeue_oldest(c, path);
    }
    if (!used || !conn_has_data(c, path)) {
        conn_move_flight(c, p);
        return;
    }
    p->probes = PROBES;
}

static void tick_path(struct conn *c, uint8_t path, uint64_t now)
{
    struct path *p = &c->paths[path];
    if (p->open && path_silence(p, c->peer.max_ack_delay_ns) <= now) {
        suspect(c, path, now);
    }
    if (!p->open || path_deadline(p, c->peer.max_ack_delay_ns) > now) {
        return;
    }
    if (p->loss.loss_ns <= now) {
        conn_detect_lost(c, p, now);
        path_update_pace(p, now);
    } else {
        on_pto(c, path, now);
    }
}

/* Rare: memory was short when a writer asked; nothing else would call it again. */
static void tell_starved(struct conn *c)
{
    size_t at = 0;
    struct stream *s;
    c->starved = false;
    while ((s = table_next(&c->streams, &at)) != NULL) {
        if (s->wants_room && !s->room_queued && stream_is_writable(s) &&
            sendbuf_room(&s->out) > 0) {
            s->wants_room = false;
            conn_raise(c, s, STREAM_EVENT_WRITABLE);
        }
    }
}

/* The last packets of a transfer, mere acknowledgements, are never answered: without this the room
 * for all that was in flight would be kept for them. */
static void age_memory(struct conn *c, uint64_t now)
{
    ring_spares_age(&c->spares);
    c->spares_ns = now + SPARES_NS;
    for (size_t i = 1; i < PACKET_PATHS_MAX; i++) {
        if (c->paths[i].open) {
            path_trim(&c->paths[i], c->peer.max_ack_delay_ns, now);
        }
    }
}

void conn_tick(struct conn *c, uint64_t now)
{
    c->now = now;
    if (c->state != CONN_OPEN) {
        return;
    }
    for (uint8_t i = 1; i < PACKET_PATHS_MAX; i++) {
        tick_path(c, i, now);
    }
    if (c->starved) {
        tell_starved(c);
    }
    if (c->spares.count > 0 && c->spares_ns <= now) {
        age_memory(c, now);
    }
}

static uint64_t path_ns(const struct conn *c, const struct path *p)
{
    uint64_t at = time_min(path_deadline(p, c->peer.max_ack_delay_ns),
                           path_silence(p, c->peer.max_ack_delay_ns));
    return p->probes > 0 && !p->blocked ? time_min(at, p->hold_ns) : at;
}

uint64_t conn_next_ns(const struct conn *c)
{
    if (!c->started || c->state == CONN_CLOSED) {
        return TIME_NEVER;
    }
    uint64_t next = c->starved ? c->now + STARVED_NS : TIME_NEVER;
    next = c->spares.count > 0 ? time_min(next, c->spares_ns) : next;
    bool can_send = false;
    for (uint8_t i = 1; i < PACKET_PATHS_MAX; i++) {
        const struct path *p = &c->paths[i];
        can_send = can_send || (p->open && !p->blocked);
        if (p->open) {
            next = time_min(next, path_ns(c, p));
        }
        uint8_t reply = c->acks[i].due_ns < next ? conn_reply_path(c, i) : 0;
        if (reply != 0) {
            uint64_t hold = c->paths[reply].hold_ns;
            next = time_min(next, c->acks[i].due_ns > hold ? c->acks[i].due_ns : hold);
        }
    }
    if (c->state == CONN_CLOSING) {
        return can_send ? 0 : TIME_NEVER;
    }
    for (size_t lane = 0; lane < FRAME_LANES; lane++) {
        next = time_min(next, conn_lane_ns(c, (enum frame_lane)lane));
    }
    return next;
}
