/* A direct path that dies, or only stutters, while data moves: what the application sees of it, and
 * which path is said to be in use. A relay stands by. */
#include "sim/fleet.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
#define S(n) ((uint64_t)(n)*NS_PER_S)
#define RTT MS(40)

static struct fleet *direct_with_relay(uint64_t seed)
{
    struct fleet_config config = fleet_config_default("sim_node_doubt", seed);
    struct fleet *f = fleet_new(&config);
    fleet_start_all(f);
    fleet_run(f, S(1));
    return f;
}

static uint64_t endless(struct fleet *f)
{
    uint64_t id = fleet_open(f, 0, 1, (struct fleet_plan){.up = 1000, .endless = true});
    fleet_until_path(f, 0, 1, ADIT_PATH_DIRECT, S(2));
    fleet_run(f, S(1));
    return id;
}

/* Writes a little and waits until it was read; how long that took. */
static uint64_t say(struct fleet *f, uint64_t id, uint64_t limit_ns)
{
    uint64_t start = f->world.now;
    uint64_t read = f->nodes[1].app.bytes_read;
    fleet_app_more(&f->nodes[0].app, id, 500);
    while (f->nodes[1].app.bytes_read < read + 500) {
        if (!world_step(&f->world, start + limit_ns)) {
            fail_msg("nothing was read for %.3f s", (double)limit_ns / 1e9);
        }
    }
    return f->world.now - start;
}

static uint64_t longest(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* What is said into a path that has just died arrives after one probe timeout, by the relay. */
static void small_messages_outlive_their_path(void **state)
{
    (void)state;
    uint64_t first = 0;
    uint64_t later = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct fleet *f = direct_with_relay(seed);
        uint64_t id = endless(f);
        for (int i = 0; i < 10; i++) {
            assert_true(say(f, id, S(1)) <= RTT / 2 + MS(2));
            fleet_run(f, MS(200));
        }
        fleet_udp(f, false);
        first = longest(first, say(f, id, S(1)));
        for (int i = 0; i < 40; i++) {
            fleet_run(f, MS(200));
            later = longest(later, say(f, id, S(1)));
        }
        fleet_assert_path(f, 0, 1, ADIT_PATH_RELAY);
        fleet_app_finish(&f->nodes[0].app, id);
        fleet_finish(f, S(2));
        fleet_free(f);
    }
    print_message("             the first message after %.0f ms, others within %.0f ms\n",
                  (double)first / 1e6, (double)later / 1e6);
    assert_true(first < MS(200));
    assert_true(later < MS(200));
}

static void a_transfer_outlives_its_path(void **state)
{
    (void)state;
    uint64_t gap = 0;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct fleet *f = direct_with_relay(seed);
        fleet_open(f, 0, 1,
                   (struct fleet_plan){.up = 6000000, .pace_bytes = 10000, .pace_ns = MS(20)});
        fleet_run(f, S(3));
        fleet_assert_path(f, 0, 1, ADIT_PATH_DIRECT);
        f->nodes[1].app.max_gap_ns = 0;
        fleet_udp(f, false);
        fleet_finish(f, S(15));
        gap = longest(gap, f->nodes[1].app.max_gap_ns);
        assert_int_equal(f->nodes[1].app.completed, 1);
        assert_int_equal(f->nodes[0].app.resets + f->nodes[1].app.resets, 0);
        fleet_free(f);
    }
    print_message("             nothing was read for %.0f ms\n", (double)gap / 1e6);
    assert_true(gap < MS(350));
}

/* Half a second in which nothing arrives, again and again: the choice stays, nobody sees a change.
 */
static void a_path_that_stutters_is_not_left(void **state)
{
    (void)state;
    struct fleet *f = direct_with_relay(7);
    fleet_open(f, 0, 1,
               (struct fleet_plan){.up = 30000000, .pace_bytes = 10000, .pace_ns = MS(20)});
    fleet_run(f, S(3));
    uint64_t changes[2] = {fleet_stats(f, 0, 1).path_changes, fleet_stats(f, 1, 0).path_changes};
    f->nodes[1].app.max_gap_ns = 0;
    for (int i = 0; i < 10; i++) {
        fleet_udp(f, false);
        fleet_run(f, MS(500));
        fleet_udp(f, true);
        fleet_run(f, S(4));
        fleet_assert_path(f, 0, 1, ADIT_PATH_DIRECT);
    }
    assert_int_equal(fleet_stats(f, 0, 1).path_changes, changes[0]);
    assert_int_equal(fleet_stats(f, 1, 0).path_changes, changes[1]);
    print_message("             nothing was read for %.0f ms\n",
                  (double)f->nodes[1].app.max_gap_ns / 1e6);
    assert_true(f->nodes[1].app.max_gap_ns < MS(350));
    fleet_finish(f, S(60));
    fleet_free(f);
}

/* Challenges are answered, nothing is acknowledged: as if only the smallest packets got through. */
static bool no_data_back(struct fleet *f, size_t from, size_t to, const uint8_t *data, size_t len)
{
    (void)f;
    (void)to;
    bool challenge = data[0] == PACKET_DATA && data[1] == PACKET_PATH_PROBE;
    return from == 0 || challenge || len < 1;
}

static void a_path_on_which_only_challenges_are_answered_is_left_for_longer_each_time(void **state)
{
    (void)state;
    struct fleet *f = direct_with_relay(8);
    uint64_t id = endless(f);
    uint64_t took = 0;
    uint64_t changes = fleet_stats(f, 0, 1).path_changes;
    f->filter = no_data_back;
    for (int i = 0; i < 600; i++) {
        took = longest(took, say(f, id, S(1)));
        fleet_run(f, MS(100));
    }
    changes = fleet_stats(f, 0, 1).path_changes - changes;
    print_message("             messages took up to %.0f ms, %" PRIu64 " changes in 75 s\n",
                  (double)took / 1e6, changes);
    assert_true(took <= MS(200));
    assert_in_range(changes, 1, 12);
    f->filter = NULL;
    fleet_until_path(f, 0, 1, ADIT_PATH_DIRECT, S(60));
    fleet_free(f);
}

struct said {
    unsigned doubted, confirmed, dropped;
};

static void note(void *user, enum log_level level, const char *module, const char *event,
                 const char *text)
{
    struct said *s = user;
    (void)level;
    (void)text;
    if (strcmp(module, "path") == 0) {
        s->doubted += strcmp(event, "doubted") == 0;
        s->confirmed += strcmp(event, "confirmed") == 0;
        s->dropped += strcmp(event, "doubt_dropped") == 0;
    }
}

static struct said log_of_a_silence(bool relay_dies)
{
    struct said said = {0};
    struct fleet *f = direct_with_relay(9);
    uint64_t id = endless(f);
    f->nodes[0].log = (struct log){.write = note, .user = &said, .level = LOG_INFO};
    fleet_udp(f, false);
    fleet_app_more(&f->nodes[0].app, id, 500);
    for (int i = 0; i < 10 && said.doubted == 0; i++) { /* few samples: two long timeouts */
        fleet_run(f, MS(100));
    }
    assert_int_equal(said.doubted, 1);
    if (relay_dies) {
        fleet_relay_kill(f, 0);
    } else {
        fleet_udp(f, true);
    }
    fleet_run(f, S(2));
    fleet_free(f);
    return said;
}

/* An answer confirms a path; that nobody carries the data in its place does not. */
static void only_a_proof_is_called_one(void **state)
{
    (void)state;
    struct said alive = log_of_a_silence(false), dead = log_of_a_silence(true);
    assert_int_equal(alive.confirmed, 1);
    assert_int_equal(alive.dropped, 0);
    assert_int_equal(dead.confirmed, 0);
    assert_int_equal(dead.dropped, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_messages_outlive_their_path),
        cmocka_unit_test(a_transfer_outlives_its_path),
        cmocka_unit_test(a_path_that_stutters_is_not_left),
        cmocka_unit_test(a_path_on_which_only_challenges_are_answered_is_left_for_longer_each_time),
        cmocka_unit_test(only_a_proof_is_called_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
