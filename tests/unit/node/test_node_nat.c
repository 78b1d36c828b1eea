/* What a node learns of the NAT in front of it, and what it tells of that. */
#include "node/node_internal.h"

#include "wire/stun.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define NOW (1000 * NS_PER_S)

enum { SERVERS = 4, PORT = 41000, FIRST_OUTSIDE = 50000, STEP = 2 };

enum kind { OPEN, EASY, HARD_SEQUENTIAL, HARD, BLOCKED };

/* A node that is looking for a peer, behind a NAT of some kind. */
struct bench {
    struct pcg pcg;
    struct node *node;
    enum kind kind;
    struct addr inside;
    struct addr seen[SERVERS]; /* how each server sees us; ADDR_NONE = not asked yet */
    size_t mappings;
};

static struct addr server_address(size_t i)
{
    return addr_ipv4(198, 51, 100, (uint8_t)(i + 1), 3478);
}

static void open_bench(struct bench *b, enum kind kind)
{
    struct key_pair keys;
    struct node_peer_config peer = {.name = "p", .key = {9}};
    uint64_t stream;
    memset(b, 0, sizeof(*b));
    b->kind = kind;
    b->inside = kind == OPEN ? addr_ipv4(203, 0, 113, 7, PORT) : addr_ipv4(192, 168, 1, 2, PORT);
    assert_int_equal(crypto_init(), 0);
    struct rng rng = pcg_rng(&b->pcg, 1);
    assert_int_equal(key_pair_generate(&keys, rng), 0);
    struct node_config config = {.limits = conn_limits_default(),
                                 .resume_timeout_ns = 100 * NS_PER_S,
                                 .punch = true,
                                 .peers = &peer,
                                 .peer_count = 1,
                                 .rng = rng};
    memcpy(config.secret, keys.secret.bytes, KEY_LEN);
    assert_int_equal(node_new(&config, NOW, &b->node), 0);
    node_local_addresses(b->node, &b->inside, 1, NOW);
    for (size_t i = 0; i < SERVERS; i++) {
        struct addr at = server_address(i);
        node_stun_server(b->node, &at, false, NOW);
    }
    assert_int_equal(node_stream_open(b->node, 0, "x", 1, &stream, NOW), 0);
}

/* The mapping that the NAT makes for the next server. */
static struct addr map(struct bench *b)
{
    size_t n = b->mappings++;
    switch (b->kind) {
    case OPEN:
        return b->inside;
    case HARD_SEQUENTIAL:
        return addr_ipv4(203, 0, 113, 9, (uint16_t)(FIRST_OUTSIDE + STEP * n));
    case HARD:
        return addr_ipv4(203, 0, 113, 9, (uint16_t)(FIRST_OUTSIDE + 7919 * n % 10000));
    case EASY:
    case BLOCKED:
        break;
    }
    return addr_ipv4(203, 0, 113, 9, FIRST_OUTSIDE);
}

static void answer(struct bench *b, const struct node_batch *batch, uint64_t now)
{
    struct stun_message ask;
    uint8_t out[STUN_MESSAGE_MAX];
    for (size_t i = 0; i < SERVERS && b->kind != BLOCKED; i++) {
        struct addr at = server_address(i);
        if (!addr_equal(&batch->to, &at) || stun_read(&ask, batch->data, batch->len) != 0) {
            continue;
        }
        b->seen[i] = b->seen[i].family == ADDR_NONE ? map(b) : b->seen[i];
        struct stun_message say = {.type = STUN_SUCCESS, .xor_mapped = b->seen[i]};
        memcpy(say.txid, ask.txid, sizeof(say.txid));
        size_t len = stun_write(out, sizeof(out), &say);
        node_input(b->node, 0, &at, out, len, now);
    }
}

/* Lets the node talk to the servers for some seconds. */
static void run(struct bench *b, uint64_t from, unsigned seconds)
{
    struct node_event ev;
    struct node_batch batch;
    for (uint64_t now = from; now <= from + seconds * NS_PER_S; now += 50 * NS_PER_MS) {
        node_tick(b->node, now);
        while (node_event(b->node, &ev, now)) {
        }
        while (node_output(b->node, &batch, now)) {
            answer(b, &batch, now);
        }
    }
}

static size_t count_of(const struct bench *b, enum cand_source source)
{
    size_t count = 0;
    for (size_t i = 0; i < b->node->own.count; i++) {
        count += (b->node->own.list[i].sources & (1U << source)) != 0;
    }
    return count;
}

static void assert_nat(const struct bench *b, const char *mapping, const char *address)
{
    struct adit_nat_stats nat;
    char text[ADDR_TEXT_MAX] = "";
    node_nat_stats(b->node, &nat);
    if (nat.ipv4.address.family != ADDR_NONE) {
        (void)addr_format_ip(&nat.ipv4.address, text);
        assert_int_equal(nat.ipv4.address.port, 0);
    }
    assert_string_equal(nat.ipv4.mapping, mapping);
    assert_string_equal(text, address);
    assert_string_equal(nat.ipv6.mapping, "unknown");
    assert_int_equal(nat.ipv6.address.family, ADDR_NONE);
    assert_int_equal(nat.portmap, ADIT_PORTMAP_NONE);
}

static void the_verdict_is_there_for_the_status(void **state)
{
    (void)state;
    static const struct {
        enum kind kind;
        const char *mapping, *address;
    } cases[] = {
        {OPEN, "none", "203.0.113.7"},
        {EASY, "endpoint-independent", "203.0.113.9"},
        {HARD, "endpoint-dependent", "203.0.113.9"},
        {HARD_SEQUENTIAL, "endpoint-dependent", "203.0.113.9"},
        {BLOCKED, "unknown", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bench b;
        open_bench(&b, cases[i].kind);
        assert_nat(&b, "unknown", "");
        run(&b, NOW, 4);
        assert_nat(&b, cases[i].mapping, cases[i].address);
        node_free(b.node);
    }
}

static void the_next_ports_of_a_sequence_become_candidates(void **state)
{
    (void)state;
    struct bench b;
    open_bench(&b, HARD_SEQUENTIAL);
    run(&b, NOW, 1);
    assert_int_equal(b.mappings, SERVERS);
    assert_int_equal(count_of(&b, CAND_PREDICTED), 8);
    for (size_t i = 0; i < b.node->own.count; i++) {
        const struct cand *c = &b.node->own.list[i];
        int beyond = c->addr.port - (FIRST_OUTSIDE + STEP * (SERVERS - 1));
        if ((c->sources & (1U << CAND_PREDICTED)) != 0) {
            assert_true(beyond > 0 && beyond <= 8 * STEP && beyond % STEP == 0);
        }
    }
    node_free(b.node);
}

static void where_there_is_no_sequence_nothing_is_predicted(void **state)
{
    (void)state;
    static const enum kind kinds[] = {OPEN, EASY, HARD, BLOCKED};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct bench b;
        open_bench(&b, kinds[i]);
        run(&b, NOW, 1);
        assert_int_equal(count_of(&b, CAND_PREDICTED), 0);
        node_free(b.node);
    }
}

static void on_another_network_all_is_open_again(void **state)
{
    (void)state;
    struct bench b;
    open_bench(&b, HARD_SEQUENTIAL);
    run(&b, NOW, 1);
    struct addr other = addr_ipv4(10, 0, 0, 5, PORT);
    uint64_t now = NOW + 2 * NS_PER_S;
    node_local_addresses(b.node, &other, 1, now);
    assert_nat(&b, "unknown", "");
    assert_int_equal(count_of(&b, CAND_PREDICTED), 0);
    memset(b.seen, 0, sizeof(b.seen));
    b.kind = EASY;
    run(&b, now, 1);
    assert_nat(&b, "endpoint-independent", "203.0.113.9");
    node_free(b.node);
}

/* The same list again, as the shell hands it in every few seconds, is no new network. */
static void the_same_network_keeps_its_verdict(void **state)
{
    (void)state;
    struct bench b;
    open_bench(&b, EASY);
    run(&b, NOW, 1);
    node_local_addresses(b.node, &b.inside, 1, NOW + 2 * NS_PER_S);
    assert_nat(&b, "endpoint-independent", "203.0.113.9");
    node_free(b.node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_verdict_is_there_for_the_status),
        cmocka_unit_test(the_next_ports_of_a_sequence_become_candidates),
        cmocka_unit_test(where_there_is_no_sequence_nothing_is_predicted),
        cmocka_unit_test(on_another_network_all_is_open_again),
        cmocka_unit_test(the_same_network_keeps_its_verdict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
