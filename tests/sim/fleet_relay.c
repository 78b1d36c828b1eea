/* Relays and the byte pipes to them. */
#include "sim/fleet.h"

#include <base/check.h>
#include <base/mem.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { PIPE_WINDOW = 256 * 1024 }; /* what may be under way at once */

struct fleet_segment {
    STAILQ_ENTRY(fleet_segment) link;
    uint64_t due;
    size_t len;
    uint8_t data[];
};

static void relay_drive(struct fleet_relay *r);

/* --- pipes --- */

static void pipe_arrive(struct world_event *event);

static void pipe_init(struct fleet_pipe *p, struct fleet *f,
                      void (*deliver)(struct fleet_pipe *, const uint8_t *, size_t))
{
    *p = (struct fleet_pipe){.world = &f->world,
                             .event = {.fire = pipe_arrive},
                             .delay_ns = f->config.relay_delay_ns,
                             .rate_bps = f->config.relay_rate_bps,
                             .deliver = deliver};
    STAILQ_INIT(&p->segments);
}

static void pipe_clear(struct fleet_pipe *p)
{
    struct fleet_segment *s;
    while ((s = STAILQ_FIRST(&p->segments)) != NULL) {
        STAILQ_REMOVE_HEAD(&p->segments, link);
        mem_free(s);
    }
    p->flying = 0;
    heap_remove(&p->world->heap, &p->event.node);
}

static void pipe_schedule(struct fleet_pipe *p)
{
    struct fleet_segment *s = STAILQ_FIRST(&p->segments);
    if (s && !p->held) {
        world_at(p->world, &p->event, s->due);
    } else {
        heap_remove(&p->world->heap, &p->event.node);
    }
}

static void pipe_hold(struct fleet_pipe *p, bool held)
{
    p->held = held;
    pipe_schedule(p);
}

static void pipe_arrive(struct world_event *event)
{
    struct fleet_pipe *p = container_of(event, struct fleet_pipe, event);
    struct fleet_segment *s = STAILQ_FIRST(&p->segments);
    STAILQ_REMOVE_HEAD(&p->segments, link);
    p->flying -= s->len;
    pipe_schedule(p);
    p->deliver(p, s->data, s->len);
    mem_free(s);
}

/* How much of `len` was taken. */
static size_t pipe_write(struct fleet_pipe *p, const uint8_t *data, size_t len)
{
    size_t room = PIPE_WINDOW - p->flying;
    len = len < room ? len : room;
    if (len == 0) {
        return 0;
    }
    struct fleet_segment *s = mem_new(1, sizeof(*s) + len);
    CHECK(s);
    uint64_t start = p->free_ns > p->world->now ? p->free_ns : p->world->now;
    p->free_ns = start + len * 8 * NS_PER_S / p->rate_bps;
    s->due = p->free_ns + p->delay_ns;
    s->len = len;
    p->bytes += len;
    p->count++;
    memcpy(s->data, data, len);
    p->flying += len;
    STAILQ_INSERT_TAIL(&p->segments, s, link);
    pipe_schedule(p);
    return len;
}

/* --- connections --- */

static struct fleet_relay *relay_of(const struct fleet_conn *c)
{
    return &c->node->fleet->relays[c->relay];
}

static void conn_reset(struct fleet_conn *c)
{
    c->id = 0;
    c->connecting = false;
    c->paused = false;
    heap_remove(&c->up.world->heap, &c->connect.node);
    pipe_clear(&c->up);
    pipe_clear(&c->down);
    c->up.held = c->down.held = c->cut;
}

static void deliver_up(struct fleet_pipe *p, const uint8_t *data, size_t len)
{
    struct fleet_conn *c = container_of(p, struct fleet_conn, up);
    struct fleet_relay *r = relay_of(c);
    relay_server_input(r->server, c->id, data, len, p->world->now);
    relay_drive(r);
    fleet_drive(c->node->fleet, c->node->index); /* there is room in the pipe again */
}

static void deliver_down(struct fleet_pipe *p, const uint8_t *data, size_t len)
{
    struct fleet_conn *c = container_of(p, struct fleet_conn, down);
    node_relay_input(c->node->node, c->relay, data, len, p->world->now);
    fleet_drive(c->node->fleet, c->node->index);
    relay_drive(relay_of(c));
}

/* The connection's fate is known one round trip after it was asked for. */
static void on_connect(struct world_event *event)
{
    struct fleet_conn *c = container_of(event, struct fleet_conn, connect);
    struct fleet_relay *r = relay_of(c);
    uint64_t now = c->up.world->now;
    c->connecting = false;
    if (!r->server || r->draining || c->cut || c->node->fleet->portal ||
        relay_server_accept(r->server, &c->node->addr, now, &c->id) != 0) {
        c->id = 0;
        node_relay_disconnected(c->node->node, c->relay, c->cut ? -ETIMEDOUT : -ECONNREFUSED, now);
    } else {
        node_relay_connected(c->node->node, c->relay, now);
    }
    fleet_drive(c->node->fleet, c->node->index);
}

void fleet_conn_init(struct fleet_conn *c, struct fleet_node *node, size_t relay)
{
    *c = (struct fleet_conn){.node = node, .relay = relay, .connect = {.fire = on_connect}};
    pipe_init(&c->up, node->fleet, deliver_up);
    pipe_init(&c->down, node->fleet, deliver_down);
}

void fleet_conn_open(struct fleet_conn *c)
{
    assert_int_equal(c->id, 0);
    assert_false(c->connecting);
    c->connecting = true;
    world_at(c->up.world, &c->connect, c->up.world->now + 2 * c->up.delay_ns);
}

void fleet_conn_close(struct fleet_conn *c)
{
    struct fleet_relay *r = relay_of(c);
    uint64_t id = c->id;
    conn_reset(c);
    if (id != 0 && r->server) {
        relay_server_closed(r->server, id, c->up.world->now);
        relay_drive(r);
    }
}

bool fleet_conn_flush(struct fleet_conn *c)
{
    bool moved = false;
    const uint8_t *data;
    size_t len;
    while (c->id != 0 && (len = node_relay_output(c->node->node, c->relay, &data)) > 0) {
        size_t taken = pipe_write(&c->up, data, len);
        if (taken == 0) {
            break;
        }
        node_relay_sent(c->node->node, c->relay, taken, c->up.world->now);
        moved = true;
    }
    return moved;
}

void fleet_relay_cut(struct fleet *f, size_t node, size_t relay, bool cut)
{
    struct fleet_conn *c = &f->nodes[node].conns[relay];
    c->cut = cut;
    pipe_hold(&c->up, cut || c->paused);
    pipe_hold(&c->down, cut);
}

/* --- relays --- */

static struct fleet_conn *find_conn(struct fleet_relay *r, uint64_t id)
{
    for (size_t i = 0; i < r->fleet->config.nodes; i++) {
        struct fleet_conn *c = &r->fleet->nodes[i].conns[r->index];
        if (c->id == id) {
            return c;
        }
    }
    return NULL;
}

static void closed_by_relay(struct fleet_conn *c)
{
    conn_reset(c);
    if (c->node->node) {
        node_relay_disconnected(c->node->node, c->relay, 0, c->up.world->now);
        fleet_drive(c->node->fleet, c->node->index);
    }
}

static void relay_event(struct fleet_relay *r, const struct relay_server_event *ev)
{
    struct fleet_conn *c = find_conn(r, ev->id);
    if (!c) {
        return;
    }
    switch (ev->type) {
    case RELAY_SERVER_EV_FINISH:
        relay_server_closed(r->server, ev->id, r->fleet->world.now);
        closed_by_relay(c);
        break;
    case RELAY_SERVER_EV_CLOSE:
        closed_by_relay(c);
        break;
    case RELAY_SERVER_EV_PAUSE:
    case RELAY_SERVER_EV_RESUME:
        c->paused = ev->type == RELAY_SERVER_EV_PAUSE;
        pipe_hold(&c->up, c->cut || c->paused);
        break;
    case RELAY_SERVER_EV_WRITABLE:
        break;
    }
}

static void conn_serve(struct fleet_relay *r, struct fleet_conn *c)
{
    struct relay_span span;
    uint64_t now = r->fleet->world.now;
    while (c->id != 0 && relay_server_output(r->server, c->id, &span, 1, now) > 0) {
        size_t taken = pipe_write(&c->down, span.data, span.len);
        if (taken == 0) {
            return;
        }
        relay_server_sent(r->server, c->id, taken, now);
    }
}

static void relay_drive(struct fleet_relay *r)
{
    struct relay_server_event ev;
    if (!r->server) {
        return;
    }
    while (r->server && relay_server_event(r->server, &ev)) {
        relay_event(r, &ev);
    }
    for (size_t i = 0; r->server && i < r->fleet->config.nodes; i++) {
        conn_serve(r, &r->fleet->nodes[i].conns[r->index]);
    }
    while (r->server && relay_server_event(r->server, &ev)) {
        relay_event(r, &ev);
    }
    if (r->server) {
        uint64_t next = relay_server_next_ns(r->server);
        if (next == TIME_NEVER) {
            heap_remove(&r->fleet->world.heap, &r->tick.node);
        } else {
            world_at(&r->fleet->world, &r->tick, next);
        }
    }
}

static void on_tick(struct world_event *event)
{
    struct fleet_relay *r = container_of(event, struct fleet_relay, tick);
    relay_server_tick(r->server, r->fleet->world.now);
    relay_drive(r);
}

void fleet_relay_start(struct fleet *f, size_t relay)
{
    struct fleet_relay *r = &f->relays[relay];
    assert_null(r->server);
    struct relay_server_config config = {.open = true, .rng = f->world.rng};
    config.limits.rate_bytes_per_s = f->config.relay_client_bytes_per_s;
    memset(config.secret, 0x40 + (int)relay, sizeof(config.secret));
    *r = (struct fleet_relay){.fleet = f, .index = relay, .tick = {.fire = on_tick}};
    (void)snprintf(r->name, sizeof(r->name), "relay%u", (unsigned)relay % 10);
    r->server = relay_server_new(&config);
    assert_non_null(r->server);
}

void fleet_relay_drain(struct fleet *f, size_t relay, uint64_t wait_ns)
{
    struct fleet_relay *r = &f->relays[relay];
    r->draining = true;
    relay_server_drain(r->server, wait_ns, 60 * NS_PER_S, f->world.now);
    relay_drive(r);
}

size_t fleet_relay_clients(const struct fleet *f, size_t relay)
{
    size_t count = 0;
    for (size_t i = 0; i < f->config.nodes; i++) {
        count += f->nodes[i].conns[relay].id != 0;
    }
    return count;
}

void fleet_relay_kill(struct fleet *f, size_t relay)
{
    struct fleet_relay *r = &f->relays[relay];
    if (!r->server) {
        return;
    }
    relay_server_free(r->server);
    r->server = NULL;
    heap_remove(&f->world.heap, &r->tick.node);
    for (size_t i = 0; i < f->config.nodes; i++) {
        if (f->nodes[i].conns[relay].id != 0) {
            closed_by_relay(&f->nodes[i].conns[relay]);
        }
    }
}
