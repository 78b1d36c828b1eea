/* Lanes: which path the frames of which streams take.
 *
 * A stream that is bound travels on the path of its lane only. Lanes whose path is that of the
 * streams that are not bound wait in one queue with them, so that turns on a path are fair; else
 * in their own. Frames of the session go with the streams that are not bound.
 */
#include "transport/conn.h"

#include <base/check.h>

#include "transport/conn_internal.h"

void conn_lanes_init(struct conn *c)
{
    for (size_t i = 0; i < FRAME_LANES; i++) {
        TAILQ_INIT(&c->queues[i].control);
        sched_init(&c->queues[i].sched);
        TAILQ_INIT(&c->queues[i].waiting);
    }
}

/* --- queues --- */

static void move(struct stream *s, struct conn_queue *from, struct conn_queue *to)
{
    if (s->control_queued) {
        TAILQ_REMOVE(&from->control, s, control_link);
        TAILQ_INSERT_TAIL(&to->control, s, control_link);
    }
    if (s->room_queued) {
        TAILQ_REMOVE(&from->waiting, s, room_link);
        TAILQ_INSERT_TAIL(&to->waiting, s, room_link);
    }
    from->unsent -= s->unsent;
    to->unsent += s->unsent;
    sched_remove(&from->sched, s);
    sched_add(&to->sched, s);
}

void conn_set_lane(struct conn *c, struct stream *s, enum frame_lane lane)
{
    struct conn_queue *from = conn_queue_of(c, s);
    s->lane = (uint8_t)lane;
    if (conn_queue_of(c, s) != from) {
        move(s, from, conn_queue_of(c, s));
    }
}

static void share(struct conn *c, enum frame_lane lane, enum frame_lane with)
{
    struct conn_queue *from = &c->queues[c->share[lane]];
    size_t at = 0;
    struct stream *s;
    if (c->share[lane] == with) {
        return;
    }
    while ((s = table_next(&c->streams, &at)) != NULL) {
        if (s->lane == lane) {
            move(s, from, &c->queues[with]);
        }
    }
    c->share[lane] = (uint8_t)with;
}

/* After the path of a lane has changed. */
static void settle(struct conn *c)
{
    for (enum frame_lane lane = FRAME_LANE_DIRECT; lane < FRAME_LANES; lane++) {
        share(c, lane, c->used[lane] == c->used[FRAME_LANE_ANY] ? FRAME_LANE_ANY : lane);
    }
}

/* --- paths --- */

void conn_path_use_for(struct conn *c, enum frame_lane lane, uint8_t path, bool resend,
                       uint64_t now)
{
    CHECK(lane < FRAME_LANES && path < PACKET_PATHS_MAX && (path == 0 || c->paths[path].open));
    c->now = now;
    uint8_t former = c->used[lane];
    if (former == path) {
        return;
    }
    c->used[lane] = path;
    settle(c);
    if (lane == FRAME_LANE_ANY) {
        conn_path_copy(c, 0, false);
    }
    if (c->paths[path].suspect) {
        conn_move_flight(c, &c->paths[path]); /* copies of when it was in doubt */
        path_restore(&c->paths[path], now);
    }
    if (former == 0) {
        c->datagrams.out[lane].ready_ns = now;
        return;
    }
    c->paths[former].probes = conn_carries(c, former) ? c->paths[former].probes : 0;
    if (resend) {
        conn_move_flight(c, &c->paths[former]);
    }
}

void conn_path_use(struct conn *c, uint8_t path, bool resend, uint64_t now)
{
    conn_path_use_for(c, FRAME_LANE_ANY, path, resend, now);
}

uint8_t conn_path_used_for(const struct conn *c, enum frame_lane lane)
{
    return c->used[lane];
}

uint8_t conn_path_used(const struct conn *c)
{
    return c->used[FRAME_LANE_ANY];
}

void conn_leave_path(struct conn *c, uint8_t path)
{
    for (size_t lane = 0; lane < FRAME_LANES; lane++) {
        c->used[lane] = c->used[lane] == path ? 0 : c->used[lane];
    }
    settle(c);
}

bool conn_carries(const struct conn *c, uint8_t path)
{
    for (size_t lane = 0; lane < FRAME_LANES; lane++) {
        if (c->used[lane] == path) {
            return true;
        }
    }
    return false;
}

/* --- what waits --- */

static bool has_session_frames(const struct conn *c)
{
    return c->credit_pending || c->streams_pending || c->candidates.pending;
}

bool conn_has_data(struct conn *c, uint8_t path)
{
    if (path == c->used[FRAME_LANE_ANY] && has_session_frames(c)) {
        return true;
    }
    for (size_t lane = 0; lane < FRAME_LANES; lane++) {
        struct conn_queue *q = &c->queues[lane];
        if (c->used[lane] == path &&
            (!TAILQ_EMPTY(&q->control) || conn_has_datagram(c, (enum frame_lane)lane) ||
             sched_next(&q->sched, conn_send_left(c)) != NULL)) {
            return true;
        }
    }
    return false;
}

void conn_unblock(struct conn *c)
{
    for (size_t lane = 0; lane < FRAME_LANES; lane++) {
        sched_unblock(&c->queues[lane].sched);
    }
}

/* Now (0), with the pace, or not before something else happens. */
uint64_t conn_lane_ns(const struct conn *c, enum frame_lane lane)
{
    const struct conn_queue *q = &c->queues[lane];
    const struct path *p = &c->paths[c->used[lane]];
    bool waits = (lane == FRAME_LANE_ANY && has_session_frames(c)) || !TAILQ_EMPTY(&q->control) ||
                 !dgramq_is_empty(&c->datagrams.out[lane].queue) || sched_is_waiting(&q->sched);
    if (c->used[lane] == 0 || p->blocked || !waits || !path_has_room(p)) {
        return TIME_NEVER;
    }
    uint64_t at = pacer_next(&p->pacer, c->now);
    return at > p->hold_ns ? at : p->hold_ns;
}
