/* Nodes that die, come back, say goodbye or stay silent for ever. */
#include "sim/fleet.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
#define S(n) ((uint64_t)(n)*NS_PER_S)
#define MB UINT64_C(1000000)
/* 4 Mbit/s without an end. */
#define LONG                                                                                       \
    (struct fleet_plan)                                                                            \
    {                                                                                              \
        .up = 4000 * MB, .pace_bytes = 10000, .pace_ns = MS(20)                                    \
    }

static struct fleet *start(uint64_t seed, enum adit_path_kind kind)
{
    struct fleet_config config = fleet_config_default("sim_node_restart", seed);
    config.no_udp = kind == ADIT_PATH_RELAY;
    config.relays = kind == ADIT_PATH_RELAY;
    config.resume_timeout_ns = S(600);
    config.open_apart = seed % 2;
    struct fleet *f = fleet_new(&config);
    fleet_start_all(f);
    return f;
}

static const enum adit_path_kind kinds[] = {ADIT_PATH_DIRECT, ADIT_PATH_RELAY};

enum { CLOCK_AND_FILE, CLOCK_ONLY, FILE_ONLY, MEMORIES };

static void set_memory(struct fleet_node *n, int memory)
{
    n->no_clock = memory == FILE_ONLY;
    n->forgetful = memory == CLOCK_ONLY;
}

/* `victim` dies and comes back after `away`; the other one's streams end within `limit`. */
static void die_and_return(struct fleet *f, size_t victim, uint64_t away, uint64_t limit)
{
    struct fleet_app *other = &f->nodes[1 - victim].app;
    uint64_t resets = other->resets;
    uint64_t streams = other->unfinished;
    assert_true(streams > 0);
    fleet_kill(f, victim);
    fleet_run(f, away);
    assert_int_equal(other->resets, resets);
    fleet_start(f, victim);
    uint64_t end = f->world.now + limit;
    while (other->resets < resets + streams && world_step(&f->world, end)) {
    }
    assert_int_equal(other->resets, resets + streams);
    assert_int_equal(other->last_cause, CAUSE_PEER_RESTARTED);
    assert_int_equal(other->unfinished, 0);
}

static void streams_of_a_former_life_are_reset(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 2 * 2 * MEMORIES; i++) {
        size_t victim = i % 2;
        struct fleet *f = start(100 + i, kinds[i / 2 % 2]);
        set_memory(&f->nodes[victim], (int)(i / 4));
        fleet_open(f, 0, 1, LONG);
        fleet_open(f, 1, 0, LONG);
        fleet_run(f, S(3));
        assert_int_equal(f->nodes[1 - victim].app.unfinished, 2);
        die_and_return(f, victim, S(1), S(4));
        assert_int_equal(fleet_stats(f, 1 - victim, victim).restarts_seen, 1);
        for (size_t k = 0; k < 2; k++) {
            f->nodes[k].app.completed = 0;
            fleet_open(f, k, 1 - k, (struct fleet_plan){.up = MB, .down = MB});
        }
        fleet_finish(f, S(5));
        assert_int_equal(f->nodes[0].app.completed, 2);
        assert_int_equal(f->nodes[1].app.completed, 2);
        fleet_assert_path(f, 0, 1, kinds[i / 2 % 2]);
        fleet_free(f);
    }
}

/* Neither clock nor file: its greeting is an old one, but the other side asks by itself. */
static void a_node_without_any_memory_is_found_by_who_waits_for_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct fleet *f = start(120 + i, kinds[i / 2]);
        f->nodes[i % 2].no_clock = f->nodes[i % 2].forgetful = true;
        fleet_open(f, 1 - i % 2, i % 2, LONG);
        fleet_run(f, S(3));
        die_and_return(f, i % 2, S(1), S(15));
        fleet_open(f, i % 2, 1 - i % 2, (struct fleet_plan){.up = MB, .down = MB});
        fleet_finish(f, S(5));
        fleet_free(f);
    }
}

/* Many packets in both directions before: the numbers of the new life are all old ones. */
static void a_restart_after_long_use_is_no_replay(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fleet *f = start(130 + i, kinds[i]);
        fleet_open(f, 0, 1, (struct fleet_plan){.up = 10 * MB, .down = 10 * MB});
        fleet_finish(f, S(10));
        fleet_open(f, 0, 1, (struct fleet_plan){.up = MB, .pace_bytes = 1000, .pace_ns = MS(500)});
        fleet_run(f, S(100));
        die_and_return(f, 1, S(1), S(3));
        assert_int_equal(fleet_counters(f, 0).packets_replayed, 0);
        fleet_free(f);
    }
}

static void a_node_that_dies_again_and_again(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 4; i++) {
        struct fleet *f = start(140 + i, kinds[i % 2]);
        for (uint64_t k = 0; k < 20; k++) {
            size_t victim = i / 2 ? k % 2 : 1;
            fleet_open(f, 1 - victim, victim, LONG);
            fleet_kill(f, victim);
            fleet_run(f, MS(7) * k);
            fleet_start(f, victim);
            fleet_open(f, victim, 1 - victim, (struct fleet_plan){.up = MB, .down = MB});
            fleet_run(f, MS(11) * k * k);
        }
        fleet_kill(f, 0);
        fleet_start(f, 0);
        uint64_t end = f->world.now + S(8);
        while (f->nodes[1].app.unfinished > 0 && world_step(&f->world, end)) {
        }
        assert_int_equal(f->nodes[1].app.unfinished, 0);
        fleet_open(f, 0, 1, (struct fleet_plan){.up = MB, .down = MB});
        fleet_open(f, 1, 0, (struct fleet_plan){.up = MB, .down = MB});
        fleet_finish(f, S(10));
        fleet_free(f);
    }
}

/* At every stage of a handshake: both sides start at once, one dies a little later. */
static void killed_in_the_middle_of_a_handshake(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 60; i++) {
        struct fleet *f = start(160 + i, kinds[i % 2]);
        fleet_open(f, 0, 1, (struct fleet_plan){.up = MB, .down = MB});
        fleet_run(f, MS(2) * i);
        fleet_kill(f, 1);
        fleet_run(f, MS(13) * (i % 7));
        fleet_start(f, 1);
        fleet_finish(f, S(12));
        fleet_open(f, 0, 1, (struct fleet_plan){.up = MB, .down = MB});
        fleet_open(f, 1, 0, (struct fleet_plan){.up = MB, .down = MB});
        uint64_t resets = f->nodes[0].app.resets + f->nodes[1].app.resets;
        fleet_finish(f, S(5));
        assert_int_equal(f->nodes[0].app.resets + f->nodes[1].app.resets, resets);
        fleet_free(f);
    }
}

/* --- ends --- */

static void a_peer_that_stays_away_is_given_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fleet *f = start(230 + i, kinds[i]);
        fleet_open(f, 0, 1, LONG);
        fleet_run(f, S(2));
        fleet_kill(f, 1);
        fleet_run(f, S(599));
        assert_int_equal(f->nodes[0].app.resets, 0);
        assert_int_equal(fleet_stats(f, 0, 1).state, ADIT_PEER_LOST);
        fleet_run(f, S(3));
        assert_int_equal(f->nodes[0].app.resets, 1);
        assert_int_equal(f->nodes[0].app.last_cause, CAUSE_PEER_LOST);
        fleet_start(f, 1);
        fleet_open(f, 0, 1, (struct fleet_plan){.up = MB, .down = MB});
        fleet_finish(f, S(5));
        fleet_free(f);
    }
}

/* What counts is how long a stream has waited, not how long nobody wanted anything. */
static void a_long_rest_is_no_reason_to_give_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fleet *f = start(240 + i, kinds[i]);
        fleet_open(f, 0, 1, (struct fleet_plan){.up = MB, .down = MB});
        fleet_finish(f, S(5));
        fleet_run(f, S(5000));
        assert_int_equal(fleet_stats(f, 0, 1).state, ADIT_PEER_IDLE);
        fleet_udp(f, false);
        fleet_open(f, 0, 1, (struct fleet_plan){.up = MB, .down = MB});
        fleet_run(f, S(3)); /* whatever is sent at first gets lost */
        fleet_udp(f, kinds[i] == ADIT_PATH_DIRECT);
        fleet_finish(f, S(7));
        fleet_run(f, S(150)); /* the keys are still good */
        fleet_open(f, 1, 0, (struct fleet_plan){.up = MB, .down = MB});
        fleet_finish(f, S(2));
        assert_int_equal(f->nodes[0].app.completed, 3);
        assert_int_equal(f->nodes[0].app.resets, 0);
        fleet_free(f);
    }
}

static void a_goodbye_ends_streams_at_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct fleet *f = start(250 + i, kinds[i / 2]);
        size_t leaver = i % 2;
        fleet_open(f, 0, 1, LONG);
        fleet_run(f, S(2));
        fleet_stop(f, leaver);
        fleet_run(f, MS(400));
        assert_int_equal(f->nodes[1 - leaver].app.resets, 1);
        assert_int_equal(f->nodes[1 - leaver].app.last_cause, CAUSE_PEER_CLOSED);
        fleet_run(f, S(20)); /* what is left of it does not wake for nothing */
        fleet_kill(f, leaver);
        fleet_run(f, S(20));
        assert_int_equal(fleet_stats(f, 1 - leaver, leaver).state, ADIT_PEER_IDLE);
        fleet_start(f, leaver);
        fleet_open(f, 1 - leaver, leaver, (struct fleet_plan){.up = MB, .down = MB});
        fleet_finish(f, S(3));
        assert_int_equal(f->nodes[1 - leaver].app.resets, 1);
        fleet_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_of_a_former_life_are_reset),
        cmocka_unit_test(a_node_without_any_memory_is_found_by_who_waits_for_it),
        cmocka_unit_test(a_restart_after_long_use_is_no_replay),
        cmocka_unit_test(a_node_that_dies_again_and_again),
        cmocka_unit_test(killed_in_the_middle_of_a_handshake),
        cmocka_unit_test(a_peer_that_stays_away_is_given_up),
        cmocka_unit_test(a_long_rest_is_no_reason_to_give_up),
        cmocka_unit_test(a_goodbye_ends_streams_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
