/* Three relays on a messaging system in memory that does what NATS does: subjects, interest, and an
 * answer for what nobody takes. */
#include "support/relay_world.h"

#include "relay/relay_server_internal.h"

enum { RELAYS = 3, SUBSCRIPTIONS = 16, MESSAGE_MAX = 70000 };

struct bus {
    struct world w[RELAYS];
    uint8_t keys[RELAYS][SUBSCRIPTIONS][32];
    size_t counts[RELAYS];
    bool cut[RELAYS];  /* it hears and says nothing */
    bool silent;       /* no answer for what nobody takes */
    unsigned messages; /* of packets */
};

static void open_bus(struct bus *b)
{
    memset(b, 0, sizeof(*b));
    for (size_t i = 0; i < RELAYS; i++) {
        /* Clocks that differ by seconds. */
        const struct relay_cluster_config cluster = {.unix_offset = (10 - i) * 5 * NS_PER_S};
        struct relay_server_config config = {.open = true, .cluster = &cluster};
        world_open_seed(&b->w[i], &config, 7 + i);
        relay_server_cluster_link(b->w[i].server, true, b->w[i].now);
    }
}

static void close_bus(struct bus *b)
{
    for (size_t i = 0; i < RELAYS; i++) {
        world_close(&b->w[i]);
    }
}

static int find(const struct bus *b, size_t i, const uint8_t key[32])
{
    for (size_t n = 0; n < b->counts[i]; n++) {
        if (memcmp(b->keys[i][n], key, 32) == 0) {
            return (int)n;
        }
    }
    return -1;
}

static void subscribe(struct bus *b, size_t i, const uint8_t key[32], bool on)
{
    int at = find(b, i, key);
    if (on && at < 0) {
        assert_true(b->counts[i] < SUBSCRIPTIONS);
        memcpy(b->keys[i][b->counts[i]++], key, 32);
    } else if (!on && at >= 0) {
        memcpy(b->keys[i][at], b->keys[i][--b->counts[i]], 32);
    }
}

static bool listens(const struct bus *b, size_t i, const struct cluster_output *o)
{
    switch (o->type) {
    case CLUSTER_PUBLISH_KEY:
        return find(b, i, o->key) >= 0;
    case CLUSTER_PUBLISH_PROCESS:
        return relay_server_cluster_id(b->w[i].server) == o->process;
    case CLUSTER_PUBLISH_ALL:
        return true;
    case CLUSTER_SUBSCRIBE:
    case CLUSTER_UNSUBSCRIBE:
        break;
    }
    return false;
}

static void publish(struct bus *b, size_t from, const struct relay_cluster_output *out)
{
    static uint8_t message[MESSAGE_MAX];
    size_t len = out->o.head_len + out->payload.len;
    bool taken = false;
    assert_true(len <= sizeof(message));
    memcpy(message, out->o.head, out->o.head_len);
    if (out->payload.len > 0) {
        memcpy(message + out->o.head_len, out->payload.data, out->payload.len);
    }
    b->messages += out->o.type == CLUSTER_PUBLISH_KEY;
    struct cluster_output o = out->o;
    for (size_t i = 0; i < RELAYS && !b->cut[from]; i++) {
        if (i != from && !b->cut[i] && listens(b, i, &o)) {
            relay_server_cluster_input(b->w[i].server, message, len, b->w[i].now);
            taken = true;
        }
    }
    if (o.ask && !taken && !b->cut[from] && !b->silent) {
        relay_server_cluster_nobody(b->w[from].server, o.key, b->w[from].now);
    }
}

static bool move(struct bus *b, size_t i)
{
    struct relay_cluster_output out;
    bool moved = false;
    while (relay_server_cluster_output(b->w[i].server, &out, b->w[i].now)) {
        moved = true;
        if (out.o.type == CLUSTER_SUBSCRIBE || out.o.type == CLUSTER_UNSUBSCRIBE) {
            subscribe(b, i, out.o.key, out.o.type == CLUSTER_SUBSCRIBE);
        } else {
            publish(b, i, &out);
        }
    }
    return moved;
}

static void settle(struct bus *b)
{
    bool moved = true;
    while (moved) {
        moved = false;
        for (size_t i = 0; i < RELAYS; i++) {
            world_settle(&b->w[i]);
            moved = move(b, i) || moved;
        }
    }
}

/* Lets time pass on all of them, in steps short enough for what they say to each other. */
static void run(struct bus *b, uint64_t ns)
{
    for (uint64_t done = 0; done < ns; done += 100 * NS_PER_MS) {
        for (size_t i = 0; i < RELAYS; i++) {
            world_run(&b->w[i], 100 * NS_PER_MS);
        }
        settle(b);
    }
}

static struct world_client *add(struct bus *b, size_t relay, uint8_t n)
{
    struct world_client *c = world_add(&b->w[relay], n);
    settle(b);
    assert_int_equal(c->ups, 1);
    return c;
}

static const struct cluster_stats *stats(const struct bus *b, size_t relay)
{
    return &server_cluster_core(b->w[relay].server)->stats;
}

static void send_to(struct bus *b, struct world_client *from, const struct world_client *to,
                    const char *text)
{
    assert_int_equal(relay_client_send(from->core, to->key, text, strlen(text)), 0);
    settle(b);
}

/* --- tests --- */

static void packets_find_their_relay(void **state)
{
    (void)state;
    struct bus b;
    open_bus(&b);
    struct world_client *one = add(&b, 0, 1);
    struct world_client *two = add(&b, 1, 2);
    struct world_client *near = add(&b, 0, 3);
    send_to(&b, one, two, "over there");
    assert_int_equal(two->packets, 1);
    assert_memory_equal(two->last_from, one->key, 32);
    assert_memory_equal(two->last_data, "over there", 10);
    send_to(&b, two, one, "and back");
    assert_int_equal(one->packets, 1);
    assert_int_equal(b.messages, 2);
    send_to(&b, one, near, "without the others");
    assert_int_equal(near->packets, 1);
    assert_int_equal(b.messages, 2);
    assert_int_equal(stats(&b, 0)->packets_out, 1);
    assert_int_equal(stats(&b, 0)->bytes_in, 8);
    assert_int_equal(stats(&b, 2)->packets_in + stats(&b, 2)->strays, 0);
    close_bus(&b);
}

static void every_relay_knows_the_others(void **state)
{
    (void)state;
    struct bus b;
    open_bus(&b);
    run(&b, 3 * NS_PER_S);
    for (size_t i = 0; i < RELAYS; i++) {
        assert_int_equal(cluster_process_count(server_cluster_core(b.w[i].server)), 2);
    }
    b.cut[2] = true;
    run(&b, CLUSTER_DEAD_NS + CLUSTER_ALIVE_NS);
    assert_int_equal(cluster_process_count(server_cluster_core(b.w[0].server)), 1);
    relay_server_cluster_bye(b.w[1].server);
    settle(&b);
    assert_int_equal(cluster_process_count(server_cluster_core(b.w[0].server)), 0);
    close_bus(&b);
}

static void who_is_nowhere_is_told_of_at_once(void **state)
{
    (void)state;
    struct bus b;
    open_bus(&b);
    struct world_client *one = add(&b, 0, 1);
    struct world_client nobody;
    world_key(&nobody, 99);
    world_send_signalling(one, nobody.key);
    settle(&b);
    assert_int_equal(one->gones, 1);
    assert_int_equal(one->gone_reason, DERP_GONE_NOT_HERE);
    assert_memory_equal(one->gone_key, nobody.key, 32);
    /* What is known needs no message. */
    world_send_signalling(one, nobody.key);
    send_to(&b, one, &nobody, "bulk");
    assert_int_equal(b.messages, 1);
    assert_int_equal(one->gones, 2);
    /* It comes: all is forgotten. */
    struct world_client *late = add(&b, 2, 99);
    world_send_signalling(one, late->key);
    settle(&b);
    assert_int_equal(late->packets, 1);
    assert_int_equal(one->gones, 2);
    close_bus(&b);
}

static void an_answer_is_waited_for_a_second(void **state)
{
    (void)state;
    struct bus b;
    open_bus(&b);
    struct world_client *one = add(&b, 0, 1);
    struct world_client nobody;
    world_key(&nobody, 99);
    b.silent = true;
    world_send_signalling(one, nobody.key);
    settle(&b);
    assert_int_equal(one->gones, 0);
    run(&b, CLUSTER_ASK_NS - 200 * NS_PER_MS);
    assert_int_equal(one->gones, 0);
    run(&b, 300 * NS_PER_MS);
    assert_int_equal(one->gones, 1);
    assert_int_equal(stats(&b, 0)->not_here, 1);
    /* Who is there says so, and nobody waits. */
    struct world_client *two = add(&b, 1, 2);
    world_send_signalling(one, two->key);
    settle(&b);
    run(&b, 2 * CLUSTER_ASK_NS);
    assert_int_equal(two->packets, 1);
    assert_int_equal(one->gones, 1);
    close_bus(&b);
}

static void the_newest_connection_has_the_key(void **state)
{
    (void)state;
    struct bus b;
    open_bus(&b);
    run(&b, 3 * NS_PER_S); /* the clocks agree then */
    struct world_client *peer = add(&b, 2, 3);
    struct world_client *old = add(&b, 0, 1);
    send_to(&b, old, peer, "hello");
    struct world_client *newer = add(&b, 1, 1); /* on a relay whose clock was behind */
    assert_true(old->closed);
    assert_int_equal(old->reason, RELAY_CLOSE_MOVED);
    assert_false(newer->closed);
    assert_int_equal(stats(&b, 0)->moved, 1);
    send_to(&b, peer, newer, "it is you");
    assert_int_equal(newer->packets, 1);
    assert_int_equal(b.counts[0], 0);
    /* It moved; it did not leave. */
    assert_int_equal(peer->gones, 0);
    close_bus(&b);
}

/* Before one relay hears of the other's. */
static void add_at_once(struct bus *b, size_t first, size_t second, struct world_client *c[2])
{
    const size_t relays[] = {first, second};
    for (size_t i = 0; i < 2; i++) {
        c[i] = world_add(&b->w[relays[i]], 1);
        for (size_t n = 0; n < RELAYS; n++) {
            world_run(&b->w[n], NS_PER_MS);
            world_settle(&b->w[n]);
        }
    }
}

static void the_later_of_two_at_once(void **state)
{
    (void)state;
    for (size_t first = 0; first < RELAYS; first++) {
        for (size_t second = 0; second < RELAYS; second++) {
            struct bus b;
            struct world_client *c[2];
            open_bus(&b);
            run(&b, 3 * NS_PER_S);
            if (first != second) {
                add_at_once(&b, first, second, c);
                settle(&b);
                assert_true(c[0]->closed);
                assert_int_equal(c[0]->reason, RELAY_CLOSE_MOVED);
                assert_false(c[1]->closed);
            }
            close_bus(&b);
        }
    }
}

/* The relay with the newer connection has a clock that is behind, and never heard the others'. */
static void a_slow_clock_does_not_lose_a_key(void **state)
{
    (void)state;
    for (size_t cut = 0; cut < 2; cut++) {
        struct bus b;
        open_bus(&b);
        b.cut[cut ? 2 : 1] = true;
        struct world_client *old = add(&b, 1, 1);
        for (size_t i = 0; i < RELAYS; i++) {
            world_run(&b.w[i], NS_PER_S);
        }
        struct world_client *newer = add(&b, 2, 1);
        assert_false(old->closed);
        b.cut[cut ? 2 : 1] = false;
        for (int i = 0; i < 60 && !old->closed; i++) {
            run(&b, 100 * NS_PER_MS);
        }
        assert_true(old->closed);
        assert_false(newer->closed);
        assert_int_equal(b.counts[1], 0);
        close_bus(&b);
    }
}

static void who_is_only_away_is_not_nowhere(void **state)
{
    (void)state;
    struct bus b;
    open_bus(&b);
    run(&b, 3 * NS_PER_S);
    struct world_client *one = add(&b, 0, 1);
    struct world_client *two = add(&b, 1, 2);
    send_to(&b, two, one, "hello");
    b.cut[1] = true; /* it connects to the messaging again */
    world_send_signalling(one, two->key);
    settle(&b);
    send_to(&b, one, two, "lost");
    assert_int_equal(one->gones, 0);
    b.cut[1] = false;
    send_to(&b, one, two, "at once"); /* without a word of the other relay */
    assert_int_equal(two->packets, 1);
    b.silent = b.cut[1] = true;
    world_send_signalling(one, two->key);
    run(&b, 2 * CLUSTER_ASK_NS);
    assert_int_equal(one->gones, 0);
    run(&b, CLUSTER_GRACE_NS);
    world_send_signalling(one, two->key); /* but that is not believed for long */
    run(&b, CLUSTER_ASK_NS + 200 * NS_PER_MS);
    assert_int_equal(one->gones, 1);
    assert_int_equal(one->gone_reason, DERP_GONE_NOT_HERE);
    close_bus(&b);
}

static void a_link_that_comes_back_tells_of_all_keys(void **state)
{
    (void)state;
    struct bus b;
    open_bus(&b);
    run(&b, 3 * NS_PER_S);
    struct world_client *one = add(&b, 0, 1);
    for (int i = 0; i < 3; i++) { /* however soon */
        struct world_client nobody;
        world_key(&nobody, 2);
        world_send_signalling(one, nobody.key);
        settle(&b);
        assert_int_equal(one->gones, i + 1);
        b.cut[1] = true;
        struct world_client *two = add(&b, 1, 2);
        b.cut[1] = false;
        relay_server_cluster_link(b.w[1].server, false, b.w[1].now);
        relay_server_cluster_link(b.w[1].server, true, b.w[1].now);
        run(&b, 100 * NS_PER_MS);
        send_to(&b, one, two, "here you are");
        assert_int_equal(two->packets, 1);
        relay_server_closed(b.w[1].server, two->id, b.w[1].now);
        two->id = 0;
        settle(&b);
    }
    close_bus(&b);
}

static void whoever_received_hears_of_the_end(void **state)
{
    (void)state;
    struct bus b;
    open_bus(&b);
    struct world_client *one = add(&b, 0, 1);
    struct world_client *two = add(&b, 1, 2);
    struct world_client *other = add(&b, 1, 3);
    send_to(&b, one, two, "hello");
    relay_server_closed(b.w[0].server, one->id, b.w[0].now);
    one->id = 0;
    settle(&b);
    assert_int_equal(two->gones, 1);
    assert_int_equal(two->gone_reason, DERP_GONE_DISCONNECTED);
    assert_memory_equal(two->gone_key, one->key, 32);
    assert_int_equal(other->gones, 0);
    close_bus(&b);
}

static void a_dead_relay_takes_its_clients_along(void **state)
{
    (void)state;
    struct bus b;
    open_bus(&b);
    struct world_client *one = add(&b, 0, 1);
    struct world_client *moved = add(&b, 0, 4);
    struct world_client *two = add(&b, 1, 2);
    send_to(&b, one, two, "hello");
    send_to(&b, moved, two, "hello");
    b.cut[0] = true;
    struct world_client *again = add(&b, 2, 4);
    run(&b, CLUSTER_DEAD_NS + NS_PER_S);
    assert_int_equal(two->gones, 1);
    assert_memory_equal(two->gone_key, one->key, 32);
    send_to(&b, two, again, "found");
    assert_int_equal(again->packets, 1);
    close_bus(&b);
}

static void what_was_apart_comes_together(void **state)
{
    (void)state;
    struct bus b;
    open_bus(&b);
    run(&b, 3 * NS_PER_S);
    struct world_client *old = add(&b, 0, 1);
    b.cut[0] = true;
    relay_server_cluster_link(b.w[0].server, false, b.w[0].now);
    struct world_client *newer = add(&b, 1, 1);
    struct world_client *here = add(&b, 0, 5);
    assert_false(old->closed); /* nobody could tell */
    send_to(&b, old, here, "still");
    assert_int_equal(here->packets, 1);
    world_send_signalling(here, newer->key);
    run(&b, CLUSTER_GRACE_NS);
    struct world_client nobody;
    world_key(&nobody, 99);
    world_send_signalling(here, nobody.key);
    settle(&b);
    assert_int_equal(here->gones, 1);
    b.cut[0] = false;
    relay_server_cluster_link(b.w[0].server, true, b.w[0].now);
    for (int i = 0; i < 40 && !old->closed; i++) {
        run(&b, 100 * NS_PER_MS); /* not longer: its client comes back */
    }
    assert_true(old->closed);
    assert_false(newer->closed);
    send_to(&b, here, newer, "hello");
    assert_int_equal(newer->packets, 1);
    close_bus(&b);
}

static void strays_end_a_subscription(void **state)
{
    (void)state;
    struct bus b;
    open_bus(&b);
    struct world_client *one = add(&b, 0, 1);
    struct world_client nobody;
    world_key(&nobody, 99);
    subscribe(&b, 1, nobody.key, true);
    send_to(&b, one, &nobody, "lost");
    assert_int_equal(stats(&b, 1)->strays, 1);
    assert_int_equal(b.counts[1], 0);
    close_bus(&b);
}

static void nonsense_is_counted(void **state)
{
    (void)state;
    struct bus b;
    uint8_t message[CLUSTERMSG_HEAD + 7] = {CLUSTERMSG_VERSION, CLUSTERMSG_LEFT, [17] = 9};
    open_bus(&b);
    struct relay_server *s = b.w[0].server;
    relay_server_cluster_input(s, message, sizeof(message), b.w[0].now);
    relay_server_cluster_input(s, message, 5, b.w[0].now);
    message[0] = 2;
    relay_server_cluster_input(s, message, sizeof(message), b.w[0].now);
    uint64_t id = relay_server_cluster_id(s);
    for (size_t i = 0; i < 8; i++) {
        message[10 + i] = (uint8_t)(id >> (56 - 8 * i));
    }
    message[0] = CLUSTERMSG_VERSION;
    message[1] = CLUSTERMSG_BYE; /* our own */
    relay_server_cluster_input(s, message, CLUSTERMSG_HEAD, b.w[0].now);
    assert_int_equal(stats(&b, 0)->unknown, 4);
    close_bus(&b);
}

static void clocks_are_believed_within_bounds(void **state)
{
    (void)state;
    struct bus b;
    uint8_t message[CLUSTERMSG_HEAD];
    open_bus(&b);
    struct relay_server *s = b.w[0].server;
    const struct cluster *c = server_cluster_core(s);
    uint64_t clock = cluster_stamp(c, b.w[0].now);
    const uint64_t stamps[] = {UINT64_MAX, CLUSTER_STAMP_MAX + 1, clock - CLUSTER_STALE_NS - 1,
                               clock - CLUSTER_STALE_NS, clock + 3600 * NS_PER_S};
    for (size_t i = 0; i < 5; i++) {
        struct writer w = writer_of(message, sizeof(message));
        clustermsg_write_head(&w, CLUSTERMSG_ALIVE, stamps[i], 9 + i);
        relay_server_cluster_input(s, message, sizeof(message), b.w[0].now);
        assert_int_equal(cluster_process_count(c), i < 3 ? 0 : i - 2);
    }
    assert_int_equal(stats(&b, 0)->unknown, 2);
    assert_int_equal(stats(&b, 0)->stale, 1);
    assert_int_equal(cluster_stamp(c, b.w[0].now), stamps[4]);
    close_bus(&b);
}

static void queues_have_ceilings(void **state)
{
    (void)state;
    struct bus b;
    open_bus(&b);
    struct world_client *one = add(&b, 0, 1);
    struct world_client *two = add(&b, 1, 2);
    const size_t count = 1024 + 50; /* the default's and more, which nobody fetches */
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(relay_client_send(one->core, two->key, "x", 1), 0);
        world_settle(&b.w[0]);
    }
    assert_int_equal(stats(&b, 0)->dropped, 50);
    /* Askers beyond the table: it goes out, and nobody is told. */
    settle(&b);
    b.silent = true;
    for (unsigned i = 0; i < 4096 + 3; i++) {
        const uint8_t key[32] = {200, (uint8_t)i, (uint8_t)(i >> 8)};
        world_send_signalling(one, key);
        settle(&b);
    }
    assert_int_equal(stats(&b, 0)->asked, 4096);
    assert_int_equal(stats(&b, 0)->refused, 3);
    close_bus(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_find_their_relay),
        cmocka_unit_test(every_relay_knows_the_others),
        cmocka_unit_test(who_is_nowhere_is_told_of_at_once),
        cmocka_unit_test(an_answer_is_waited_for_a_second),
        cmocka_unit_test(the_newest_connection_has_the_key),
        cmocka_unit_test(the_later_of_two_at_once),
        cmocka_unit_test(a_slow_clock_does_not_lose_a_key),
        cmocka_unit_test(who_is_only_away_is_not_nowhere),
        cmocka_unit_test(a_link_that_comes_back_tells_of_all_keys),
        cmocka_unit_test(whoever_received_hears_of_the_end),
        cmocka_unit_test(a_dead_relay_takes_its_clients_along),
        cmocka_unit_test(what_was_apart_comes_together),
        cmocka_unit_test(strays_end_a_subscription),
        cmocka_unit_test(nonsense_is_counted),
        cmocka_unit_test(clocks_are_believed_within_bounds),
        cmocka_unit_test(queues_have_ceilings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
