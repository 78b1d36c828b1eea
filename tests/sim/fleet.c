#include "sim/fleet.h"

#include <base/check.h>
#include <base/mem.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The time of day at the world's time 0. */
#define UNIX_NS (UINT64_C(1763800000) * NS_PER_S)
enum { PORT = 41741 };

/* ADIT_TEST=PATTERN runs some tests only. */
__attribute__((constructor)) static void choose_tests(void)
{
    cmocka_set_test_filter(getenv("ADIT_TEST"));
}

/* --- life --- */

struct fleet_config fleet_config_default(const char *name, uint64_t seed)
{
    struct conn_limits limits = conn_limits_default();
    return (struct fleet_config){.name = name,
                                 .seed = world_setting("ADIT_SEED", seed),
                                 .nodes = 2,
                                 .relays = 1,
                                 .udp = {.rate_bps = 100000000,
                                         .delay_ns = 20 * NS_PER_MS,
                                         .queue_bytes = 2500000,
                                         .mtu = 1500},
                                 .relay_delay_ns = 20 * NS_PER_MS,
                                 .relay_rate_bps = 100000000,
                                 .resume_timeout_ns = 24 * 3600 * NS_PER_S,
                                 .limits = limits};
}

static void write_log(void *user, enum log_level level, const char *module, const char *event,
                      const char *text)
{
    const struct fleet_node *n = user;
    (void)fprintf(stderr, "%12.6f %zu %s %s %s %s\n", (double)n->fleet->world.now / 1e9, n->index,
                  log_level_name(level), module, event, text);
}

static void on_tick(struct world_event *event);
void fleet_inject(struct fleet *f, size_t to, const struct addr *from, const uint8_t *data,
                  size_t len)
{
    fleet_inject_by(f, to, 0, from, data, len);
}

static void deliver(void *user, const uint8_t *data, size_t len);

static void wake(void *user)
{
    struct fleet_node *n = user;
    fleet_drive(n->fleet, n->index);
}

static void init_node(struct fleet *f, size_t index)
{
    struct fleet_node *n = &f->nodes[index];
    const char *level = getenv("ADIT_LOG");
    n->fleet = f;
    n->index = index;
    n->addr = addr_ipv4(192, 0, 2, (uint8_t)(1 + index), PORT);
    n->log = (struct log){.write = level ? write_log : NULL, .user = n};
    n->log.level = level ? (enum log_level)log_level_parse(level) : LOG_ERROR;
    n->tick.fire = on_tick;
    CHECK(key_pair_generate(&n->keys, f->world.rng) == 0);
    fleet_app_init(&n->app, &f->world, wake, n);
    for (size_t i = 0; i < f->config.nodes; i++) {
        struct fleet_wire *w = &n->wires[i];
        *w = (struct fleet_wire){.from = n, .to = &f->nodes[i]};
        link_init(&w->link, &f->world, &f->config.udp);
        w->link.deliver = deliver;
        w->link.user = w;
        link_set_up(&w->link, !f->config.no_udp);
        n->knows[i] = !f->config.blind;
    }
    for (size_t i = 0; i < f->config.relays; i++) {
        fleet_conn_init(&n->conns[i], n, i);
    }
    if (f->config.nats) {
        fleet_nat_init(n);
    }
}

struct fleet *fleet_new(const struct fleet_config *config)
{
    CHECK(crypto_init() == 0);
    assert_true(config->nodes <= FLEET_NODES_MAX && config->relays <= FLEET_RELAYS_MAX);
    struct fleet *f = mem_new(1, sizeof(*f));
    CHECK(f);
    world_init(&f->world, config->name, config->seed);
    f->config = *config;
    stun_server_init(&f->stun, f->world.rng);
    for (size_t i = 0; i < config->nodes; i++) {
        init_node(f, i);
    }
    for (size_t i = 0; i < config->relays; i++) {
        fleet_relay_start(f, i);
    }
    return f;
}

void fleet_free(struct fleet *f)
{
    for (size_t i = 0; i < f->config.nodes; i++) {
        fleet_kill(f, i);
        for (size_t k = 0; k < f->config.nodes; k++) {
            link_deinit(&f->nodes[i].wires[k].link);
        }
    }
    for (size_t i = 0; i < f->config.relays; i++) {
        fleet_relay_kill(f, i);
    }
    if (f->config.nats) {
        fleet_nat_deinit(f);
    }
    world_deinit(&f->world);
    mem_free(f);
}

/* --- nodes --- */

size_t fleet_peer(size_t node, size_t other)
{
    return other < node ? other : other - 1;
}

static size_t node_of_peer(size_t node, size_t peer)
{
    return peer < node ? peer : peer + 1;
}

void fleet_move(struct fleet *f, size_t node, const struct addr *addr)
{
    f->nodes[node].addr = *addr;
}

void fleet_know(struct fleet *f, size_t node, size_t other)
{
    f->nodes[node].knows[other] = true;
}

static void resolve(struct fleet_node *n, size_t peer, size_t endpoint)
{
    const struct addr *addr = &n->fleet->nodes[node_of_peer(n->index, peer)].addr;
    n->resolves++;
    node_resolved(n->node, peer, endpoint, addr, n->unresolved ? 0 : 1, n->fleet->world.now);
}

static void make_node(struct fleet_node *n)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    static const size_t first_relay = 0;
    struct fleet *f = n->fleet;
    struct node_relay_config relays[FLEET_RELAYS_MAX];
    struct node_peer_config peers[FLEET_NODES_MAX] = {{0}};
    for (size_t i = 0; i < f->config.relays; i++) {
        relays[i] = (struct node_relay_config){.name = f->relays[i].name,
                                               .host_header = f->relays[i].name,
                                               .home = i >= f->config.foreign_relays[n->index]};
    }
    for (size_t i = 0; i + 1 < f->config.nodes; i++) {
        size_t other = node_of_peer(n->index, i);
        peers[i].name = names[other];
        peers[i].endpoint_count = n->knows[other] ? 1 : 0;
        peers[i].relays = f->config.first_relay_only ? &first_relay : NULL;
        peers[i].relay_count = f->config.first_relay_only;
        memcpy(peers[i].key, f->nodes[other].keys.public.bytes, KEY_LEN);
    }
    struct node_config config = {.limits = f->config.limits,
                                 .seal_apart = f->config.seal_apart,
                                 .open_apart = f->config.open_apart,
                                 .resume_timeout_ns = f->config.resume_timeout_ns,
                                 .punch = f->config.nats,
                                 .birthday_sockets = f->config.birthday_sockets,
                                 .recipes = n->recipes_len > 0 ? n->recipes : NULL,
                                 .recipes_len = n->recipes_len,
                                 .unix_ns = n->no_clock ? 0 : UNIX_NS + f->world.now,
                                 .timestamp = n->forgetful ? 0 : n->stored_timestamp,
                                 .relays = relays,
                                 .relay_count = f->config.relays,
                                 .peers = peers,
                                 .peer_count = f->config.nodes - 1,
                                 .rng = f->world.rng,
                                 .log = &n->log};
    memcpy(config.secret, n->keys.secret.bytes, KEY_LEN);
    assert_int_equal(node_new(&config, f->world.now, &n->node), 0);
}

void fleet_start(struct fleet *f, size_t node)
{
    struct fleet_node *n = &f->nodes[node];
    assert_null(n->node);
    make_node(n);
    n->opening = f->config.open_apart ? fleet_opening_new(n) : NULL;
    fleet_app_attach(&n->app, n->node);
    for (size_t i = 0; i + 1 < f->config.nodes; i++) {
        if (n->knows[node_of_peer(node, i)]) {
            resolve(n, i, 0);
        }
    }
    if (f->config.nats) {
        fleet_nat_start(n);
    }
    node_start(n->node, f->world.now);
    fleet_drive(f, node);
}

void fleet_start_all(struct fleet *f)
{
    for (size_t i = 0; i < f->config.nodes; i++) {
        fleet_start(f, i);
    }
}

void fleet_kill(struct fleet *f, size_t node)
{
    struct fleet_node *n = &f->nodes[node];
    struct node *dead = n->node;
    n->node = NULL;
    fleet_opening_free(n->opening);
    n->opening = NULL;
    fleet_app_attach(&n->app, NULL);
    heap_remove(&f->world.heap, &n->tick.node);
    for (size_t i = 0; i < f->config.relays; i++) {
        fleet_conn_close(&n->conns[i]);
    }
    node_free(dead);
}

void fleet_sleep(struct fleet *f, size_t node)
{
    struct fleet_node *n = &f->nodes[node];
    n->asleep = true;
    heap_remove(&f->world.heap, &n->tick.node);
    for (size_t i = 0; i < f->config.relays; i++) {
        fleet_relay_cut(f, node, i, true);
    }
}

void fleet_wake(struct fleet *f, size_t node)
{
    struct fleet_node *n = &f->nodes[node];
    n->asleep = false;
    for (size_t i = 0; i < f->config.relays; i++) {
        fleet_relay_cut(f, node, i, false);
    }
    node_tick(n->node, f->world.now);
    node_moved(n->node, f->world.now);
    fleet_drive(f, node);
}

void fleet_stop(struct fleet *f, size_t node)
{
    node_stop(f->nodes[node].node, f->world.now);
    fleet_drive(f, node);
}

/* --- the driver, as in tunnel/loop --- */

/* Asked whether a portal stands before the relay: the portal says where to log in, the relay gives
 * the answer to the challenge, a dead one refuses. */
static void answer_portal(struct fleet_node *n, size_t relay)
{
    char request[NODE_PORTAL_REQUEST_MAX];
    char answer[256];
    uint64_t now = n->fleet->world.now;
    n->portal_questions++;
    if (!n->fleet->portal && !n->fleet->relays[relay].server) {
        node_portal_closed(n->node, now);
        return;
    }
    assert_true(node_portal_request(n->node, n->fleet->relays[relay].name, request) > 0);
    const char *challenge = strstr(request, "X-Tailscale-Challenge: ");
    assert_non_null(challenge);
    challenge += strlen("X-Tailscale-Challenge: ");
    (void)snprintf(answer, sizeof(answer),
                   n->fleet->portal ? "HTTP/1.1 302 Found\r\nLocation: http://log.in/\r\n\r\n"
                                    : "HTTP/1.1 204 No Content\r\n"
                                      "X-Tailscale-Response: response %.*s\r\n\r\n",
                   (int)strcspn(challenge, "\r"), challenge);
    node_portal_input(n->node, (const uint8_t *)answer, strlen(answer), now);
}

static void dispatch(struct fleet_node *n, const struct node_event *ev)
{
    if (fleet_app_event(&n->app, ev)) {
        return;
    }
    if (ev->type == NODE_EVENT_RELAY_CONNECT) {
        fleet_conn_open(&n->conns[ev->relay]);
    } else if (ev->type == NODE_EVENT_RELAY_CLOSE) {
        fleet_conn_close(&n->conns[ev->relay]);
    } else if (ev->type == NODE_EVENT_RESOLVE) {
        resolve(n, ev->peer, ev->endpoint);
    } else if (ev->type == NODE_EVENT_SOCKETS) {
        fleet_nat_sockets(n);
    } else if (ev->type == NODE_EVENT_PORTAL_ASK) {
        answer_portal(n, ev->relay);
    } else if (ev->type == NODE_EVENT_PORTAL_CLOSE) {
        return; /* an answer comes at once here */
    } else {
        n->peer_events++;
    }
}

static struct fleet_wire *wire_to(struct fleet_node *n, const struct addr *to)
{
    for (size_t i = 0; i < n->fleet->config.nodes; i++) {
        if (addr_equal(&n->fleet->nodes[i].addr, to)) {
            return &n->wires[i];
        }
    }
    return NULL; /* an address that nobody has: a stranger was answered */
}

static void send_batch(struct fleet_node *n, const struct node_batch *b)
{
    struct fleet *f = n->fleet;
    struct fleet_wire *w = f->config.nats ? NULL : wire_to(n, &b->to);
    assert_true(b->len > 0 && b->segment > 0);
    for (size_t at = 0; at < b->len; at += b->segment) {
        size_t len = b->len - at < b->segment ? b->len - at : b->segment;
        n->datagrams_out++;
        n->bytes_out += len;
        if (f->config.nats) {
            fleet_nat_send(n, b, b->data + at, len);
        }
        if (w && (!f->filter || f->filter(f, n->index, w->to->index, b->data + at, len))) {
            link_send(&w->link, b->data + at, len);
        }
    }
}

/* Timers run by the millisecond, as libuv's do. */
static void set_timer(struct fleet_node *n)
{
    uint64_t now = n->fleet->world.now;
    uint64_t next = node_next_ns(n->node);
    if (next == TIME_NEVER) {
        heap_remove(&n->fleet->world.heap, &n->tick.node);
        return;
    }
    uint64_t wait_ms = (time_since(now, next) + NS_PER_MS - 1) / NS_PER_MS;
    world_at(&n->fleet->world, &n->tick, now + (wait_ms > 0 ? wait_ms : 1) * NS_PER_MS);
}

/* True if anything came of it. */
static bool drive(struct fleet_node *n)
{
    struct node_event ev;
    struct node_batch batch;
    uint64_t now = n->fleet->world.now;
    bool moved = false;
    for (unsigned rounds = 0; node_event(n->node, &ev, now); rounds++) {
        assert_true(rounds < 1000000);
        dispatch(n, &ev);
        moved = true;
    }
    n->stored_timestamp = node_timestamp(n->node);
    n->recipes_len = node_recipes(n->node, n->recipes);
    for (unsigned rounds = 0; node_output(n->node, &batch, now); rounds++) {
        assert_true(rounds < 1000000);
        node_batch_seal(&batch);
        send_batch(n, &batch);
        node_batch_release(&batch);
        moved = true;
    }
    for (size_t i = 0; i < n->fleet->config.relays; i++) {
        moved |= fleet_conn_flush(&n->conns[i]);
    }
    return moved;
}

static bool drive_all(struct fleet_node *n)
{
    bool moved = false;
    for (unsigned rounds = 0; drive(n); rounds++) { /* room in a pipe lets more be made */
        assert_true(rounds < 1000);
        moved = true;
    }
    set_timer(n);
    return moved;
}

void fleet_drive(struct fleet *f, size_t node)
{
    if (f->nodes[node].node && !f->nodes[node].asleep) {
        (void)drive_all(&f->nodes[node]);
    }
}

/* A node that wakes for nothing is a bug: at most FLEET_WAKES_MAX times in any second, which a
 * network that reorders may bring about (the time threshold of losses). */
static void on_tick(struct world_event *event)
{
    struct fleet_node *n = container_of(event, struct fleet_node, tick);
    n->ticks++;
    node_tick(n->node, n->fleet->world.now);
    if (drive_all(n)) {
        return;
    }
    uint64_t now = n->fleet->world.now;
    uint64_t *slot = &n->recent[n->idle_ticks++ % FLEET_WAKES_MAX];
    if (*slot != 0 && time_since(*slot, now) < NS_PER_S) {
        fail_msg("node %zu wakes for nothing at %llu ns", n->index, (unsigned long long)now);
    }
    *slot = now;
}

/* --- the network --- */

/* In memory of its own, so that a read past its end is seen. */
void fleet_inject_by(struct fleet *f, size_t to, unsigned socket, const struct addr *from,
                     const uint8_t *data, size_t len)
{
    struct fleet_node *n = &f->nodes[to];
    if (!n->node || n->asleep) {
        return;
    }
    uint8_t *copy = malloc(len > 0 ? len : 1);
    CHECK(copy);
    memcpy(copy, data, len);
    n->datagrams_in++;
    n->bytes_in += len;
    if (n->opening) {
        fleet_opening_take(n->opening, socket, from, copy, len);
        return;
    }
    node_input(n->node, socket, from, copy, len, f->world.now);
    free(copy);
    fleet_drive(f, to);
}

static void deliver(void *user, const uint8_t *data, size_t len)
{
    const struct fleet_wire *w = user;
    fleet_inject(w->from->fleet, w->to->index, &w->from->addr, data, len);
}

void fleet_udp_way(struct fleet *f, size_t from, size_t to, bool up)
{
    link_set_up(&f->nodes[from].wires[to].link, up);
}

void fleet_udp(struct fleet *f, bool up)
{
    for (size_t i = 0; i < f->config.nodes; i++) {
        for (size_t k = 0; k < f->config.nodes; k++) {
            fleet_udp_way(f, i, k, up);
        }
    }
}

/* --- time --- */

void fleet_run(struct fleet *f, uint64_t ns)
{
    uint64_t until = f->world.now + ns;
    while (world_step(&f->world, until)) {
    }
}

static void print_busy(const struct fleet *f)
{
    for (size_t i = 0; i < f->config.nodes; i++) {
        print_error("node %zu: %llu streams\n", i, (unsigned long long)f->nodes[i].app.unfinished);
        for (size_t k = 0; k < f->config.nodes && f->nodes[i].node; k++) {
            if (k != i) {
                struct adit_peer_stats s = fleet_stats(f, i, k);
                print_error("    to %zu: state %d path %d, %zu streams, heard %.3f s ago\n", k,
                            (int)s.state, (int)s.path.kind, s.streams,
                            (double)s.heard_age_ns / 1e9);
            }
        }
    }
}

static bool is_busy(const struct fleet *f)
{
    for (size_t i = 0; i < f->config.nodes; i++) {
        if (f->nodes[i].app.unfinished > 0) {
            return true;
        }
    }
    return false;
}

uint64_t fleet_finish(struct fleet *f, uint64_t ns)
{
    uint64_t start = f->world.now;
    while (is_busy(f)) {
        if (!world_step(&f->world, start + ns)) {
            print_busy(f);
            fail_msg("not finished after %.3f s", (double)ns / 1e9);
        }
    }
    return f->world.now - start;
}

uint64_t fleet_until_path(struct fleet *f, size_t node, size_t other, enum adit_path_kind kind,
                          uint64_t ns)
{
    uint64_t start = f->world.now;
    while (fleet_stats(f, node, other).path.kind != kind) {
        if (!world_step(&f->world, start + ns)) {
            fail_msg("node %zu: path to %zu is still of kind %d after %.3f s", node, other,
                     (int)fleet_stats(f, node, other).path.kind, (double)ns / 1e9);
        }
    }
    return f->world.now - start;
}

/* --- looking and doing --- */

uint64_t fleet_open(struct fleet *f, size_t node, size_t other, struct fleet_plan plan)
{
    plan.seed = ++f->next_seed;
    uint64_t id = fleet_app_open(&f->nodes[node].app, fleet_peer(node, other), &plan);
    fleet_drive(f, node);
    return id;
}

struct adit_peer_stats fleet_stats(const struct fleet *f, size_t node, size_t other)
{
    struct adit_peer_stats stats;
    node_peer_stats(f->nodes[node].node, fleet_peer(node, other), &stats, f->world.now);
    return stats;
}

struct adit_counters fleet_counters(const struct fleet *f, size_t node)
{
    struct adit_counters counters;
    node_counters(f->nodes[node].node, &counters);
    return counters;
}

/* IPv4; a TLS record; a TCP segment with timestamps, and its acknowledgement. */
enum { UDP_COST = 28, TLS_COST = 22, TCP_COST = 2 * 52 };

uint64_t fleet_traffic(const struct fleet *f, size_t node)
{
    const struct fleet_node *n = &f->nodes[node];
    uint64_t bytes =
        n->bytes_out + n->datagrams_out * UDP_COST + n->bytes_in + n->datagrams_in * UDP_COST;
    for (size_t i = 0; i < f->config.relays; i++) {
        const struct fleet_conn *c = &n->conns[i];
        bytes += c->up.bytes + c->down.bytes;
        bytes += (c->up.count + c->down.count) * (TLS_COST + TCP_COST);
    }
    return bytes;
}

void fleet_assert_path(const struct fleet *f, size_t node, size_t other, enum adit_path_kind kind)
{
    assert_int_equal(fleet_stats(f, node, other).path.kind, kind);
}
