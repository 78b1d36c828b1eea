#include "node/node.h"
#include "node/node_internal.h"

#include "crypto/keyring.h"
#include "crypto/keys.h"
#include "wire/packet.h"

#include <base/clock.h>
#include <base/mem.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define NOW (1000 * NS_PER_S)

/* A hub and those who talk to it; the hub has its packets opened apart. */
enum { SPOKES_MAX = NODE_OPENING_KEYS + 2, ENDS_MAX = SPOKES_MAX + 1, HUB = 0 };
enum { HELD_MAX = 256, OPENINGS = 3 };

struct end {
    struct key_pair keys;
    struct addr addr;
    struct node *node;
};

struct held {
    struct addr from;
    uint8_t data[PACKET_MTU_MAX];
    size_t len;
};

struct world {
    struct pcg pcg;
    struct rng rng;
    struct end ends[ENDS_MAX];
    size_t count;
    uint64_t now;
    uint64_t unix_ns;
    struct held held[HELD_MAX]; /* for the hub: `hold` keeps them here */
    size_t held_count;
    bool hold;
    struct node_opening openings[OPENINGS];
    size_t read; /* bytes of streams, at the hub */
};

/* --- making --- */

static void make(struct world *w, size_t i)
{
    struct node_peer_config peers[ENDS_MAX] = {{0}};
    size_t peer_count = i == HUB ? w->count - 1 : 1;
    for (size_t k = 0; k < peer_count; k++) {
        peers[k] = (struct node_peer_config){.name = "p", .endpoint_count = 1};
        memcpy(peers[k].key, w->ends[i == HUB ? k + 1 : HUB].keys.public.bytes, KEY_LEN);
    }
    struct node_config config = {.limits = conn_limits_default(),
                                 .open_apart = i == HUB,
                                 .resume_timeout_ns = 3600 * NS_PER_S,
                                 .unix_ns = w->unix_ns++,
                                 .peers = peers,
                                 .peer_count = peer_count,
                                 .rng = w->rng};
    memcpy(config.secret, w->ends[i].keys.secret.bytes, KEY_LEN);
    assert_int_equal(node_new(&config, w->now, &w->ends[i].node), 0);
    if (i != HUB) {
        node_resolved(w->ends[i].node, 0, 0, &w->ends[HUB].addr, 1, w->now);
        node_start(w->ends[i].node, w->now);
    }
}

static struct world *world_new(size_t spokes)
{
    struct world *w = mem_new(1, sizeof(*w));
    assert_non_null(w);
    w->rng = pcg_rng(&w->pcg, 1);
    w->now = NOW;
    w->unix_ns = UINT64_C(1763800000) * NS_PER_S;
    w->count = spokes + 1;
    for (size_t i = 0; i < w->count; i++) {
        assert_int_equal(key_pair_generate(&w->ends[i].keys, w->rng), 0);
        w->ends[i].addr = addr_ipv4(192, 0, 2, (uint8_t)(1 + i), 41741);
    }
    for (size_t i = 0; i < w->count; i++) {
        make(w, i);
    }
    return w;
}

static void world_free(struct world *w)
{
    for (size_t i = 0; i < OPENINGS; i++) {
        node_opening_drop(&w->openings[i]);
    }
    for (size_t i = 0; i < w->count; i++) {
        node_free(w->ends[i].node);
    }
    mem_free(w);
}

static struct adit_counters counters(const struct world *w)
{
    struct adit_counters c;
    node_counters(w->ends[HUB].node, &c);
    return c;
}

/* --- moving --- */

static void take_events(struct world *w, size_t i)
{
    struct node *n = w->ends[i].node;
    struct node_event ev;
    while (node_event(n, &ev, w->now)) {
        const uint8_t *at;
        bool fin;
        size_t len;
        if (ev.type == NODE_EVENT_STREAM_OPENED) {
            assert_int_equal(node_stream_accept(n, ev.stream, NULL, 0), 0);
        } else if (ev.type == NODE_EVENT_STREAM_READABLE && i == HUB) {
            while ((len = node_stream_peek(n, ev.stream, &at, &fin)) > 0) {
                w->read += len;
                node_stream_consume(n, ev.stream, len, w->now);
            }
        }
    }
}

static void keep(struct world *w, const struct addr *from, const uint8_t *data, size_t len)
{
    assert_true(w->held_count < HELD_MAX && len <= sizeof(w->held[0].data));
    struct held *h = &w->held[w->held_count++];
    h->from = *from;
    h->len = len;
    memcpy(h->data, data, len);
}

static size_t at_addr(const struct world *w, const struct addr *addr)
{
    size_t i = 0;
    while (!addr_equal(&w->ends[i].addr, addr)) {
        i++;
        assert_true(i < w->count);
    }
    return i;
}

static bool carry(struct world *w, size_t i)
{
    struct node_batch b;
    bool any = false;
    take_events(w, i);
    while (node_output(w->ends[i].node, &b, w->now)) {
        size_t to = at_addr(w, &b.to);
        any = true;
        for (size_t at = 0; at < b.len; at += b.segment) {
            size_t len = b.len - at < b.segment ? b.len - at : b.segment;
            if (to == HUB && w->hold) {
                keep(w, &w->ends[i].addr, b.data + at, len);
            } else if (w->ends[to].node) {
                node_input(w->ends[to].node, 0, &w->ends[i].addr, b.data + at, len, w->now);
            }
        }
    }
    return any;
}

/* Until nobody has anything to say at this moment. */
static void settle(struct world *w)
{
    bool any = true;
    while (any) {
        any = false;
        for (size_t i = 0; i < w->count; i++) {
            any |= w->ends[i].node && carry(w, i);
        }
    }
}

static void pass(struct world *w, uint64_t ns)
{
    uint64_t until = w->now + ns;
    while (w->now < until) {
        w->now += 10 * NS_PER_MS;
        for (size_t i = 0; i < w->count; i++) {
            if (w->ends[i].node && node_next_ns(w->ends[i].node) <= w->now) {
                node_tick(w->ends[i].node, w->now);
            }
        }
        settle(w);
    }
}

/* `spoke` writes so much into a stream of its own. */
static uint64_t open_and_write(struct world *w, size_t spoke, size_t len)
{
    uint64_t stream;
    uint8_t *at;
    struct node *n = w->ends[spoke].node;
    assert_int_equal(node_stream_open(n, 0, "x", 1, &stream, w->now), 0);
    assert_true(node_stream_space(n, stream, len, &at) >= len);
    memset(at, 7, len);
    node_stream_wrote(n, stream, len);
    return stream;
}

/* A session with each, and then packets of theirs that the hub has not seen. */
static void begin(struct world *w, size_t len)
{
    for (size_t i = 1; i < w->count; i++) {
        open_and_write(w, i, 1);
    }
    pass(w, NS_PER_S);
    assert_int_equal(w->read, w->count - 1);
    w->hold = true;
    for (size_t i = 1; i < w->count; i++) {
        open_and_write(w, i, len);
    }
    settle(w);
    w->hold = false;
    assert_true(w->held_count >= w->count - 1);
}

static struct node_opening *add(struct world *w, size_t opening, size_t first, size_t count)
{
    struct node_opening *o = &w->openings[opening];
    for (size_t i = first; i < first + count; i++) {
        struct held *h = &w->held[i];
        node_opening_add(w->ends[HUB].node, o, &h->from, h->data, h->len, w->now);
    }
    return o;
}

static void input(struct world *w, struct node_opening *o)
{
    node_opening_input(w->ends[HUB].node, o, w->now);
    assert_int_equal(o->count + o->key_count + o->sealed, 0);
    take_events(w, HUB);
}

static void work(struct world *w, struct node_opening *o)
{
    node_opening_open(o);
    input(w, o);
}

/* --- tests --- */

static void what_is_opened_elsewhere_arrives(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    begin(w, 5000);
    struct adit_counters before = counters(w);
    struct node_opening *o = add(w, 0, 0, w->held_count);
    size_t bytes = 0;
    for (size_t i = 0; i < o->count; i++) {
        assert_non_null(o->arrivals[i].key);
        bytes += o->arrivals[i].len;
    }
    assert_int_equal(o->sealed, bytes);
    assert_int_equal(o->key_count, 1);
    assert_int_equal(counters(w).packets_in, before.packets_in); /* nothing has come yet */
    work(w, o);
    assert_int_equal(w->read, 5001);
    struct adit_counters after = counters(w);
    assert_int_equal(after.packets_in, before.packets_in + w->held_count);
    assert_int_equal(after.packets_replayed, before.packets_replayed);
    world_free(w);
}

/* Both pass for new while they are under way. */
static void of_two_copies_one_is_taken(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    begin(w, 3000);
    size_t count = w->held_count;
    for (size_t i = 0; i < count; i++) {
        keep(w, &w->held[i].from, w->held[i].data, w->held[i].len);
        keep(w, &w->held[i].from, w->held[i].data, w->held[i].len);
        keep(w, &w->held[i].from, w->held[i].data, w->held[i].len);
    }
    struct node_opening *first = add(w, 0, 0, count + 2);
    struct node_opening *second = add(w, 1, count + 2, 2 * count - 2);
    assert_non_null(second->arrivals[0].key);
    work(w, first);
    assert_int_equal(w->read, 3001);
    assert_int_equal(counters(w).packets_replayed, 2);
    work(w, second);
    assert_int_equal(counters(w).packets_replayed, 2 * count);
    struct node_opening *third = add(w, 2, 3 * count, count); /* known before it is opened */
    assert_int_equal(third->key_count, 0);
    work(w, third);
    assert_int_equal(counters(w).packets_replayed, 3 * count);
    assert_int_equal(counters(w).packets_unauthentic, 0);
    assert_int_equal(w->read, 3001);
    world_free(w);
}

static void a_forged_one_is_only_counted(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    begin(w, 5000);
    keep(w, &w->held[0].from, w->held[0].data, w->held[0].len);
    w->held[0].data[w->held[0].len / 2] ^= 1;
    struct node_opening *o = add(w, 0, 0, w->held_count); /* and the true one at the end */
    assert_non_null(o->arrivals[0].key);
    work(w, o);
    assert_int_equal(counters(w).packets_unauthentic, 1);
    assert_int_equal(counters(w).packets_replayed, 0);
    assert_int_equal(w->read, 5001);
    world_free(w);
}

static void what_is_no_data_packet_is_as_ever(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    begin(w, 100);
    struct adit_counters before = counters(w);
    const struct addr stranger = addr_ipv4(198, 51, 100, 1, 9);
    uint8_t noise[] = {0x77, 1, 2, 3};
    uint8_t data[PACKET_MTU_MAX];
    struct node_opening *o = &w->openings[0];
    memcpy(data, w->held[0].data, w->held[0].len);
    data[2] ^= 0x80; /* an index of nobody's */
    node_opening_add(w->ends[HUB].node, o, &stranger, noise, sizeof(noise), w->now);
    node_opening_add(w->ends[HUB].node, o, &stranger, noise, 0, w->now);
    node_opening_add(w->ends[HUB].node, o, &stranger, data, w->held[0].len, w->now);
    assert_int_equal(o->key_count + o->sealed, 0);
    work(w, o);
    struct adit_counters after = counters(w);
    assert_int_equal(after.packets_in, before.packets_in + 3);
    assert_int_equal(after.packets_unknown, before.packets_unknown + 2);
    assert_int_equal(after.packets_no_session, before.packets_no_session + 1);
    world_free(w);
}

/* Keys are replaced twice while a packet under them is away: then it has none any more, as if it
 * had come that late. */
static void keys_may_go_meanwhile(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    begin(w, 2000);
    struct node_opening *o = add(w, 0, 0, w->held_count);
    uint64_t done = counters(w).handshakes_done;
    w->read = 0;
    for (size_t i = 0; i < 40 && counters(w).handshakes_done < done + 2; i++) {
        pass(w, 10 * NS_PER_S);
    }
    assert_true(counters(w).handshakes_done >= done + 2);
    assert_int_equal(w->read, 2000); /* sent again, and taken */
    struct adit_counters before = counters(w);
    work(w, o);
    struct adit_counters after = counters(w);
    assert_int_equal(after.packets_no_session, before.packets_no_session + w->held_count);
    assert_int_equal(after.packets_unauthentic, before.packets_unauthentic);
    assert_int_equal(w->read, 2000);
    world_free(w);
}

/* Replaced once: what was under way still counts, before and after packets under the new ones. */
static void keys_may_change_meanwhile(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    begin(w, 2000);
    size_t old = w->held_count;
    uint64_t done = counters(w).handshakes_done;
    add(w, 0, 0, old);
    for (size_t i = 0; i < 40 && counters(w).handshakes_done == done; i++) {
        pass(w, 5 * NS_PER_S);
    }
    w->hold = true;
    open_and_write(w, 1, 2000);
    settle(w);
    w->hold = false;
    assert_true(w->held_count > old);
    struct node_opening *o = add(w, 1, old, w->held_count - old);
    assert_int_equal(o->key_count, 1);
    assert_ptr_not_equal(o->keys[0], w->openings[0].keys[0]);
    uint64_t unknown = counters(w).packets_no_session;
    work(w, o);
    work(w, &w->openings[0]);
    assert_int_equal(w->read, 4001);
    assert_int_equal(counters(w).packets_no_session, unknown);
    assert_int_equal(counters(w).packets_unauthentic, 0);
    world_free(w);
}

/* An index comes again, as one in a million does: nothing is opened under one key and believed
 * under another. */
static void a_key_is_known_by_itself(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    begin(w, 2000);
    uint64_t done = counters(w).handshakes_done;
    struct node_opening *o = add(w, 0, 0, w->held_count);
    for (size_t i = 0; i < 40 && counters(w).handshakes_done == done; i++) {
        pass(w, 5 * NS_PER_S);
    }
    struct keyring *ring = &w->ends[HUB].node->peers[0].keys;
    assert_ptr_equal(ring->previous->lent_recv, o->keys[0]);
    ring->current->local_index = ring->previous->local_index;
    keyring_clear_except(ring, ring->current);
    uint64_t before = counters(w).packets_no_session;
    work(w, o);
    assert_int_equal(counters(w).packets_no_session, before + w->held_count);
    world_free(w);
}

/* A spoke that starts anew: its first packets begin a session, and numbers begin again; those of
 * its former life, which come back after them, belong to nothing. */
static void a_new_session_begins_meanwhile(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    begin(w, 2000);
    size_t old = w->held_count;
    add(w, 0, 0, old);
    node_free(w->ends[1].node);
    make(w, 1);
    w->hold = true;
    settle(w);
    w->hold = false;
    assert_int_equal(w->held_count, old + 1); /* the initiation */
    work(w, add(w, 1, old, 1));
    w->hold = true;
    open_and_write(w, 1, 3000);
    settle(w);
    w->hold = false;
    assert_true(w->held_count > old + 3);
    struct node_opening *o = add(w, 1, old + 1, w->held_count - old - 1);
    assert_int_equal(o->key_count, 1);
    w->read = 0;
    work(w, o);
    assert_int_equal(w->read, 3000);
    struct adit_counters before = counters(w);
    work(w, &w->openings[0]);
    struct adit_counters after = counters(w);
    assert_int_equal(w->read, 3000);
    assert_int_equal(after.packets_no_session, before.packets_no_session + old);
    assert_int_equal(after.packets_replayed, before.packets_replayed);
    world_free(w);
}

static void the_node_may_go_meanwhile(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    begin(w, 2000);
    struct node_opening *o = add(w, 0, 0, w->held_count);
    node_free(w->ends[HUB].node);
    w->ends[HUB].node = NULL;
    node_opening_open(o);
    for (size_t i = 0; i < o->count; i++) {
        assert_true(o->arrivals[i].authentic);
    }
    node_opening_drop(o); /* the last to hold the key: a leak would be reported */
    world_free(w);
}

/* Packets of more sessions than that are opened by the node itself. */
static void so_many_keys_are_lent_at_once(void **state)
{
    (void)state;
    struct world *w = world_new(SPOKES_MAX);
    begin(w, 10);
    w->read = 0;
    struct node_opening *o = add(w, 0, 0, w->held_count);
    size_t without = 0;
    for (size_t i = 0; i < o->count; i++) {
        without += !o->arrivals[i].key;
    }
    assert_int_equal(o->key_count, NODE_OPENING_KEYS);
    assert_true(without >= SPOKES_MAX - NODE_OPENING_KEYS);
    work(w, o);
    assert_int_equal(w->read, 10 * SPOKES_MAX);
    world_free(w);
}

static int init(void **state)
{
    (void)state;
    return crypto_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_opened_elsewhere_arrives),
        cmocka_unit_test(of_two_copies_one_is_taken),
        cmocka_unit_test(a_forged_one_is_only_counted),
        cmocka_unit_test(what_is_no_data_packet_is_as_ever),
        cmocka_unit_test(keys_may_go_meanwhile),
        cmocka_unit_test(keys_may_change_meanwhile),
        cmocka_unit_test(a_key_is_known_by_itself),
        cmocka_unit_test(a_new_session_begins_meanwhile),
        cmocka_unit_test(the_node_may_go_meanwhile),
        cmocka_unit_test(so_many_keys_are_lent_at_once),
    };
    return cmocka_run_group_tests(tests, init, NULL);
}
