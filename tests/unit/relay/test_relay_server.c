#include "relay/relay_server.h"

#include "support/relay_world.h"

#include <base/mem.h>

static void admits_only_listed_keys(void **state)
{
    (void)state;
    uint8_t allowed[3][32];
    struct world_client keys[3];
    for (uint8_t i = 0; i < 3; i++) {
        world_key(&keys[i], (uint8_t)(i + 1));
        memcpy(allowed[i], keys[i].key, 32);
    }
    struct relay_server_config config = {.allowed = (const uint8_t(*)[32])allowed,
                                         .allowed_count = 3};
    struct world w;
    world_open(&w, &config);
    memset(allowed, 0, sizeof(allowed)); /* the server has its own copy */
    for (uint8_t i = 0; i < 5; i++) {
        world_add(&w, i);
    }
    world_settle(&w);
    for (uint8_t i = 0; i < 5; i++) {
        bool is_listed = i >= 1 && i <= 3;
        assert_int_equal(w.clients[i].ups, is_listed);
        assert_int_equal(w.clients[i].closed, !is_listed);
        assert_true(is_listed || w.clients[i].reason == RELAY_CLOSE_NOT_ADMITTED);
    }
    assert_int_equal(world_stats(&w)->closed[RELAY_CLOSE_NOT_ADMITTED], 2);
    world_close(&w);
}

static void bad_logins_are_closed(void **state)
{
    (void)state;
    static const struct {
        const char *frame;
        size_t len;
        enum relay_close reason;
    } cases[] = {
        {"\x04\0\0\0\x20", 5, RELAY_CLOSE_PROTOCOL},
        {"\x02\0\0\x10\x01", 5, RELAY_CLOSE_PROTOCOL},
        {"\x02\0\0\0\x20", 5, RELAY_CLOSE_PROTOCOL},
        {"\x06\0\0\0\0", 5, RELAY_CLOSE_PROTOCOL},
        {"\x02\0\0\0\x48", 5 + 72, RELAY_CLOSE_LOGIN}, /* the zero key */
    };
    for (size_t i = 0; i < 5; i++) {
        static const char request[] =
            "GET /derp HTTP/1.1\r\n" WORLD_HOST "Connection: Upgrade\r\nUpgrade: DERP\r\n\r\n";
        struct relay_server_config config = {.open = true};
        struct world w;
        uint8_t frame[128] = {0};
        world_open(&w, &config);
        struct world_client *c = world_add_bare(&w);
        relay_server_input(w.server, c->id, request, sizeof(request) - 1, w.now);
        world_read_all(&w, c);
        memcpy(frame, cases[i].frame, 5);
        relay_server_input(w.server, c->id, frame, cases[i].len, w.now);
        world_server_events(&w);
        assert_true(c->closed);
        assert_int_equal(c->reason, cases[i].reason);
        world_close(&w);
    }
}

static void slow_logins_are_closed(void **state)
{
    (void)state;
    static const char *const said[] = {"", "GET /de",
                                       "GET /derp HTTP/1.1\r\n" WORLD_HOST
                                       "Connection: Upgrade\r\nUpgrade: DERP\r\n\r\n\x02\0"};
    for (size_t i = 0; i < 3; i++) {
        struct relay_server_config config = {.open = true};
        struct world w;
        world_open(&w, &config);
        struct world_client *c = world_add_bare(&w);
        relay_server_input(w.server, c->id, said[i], strlen(said[i]), w.now);
        world_read_all(&w, c);
        world_run(&w, 10 * NS_PER_S - 1);
        assert_false(c->closed);
        world_run(&w, 1);
        assert_true(c->closed);
        assert_int_equal(c->reason, RELAY_CLOSE_TIMEOUT);
        world_close(&w);
    }
}

static void an_absent_peer_is_told_for_signalling_only(void **state)
{
    (void)state;
    const uint8_t nobody[32] = {7};
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    world_settle(&w);
    assert_int_equal(relay_client_send(a->core, nobody, "hello", 5), 0);
    world_settle(&w);
    assert_int_equal(a->gones, 0);
    for (int i = 0; i < 10; i++) {
        world_send_signalling(a, nobody);
    }
    world_settle(&w);
    assert_int_equal(a->gones, 3);
    assert_memory_equal(a->gone_key, nobody, 32);
    assert_int_equal(a->gone_reason, DERP_GONE_NOT_HERE);
    world_run(&w, NS_PER_S);
    world_send_signalling(a, nobody);
    world_send_signalling(a, nobody);
    world_settle(&w);
    assert_int_equal(a->gones, 4);
    assert_int_equal(world_stats(&w)->dropped[RELAY_DROP_NO_PEER], 13);
    world_close(&w);
}

static void those_who_received_from_a_peer_hear_when_it_leaves(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    struct world_client *b = world_add(&w, 2);
    struct world_client *c = world_add(&w, 3);
    world_settle(&w);
    relay_client_send(a->core, b->key, "x", 1);
    relay_client_send(a->core, b->key, "y", 1);
    relay_client_send(c->core, a->key, "z", 1); /* c received nothing */
    world_settle(&w);
    relay_client_stop(a->core, w.now);
    world_settle(&w);
    assert_int_equal(b->gones, 1);
    assert_memory_equal(b->gone_key, a->key, 32);
    assert_int_equal(b->gone_reason, DERP_GONE_DISCONNECTED);
    assert_int_equal(c->gones, 0);
    world_close(&w);
}

static void the_last_writer_of_a_key_receives(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    world_settle(&w);
    struct world_client *old = world_add(&w, 2);
    world_settle(&w);
    struct world_client *new = world_add(&w, 2);
    world_settle(&w);
    relay_client_send(a->core, new->key, "1", 1);
    world_settle(&w);
    assert_int_equal(new->packets, 1);
    relay_client_hurry(old->core, w.now); /* a ping is enough */
    world_settle(&w);
    relay_client_send(a->core, new->key, "2", 1);
    world_settle(&w);
    assert_int_equal(old->packets, 1);
    assert_int_equal(new->packets, 1);
    relay_client_send(old->core, a->key, "3", 1);
    world_settle(&w);
    relay_client_stop(old->core, w.now);
    world_settle(&w);
    assert_int_equal(a->gones, 0); /* one of them is still here */
    relay_client_send(a->core, new->key, "4", 1);
    world_settle(&w);
    assert_int_equal(new->packets, 2);
    relay_client_stop(new->core, w.now);
    world_settle(&w);
    assert_int_equal(a->gones, 1);
    world_close(&w);
}

static void the_newest_connection_of_a_key_receives(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    struct world_client *old = world_add_bare(&w);
    struct world_client *new = world_add_bare(&w);
    world_settle(&w);
    world_fast_start(&w, old, 2);
    world_fast_start(&w, new, 2); /* says nothing after its login */
    relay_client_send(a->core, new->key, "1", 1);
    world_settle(&w);
    assert_int_equal(world_read_all(&w, old)[0], 0);
    assert_int_equal(world_read_all(&w, new)[0], DERP_RECV_PACKET);
    relay_server_closed(w.server, new->id, w.now);
    new->id = 0;
    relay_client_send(a->core, new->key, "2", 1);
    world_settle(&w);
    assert_int_equal(world_read_all(&w, old)[0], DERP_RECV_PACKET);
    world_close(&w);
}

static void the_oldest_of_too_many_duplicates_goes(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    for (int i = 0; i < 9; i++) {
        world_fast_start(&w, world_add_bare(&w), 1);
    }
    assert_true(w.clients[0].closed);
    assert_int_equal(w.clients[0].reason, RELAY_CLOSE_DUPLICATE);
    assert_int_equal(world_stats(&w)->clients, 8);
    world_close(&w);
}

static void frames_of_the_mesh_and_bad_lengths_end_it(void **state)
{
    (void)state;
    static const char *const frames[] = {
        "\x0a\0\0\0\x40",   "\x10\0\0\0\0",   "\x11\0\0\0\x20",
        "\x04\0\x01\0\x21", "\x04\0\0\0\x1f", "\x12\0\0\0\x07",
        "\x12\0\0\x03\xe9", "\x07\0\0\0\x02", "\x7f\0\x10\0\x01",
    };
    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
        struct relay_server_config config = {.open = true};
        struct world w;
        world_open(&w, &config);
        struct world_client *c = world_add_bare(&w);
        world_fast_start(&w, c, 1);
        relay_server_input(w.server, c->id, "\x7f\0\0\0\x03zzz\x07\0\0\0\x01\x01", 14, w.now);
        world_server_events(&w);
        assert_false(c->closed);
        assert_int_equal(world_stats(&w)->frames_skipped, 1);
        relay_server_input(w.server, c->id, frames[i], 5, w.now);
        world_server_events(&w);
        assert_true(c->closed);
        assert_int_equal(c->reason, RELAY_CLOSE_PROTOCOL);
        world_close(&w);
    }
}

static void a_client_over_its_rate_is_not_read_from(void **state)
{
    (void)state;
    static uint8_t frame[10037] = {4, 0, 0, 0x27, 0x30};
    struct relay_server_config config = {.open = true, .limits = {.rate_bytes_per_s = 100000}};
    struct world w;
    world_open(&w, &config);
    struct world_client *c = world_add_bare(&w);
    world_fast_start(&w, c, 1);
    uint64_t begin = w.now;
    size_t sent = 0;
    while (w.now < begin + 20 * NS_PER_S) {
        while (!c->paused) {
            relay_server_input(w.server, c->id, frame, sizeof(frame), w.now);
            sent += sizeof(frame);
            world_server_events(&w);
        }
        world_run(&w, 10 * NS_PER_MS);
    }
    /* the burst, 20 s at the rate, and one frame more */
    assert_in_range(sent, 2050000, 100000 + 2000000 + 2 * sizeof(frame));
    assert_true(world_stats(&w)->paused > 10);
    assert_false(c->closed);
    world_close(&w);
}

static void refuses_connections_past_its_ceilings(void **state)
{
    (void)state;
    struct relay_server_config config = {
        .limits = {.clients_max = 5, .clients_per_address_max = 2},
    };
    struct world w;
    uint64_t id[8] = {0};
    world_open(&w, &config);
    struct addr mapped;
    struct addr other;
    struct addr a = addr_ipv4(192, 0, 2, 1, 5);
    assert_int_equal(addr_parse(&mapped, "[::ffff:192.0.2.1]:9"), 0);
    assert_int_equal(addr_parse(&other, "[2001:db8::1]:9"), 0);
    assert_int_equal(relay_server_accept(w.server, &a, w.now, &id[0]), 0);
    assert_int_equal(relay_server_accept(w.server, &mapped, w.now, &id[1]), 0);
    assert_int_equal(relay_server_accept(w.server, &a, w.now, &id[2]), ERR_REFUSED);
    assert_int_equal(relay_server_accept(w.server, &other, w.now, &id[2]), 0);
    other.ip[15] = 99; /* the same /64 */
    assert_int_equal(relay_server_accept(w.server, &other, w.now, &id[3]), 0);
    other.ip[14] = 99;
    assert_int_equal(relay_server_accept(w.server, &other, w.now, &id[4]), ERR_REFUSED);
    other.ip[7] = 99; /* another /64 */
    assert_int_equal(relay_server_accept(w.server, &other, w.now, &id[4]), 0);
    other.ip[7] = 98;
    assert_int_equal(relay_server_accept(w.server, &other, w.now, &id[6]), ERR_NO_ROOM);
    relay_server_closed(w.server, id[0], w.now);
    relay_server_closed(w.server, id[0], w.now);
    assert_int_equal(relay_server_accept(w.server, &a, w.now, &id[5]), 0);
    assert_true(id[5] != id[0]);
    relay_server_input(w.server, id[0], "x", 1, w.now); /* late, for an id that is gone */
    assert_int_equal(world_stats(&w)->refused[RELAY_REFUSED_ADDRESS], 2);
    assert_int_equal(world_stats(&w)->refused[RELAY_REFUSED_CLIENTS], 1);
    assert_int_equal(world_stats(&w)->connections, 5);
    world_close(&w);
}

/* Silent connections push out the oldest of themselves; who logs in and who has logged in stays. */
static void silent_connections_keep_nobody_out(void **state)
{
    (void)state;
    enum { SILENT = 100 };
    struct relay_server_config config = {.open = true, .limits = {.clients_max = 40}};
    struct world w;
    uint64_t id[SILENT];
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    world_settle(&w);
    struct world_client *b = world_add(&w, 2);
    w.step = 1;
    for (uint8_t i = 0; i < SILENT; i++) {
        struct addr from = addr_ipv4(198, 51, 100, i, 1);
        assert_int_equal(relay_server_accept(w.server, &from, w.now, &id[i]), 0);
        world_server_events(&w);
        if (i % 4 == 3) {
            world_settle(&w); /* b logs in meanwhile */
        }
    }
    assert_int_equal(a->ups + b->ups, 2);
    assert_int_equal(a->downs + b->downs, 0);
    assert_int_equal(world_stats(&w)->clients, 2);
    assert_int_equal(world_stats(&w)->connections, 2 + 10);
    assert_int_equal(world_stats(&w)->closed[RELAY_CLOSE_CROWDED], SILENT - 10);
    assert_int_equal(world_stats(&w)->refused[RELAY_REFUSED_CLIENTS], 0);
    relay_server_closed(w.server, id[0], w.now); /* is gone already */
    assert_int_equal(world_stats(&w)->connections, 2 + 10);
    relay_server_closed(w.server, id[SILENT - 1], w.now);
    assert_int_equal(world_stats(&w)->connections, 2 + 9);
    world_run(&w, 11 * NS_PER_S);
    assert_int_equal(world_stats(&w)->connections, 2);
    assert_int_equal(world_stats(&w)->closed[RELAY_CLOSE_TIMEOUT], 9);
    world_close(&w);
}

static void contacts_have_a_ceiling(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true, .limits = {.contacts_max = 1}};
    struct world w;
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    struct world_client *b = world_add(&w, 2);
    struct world_client *c = world_add(&w, 3);
    world_settle(&w);
    relay_client_send(a->core, c->key, "x", 1);
    world_settle(&w);
    relay_client_send(b->core, c->key, "y", 1);
    world_settle(&w);
    relay_client_stop(a->core, w.now);
    relay_client_stop(b->core, w.now);
    world_settle(&w);
    assert_int_equal(c->packets, 2);
    assert_int_equal(c->gones, 1);
    assert_memory_equal(c->gone_key, a->key, 32);
    assert_int_equal(world_stats(&w)->contacts_refused, 1);
    world_close(&w);
}

static void contacts_have_a_ceiling_together(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true, .limits = {.contacts_total_max = 1}};
    struct world w;
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    struct world_client *b = world_add(&w, 2);
    struct world_client *c = world_add(&w, 3);
    world_settle(&w);
    relay_client_send(a->core, c->key, "x", 1);
    world_settle(&w);
    relay_client_send(c->core, b->key, "y", 1);
    world_settle(&w);
    assert_int_equal(world_stats(&w)->contacts, 1);
    assert_int_equal(world_stats(&w)->contacts_refused, 1);
    relay_client_stop(a->core, w.now); /* which makes room */
    world_settle(&w);
    assert_int_equal(c->gones, 1);
    assert_int_equal(world_stats(&w)->contacts, 0);
    relay_client_send(c->core, b->key, "z", 1);
    world_settle(&w);
    relay_client_stop(c->core, w.now);
    world_settle(&w);
    assert_int_equal(b->packets, 2);
    assert_int_equal(b->gones, 1);
    assert_int_equal(world_stats(&w)->contacts_refused, 1);
    world_close(&w);
}

/* The n-th allocation and all later ones fail: no crash, no leak, and what works, works. */
static void survives_without_memory(void **state)
{
    (void)state;
    for (size_t n = 1; n < 24; n++) {
        struct relay_server_config config = {.open = true};
        struct world w;
        world_open(&w, &config);
        struct world_client *a = world_add(&w, 1);
        struct world_client *b = world_add(&w, 2);
        mem_fail_after(n);
        world_settle(&w);
        relay_client_send(a->core, b->key, "x", 1);
        world_settle(&w);
        mem_fail_after(0);
        world_run(&w, 20 * NS_PER_S);
        assert_true(a->ups >= 1 && b->ups >= 1);
        unsigned before = b->packets;
        relay_client_send(a->core, b->key, "x", 1);
        world_settle(&w);
        assert_int_equal(b->packets, before + 1);
        world_close(&w);
    }
    for (size_t n = 1; n < 8; n++) {
        struct world w = {.now = 1};
        struct relay_server_config config = {.open = true, .secret = {1}};
        config.rng = pcg_rng(&w.pcg, 1);
        mem_fail_after(n);
        assert_null(relay_server_new(&config));
        mem_fail_after(0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(admits_only_listed_keys),
        cmocka_unit_test(bad_logins_are_closed),
        cmocka_unit_test(slow_logins_are_closed),
        cmocka_unit_test(an_absent_peer_is_told_for_signalling_only),
        cmocka_unit_test(those_who_received_from_a_peer_hear_when_it_leaves),
        cmocka_unit_test(the_last_writer_of_a_key_receives),
        cmocka_unit_test(the_newest_connection_of_a_key_receives),
        cmocka_unit_test(the_oldest_of_too_many_duplicates_goes),
        cmocka_unit_test(frames_of_the_mesh_and_bad_lengths_end_it),
        cmocka_unit_test(a_client_over_its_rate_is_not_read_from),
        cmocka_unit_test(refuses_connections_past_its_ceilings),
        cmocka_unit_test(silent_connections_keep_nobody_out),
        cmocka_unit_test(contacts_have_a_ceiling),
        cmocka_unit_test(contacts_have_a_ceiling_together),
        cmocka_unit_test(survives_without_memory),
    };
    if (sodium_init() < 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
