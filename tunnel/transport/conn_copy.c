/* Copies: packets that go out a second time, by another path.
 *
 * The second path is one that may be dead, or one that may have to take over. What a copy carries
 * is acknowledged by whichever of the two arrives; that it arrives is the first path's business
 * alone, so a copy that is lost is not made up for. One copy waits at most, and only for as long as
 * it takes the caller to ask for it.
 */
#include "transport/conn.h"

#include <base/check.h>

#include <string.h>

#include "transport/conn_internal.h"

void conn_path_copy(struct conn *c, uint8_t path, bool all)
{
    CHECK(path < PACKET_PATHS_MAX && (path == 0 || path != c->used[FRAME_LANE_ANY]));
    c->copy.path = path;
    c->copy.all = all;
    c->copy.len = 0;
}

uint8_t conn_path_copies(const struct conn *c)
{
    return c->copy.path;
}

void conn_copy_drop(struct conn *c, uint8_t path)
{
    c->copy.len = path == c->copy.path ? 0 : c->copy.len;
}

bool conn_copy_is_wanted(const struct conn *c, uint8_t path, uint64_t now)
{
    const struct path *p = &c->paths[path];
    const struct path *to = &c->paths[c->copy.path];
    return c->copy.path != 0 && path == c->used[FRAME_LANE_ANY] && to->open && !to->blocked &&
           to->hold_ns <= now && (c->copy.all || p->probes > 0) && path_can_send(to, now);
}

size_t conn_copy_room(const struct conn *c)
{
    size_t room = c->paths[c->copy.path].mtu - PACKET_DATA_OVERHEAD;
    return room < CONN_COPY_MAX ? room : CONN_COPY_MAX;
}

void conn_copy_take(struct conn *c, const struct path *p, const struct sent_packet *packet,
                    const uint8_t *payload, size_t len)
{
    CHECK(len <= CONN_COPY_MAX && packet->records <= SENTMAP_PER_PACKET_MAX);
    memcpy(c->copy.payload, payload, len);
    for (size_t i = 0; i < packet->records; i++) {
        c->copy.records[i] = *sentmap_record(&p->sent, packet, i);
    }
    c->copy.record_count = packet->records;
    c->copy.len = len;
}

size_t conn_copy_put(struct conn *c, uint8_t *buf, size_t cap, uint64_t *number, uint64_t now)
{
    struct path *p = &c->paths[c->copy.path];
    size_t len = c->copy.len;
    c->copy.len = 0;
    if (len > cap || len + PACKET_DATA_OVERHEAD > p->mtu) {
        return 0;
    }
    memcpy(buf, c->copy.payload, len);
    for (size_t i = 0; i < c->copy.record_count; i++) {
        sentmap_note(&p->sent, &c->copy.records[i]);
    }
    *number = path_on_sent(p, len + PACKET_DATA_OVERHEAD, true, now);
    sentmap_find(&p->sent, *number)->copy = true;
    rate_mark_limited(&p->rate, p->in_flight); /* the other path sets the pace */
    c->stats.packets_out++;
    c->stats.packets_copied++;
    return len;
}
