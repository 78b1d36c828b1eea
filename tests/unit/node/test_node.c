#include "node/node.h"

#include "crypto/keys.h"

#include <base/clock.h>
#include <base/err.h>
#include <base/mem.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define NOW (1000 * NS_PER_S)

/* What nodes are made from; the parts a test does not touch stay as they are. */
struct bench {
    struct pcg pcg;
    struct rng rng;
    struct key_pair keys[2];
    struct node_relay_config relays[NODE_RELAYS_MAX + 1];
    struct node_peer_config peers[3];
    struct node_config config;
};

static void bench_init(struct bench *b)
{
    *b = (struct bench){0};
    b->rng = pcg_rng(&b->pcg, 1);
    assert_int_equal(crypto_init(), 0);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(key_pair_generate(&b->keys[i], b->rng), 0);
    }
    for (size_t i = 0; i <= NODE_RELAYS_MAX; i++) {
        b->relays[i] = (struct node_relay_config){.name = "r", .host_header = "r", .home = true};
    }
    for (size_t i = 0; i < 3; i++) {
        b->peers[i] = (struct node_peer_config){.name = "p", .endpoint_count = 1};
        rng_fill(b->rng, b->peers[i].key, KEY_LEN);
    }
    b->config = (struct node_config){.limits = conn_limits_default(),
                                     .resume_timeout_ns = 100 * NS_PER_S,
                                     .relays = b->relays,
                                     .peers = b->peers,
                                     .peer_count = 3,
                                     .rng = b->rng};
    memcpy(b->config.secret, b->keys[0].secret.bytes, KEY_LEN);
}

static struct node *make(struct bench *b)
{
    struct node *n = NULL;
    assert_int_equal(node_new(&b->config, NOW, &n), 0);
    return n;
}

/* One of each kind that the node has, dropped. */
static void drain(struct node *n, uint64_t now)
{
    struct node_event ev;
    struct node_batch batch;
    while (node_event(n, &ev, now)) {
    }
    while (node_output(n, &batch, now)) {
    }
}

/* --- making --- */

static void any_allocation_may_fail(void **state)
{
    (void)state;
    struct bench b;
    struct node *n = NULL;
    bench_init(&b);
    b.config.relay_count = 2;
    int err = ERR_NO_MEMORY;
    size_t k;
    for (k = 1; err != 0; k++) {
        assert_true(k < 1000);
        mem_fail_after(k);
        err = node_new(&b.config, NOW, &n);
        mem_fail_after(0);
        assert_true(err == 0 || err == ERR_NO_MEMORY);
    }
    assert_true(k > 10);
    node_free(n);
    node_free(NULL);
}

static void there_is_a_limit_to_peers_and_relays(void **state)
{
    (void)state;
    struct bench b;
    struct node *n = NULL;
    bench_init(&b);
    b.config.relay_count = NODE_RELAYS_MAX + 1;
    assert_int_equal(node_new(&b.config, NOW, &n), ERR_NO_ROOM);
    b.config.relay_count = 0;
    b.config.peer_count = NODE_PEERS_MAX + 1;
    assert_int_equal(node_new(&b.config, NOW, &n), ERR_NO_ROOM);
}

/* More relays than a peer has paths: some are not used for it, and addresses find a place too. */
static void many_relays_leave_room_for_addresses(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    size_t all[NODE_RELAYS_MAX];
    for (size_t i = 0; i < NODE_RELAYS_MAX; i++) {
        all[i] = i;
    }
    b.config.relay_count = NODE_RELAYS_MAX;
    b.peers[1].relays = b.peers[2].relays = all;
    b.peers[1].relay_count = NODE_RELAYS_MAX;
    struct node *n = make(&b);
    const struct addr addr = addr_ipv4(192, 0, 2, 1, 1);
    node_resolved(n, 0, 0, &addr, 1, NOW);
    node_start(n, NOW);
    struct node_batch batch;
    unsigned sent = 0;
    while (node_output(n, &batch, NOW)) {
        assert_true(addr_equal(&batch.to, &addr));
        sent++;
    }
    assert_int_equal(sent, 1);
    node_free(n);
}

static void a_peer_without_endpoints_or_relays_is_no_work(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    for (size_t i = 0; i < 3; i++) {
        b.peers[i].endpoint_count = 0;
    }
    struct node *n = make(&b);
    node_start(n, NOW);
    drain(n, NOW);
    assert_int_equal(node_next_ns(n), TIME_NEVER);
    node_free(n);
}

/* --- timestamps --- */

static uint64_t timestamp_of_first_message(struct bench *b, uint64_t unix_ns, uint64_t stored)
{
    b->config.unix_ns = unix_ns;
    b->config.timestamp = stored;
    struct node *n = make(b);
    assert_int_equal(node_timestamp(n), stored);
    const struct addr addr = addr_ipv4(192, 0, 2, 1, 1);
    node_resolved(n, 0, 0, &addr, 1, NOW);
    node_start(n, NOW);
    uint64_t timestamp = node_timestamp(n);
    node_free(n);
    return timestamp;
}

static void what_is_stored_covers_what_is_sent(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    const uint64_t unix_ns = UINT64_C(1763800000) * NS_PER_S;
    /* a clock; a clock that was put back; no clock, with and without a file */
    assert_true(timestamp_of_first_message(&b, unix_ns, 5) > unix_ns);
    assert_true(timestamp_of_first_message(&b, unix_ns, 5) < unix_ns + 61 * NS_PER_S);
    assert_true(timestamp_of_first_message(&b, unix_ns, 2 * unix_ns) > 2 * unix_ns);
    assert_true(timestamp_of_first_message(&b, 0, unix_ns) > unix_ns);
    assert_true(timestamp_of_first_message(&b, 0, 0) > 0);
}

/* --- streams --- */

static void a_stream_that_is_not_there_is_no_trouble(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    struct node *n = make(&b);
    const uint64_t strange[] = {
        0, 1, UINT64_MAX, UINT64_C(2) << 48, UINT64_C(3) << 48, UINT64_C(1) << 40};
    for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
        uint8_t *to = NULL;
        const uint8_t *from = NULL;
        bool fin = true;
        assert_int_equal(node_stream_accept(n, strange[i], NULL, 0), ERR_NOT_FOUND);
        assert_int_equal(node_stream_space(n, strange[i], 10, &to), 0);
        assert_int_equal(node_stream_finish(n, strange[i]), ERR_NOT_FOUND);
        assert_int_equal(node_stream_peek(n, strange[i], &from, &fin), 0);
        assert_false(fin);
        assert_int_equal(node_stream_abort(n, strange[i], CAUSE_CANCELLED), ERR_NOT_FOUND);
        node_stream_wrote(n, strange[i], 0);
        node_stream_consume(n, strange[i], 0, NOW);
    }
    uint64_t id;
    assert_int_equal(node_stream_open(n, 3, "x", 1, &id, NOW), ERR_NOT_FOUND);
    drain(n, NOW);
    node_free(n);
}

static void a_stream_may_be_written_and_given_up_before_there_is_a_session(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    struct node *n = make(&b);
    uint64_t id, other;
    uint8_t *at;
    assert_int_equal(node_stream_open(n, 1, "x", 1, &id, NOW), 0);
    assert_int_equal(node_stream_open(n, 1, "y", 1, &other, NOW), 0);
    assert_int_equal(node_stream_peer(id), 1);
    assert_true(node_stream_space(n, id, 100, &at) >= 100);
    memset(at, 1, 100);
    node_stream_wrote(n, id, 100);
    assert_int_equal(node_stream_finish(n, id), 0);
    struct adit_peer_stats stats;
    drain(n, NOW);
    node_peer_stats(n, 1, &stats, NOW);
    assert_int_equal(stats.streams, 2);
    assert_int_equal(stats.state, ADIT_PEER_CONNECTING);
    assert_int_equal(stats.path.kind, ADIT_PATH_NONE);
    assert_int_equal(node_stream_abort(n, id, CAUSE_CANCELLED), 0);
    assert_int_equal(node_stream_abort(n, other, CAUSE_CANCELLED), 0);
    drain(n, NOW);
    uint64_t now = NOW;
    for (int i = 0; node_next_ns(n) != TIME_NEVER; i++) { /* nobody waits any more */
        assert_true(i < 100);
        now = node_next_ns(n) > now ? node_next_ns(n) : now + NS_PER_MS;
        node_tick(n, now);
        drain(n, now);
    }
    node_peer_stats(n, 1, &stats, now);
    assert_int_equal(stats.state, ADIT_PEER_IDLE);
    node_free(n);
}

static void counters_outlive_a_session(void **state)
{
    (void)state;
    struct bench b;
    struct adit_counters counters;
    uint64_t stream, other;
    bench_init(&b);
    b.config.limits.streams_max = 1;
    struct node *n = make(&b);
    assert_int_equal(node_stream_open(n, 0, "x", 1, &stream, NOW), 0);
    assert_int_equal(node_stream_open(n, 0, "x", 1, &other, NOW), ERR_NO_ROOM);
    node_counters(n, &counters);
    assert_int_equal(counters.streams_refused, 1);
    assert_int_equal(node_stream_abort(n, stream, CAUSE_FAILED), 0);
    node_counters(n, &counters);
    assert_int_equal(counters.streams_refused, 1);
    node_free(n);
}

static void a_node_that_stops_opens_nothing(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    struct node *n = make(&b);
    uint64_t id;
    assert_int_equal(node_stream_open(n, 1, "x", 1, &id, NOW), 0);
    drain(n, NOW);
    node_stop(n, NOW);
    drain(n, NOW);
    assert_int_equal(node_next_ns(n), TIME_NEVER);
    assert_int_equal(node_stream_open(n, 1, "x", 1, &id, NOW), ERR_NOT_FOUND);
    assert_int_equal(node_stream_bind(n, UINT64_MAX, FRAME_LANE_DIRECT), ERR_NOT_FOUND);
    node_free(n);
}

/* --- names --- */

static void addresses_of_a_name_that_moves(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    struct node *n = make(&b);
    uint64_t id;
    assert_int_equal(node_stream_open(n, 0, "x", 1, &id, NOW), 0);
    uint64_t now = NOW;
    for (uint8_t i = 1; i < 50; i++) { /* each time the message goes to the addresses of now */
        const struct addr addrs[5] = {addr_ipv4(192, 0, 2, i, 1), addr_ipv4(192, 0, 3, i, 1),
                                      addr_ipv4(192, 0, 4, i, 1), addr_ipv4(192, 0, 5, i, 1),
                                      addr_ipv4(192, 0, 6, i, 1)};
        now += 30 * NS_PER_S;
        drain(n, now);
        node_resolved(n, 0, 0, addrs, 5, now);
        struct node_batch batch;
        for (size_t k = 0; k < NODE_ADDRESSES_MAX; k++) {
            assert_true(node_output(n, &batch, now));
            assert_true(addr_equal(&batch.to, &addrs[k]));
        }
        assert_false(node_output(n, &batch, now));
        node_resolved(n, 0, 0, NULL, 0, now); /* a resolver that fails takes nothing back */
    }
    node_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(there_is_a_limit_to_peers_and_relays),
        cmocka_unit_test(many_relays_leave_room_for_addresses),
        cmocka_unit_test(a_peer_without_endpoints_or_relays_is_no_work),
        cmocka_unit_test(what_is_stored_covers_what_is_sent),
        cmocka_unit_test(a_stream_that_is_not_there_is_no_trouble),
        cmocka_unit_test(a_stream_may_be_written_and_given_up_before_there_is_a_session),
        cmocka_unit_test(counters_outlive_a_session),
        cmocka_unit_test(a_node_that_stops_opens_nothing),
        cmocka_unit_test(addresses_of_a_name_that_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
