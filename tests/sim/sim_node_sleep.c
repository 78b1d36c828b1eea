/* Lids that close for hours, and lists of addresses where nobody is: streams go on, and neither
 * costs much. */
#include "sim/fleet.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
#define S(n) ((uint64_t)(n)*NS_PER_S)
#define HOURS(n) S(3600 * (uint64_t)(n))
#define RTT MS(40)
#define MB UINT64_C(1000000)

static const struct natbox_config eim_apdf = {.mapping = NATBOX_EIM, .filtering = NATBOX_APDF};
static const struct natbox_config edm = {.mapping = NATBOX_APDM, .filtering = NATBOX_APDF};

static struct fleet_config behind(const struct natbox_config *a, const struct natbox_config *b,
                                  uint64_t seed)
{
    struct fleet_config config = fleet_config_default("sim_node_sleep", seed);
    config.blind = true;
    config.nats = true;
    config.nat[0] = *a;
    config.nat[1] = *b;
    config.stun_servers = 2;
    config.relay_delay_ns = RTT / 4;
    config.resume_timeout_ns = HOURS(24);
    return config;
}

static void assert_no_loss(const struct fleet *f)
{
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(f->nodes[i].app.resets + f->nodes[i].app.strays, 0);
        assert_int_equal(f->nodes[i].strays, 0);
        assert_int_equal(fleet_stats(f, i, 1 - i).restarts_seen, 0);
    }
}

static void until_both_direct(struct fleet *f, uint64_t ns)
{
    fleet_until_path(f, 0, 1, ADIT_PATH_DIRECT, ns);
    fleet_until_path(f, 1, 0, ADIT_PATH_DIRECT, ns);
}

/* Writes until it is read at the other end; how long that took. */
static uint64_t say(struct fleet *f, uint64_t id)
{
    uint64_t start = f->world.now;
    uint64_t read = f->nodes[1].app.bytes_read;
    fleet_app_more(&f->nodes[0].app, id, 1000);
    while (f->nodes[1].app.bytes_read < read + 1000) {
        assert_true(world_step(&f->world, start + S(15)));
    }
    return f->world.now - start;
}

/* `who`: bit for each side that sleeps. */
static void sleeps(unsigned who, uint64_t seed)
{
    struct fleet_config config = behind(&eim_apdf, &eim_apdf, seed);
    struct fleet *f = fleet_new(&config);
    fleet_start_all(f);
    uint64_t id = fleet_open(f, 0, 1, (struct fleet_plan){.up = 100000, .endless = true});
    until_both_direct(f, S(2));
    fleet_run(f, S(30));
    uint64_t sent[2] = {f->nodes[0].datagrams_out, f->nodes[1].datagrams_out};
    for (size_t i = 0; i < 2; i++) {
        if (who >> i & 1) {
            fleet_sleep(f, i);
        }
    }
    fleet_run(f, HOURS(8));
    sent[0] = f->nodes[0].datagrams_out - sent[0];
    sent[1] = f->nodes[1].datagrams_out - sent[1];
    for (size_t i = 0; i < 2; i++) {
        if (who >> i & 1) {
            assert_int_equal(sent[i], 0);
            fleet_wake(f, i);
        }
    }
    uint64_t took = say(f, id);
    uint64_t start = f->world.now;
    until_both_direct(f, S(30));
    print_message("             sides %u: %" PRIu64 " and %" PRIu64 " datagrams in 8 h, first byte "
                  "after %.0f ms, direct after %.0f more\n",
                  who, sent[0], sent[1], (double)took / 1e6, (double)(f->world.now - start) / 1e6);
    assert_true(took < S(6)); /* a handshake is tried every 5 s */
    assert_true(sent[0] + sent[1] < 8 * 3600 / 4);
    fleet_app_finish(&f->nodes[0].app, id);
    fleet_finish(f, S(5));
    assert_int_equal(f->nodes[0].app.completed, 1);
    assert_int_equal(f->nodes[1].app.completed, 1);
    assert_no_loss(f);
    fleet_free(f);
}

static void streams_outlive_eight_hours_of_sleep(void **state)
{
    (void)state;
    for (unsigned who = 1; who <= 3; who++) {
        sleeps(who, who);
    }
}

static void a_transfer_is_resumed_where_it_was(void **state)
{
    (void)state;
    for (size_t who = 0; who < 2; who++) {
        struct fleet_config config = behind(&eim_apdf, &eim_apdf, 10 + who);
        struct fleet *f = fleet_new(&config);
        fleet_start_all(f);
        fleet_open(f, 0, 1,
                   (struct fleet_plan){.up = 8 * MB, .pace_bytes = 10000, .pace_ns = MS(20)});
        fleet_run(f, S(5));
        fleet_sleep(f, who);
        fleet_run(f, HOURS(8));
        fleet_wake(f, who);
        uint64_t took = fleet_finish(f, S(30));
        print_message("             side %zu: done %.1f s after it woke\n", who,
                      (double)took / 1e9);
        assert_int_equal(f->nodes[1].app.completed, 1);
        assert_no_loss(f);
        fleet_free(f);
    }
}

/* --- addresses where nobody is --- */

struct cost {
    uint64_t took_ns, bytes, datagrams;
};

static struct cost cost_of(size_t dead)
{
    struct cost cost;
    struct fleet_config config = behind(&eim_apdf, &eim_apdf, 20);
    config.dead_addresses[0] = config.dead_addresses[1] = dead;
    struct fleet *f = fleet_new(&config);
    fleet_start(f, 1);
    fleet_run(f, S(5));
    fleet_start(f, 0);
    fleet_open(f, 0, 1, (struct fleet_plan){.up = 1000, .endless = true});
    while (fleet_stats(f, 0, 1).state != ADIT_PEER_CONNECTED) {
        assert_true(world_step(&f->world, S(2000)));
    }
    uint64_t start = f->world.now;
    until_both_direct(f, S(2));
    cost.took_ns = f->world.now - start;
    fleet_run(f, S(60));
    cost.bytes = f->nodes[0].bytes_out;
    cost.datagrams = f->nodes[0].datagrams_out;
    assert_true(f->nodes[0].second_peak <= 170);
    assert_no_loss(f);
    fleet_free(f);
    return cost;
}

static void thirty_two_addresses_of_which_one_is_right_slow_nothing(void **state)
{
    (void)state;
    struct cost one = cost_of(0);
    struct cost many = cost_of(FLEET_DEAD_MAX);
    print_message("             direct after %.0f ms, with 31 dead addresses %.0f ms, %" PRIu64
                  " bytes more\n",
                  (double)one.took_ns / 1e6, (double)many.took_ns / 1e6, many.bytes - one.bytes);
    assert_true(many.took_ns <= one.took_ns + MS(5));
    assert_true(many.bytes < one.bytes + 20000);
}

/* A peer that is never reached: 100 ms, 200 ms ... 5 s apart for 45 s, then once a minute, and
 * again from the start when the peer's list has changed, as it does every 5 min behind such a NAT.
 */
static void addresses_that_never_answer_get_few_packets(void **state)
{
    (void)state;
    struct fleet_config config = behind(&edm, &edm, 21);
    config.dead_addresses[1] = FLEET_DEAD_MAX;
    struct fleet *f = fleet_new(&config);
    fleet_start_all(f);
    uint64_t id = fleet_open(f, 0, 1, (struct fleet_plan){.up = 100, .endless = true});
    uint64_t rate[3];
    for (size_t i = 0; i < 3; i++) {
        uint64_t before = f->nodes[0].datagrams_out;
        for (unsigned k = 0; k < 600; k++) {
            fleet_run(f, MS(500));
            fleet_app_more(&f->nodes[0].app, id, 100);
        }
        rate[i] = f->nodes[0].datagrams_out - before;
    }
    print_message("             datagrams in 5 min each: %" PRIu64 ", %" PRIu64 ", %" PRIu64 "\n",
                  rate[0], rate[1], rate[2]);
    fleet_assert_path(f, 0, 1, ADIT_PATH_RELAY);
    assert_true(f->nodes[0].second_peak <= 170);
    for (size_t i = 0; i < 3; i++) {
        assert_true(rate[i] < 32 * 25);
    }
    assert_int_equal(f->nodes[0].strays + f->nodes[0].guesses, 0);
    fleet_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_outlive_eight_hours_of_sleep),
        cmocka_unit_test(a_transfer_is_resumed_where_it_was),
        cmocka_unit_test(thirty_two_addresses_of_which_one_is_right_slow_nothing),
        cmocka_unit_test(addresses_that_never_answer_get_few_packets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
