/* The data path between two nodes in one process, in virtual time, for counting instructions.
 *
 *     bench_budget MIB
 *
 * One bulk stream; what the application reads is what was written. The sockets are real ones on
 * loopback, so that batches are what they are between machines; datagrams over a cable's MTU are
 * dropped. Nothing waits and no clock is read, so two runs do the same work. budget.sh runs it
 * under callgrind, which collects while budget_run is on the stack.
 */
#include <base/clock.h>
#include <base/rng.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "crypto/keys.h"
#include "node/node.h"
#include "os/udp.h"

enum { CABLE = 1472, FILL = 64 * 1024, READS = 64, ROUNDS = 8, WARM_MIB = 4 };

#define STEP_NS (50 * NS_PER_US) /* a quarter of the round trip */

struct end {
    struct node *node;
    struct udp_socket socket;
    struct addr addr;
    struct key_pair keys;
    struct pcg pcg;
    struct rng rng;
    uint64_t sends, packets; /* system calls, datagrams */
};

static struct end ends[2];
static struct udp_batch batch;
static uint64_t now = NS_PER_S;
static uint64_t from, to; /* the stream's name at both ends; 0 = not yet */
static uint64_t taken;

static void die(const char *what)
{
    fprintf(stderr, "bench_budget: %s\n", what);
    exit(EX_SOFTWARE);
}

/* --- set-up --- */

static void open_end(struct end *e, uint64_t seed)
{
    struct addr loopback = {.family = ADDR_IPV4, .ip = {127, 0, 0, 1}};
    struct udp_options options = {.bind = &loopback, .offload = true};
    e->rng = pcg_rng(&e->pcg, seed);
    if (udp_open(&e->socket, &options) != 0 || udp_local(&e->socket, &e->addr) != 0 ||
        key_pair_generate(&e->keys, e->rng) != 0) {
        die("socket or key");
    }
}

static void make_node(struct end *e, const struct end *peer)
{
    struct node_peer_config other = {.name = "peer", .endpoint_count = 1};
    struct node_config config = {.limits = conn_limits_default(),
                                 .resume_timeout_ns = 60 * NS_PER_S,
                                 .peers = &other,
                                 .peer_count = 1,
                                 .rng = e->rng};
    memcpy(other.key, peer->keys.public.bytes, sizeof(other.key));
    memcpy(config.secret, e->keys.secret.bytes, sizeof(config.secret));
    if (node_new(&config, now, &e->node) != 0) {
        die("node");
    }
    node_resolved(e->node, 0, 0, &peer->addr, 1, now);
    node_start(e->node, now);
}

/* --- one round --- */

static void receive_all(struct end *e)
{
    struct udp_datagram d;
    do {
        if (udp_receive(&e->socket, &batch) < 0) {
            die("receiving");
        }
        while (udp_batch_next(&batch, &d)) {
            node_input(e->node, 0, &d.from, d.data, d.len, now);
        }
    } while (batch.more);
}

/* As loop/ does with libuv's buffers: what fits is written in place. */
static void fill(void)
{
    uint8_t *at;
    size_t room;
    for (int i = 0; i < READS && from != 0; i++) {
        if ((room = node_stream_space(ends[0].node, from, FILL, &at)) == 0) {
            return;
        }
        node_stream_wrote(ends[0].node, from, room < FILL ? room : FILL);
    }
}

static void drain(void)
{
    const uint8_t *at;
    bool fin;
    size_t len;
    while (to != 0 && (len = node_stream_peek(ends[1].node, to, &at, &fin)) > 0) {
        node_stream_consume(ends[1].node, to, len, now);
        taken += len;
    }
}

static void hear(struct end *e)
{
    struct node_event ev;
    while (node_event(e->node, &ev, now)) {
        if (ev.type == NODE_EVENT_STREAM_OPENED) {
            to = ev.stream;
            (void)node_stream_accept(e->node, to, NULL, 0);
        } else if (ev.type == NODE_EVENT_STREAM_RESET || ev.type == NODE_EVENT_STREAM_GONE) {
            die("the stream broke");
        }
    }
}

/* As the loop does it: between batches who writes is asked for more. */
static void send_some(struct end *e)
{
    struct node_batch out;
    for (int i = 0; i < ROUNDS; i++) {
        hear(e);
        if (e == &ends[0]) {
            fill();
        }
        if (!node_output(e->node, &out, now)) {
            return;
        }
        if (out.segment > CABLE || (out.segment == 0 && out.len > CABLE)) {
            continue; /* a probe for a larger MTU */
        }
        if (udp_send(&e->socket, &out.to, out.data, out.len, out.segment, NULL) != 0) {
            die("a packet was refused");
        }
        e->sends++;
        e->packets += (out.len + out.segment - 1) / out.segment;
    }
}

static void step(struct end *e)
{
    now += STEP_NS;
    receive_all(e);
    if (node_next_ns(e->node) <= now) {
        node_tick(e->node, now);
    }
    hear(e);
    if (e == &ends[1]) {
        drain();
    }
    send_some(e);
}

/* Until so many bytes more have come out. What callgrind counts has a name of its own. */
__attribute__((noinline)) void budget_run(uint64_t bytes);

void budget_run(uint64_t bytes)
{
    uint64_t goal = taken + bytes;
    uint64_t end_ns = now + 600 * NS_PER_S;
    while (taken < goal) {
        step(&ends[0]);
        step(&ends[1]);
        if (now > end_ns) {
            die("no progress");
        }
    }
}

static void warm_up(void)
{
    if (node_stream_open(ends[0].node, 0, "bulk", 4, &from, now) != 0) {
        die("stream");
    }
    while (taken < (uint64_t)WARM_MIB << 20) {
        step(&ends[0]);
        step(&ends[1]);
        if (now > 60 * NS_PER_S) {
            die("no session");
        }
    }
}

int main(int argc, char **argv)
{
    uint64_t mib = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
    if (mib == 0) {
        fprintf(stderr, "usage: bench_budget MIB\n");
        return EX_USAGE;
    }
    if (crypto_init() != 0 || udp_batch_init(&batch) != 0) {
        die("start");
    }
    open_end(&ends[0], 1);
    open_end(&ends[1], 2);
    make_node(&ends[0], &ends[1]);
    make_node(&ends[1], &ends[0]);
    warm_up();
    uint64_t start = taken;
    uint64_t sends = ends[0].sends, packets = ends[0].packets, acks = ends[1].packets;
    uint64_t reads = ends[1].socket.stats.reads;
    budget_run(mib << 20);
    printf("bytes %llu packets %llu sends %llu reads %llu acks %llu\n",
           (unsigned long long)(taken - start), (unsigned long long)(ends[0].packets - packets),
           (unsigned long long)(ends[0].sends - sends),
           (unsigned long long)(ends[1].socket.stats.reads - reads),
           (unsigned long long)(ends[1].packets - acks));
    for (int i = 0; i < 2; i++) {
        node_free(ends[i].node);
        udp_close(&ends[i].socket);
        key_pair_wipe(&ends[i].keys);
    }
    udp_batch_deinit(&batch);
    return 0;
}
