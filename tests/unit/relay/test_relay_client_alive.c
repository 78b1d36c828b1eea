/* When a relay_client believes that its connection is alive, and what it does when it is not. */
#include "support/relay_lone.h"

static void backs_off_with_doubling_and_jitter(void **state)
{
    (void)state;
    static const uint64_t quarters[] = {1, 2, 4, 8, 16, 20, 20};
    struct world w;
    struct relay_client *c = lone_client(&w, 0);
    uint64_t now = NS_PER_S;
    relay_client_start(c, now);
    for (size_t i = 0; i < 7; i++) {
        expect(c, RELAY_CLIENT_EV_CONNECT);
        relay_client_disconnected(c, -111, now);
        struct relay_client_event ev = expect(c, RELAY_CLIENT_EV_DOWN);
        assert_int_equal(ev.err, -111);
        assert_string_equal(ev.text, "cannot connect");
        uint64_t wait = relay_client_next_ns(c) - now;
        uint64_t middle = quarters[i] * NS_PER_S / 4;
        assert_in_range(wait, middle * 3 / 4, time_min(middle * 5 / 4, 5 * NS_PER_S));
        relay_client_tick(c, now + wait - 1);
        expect_nothing(c);
        now += wait;
        relay_client_tick(c, now);
    }
    expect(c, RELAY_CLIENT_EV_CONNECT);
    relay_client_disconnected(c, -111, now);
    expect(c, RELAY_CLIENT_EV_DOWN);
    relay_client_hurry(c, now + 1);
    expect(c, RELAY_CLIENT_EV_CONNECT);
    relay_client_free(c);
}

static void a_while_up_makes_the_back_off_short_again(void **state)
{
    (void)state;
    for (uint64_t up_s = 9; up_s <= 10; up_s++) {
        struct world w;
        struct relay_client *c = lone_client(&w, 0);
        uint64_t now = NS_PER_S;
        relay_client_start(c, now);
        for (int i = 0; i < 6; i++) {
            expect(c, RELAY_CLIENT_EV_CONNECT);
            relay_client_disconnected(c, -111, now);
            expect(c, RELAY_CLIENT_EV_DOWN);
            now = relay_client_next_ns(c);
            relay_client_tick(c, now);
        }
        bring_up(c, now, &(struct derp_info){.version = 2});
        now += up_s * NS_PER_S;
        relay_client_disconnected(c, 0, now);
        expect(c, RELAY_CLIENT_EV_DOWN);
        assert_int_equal(relay_client_next_ns(c) - now < NS_PER_S / 2, up_s == 10);
        relay_client_free(c);
    }
}

static void gives_up_a_connection_that_is_not_up_in_time(void **state)
{
    (void)state;
    struct world w;
    struct relay_client *c = lone_client(&w, 0);
    relay_client_start(c, 0);
    expect(c, RELAY_CLIENT_EV_CONNECT);
    relay_client_connected(c, NS_PER_S);
    assert_int_equal(relay_client_next_ns(c), 10 * NS_PER_S);
    relay_client_tick(c, 10 * NS_PER_S - 1);
    expect_nothing(c);
    relay_client_tick(c, 10 * NS_PER_S);
    assert_string_equal(expect(c, RELAY_CLIENT_EV_DOWN).text, "not up within 10 s");
    relay_client_disconnected(c, 0, 10 * NS_PER_S); /* a late word of the shell */
    expect_nothing(c);
    relay_client_free(c);
}

static void measures_and_stays_alive_by_pings(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    world_run(&w, 3600 * NS_PER_S);
    assert_int_equal(a->ups, 1);
    assert_int_equal(a->downs, 0);
    assert_int_equal(relay_client_rtt_ns(a->core), 1);
    w.clients[0].deaf = true; /* the relay's bytes do not arrive any more */
    world_run(&w, 74 * NS_PER_S);
    assert_true(a->closed || a->downs == 1); /* the relay notices first */
    world_close(&w);
}

/* Takes what it wants to send; if the last of it is a ping, it is answered. */
static size_t take_and_answer(struct relay_client *c, uint64_t now)
{
    uint8_t out[4096];
    size_t len = take_output(c, out, sizeof(out));
    uint8_t *last = out + len - DERP_PING_LEN;
    if (len >= DERP_PING_LEN && last[0] == DERP_PING) {
        last[0] = DERP_PONG;
        assert_int_equal(relay_client_input(c, last, DERP_PING_LEN, now), 0);
    }
    expect_nothing(c);
    return len;
}

/* One ping when it is up; what is not used is not measured again. One more when the relay itself
 * says nothing. */
static void silence_of_75_s_ends_the_connection(void **state)
{
    (void)state;
    struct world w;
    struct relay_client *c = lone_client(&w, 0);
    bring_up(c, 0, &(struct derp_info){.version = 2});
    relay_client_tick(c, 0);
    assert_int_equal(take_and_answer(c, 0), DERP_PING_LEN);
    for (uint64_t s = 1; s < 75; s++) {
        relay_client_tick(c, s * NS_PER_S);
        expect_nothing(c);
    }
    uint8_t out[4096];
    assert_int_equal(take_output(c, out, sizeof(out)), DERP_PING_LEN);
    relay_client_tick(c, 75 * NS_PER_S);
    assert_string_equal(expect(c, RELAY_CLIENT_EV_DOWN).text, "nothing heard for 75 s");
    relay_client_free(c);
}

static void a_connection_in_use_is_measured_every_10_s(void **state)
{
    (void)state;
    struct world w;
    uint8_t dst[32] = {7};
    struct relay_client *c = lone_client(&w, 0);
    bring_up(c, 0, &(struct derp_info){.version = 2});
    relay_client_tick(c, 0);
    (void)take_and_answer(c, 0);
    size_t sum = 0;
    for (uint64_t s = 1; s <= 60; s++) {
        if (s > 20) { /* sleeps first, then works */
            assert_int_equal(relay_client_send(c, dst, "x", 1), 0);
        }
        relay_client_tick(c, s * NS_PER_S);
        sum += take_and_answer(c, s * NS_PER_S);
    }
    size_t packet = DERP_HEADER + 32 + 1;
    assert_int_equal(sum, 40 * packet + 4 * DERP_PING_LEN);
    relay_client_free(c);
}

/* What it sends goes nowhere: known within 15 s, but not while anything still arrives. */
static void a_relay_in_use_that_dies_without_a_word_is_noticed(void **state)
{
    (void)state;
    for (int talks = 0; talks < 2; talks++) {
        struct world w;
        uint8_t dst[32] = {7};
        static const uint8_t keep_alive[DERP_HEADER] = {DERP_KEEP_ALIVE};
        struct relay_client *c = lone_client(&w, 0);
        bring_up(c, 0, &(struct derp_info){.version = 2});
        relay_client_tick(c, 0);
        (void)take_and_answer(c, 0);
        assert_int_equal(relay_client_send(c, dst, "x", 1), 0);
        uint64_t s = 1;
        while (s < 60 && relay_client_state(c) == RELAY_CLIENT_UP) {
            if (talks) {
                assert_int_equal(relay_client_input(c, keep_alive, DERP_HEADER, s * NS_PER_S), 0);
                expect_nothing(c);
            }
            relay_client_tick(c, ++s * NS_PER_S);
        }
        assert_int_equal(s, talks ? 60 : 15);
        relay_client_free(c);
    }
}

static void a_hurried_ping_must_be_answered_soon(void **state)
{
    (void)state;
    struct world w;
    uint8_t out[4096];
    struct relay_client *c = lone_client(&w, 0);
    bring_up(c, 0, &(struct derp_info){.version = 2});
    relay_client_hurry(c, NS_PER_S);
    assert_int_equal(take_output(c, out, sizeof(out)), DERP_PING_LEN);
    out[0] = DERP_PONG;
    assert_int_equal(relay_client_input(c, out, DERP_PING_LEN, 2 * NS_PER_S), 0);
    expect_nothing(c);
    assert_int_equal(relay_client_rtt_ns(c), NS_PER_S);
    relay_client_hurry(c, 10 * NS_PER_S);
    assert_int_equal(relay_client_next_ns(c), 13 * NS_PER_S);
    relay_client_tick(c, 13 * NS_PER_S);
    assert_string_equal(expect(c, RELAY_CLIENT_EV_DOWN).text, "no answer to a ping");
    relay_client_free(c);
}

/* --- a relay that restarts --- */

static void say_restarting(struct relay_client *c, uint32_t in_ms, uint32_t for_ms, uint64_t now)
{
    uint8_t frame[DERP_RESTARTING_LEN];
    derp_write_restarting(frame, in_ms, for_ms);
    assert_int_equal(relay_client_input(c, frame, sizeof(frame), now), 0);
    struct relay_client_event ev = expect(c, RELAY_CLIENT_EV_RESTARTING);
    assert_int_equal(ev.reconnect_in_ns, in_ms * NS_PER_MS);
    assert_int_equal(ev.try_for_ns, for_ms * NS_PER_MS);
}

/* Not before the relay wished, whatever hurries us; then about once a second; then as ever. */
static void a_relay_that_restarts_is_tried_when_and_as_long_as_it_said(void **state)
{
    (void)state;
    struct world w;
    struct relay_client *c = lone_client(&w, 0);
    bring_up(c, 0, &(struct derp_info){.version = 2});
    say_restarting(c, 3000, 20000, NS_PER_S);
    assert_int_equal(relay_client_state(c), RELAY_CLIENT_UP);
    relay_client_leave(c, 2 * NS_PER_S);
    assert_string_equal(expect(c, RELAY_CLIENT_EV_DOWN).text, "it restarts");
    relay_client_hurry(c, 2 * NS_PER_S);
    expect_nothing(c);
    uint64_t now = relay_client_next_ns(c);
    assert_in_range(now, 4 * NS_PER_S, 5 * NS_PER_S);
    size_t tries = 0;
    for (; now < 24 * NS_PER_S; tries++) {
        relay_client_tick(c, now);
        expect(c, RELAY_CLIENT_EV_CONNECT);
        relay_client_disconnected(c, -111, now);
        expect(c, RELAY_CLIENT_EV_DOWN);
        assert_true(relay_client_next_ns(c) - now <= NS_PER_S);
        now = relay_client_next_ns(c);
    }
    assert_in_range(tries, 18, 28);
    for (size_t i = 0; i < 5; i++) {
        relay_client_tick(c, now);
        expect(c, RELAY_CLIENT_EV_CONNECT);
        relay_client_disconnected(c, -111, now);
        expect(c, RELAY_CLIENT_EV_DOWN);
        tries += relay_client_next_ns(c) - now > 3 * NS_PER_S;
        now = relay_client_next_ns(c);
    }
    assert_true(tries > 19);
    relay_client_free(c);
}

static void what_a_restarting_relay_wishes_has_bounds(void **state)
{
    (void)state;
    struct world w;
    struct relay_client *c = lone_client(&w, 0);
    bring_up(c, 0, &(struct derp_info){.version = 2});
    assert_int_equal(relay_client_restart_ns(c), 0);
    for (int i = 0; i < 1000; i++) {
        say_restarting(c, UINT32_MAX, UINT32_MAX, NS_PER_S);
    }
    assert_int_equal(relay_client_restart_ns(c), 331 * NS_PER_S);
    relay_client_disconnected(c, 0, NS_PER_S);
    expect(c, RELAY_CLIENT_EV_DOWN);
    assert_in_range(relay_client_next_ns(c), 31 * NS_PER_S, 32 * NS_PER_S);
    relay_client_tick(c, 40 * NS_PER_S);
    bring_up(c, 40 * NS_PER_S, &(struct derp_info){.version = 2});
    assert_int_equal(relay_client_restart_ns(c), 0);
    relay_client_free(c);
}

static void reconnects_after_the_relay_closed(void **state)
{
    (void)state;
    struct relay_server_config config = {.open = true};
    struct world w;
    world_open(&w, &config);
    struct world_client *a = world_add(&w, 1);
    world_run(&w, 20 * NS_PER_S);
    relay_server_closed(w.server, a->id, w.now);
    a->id = 0;
    relay_client_disconnected(a->core, 0, w.now);
    world_settle(&w);
    assert_int_equal(a->downs, 1);
    assert_int_equal(a->down_err, ERR_CLOSED);
    world_run(&w, NS_PER_S / 2); /* it was up for long: the first back-off again */
    assert_int_equal(a->ups, 2);
    relay_client_stop(a->core, w.now);
    world_run(&w, 60 * NS_PER_S);
    assert_int_equal(a->downs, 2);
    assert_int_equal(relay_server_stats(w.server)->connections, 0);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backs_off_with_doubling_and_jitter),
        cmocka_unit_test(a_while_up_makes_the_back_off_short_again),
        cmocka_unit_test(gives_up_a_connection_that_is_not_up_in_time),
        cmocka_unit_test(measures_and_stays_alive_by_pings),
        cmocka_unit_test(silence_of_75_s_ends_the_connection),
        cmocka_unit_test(a_connection_in_use_is_measured_every_10_s),
        cmocka_unit_test(a_relay_in_use_that_dies_without_a_word_is_noticed),
        cmocka_unit_test(a_hurried_ping_must_be_answered_soon),
        cmocka_unit_test(a_relay_that_restarts_is_tried_when_and_as_long_as_it_said),
        cmocka_unit_test(what_a_restarting_relay_wishes_has_bounds),
        cmocka_unit_test(reconnects_after_the_relay_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
