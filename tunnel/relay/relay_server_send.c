/* What waits for a client, and in which order it leaves. */
#include "relay/relay_server_internal.h"

#include <base/check.h>

#include <string.h>

static void queue_init(struct queue *q)
{
    STAILQ_INIT(&q->packets);
    q->count = 0;
}

static void queue_put(struct queue *q, struct relay_packet *packet)
{
    STAILQ_INSERT_TAIL(&q->packets, packet, link);
    q->count++;
}

static struct relay_packet *queue_take(struct queue *q)
{
    struct relay_packet *packet = STAILQ_FIRST(&q->packets);
    if (packet) {
        STAILQ_REMOVE_HEAD(&q->packets, link);
        q->count--;
    }
    return packet;
}

/* Gives everything back; returns how many there were. */
static size_t queue_clear(struct relay_server *s, struct queue *q)
{
    struct relay_packet *packet;
    size_t count = q->count;
    while ((packet = queue_take(q))) {
        relay_pool_give(&s->pool, packet);
    }
    return count;
}

void server_send_init(struct relay_conn *c)
{
    queue_init(&c->control);
    queue_init(&c->signalling);
    queue_init(&c->bulk);
    queue_init(&c->writing);
}

static size_t count_data(const struct queue *q)
{
    const struct relay_packet *packet;
    size_t count = 0;
    STAILQ_FOREACH(packet, &q->packets, link)
    {
        count += packet->kind == PACKET_DATA;
    }
    return count;
}

void server_send_deinit(struct relay_server *s, struct relay_conn *c, bool all)
{
    queue_clear(s, &c->control);
    s->stats.dropped[RELAY_DROP_LEFT] += queue_clear(s, &c->signalling) + queue_clear(s, &c->bulk);
    c->queued_bytes = 0;
    if (all) {
        queue_clear(s, &c->writing);
    } else {
        s->stats.dropped[RELAY_DROP_LEFT] += count_data(&c->writing); /* told of no more */
    }
}

static uint64_t stall_at(const struct relay_server *s, const struct relay_conn *c)
{
    return c->announced ? time_add(c->progress_at, s->config.limits.write_stall_ns) : TIME_NEVER;
}

void server_send_announce(struct relay_server *s, struct relay_conn *c)
{
    if (!c->announced) {
        c->announced = true;
        c->progress_at = s->now;
        server_schedule(s, c, stall_at(s, c));
        server_tell(s, c, TELL_WRITABLE);
    }
}

static bool put_control(struct relay_server *s, struct relay_conn *c, enum packet_kind kind,
                        const void *data, size_t len)
{
    struct relay_packet *packet = NULL;
    if (c->control.count < SERVER_CONTROL_MAX) {
        packet = relay_pool_take(&s->pool, len);
    }
    if (!packet) {
        s->stats.control_dropped++;
        return false;
    }
    memcpy(packet->data, data, len);
    packet->kind = (uint8_t)kind;
    queue_put(&c->control, packet);
    server_send_announce(s, c);
    return true;
}

bool server_send_control(struct relay_server *s, struct relay_conn *c, const void *data, size_t len)
{
    return put_control(s, c, PACKET_CONTROL, data, len);
}

/* One waits at most: who pings faster than it reads gets fewer answers. */
void server_send_pong(struct relay_server *s, struct relay_conn *c, const uint8_t payload[8])
{
    uint8_t frame[DERP_PING_LEN];
    if (!c->pong_queued) {
        size_t len = derp_write_ping(frame, DERP_PONG, payload);
        c->pong_queued = put_control(s, c, PACKET_PONG, frame, len);
    }
}

/* "Not here" answers packets of the client's own making, so it is metered: one a second, after a
 * burst. gone_at is when the next one would be due if they came evenly. */
static bool may_say_not_here(const struct relay_server *s, struct relay_conn *c)
{
    uint64_t ahead = (SERVER_GONE_BURST - 1) * NS_PER_S;
    uint64_t least = s->now > ahead ? s->now - ahead : 0;
    uint64_t due = c->gone_at > least ? c->gone_at : least;
    if (due > s->now) {
        return false;
    }
    c->gone_at = due + NS_PER_S;
    return true;
}

void server_send_gone(struct relay_server *s, struct relay_conn *c, const uint8_t key[DERP_KEY],
                      enum derp_gone reason)
{
    uint8_t frame[DERP_PEER_GONE_LEN];
    if (reason == DERP_GONE_NOT_HERE && !may_say_not_here(s, c)) {
        return;
    }
    if (server_send_control(s, c, frame, derp_write_peer_gone(frame, key, reason))) {
        s->stats.peer_gone_sent++;
    }
}

static bool fits(const struct relay_server *s, const struct relay_conn *c, const struct queue *q,
                 size_t len)
{
    return q->count < s->config.limits.queue_packets_max &&
           c->queued_bytes + len <= s->config.limits.queue_bytes_max;
}

static void drop(struct relay_server *s, struct relay_packet *packet, enum relay_drop why)
{
    s->stats.dropped[why]++;
    relay_pool_give(&s->pool, packet);
}

void server_send_packet(struct relay_server *s, struct relay_conn *c, struct relay_packet *packet)
{
    const uint8_t *payload = packet->data + DERP_PACKET_OVERHEAD;
    bool signalling = derp_is_signalling(payload, packet->len - DERP_PACKET_OVERHEAD);
    struct queue *q = signalling ? &c->signalling : &c->bulk;
    while (!fits(s, c, q, packet->len) && q->count > 0) {
        struct relay_packet *oldest = queue_take(q);
        c->queued_bytes -= oldest->len;
        drop(s, oldest, RELAY_DROP_QUEUE_HEAD);
    }
    if (!fits(s, c, q, packet->len)) {
        drop(s, packet, RELAY_DROP_QUEUE_TAIL);
        return;
    }
    packet->kind = PACKET_DATA;
    packet->done = 0;
    queue_put(q, packet);
    c->queued_bytes += packet->len;
    server_send_announce(s, c);
}

/* Small frames first; signalling and the rest take turns, so that neither starves. */
static struct relay_packet *take_next(struct relay_conn *c)
{
    struct relay_packet *packet = queue_take(&c->control);
    if (packet) {
        c->pong_queued = c->pong_queued && packet->kind != PACKET_PONG;
        return packet;
    }
    struct queue *first = c->bulk_turn ? &c->bulk : &c->signalling;
    struct queue *second = c->bulk_turn ? &c->signalling : &c->bulk;
    c->bulk_turn = !c->bulk_turn;
    packet = queue_take(first);
    if (!packet) {
        packet = queue_take(second);
    }
    if (packet) {
        c->queued_bytes -= packet->len;
    }
    return packet;
}

static void fill_writing(struct relay_conn *c)
{
    while (c->writing.count < SERVER_WRITING_MAX && c->writing_bytes < SERVER_WRITING_BYTES) {
        struct relay_packet *packet = take_next(c);
        if (!packet) {
            return;
        }
        packet->done = 0;
        c->writing_bytes += packet->len;
        queue_put(&c->writing, packet);
    }
}

static size_t offer_packets(const struct relay_conn *c, struct relay_span *out, size_t max)
{
    size_t n = 0;
    struct relay_packet *packet;
    STAILQ_FOREACH(packet, &c->writing.packets, link)
    {
        if (n == max) {
            break;
        }
        out[n++] = (struct relay_span){packet->data + packet->done, packet->len - packet->done};
    }
    return n;
}

size_t relay_server_output(struct relay_server *s, uint64_t id, struct relay_span *out, size_t max,
                           uint64_t now)
{
    struct relay_conn *c = server_find(s, id);
    s->now = now;
    if (!c || max == 0) {
        return 0;
    }
    fill_writing(c);
    size_t n = c->ws ? server_ws_output(c, out, max) : offer_packets(c, out, max);
    if (n == 0) {
        c->announced = false;
        if (c->state == CONN_ANSWER) {
            server_linger(s, c);
        }
    }
    return n;
}

static void finish_packet(struct relay_server *s, struct relay_conn *c)
{
    struct relay_packet *packet = queue_take(&c->writing);
    c->writing_bytes -= packet->len;
    if (packet->kind == PACKET_DATA) {
        s->stats.packets_out++;
        s->stats.bytes_out += packet->len - DERP_PACKET_OVERHEAD;
    }
    relay_pool_give(&s->pool, packet);
}

void relay_server_sent(struct relay_server *s, uint64_t id, size_t n, uint64_t now)
{
    struct relay_conn *c = server_find(s, id);
    s->now = now;
    if (!c) {
        return;
    }
    c->progress_at = n > 0 ? now : c->progress_at;
    n = c->ws ? server_ws_sent(c->ws, n) : n;
    while (n > 0) {
        struct relay_packet *packet = STAILQ_FIRST(&c->writing.packets);
        CHECK(packet); /* the shell wrote more than it was offered */
        size_t left = packet->len - packet->done;
        size_t part = n < left ? n : left;
        packet->done += (uint32_t)part;
        n -= part;
        if (part == left) {
            finish_packet(s, c);
        }
    }
}

void server_send_timer(struct relay_server *s, struct relay_conn *c)
{
    if (s->now >= stall_at(s, c)) {
        server_kill(s, c, RELAY_CLOSE_STALLED);
        return;
    }
    if (s->now >= c->restarting_at) {
        server_send_restarting(s, c);
    }
    if (s->now >= c->keep_alive_at) {
        uint8_t frame[DERP_HEADER];
        c->keep_alive_at = time_add(s->now, c->keep_alive_every);
        server_send_control(s, c, frame, derp_write_keep_alive(frame));
    }
}

uint64_t server_send_next(const struct relay_server *s, const struct relay_conn *c)
{
    return time_min(time_min(stall_at(s, c), c->keep_alive_at), c->restarting_at);
}
