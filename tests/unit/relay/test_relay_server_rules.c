#include "relay/relay_server_internal.h"

#include "support/relay_world.h"

#include <base/err.h>
#include <base/mem.h>

static void key_of(uint8_t n, uint8_t out[32])
{
    struct world_client c;
    world_key(&c, n);
    memcpy(out, c.key, 32);
}

/* Two clients that are up, with a contact between them. */
static void open_two(struct world *w, struct relay_server_config *config, struct world_client **a,
                     struct world_client **b)
{
    world_open(w, config);
    *a = world_add(w, 1);
    *b = world_add(w, 2);
    world_settle(w);
    assert_int_equal((*a)->ups, 1);
    assert_int_equal((*b)->ups, 1);
    assert_int_equal(relay_client_send((*a)->core, (*b)->key, "x", 1), 0);
    world_settle(w);
    assert_int_equal((*b)->packets, 1);
}

static void only_who_is_not_admitted_any_more_is_closed(void **state)
{
    (void)state;
    uint8_t keys[2][32];
    key_of(1, keys[0]);
    key_of(2, keys[1]);
    struct relay_server_config config = {.allowed = (const uint8_t(*)[32])keys, .allowed_count = 2};
    struct world_client *a, *b;
    struct world w;
    open_two(&w, &config, &a, &b);
    config.allowed = (const uint8_t(*)[32])(keys + 1);
    config.allowed_count = 1;
    assert_int_equal(relay_server_reload(w.server, &config, w.now), 0);
    world_settle(&w);
    assert_int_equal(a->downs, 1);
    assert_int_equal(b->downs, 0);
    assert_int_equal(b->gones, 1); /* told that a left */
    assert_int_equal(world_stats(&w)->closed[RELAY_CLOSE_NOT_ADMITTED], 1);
    assert_int_equal(world_stats(&w)->clients, 1);
    /* And back again: a comes by itself. */
    config.allowed = (const uint8_t(*)[32])keys;
    config.allowed_count = 2;
    assert_int_equal(relay_server_reload(w.server, &config, w.now), 0);
    world_run(&w, 10 * NS_PER_S);
    assert_int_equal(a->ups, 2);
    assert_int_equal(b->downs, 0);
    assert_int_equal(world_stats(&w)->reloads, 2);
    world_close(&w);
}

static void a_login_under_way_is_asked_by_the_new_list(void **state)
{
    (void)state;
    uint8_t keys[1][32];
    key_of(2, keys[0]);
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    w.step = 1;
    struct world_client *a = world_add(&w, 1);
    world_server_events(&w);
    config.open = false;
    config.allowed = (const uint8_t(*)[32])keys;
    config.allowed_count = 1;
    assert_int_equal(relay_server_reload(w.server, &config, w.now), 0);
    world_settle(&w);
    assert_int_equal(a->ups, 0);
    assert_int_equal(world_stats(&w)->closed[RELAY_CLOSE_NOT_ADMITTED], 1);
    world_close(&w);
}

static void a_new_rate_is_told_and_kept(void **state)
{
    (void)state;
    static uint8_t big[60000];
    struct relay_server_config config = {.open = true};
    struct world_client *a, *b;
    struct world w;
    open_two(&w, &config, &a, &b);
    config.limits.rate_bytes_per_s = 100000;
    config.limits.rate_burst_bytes = 70000;
    assert_int_equal(relay_server_reload(w.server, &config, w.now), 0);
    world_settle(&w);
    /* The client shapes itself: of three packets at once only one fits into what it was told. */
    for (int i = 0; i < 3; i++) {
        (void)relay_client_send(a->core, b->key, big, sizeof(big));
    }
    world_settle(&w);
    assert_int_equal(b->packets, 2);
    assert_int_equal(relay_client_stats(a->core)->dropped_rate, 2);
    assert_int_equal(a->downs + b->downs, 0);
    world_close(&w);
}

/* 70 kB at 1 byte/s would be most of a day's pause. */
static void a_higher_rate_ends_a_pause(void **state)
{
    (void)state;
    static uint8_t frame[DERP_PACKET_OVERHEAD + 60000];
    struct relay_server_config config = {.open = true, .limits = {.rate_bytes_per_s = 1}};
    struct world w;
    world_open(&w, &config);
    struct world_client *c = world_add_bare(&w);
    world_fast_start(&w, c, 1);
    derp_write_packet(frame, DERP_SEND_PACKET, c->key, 60000);
    for (int i = 0; i < 2; i++) {
        relay_server_input(w.server, c->id, frame, sizeof(frame), w.now);
    }
    world_server_events(&w);
    assert_true(c->paused);
    config.limits.rate_bytes_per_s = 0;
    assert_int_equal(relay_server_reload(w.server, &config, w.now), 0);
    relay_server_tick(w.server, w.now);
    world_server_events(&w);
    assert_false(c->paused);
    relay_server_input(w.server, c->id, frame, sizeof(frame), w.now);
    world_server_events(&w);
    assert_false(c->paused);
    world_close(&w);
}

static void smaller_queues_lose_their_oldest(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true, .limits = {.queue_packets_max = 100}};
    struct world_client *a, *b;
    struct world w;
    open_two(&w, &config, &a, &b);
    b->deaf = true;
    for (uint8_t i = 0; i < 90; i++) {
        assert_int_equal(relay_client_send(a->core, b->key, &i, 1), 0);
    }
    world_settle(&w);
    config.limits.queue_packets_max = 10;
    assert_int_equal(relay_server_reload(w.server, &config, w.now), 0);
    assert_int_equal(relay_client_send(a->core, b->key, "\xff", 1), 0);
    world_settle(&w);
    b->deaf = false;
    world_settle(&w);
    assert_int_equal(b->packets, 1 + 10);
    assert_int_equal(b->last_data[0], 0xff);
    assert_int_equal(world_stats(&w)->dropped[RELAY_DROP_QUEUE_HEAD], 81);
    world_close(&w);
}

static void without_memory_nothing_changes(void **state)
{
    (void)state;
    uint8_t keys[1][32];
    key_of(1, keys[0]);
    struct relay_server_config config = {.allowed = (const uint8_t(*)[32])keys, .allowed_count = 1};
    struct relay_server_config none = {.open = false};
    struct world w;
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    world_settle(&w);
    for (size_t n = 1; n <= 2; n++) {
        mem_fail_after(n);
        assert_int_equal(relay_server_reload(w.server, &none, w.now), ERR_NO_MEMORY);
        mem_fail_after(0);
    }
    world_settle(&w);
    assert_int_equal(a->ups, 1);
    assert_int_equal(a->downs, 0);
    world_close(&w);
}

static size_t refused(const struct world *w)
{
    return world_stats(w)->refused[RELAY_REFUSED_CLIENTS];
}

static void more_may_come_and_who_is_there_stays(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true, .limits = {.clients_max = 2}};
    struct world_client *a, *b;
    struct world w;
    open_two(&w, &config, &a, &b);
    struct world_client *c = world_add(&w, 3);
    world_settle(&w);
    assert_int_equal(c->ups, 0);
    assert_int_equal(refused(&w), 1);
    config.limits.clients_max = 3;
    assert_int_equal(relay_server_slots_after(w.server, &config), 3);
    for (size_t n = 1; n <= 5; n++) { /* four tables, then the lists */
        mem_fail_after(n);
        assert_int_equal(relay_server_reload(w.server, &config, w.now), ERR_NO_MEMORY);
        mem_fail_after(0);
        assert_int_equal(relay_server_slots(w.server), n <= 4 ? 2 : 3);
    }
    assert_int_equal(relay_server_reload(w.server, &config, w.now), 0);
    assert_int_equal(relay_server_slots(w.server), 3);
    world_run(&w, 60 * NS_PER_S);
    assert_int_equal(c->ups, 1);
    assert_int_equal(relay_client_send(a->core, c->key, "x", 1), 0);
    config.limits.clients_max = 1;
    assert_int_equal(relay_server_reload(w.server, &config, w.now), 0);
    world_settle(&w);
    assert_int_equal(c->packets, 1);
    assert_int_equal(a->downs + b->downs, 0);
    relay_client_stop(b->core, w.now);
    size_t before = refused(&w);
    struct world_client *d = world_add(&w, 4);
    world_settle(&w);
    assert_int_equal(d->ups, 0);
    assert_int_equal(refused(&w), before + 1);
    assert_int_equal(world_stats(&w)->clients, 2);
    world_close(&w);
}

/* Each new rate is a small frame for everybody. */
static void who_has_much_to_hear_is_told_later(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true};
    struct world_client *a, *b;
    struct world w;
    open_two(&w, &config, &a, &b);
    a->deaf = true;
    for (unsigned i = 1; i <= SERVER_CONTROL_MAX; i++) {
        config.limits.rate_bytes_per_s = 1000000 + i;
        assert_int_equal(relay_server_reload(w.server, &config, w.now), 0);
        world_settle(&w);
    }
    relay_server_drain(w.server, 2 * NS_PER_S, 60 * NS_PER_S, w.now);
    world_settle(&w);
    assert_int_equal(b->restarts, 1);
    assert_int_equal(world_stats(&w)->control_dropped, 1);
    world_run(&w, 500 * NS_PER_MS);
    a->deaf = false;
    world_settle(&w);
    assert_int_equal(a->restarts, 0);
    world_run(&w, 100 * NS_PER_MS);
    assert_int_equal(a->restarts, 1);
    world_run(&w, NS_PER_S);
    assert_int_equal(a->restarts, 1);
    assert_int_equal(a->downs, 0);
    world_close(&w);
}

static void everybody_is_told_of_a_restart(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true};
    struct world_client *a, *b;
    struct world w;
    open_two(&w, &config, &a, &b);
    relay_server_drain(w.server, 2 * NS_PER_S, 60 * NS_PER_S, w.now);
    world_settle(&w);
    assert_int_equal(a->restarts, 1);
    assert_int_equal(b->restarts, 1);
    /* Work goes on meanwhile, and who comes in still is told too. */
    assert_int_equal(relay_client_send(a->core, b->key, "y", 1), 0);
    struct world_client *late = world_add(&w, 3);
    world_settle(&w);
    assert_int_equal(b->packets, 2);
    assert_int_equal(late->ups, 1);
    assert_int_equal(late->restarts, 1);
    world_close(&w);
}

static void the_frame_says_when_to_come_back(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    struct world_client *c = world_add_bare(&w);
    world_fast_start(&w, c, 1);
    relay_server_drain(w.server, 2 * NS_PER_S, 60 * NS_PER_S, w.now);
    uint8_t frame[64];
    assert_int_equal(world_read(&w, c, frame), DERP_RESTARTING_LEN);
    assert_memory_equal(frame, "\x15\0\0\0\x08", 5);
    unsigned in_ms = (unsigned)frame[7] << 8 | frame[8];
    assert_int_equal(frame[5] | frame[6], 0);
    assert_true(in_ms >= 2000 && in_ms < 3000);
    assert_memory_equal(frame + 9, "\0\0\xea\x60", 4); /* 60000 */
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_who_is_not_admitted_any_more_is_closed),
        cmocka_unit_test(a_login_under_way_is_asked_by_the_new_list),
        cmocka_unit_test(a_new_rate_is_told_and_kept),
        cmocka_unit_test(a_higher_rate_ends_a_pause),
        cmocka_unit_test(smaller_queues_lose_their_oldest),
        cmocka_unit_test(without_memory_nothing_changes),
        cmocka_unit_test(more_may_come_and_who_is_there_stays),
        cmocka_unit_test(who_has_much_to_hear_is_told_later),
        cmocka_unit_test(everybody_is_told_of_a_restart),
        cmocka_unit_test(the_frame_says_when_to_come_back),
    };
    if (sodium_init() < 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
