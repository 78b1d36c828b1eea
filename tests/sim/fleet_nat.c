/* The fleet's network when there are NATs: nodes behind natboxes, STUN servers, and datagrams that
 * carry their addresses along. No loss, no queues: what is looked at is who gets through. */
#include "node/node_internal.h"
#include "sim/fleet.h"

#include <base/check.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SHARED_PORT = 41741, TEMPORARY_PORTS = 45000, TEMPORARY_COUNT = 20000, STUN_PORT = 3478 };

struct fleet_flight {
    struct world_event event;
    struct fleet *fleet;
    LIST_ENTRY(fleet_flight) link;
    struct addr from, to;
    size_t len;
    uint8_t data[];
};

static struct addr stun_addr(size_t i)
{
    return addr_ipv4(198, 51, 100, (uint8_t)(200 + i), STUN_PORT);
}

static struct addr inside_addr(const struct fleet_node *n, unsigned socket)
{
    struct addr a = n->addr;
    if (n->nat.config.mapping != NATBOX_NONE) {
        a = addr_ipv4(10, 0, (uint8_t)n->index, 2, 0);
    }
    a.port = socket == 0 ? SHARED_PORT : n->ports[socket];
    return a;
}

void fleet_nat_init(struct fleet_node *n)
{
    struct fleet *f = n->fleet;
    struct addr outside = addr_ipv4(203, 0, 113, (uint8_t)(1 + n->index), 0);
    natbox_init(&n->nat, &f->config.nat[n->index], &outside, f->world.rng);
    n->seen = calloc(FLEET_SEEN_MAX, sizeof(*n->seen));
    CHECK(n->seen);
}

void fleet_nat_deinit(struct fleet *f)
{
    struct fleet_flight *p;
    while ((p = LIST_FIRST(&f->flights)) != NULL) {
        LIST_REMOVE(p, link);
        heap_remove(&f->world.heap, &p->event.node);
        free(p);
    }
    for (size_t i = 0; i < f->config.nodes; i++) {
        natbox_deinit(&f->nodes[i].nat);
        free(f->nodes[i].seen);
        f->nodes[i].seen = NULL;
    }
}

void fleet_nat_start(struct fleet_node *n)
{
    struct addr addr = inside_addr(n, 0);
    struct addr local[1 + FLEET_DEAD_MAX] = {addr};
    uint64_t now = n->fleet->world.now;
    size_t dead = n->fleet->config.dead_addresses[n->index];
    for (size_t i = 1; i <= dead; i++) {
        local[i] = addr_ipv4(192, 0, (uint8_t)(3 + n->index), (uint8_t)i, SHARED_PORT);
    }
    node_local_addresses(n->node, local, 1 + dead, now);
    size_t servers = n->fleet->config.stun_servers;
    for (size_t i = 0; i < servers && !n->one_stun_server; i++) {
        addr = stun_addr(i);
        node_stun_server(n->node, &addr, false, now);
    }
    if (n->one_stun_server) {
        addr = stun_addr(0);
        node_stun_server(n->node, &addr, false, now);
    }
}

/* As a system does: who closes a socket and opens one has another port, and no old mapping. */
static bool keep_socket(struct fleet_node *n, unsigned socket)
{
    bool open = node_socket_use(n->node, socket) != NODE_SOCKET_CLOSED;
    if (!open) {
        n->ports[socket] = 0;
    } else if (n->ports[socket] == 0) {
        n->ports[socket] = (uint16_t)(TEMPORARY_PORTS + n->ports_given++ % TEMPORARY_COUNT);
    }
    return open;
}

void fleet_nat_sockets(struct fleet_node *n)
{
    n->sockets = 0;
    for (unsigned i = 1; i <= NODE_SOCKETS_MAX; i++) {
        n->sockets += keep_socket(n, i);
    }
    n->sockets_peak = n->sockets > n->sockets_peak ? n->sockets : n->sockets_peak;
}

/* --- on the way --- */

static void arrive(struct world_event *event);

static void fly(struct fleet *f, const struct addr *from, const struct addr *to,
                const uint8_t *data, size_t len)
{
    struct fleet_flight *p = malloc(sizeof(*p) + len);
    CHECK(p);
    *p = (struct fleet_flight){
        .event.fire = arrive, .fleet = f, .from = *from, .to = *to, .len = len};
    memcpy(p->data, data, len);
    LIST_INSERT_HEAD(&f->flights, p, link);
    world_at(&f->world, &p->event, f->world.now + f->config.udp.delay_ns);
}

static bool is_outside(const struct fleet_node *n, const struct addr *to)
{
    bool behind = n->nat.config.mapping != NATBOX_NONE;
    return addr_equal_ip(to, behind ? &n->nat.outside : &n->addr);
}

static void reach_node(struct fleet_node *n, const struct fleet_flight *p)
{
    struct addr inside = p->to;
    if (n->nat.config.mapping != NATBOX_NONE &&
        !natbox_in(&n->nat, p->to.port, &p->from, &inside, n->fleet->world.now)) {
        return;
    }
    unsigned socket = 0;
    while (inside.port != SHARED_PORT && ++socket <= NODE_SOCKETS_MAX &&
           n->ports[socket] != inside.port) {
    }
    if (n->node && socket <= NODE_SOCKETS_MAX && (socket == 0 || keep_socket(n, socket))) {
        fleet_inject_by(n->fleet, n->index, socket, &p->from, p->data, p->len);
    }
}

static void reach_stun(const struct fleet_flight *p)
{
    static const struct stun_site plain;
    struct stun_reply reply;
    struct fleet *f = p->fleet;
    stun_server_input(&f->stun, &plain, 0, &p->from, p->data, p->len, f->world.now, &reply);
    if (reply.len > 0) {
        fly(f, &p->to, &p->from, reply.data, reply.len);
    }
}

static void arrive(struct world_event *event)
{
    struct fleet_flight *p = container_of(event, struct fleet_flight, event);
    struct fleet *f = p->fleet;
    LIST_REMOVE(p, link);
    for (size_t i = 0; i < f->config.stun_servers; i++) {
        struct addr stun = stun_addr(i);
        if (addr_equal(&stun, &p->to)) {
            reach_stun(p);
        }
    }
    for (size_t i = 0; i < f->config.nodes; i++) {
        if (is_outside(&f->nodes[i], &p->to)) {
            reach_node(&f->nodes[i], p);
        }
    }
    free(p);
}

/* --- leaving --- */

static void see(struct fleet_node *n, const struct addr *a)
{
    for (size_t i = 0; i < n->seen_count; i++) {
        if (addr_equal(&n->seen[i], a)) {
            return;
        }
    }
    CHECK(n->seen_count < FLEET_SEEN_MAX);
    n->seen[n->seen_count++] = *a;
}

static void see_candidates(struct fleet_node *n)
{
    for (size_t i = 0; n->node && i < n->node->own.count; i++) {
        see(n, &n->node->own.list[i].addr);
    }
}

static bool is_server(const struct fleet *f, const struct addr *to)
{
    for (size_t i = 0; i < f->config.stun_servers; i++) {
        struct addr stun = stun_addr(i);
        if (addr_equal(&stun, to)) {
            return true;
        }
    }
    return false;
}

static bool is_seen(const struct fleet_node *n, const struct addr *to)
{
    for (size_t i = 0; i < n->seen_count; i++) {
        if (addr_equal(&n->seen[i], to)) {
            return true;
        }
    }
    return false;
}

/* Whether it may be sent there at all: to servers, to what another node calls its candidate or has
 * sent from, and while ports are being guessed to any of another's IP. */
static void judge(struct fleet_node *n, const struct addr *to)
{
    struct fleet *f = n->fleet;
    bool known = is_server(f, to);
    bool guess = false;
    for (size_t i = 0; i < f->config.nodes; i++) {
        struct fleet_node *other = &f->nodes[i];
        if (other != n) {
            see_candidates(other);
            known |= is_seen(other, to);
            guess |= (n->node->birthday.state == BIRTHDAY_PROBING ||
                      n->node->sequence.state == SEQUENCE_SENDING) &&
                     addr_equal_ip(to, &other->nat.outside);
        }
    }
    n->guesses += !known && guess;
    n->strays += !known && !guess;
}

static void count(struct fleet_node *n, const struct addr *to)
{
    uint64_t second = n->fleet->world.now / NS_PER_S;
    if (second != n->second) {
        n->second = second;
        n->second_count = 0;
    }
    n->second_count++;
    n->second_peak = n->second_count > n->second_peak ? n->second_count : n->second_peak;
    judge(n, to);
}

void fleet_nat_send(struct fleet_node *n, const struct node_batch *b, const uint8_t *data,
                    size_t len)
{
    count(n, &b->to);
    if (b->socket != 0 && !keep_socket(n, b->socket)) {
        return;
    }
    struct addr from = inside_addr(n, b->socket);
    if (addr_is_private(&b->to) ||
        (n->nat.config.mapping != NATBOX_NONE &&
         !natbox_out(&n->nat, &from, &b->to, &from, n->fleet->world.now))) {
        return;
    }
    see(n, &from);
    if (b->hops != 0) {
        return; /* it has passed the NATs of its own side, and dies before the others' */
    }
    fly(n->fleet, &from, &b->to, data, len);
}
