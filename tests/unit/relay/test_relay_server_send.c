#include "relay/relay_server.h"

#include "support/relay_world.h"

static void a_full_queue_loses_its_oldest_packets(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true, .limits = {.queue_packets_max = 10}};
    struct world w;
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    struct world_client *b = world_add(&w, 2);
    struct world_client *c = world_add(&w, 3);
    world_settle(&w);
    b->deaf = true;
    for (uint8_t i = 0; i < 30; i++) {
        relay_client_send(a->core, b->key, &i, 1);
    }
    world_send_signalling(a, b->key);
    relay_client_send(a->core, c->key, "c", 1);
    world_settle(&w);
    assert_int_equal(c->packets, 1); /* nobody waits for b */
    assert_int_equal(world_stats(&w)->dropped[RELAY_DROP_QUEUE_HEAD], 20);
    b->deaf = false;
    world_settle(&w);
    assert_int_equal(b->packets, 11); /* signalling has a queue of its own */
    assert_int_equal(b->last_data[0], 29);
    world_close(&w);
}

static void signalling_and_bulk_take_turns(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true};
    struct world w;
    char order[21] = "";
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    struct world_client *b = world_add_bare(&w);
    world_settle(&w);
    world_fast_start(&w, b, 2);
    for (int i = 0; i < 10; i++) {
        relay_client_send(a->core, b->key, "x", 1);
    }
    for (int i = 0; i < 10; i++) {
        world_send_signalling(a, b->key);
    }
    world_settle(&w);
    for (int i = 0; i < 20; i++) {
        uint8_t frame[256];
        order[i] = world_read(&w, b, frame) == 38 ? 'b' : 's';
    }
    assert_true(strcmp(order, "sbsbsbsbsbsbsbsbsbsb") == 0 ||
                strcmp(order, "bsbsbsbsbsbsbsbsbsbs") == 0);
    world_close(&w);
}

static void queues_have_a_ceiling_in_bytes(void **state)
{
    (void)state;
    static uint8_t big[60000];
    struct relay_server_config config = {.open = true, .limits = {.queue_bytes_max = 1}};
    struct world w;
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    struct world_client *b = world_add(&w, 2);
    world_settle(&w);
    b->deaf = true;
    for (uint8_t i = 0; i < 5; i++) {
        big[0] = i;
        relay_client_send(a->core, b->key, big, sizeof(big));
        world_settle(&w);
    }
    world_send_signalling(a, b->key); /* still fits */
    world_settle(&w);
    assert_int_equal(world_stats(&w)->dropped[RELAY_DROP_QUEUE_HEAD], 4);
    b->deaf = false;
    world_settle(&w);
    assert_int_equal(b->packets, 2);
    assert_int_equal(b->last_data[0], 4);
    world_close(&w);
}

static void without_buffers_packets_are_dropped_not_clients(void **state)
{
    (void)state;
    static uint8_t big[60000];
    struct relay_server_config config = {.open = true, .limits = {.pool_bytes_max = 100000}};
    struct world w;
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    struct world_client *b = world_add(&w, 2);
    world_settle(&w);
    b->deaf = true;
    relay_client_send(a->core, b->key, big, sizeof(big));
    relay_client_send(a->core, b->key, big, sizeof(big));
    relay_client_send(a->core, b->key, "small", 5);
    world_settle(&w);
    b->deaf = false;
    world_settle(&w);
    assert_int_equal(world_stats(&w)->dropped[RELAY_DROP_POOL], 1);
    assert_int_equal(b->packets, 2);
    assert_int_equal(a->downs + b->downs, 0);
    world_close(&w);
}

static void who_takes_nothing_is_closed(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    struct world_client *b = world_add(&w, 2);
    world_settle(&w);
    b->deaf = true;
    relay_client_send(a->core, b->key, "x", 1);
    relay_client_send(a->core, b->key, "y", 1);
    world_run(&w, 2 * NS_PER_S - 1);
    assert_false(b->closed);
    world_run(&w, 1);
    assert_true(b->closed);
    assert_int_equal(b->reason, RELAY_CLOSE_STALLED);
    assert_int_equal(world_stats(&w)->dropped[RELAY_DROP_LEFT], 2);
    assert_false(a->closed);
    world_close(&w);
}

/* Of what was offered to the shell only what went in full counts as sent. */
static void what_was_half_written_when_its_receiver_left_is_counted(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true};
    struct relay_span spans[3];
    struct world w;
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    struct world_client *b = world_add_bare(&w);
    world_settle(&w);
    world_fast_start(&w, b, 2);
    for (int i = 0; i < 5; i++) {
        relay_client_send(a->core, b->key, "x", 1);
    }
    world_settle(&w);
    assert_int_equal(relay_server_output(w.server, b->id, spans, 3, w.now), 3);
    relay_server_sent(w.server, b->id, spans[0].len + 1, w.now);
    relay_server_closed(w.server, b->id, w.now);
    const struct relay_server_stats *stats = world_stats(&w);
    assert_int_equal(stats->packets_in, 5);
    assert_int_equal(stats->packets_out, 1);
    assert_int_equal(stats->dropped[RELAY_DROP_LEFT], 4);
    world_close(&w);
}

static void who_takes_little_by_little_is_not_closed(void **state)
{
    (void)state;
    uint8_t data[1000] = {0};
    uint8_t byte[16];
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    struct world_client *b = world_add_bare(&w);
    world_settle(&w);
    world_fast_start(&w, b, 2);
    relay_client_send(a->core, b->key, data, sizeof(data));
    world_settle(&w);
    for (int i = 0; i < 20; i++) {
        w.step = 1;
        assert_int_equal(world_read(&w, b, byte), 1);
        w.step = 65536;
        world_run(&w, 2 * NS_PER_S - 1);
        assert_false(b->closed);
    }
    world_run(&w, 1);
    assert_true(b->closed);
    world_close(&w);
}

static void keep_alives_come_each_minute_or_so(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    struct world_client *c = world_add_bare(&w);
    world_fast_start(&w, c, 1);
    for (int i = 1; i <= 3; i++) {
        size_t waited = 0;
        const char *said = "";
        while (!said[0] && waited++ < 700) {
            world_run(&w, NS_PER_S / 10);
            said = world_read_all(&w, c);
        }
        assert_memory_equal(said, "\x06\0\0\0\0", 6);
        assert_in_range(waited, 599, 651);
    }
    world_close(&w);
}

static void one_pong_waits_at_most(void **state)
{
    (void)state;
    static const char ping[] = "\x12\0\0\0\x08"
                               "12345678";
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    struct world_client *c = world_add_bare(&w);
    world_fast_start(&w, c, 1);
    for (int i = 0; i < 3; i++) {
        relay_server_input(w.server, c->id, ping, sizeof(ping) - 1, w.now);
    }
    const char *said = world_read_all(&w, c);
    assert_memory_equal(said,
                        "\x13\0\0\0\x08"
                        "12345678\0",
                        14);
    relay_server_input(w.server, c->id, ping, sizeof(ping) - 1, w.now);
    assert_int_equal(world_read_all(&w, c)[0], DERP_PONG);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_queue_loses_its_oldest_packets),
        cmocka_unit_test(signalling_and_bulk_take_turns),
        cmocka_unit_test(queues_have_a_ceiling_in_bytes),
        cmocka_unit_test(without_buffers_packets_are_dropped_not_clients),
        cmocka_unit_test(who_takes_nothing_is_closed),
        cmocka_unit_test(what_was_half_written_when_its_receiver_left_is_counted),
        cmocka_unit_test(who_takes_little_by_little_is_not_closed),
        cmocka_unit_test(keep_alives_come_each_minute_or_so),
        cmocka_unit_test(one_pong_waits_at_most),
    };
    if (sodium_init() < 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
