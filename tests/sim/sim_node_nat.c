/* Nodes behind NATs of all kinds, with a relay: which way they come to use, and what it takes. */
#include "node/node_internal.h"
#include "sim/fleet.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
#define S(n) ((uint64_t)(n)*NS_PER_S)
#define RTT MS(40)

/* Punching sends this much without birthday probing; with it, so much more (birthday.h). */
enum { RATE_CALM = 100, RATE_OPENING = 500, RATE_PROBING = 170 };

static const struct natbox_config edm_random = {
    .mapping = NATBOX_APDM, .filtering = NATBOX_APDF, .ports = NATBOX_RANDOM};
static const struct natbox_config edm_sequential = {
    .mapping = NATBOX_APDM, .filtering = NATBOX_APDF, .ports = NATBOX_SEQUENTIAL};
static const struct natbox_config eim_apdf = {
    .mapping = NATBOX_EIM, .filtering = NATBOX_APDF, .ports = NATBOX_RANDOM};

static struct fleet_config nats(const struct natbox_config *a, const struct natbox_config *b,
                                uint64_t seed)
{
    struct fleet_config config = fleet_config_default("sim_node_nat", seed);
    config.blind = true;
    config.nats = true;
    config.nat[0] = *a;
    config.nat[1] = *b;
    config.stun_servers = 2;
    config.birthday_sockets = 256;
    return config;
}

/* A stream that is written to twice a second. */
static void talk(struct fleet *f, uint64_t ns)
{
    uint64_t until = f->world.now + ns;
    uint64_t id = fleet_open(f, 0, 1, (struct fleet_plan){.up = 100, .endless = true});
    while (f->world.now < until) {
        fleet_run(f, MS(500));
        fleet_app_more(&f->nodes[0].app, id, 100);
    }
}

static uint64_t open_until_direct(struct fleet *f, uint64_t ns)
{
    uint64_t start = f->world.now;
    fleet_open(f, 0, 1, (struct fleet_plan){.up = 100, .endless = true});
    fleet_until_path(f, 0, 1, ADIT_PATH_DIRECT, ns);
    fleet_until_path(f, 1, 0, ADIT_PATH_DIRECT, S(1));
    return f->world.now - start;
}

static void assert_bounds(const struct fleet *f)
{
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(f->nodes[i].strays, 0);
        assert_true(f->nodes[i].second_peak <= RATE_CALM + RATE_OPENING);
        struct adit_counters c = fleet_counters(f, i);
        assert_true(c.birthday_sent <= 1750 * c.birthday_runs);
    }
}

static void easy_and_easy_is_direct_whatever_the_filters(void **state)
{
    (void)state;
    for (enum natbox_filtering i = NATBOX_EIF; i <= NATBOX_APDF; i++) {
        for (enum natbox_filtering k = NATBOX_EIF; k <= NATBOX_APDF; k++) {
            struct natbox_config a = {.mapping = NATBOX_EIM, .filtering = i};
            struct natbox_config b = {.mapping = NATBOX_EIM, .filtering = k};
            struct fleet_config config = nats(&a, &b, 1 + i * 3 + k);
            struct fleet *f = fleet_new(&config);
            fleet_start_all(f);
            uint64_t took = open_until_direct(f, S(2));
            assert_true(took < 10 * RTT);
            assert_int_equal(fleet_counters(f, 0).birthday_runs, 0);
            assert_true(f->nodes[0].second_peak <= RATE_CALM);
            assert_bounds(f);
            fleet_free(f);
        }
    }
}

/* 95 of 100 take less than 10 s, from the first packet of the session on. */
static void hard_and_easy_is_direct_within_10_s(void **state)
{
    (void)state;
    enum { RUNS = 100 };
    unsigned direct = 0;
    uint64_t probes = 0;
    for (uint64_t seed = 100; seed < 100 + RUNS; seed++) {
        struct fleet_config config = nats(&edm_random, &eim_apdf, seed);
        struct fleet *f = fleet_new(&config);
        fleet_start_all(f);
        fleet_open(f, 0, 1, (struct fleet_plan){.up = 100, .endless = true});
        uint64_t until = f->world.now + S(10);
        while (fleet_stats(f, 0, 1).path.kind != ADIT_PATH_DIRECT && world_step(&f->world, until)) {
        }
        direct += fleet_stats(f, 0, 1).path.kind == ADIT_PATH_DIRECT;
        probes += fleet_counters(f, 1).birthday_sent;
        assert_bounds(f);
        fleet_free(f);
    }
    print_message("             %u of %d direct within 10 s, %" PRIu64 " probes on average\n",
                  direct, RUNS, probes / RUNS);
    assert_true(direct >= 95);
}

/* The peer has seen temporary sockets only, and their addresses are of use to nobody else. */
static void assert_no_temporary_candidate(const struct node *n)
{
    for (size_t i = 0; i < n->own.count; i++) {
        assert_int_equal(n->own.list[i].sources >> CAND_PEER_REFLEXIVE & 1, 0);
    }
}

/* The temporary socket carries the path, and goes on to. */
static void birthday(const struct natbox_config *hard, size_t hard_side, uint64_t seed)
{
    size_t easy_side = 1 - hard_side;
    struct fleet_config config =
        nats(hard_side == 0 ? hard : &eim_apdf, hard_side == 0 ? &eim_apdf : hard, seed);
    struct fleet *f = fleet_new(&config);
    fleet_start_all(f);
    uint64_t took = open_until_direct(f, S(10));
    print_message("             direct after %.3f s, %" PRIu64 " probes\n", (double)took / 1e9,
                  fleet_counters(f, easy_side).birthday_sent);
    assert_int_equal(fleet_counters(f, 0).birthday_runs, 1);
    assert_int_equal(fleet_counters(f, 1).birthday_runs, 1);
    assert_int_equal(f->nodes[hard_side].sockets_peak, 256);
    assert_int_equal(f->nodes[easy_side].sockets_peak, 0);
    assert_true(f->nodes[easy_side].second_peak <= RATE_CALM + RATE_PROBING);
    talk(f, S(60));
    fleet_assert_path(f, 0, 1, ADIT_PATH_DIRECT);
    fleet_assert_path(f, 1, 0, ADIT_PATH_DIRECT);
    assert_int_equal(fleet_counters(f, 0).birthday_won, 1);
    assert_int_equal(fleet_counters(f, 1).birthday_won, 1);
    assert_in_range(f->nodes[hard_side].sockets, 1, 8);
    assert_no_temporary_candidate(f->nodes[hard_side].node);
    assert_bounds(f);
    fleet_free(f);
}

static void hard_and_easy_use_the_socket_that_won(void **state)
{
    (void)state;
    for (uint64_t seed = 23; seed < 27; seed++) {
        birthday(&edm_random, seed % 2, seed);
    }
}

static void sequential_ports_are_found_sooner(void **state)
{
    (void)state;
    for (uint64_t seed = 30; seed < 34; seed++) {
        birthday(&edm_sequential, seed % 2, seed);
    }
}

/* What worked is known after a restart, and only what was out of the ordinary. */
static void what_worked_is_tried_first_the_next_time(void **state)
{
    (void)state;
    uint64_t first = 0;
    uint64_t second = 0;
    for (uint64_t seed = 50; seed < 60; seed++) {
        struct fleet_config config = nats(&edm_sequential, &eim_apdf, seed);
        struct fleet *f = fleet_new(&config);
        fleet_start_all(f);
        first += open_until_direct(f, S(30));
        fleet_run(f, S(1));
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(f->nodes[i].node->recipes.count, 1);
            fleet_stop(f, i);
            fleet_run(f, MS(100));
        }
        for (size_t i = 0; i < 2; i++) {
            fleet_kill(f, i);
            fleet_start(f, i);
        }
        second += open_until_direct(f, S(30));
        fleet_free(f);
    }
    print_message("             the first time %.1f s, the second %.1f s\n", (double)first / 1e10,
                  (double)second / 1e10);
    assert_true(second + S(15) < first); /* ten times 2 s of waiting less */
}

static void what_works_without_is_not_remembered(void **state)
{
    (void)state;
    struct natbox_config eim = {.mapping = NATBOX_EIM, .filtering = NATBOX_APDF};
    struct fleet_config config = nats(&eim, &eim, 60);
    struct fleet *f = fleet_new(&config);
    fleet_start_all(f);
    (void)open_until_direct(f, S(2));
    talk(f, S(10));
    assert_int_equal(f->nodes[0].node->recipes.count + f->nodes[1].node->recipes.count, 0);
    fleet_free(f);
}

static void stays_on_the_relay(const struct fleet_config *config, bool one_server)
{
    struct fleet *f = fleet_new(config);
    f->nodes[0].one_stun_server = f->nodes[1].one_stun_server = one_server;
    fleet_start_all(f);
    talk(f, S(60));
    for (size_t i = 0; i < 2; i++) {
        fleet_assert_path(f, i, 1 - i, ADIT_PATH_RELAY);
        assert_int_equal(fleet_counters(f, i).birthday_runs, 0);
        assert_int_equal(f->nodes[i].sockets_peak, 0);
        assert_true(f->nodes[i].second_peak <= RATE_CALM);
    }
    assert_bounds(f);
    fleet_free(f);
}

static void hard_and_hard_stays_on_the_relay_and_tries_nothing(void **state)
{
    (void)state;
    struct fleet_config config = nats(&edm_random, &edm_random, 40);
    stays_on_the_relay(&config, false);
}

static void who_knows_one_stun_server_tries_nothing(void **state)
{
    (void)state;
    struct fleet_config config = nats(&edm_random, &eim_apdf, 41);
    stays_on_the_relay(&config, true);
}

static void switched_off_it_tries_nothing(void **state)
{
    (void)state;
    struct fleet_config config = nats(&edm_random, &eim_apdf, 42);
    config.birthday_sockets = 0;
    stays_on_the_relay(&config, false);
}

/* A router that gives out two mappings in all, to the servers: runs fail, and come ever more
 * seldom. */
static void failing_runs_are_few_and_bounded(void **state)
{
    (void)state;
    struct natbox_config stingy = edm_random;
    stingy.mappings_max = 2; /* two STUN servers: none toward the peer, ever */
    stingy.idle_ns = S(3600);
    struct fleet_config config = nats(&stingy, &eim_apdf, 43);
    struct fleet *f = fleet_new(&config);
    fleet_start_all(f);
    talk(f, S(600));
    uint64_t runs = fleet_counters(f, 1).birthday_runs;
    assert_in_range(runs, 2, 6);
    talk(f,
         S(2900)); /* nobody has ever answered from that IP: so and so much an hour, and no more */
    for (size_t i = 0; i < 2; i++) {
        struct adit_counters c = fleet_counters(f, i);
        assert_in_range(c.birthday_sent, 1, GUESS_IP_COUNT_MAX);
    }
    assert_true(fleet_counters(f, 1).guesses_refused > 0);
    fleet_assert_path(f, 0, 1, ADIT_PATH_RELAY);
    fleet_assert_path(f, 1, 0, ADIT_PATH_RELAY);
    assert_int_equal(f->nodes[0].sockets, 0);
    assert_bounds(f);
    fleet_free(f);
}

/* The router forgets all: the path dies, and another run makes a new one. */
static void a_flushed_nat_is_overcome(void **state)
{
    (void)state;
    struct fleet_config config = nats(&edm_random, &eim_apdf, 44);
    struct fleet *f = fleet_new(&config);
    fleet_start_all(f);
    (void)open_until_direct(f, S(10));
    talk(f, S(30));
    natbox_flush(&f->nodes[0].nat);
    talk(f, S(60));
    fleet_assert_path(f, 0, 1, ADIT_PATH_DIRECT);
    fleet_assert_path(f, 1, 0, ADIT_PATH_DIRECT);
    assert_int_equal(fleet_counters(f, 0).birthday_won, 2);
    assert_bounds(f);
    fleet_free(f);
}

/* Streams end, nothing is heard any more: the socket is closed. */
static void a_socket_without_a_living_path_is_closed(void **state)
{
    (void)state;
    struct fleet_config config = nats(&edm_random, &eim_apdf, 45);
    struct fleet *f = fleet_new(&config);
    fleet_start_all(f);
    (void)open_until_direct(f, S(10));
    assert_true(f->nodes[0].sockets > 0);
    fleet_kill(f, 1);
    fleet_run(f, S(600));
    assert_int_equal(f->nodes[0].sockets, 0);
    fleet_free(f);
}

/* --- two hard NATs that give out their ports in sequence --- */

/* Others behind both NATs: so many new mappings a second, at moments of their own. */
struct crowd {
    struct world_event event;
    struct fleet *f;
    struct rng rng;
    unsigned per_s;
    uint64_t made;
};

static void somebody_opens(struct world_event *event)
{
    struct crowd *c = container_of(event, struct crowd, event);
    struct world *w = &c->f->world;
    struct addr inside = addr_ipv4(10, 0, 9, 9, (uint16_t)(1024 + c->made % 60000));
    struct addr to = addr_ipv4(192, 0, 2, 1, 53);
    struct addr from;
    (void)natbox_out(&c->f->nodes[c->made++ % 2].nat, &inside, &to, &from, w->now);
    world_at(w, event, w->now + rng_below(c->rng, 2 * NS_PER_S / (2 * c->per_s)));
}

/* How many of the runs are direct within so long of the first packet; how often one run was enough.
 */
static unsigned met(const struct natbox_config *a, const struct natbox_config *b, unsigned per_s,
                    unsigned *at_once)
{
    enum { RUNS = 100 };
    unsigned direct = 0;
    uint64_t sent = 0;
    *at_once = 0;
    for (uint64_t seed = 300; seed < 300 + RUNS; seed++) {
        struct fleet_config config = nats(a, b, seed);
        struct fleet *f = fleet_new(&config);
        struct crowd crowd = {
            .event.fire = somebody_opens, .f = f, .rng = f->world.rng, .per_s = per_s};
        if (per_s > 0) {
            world_at(&f->world, &crowd.event, f->world.now);
        }
        fleet_start_all(f);
        fleet_open(f, 0, 1, (struct fleet_plan){.up = 100, .endless = true});
        uint64_t until = f->world.now + S(40);
        while (fleet_stats(f, 0, 1).path.kind != ADIT_PATH_DIRECT && world_step(&f->world, until)) {
        }
        direct += fleet_stats(f, 0, 1).path.kind == ADIT_PATH_DIRECT;
        struct adit_counters c = fleet_counters(f, 0);
        *at_once += fleet_stats(f, 0, 1).path.kind == ADIT_PATH_DIRECT && c.sequence_runs == 1;
        sent += c.sequence_sent;
        assert_true(c.sequence_sent <= 4 * 96 * c.sequence_runs);
        assert_bounds(f);
        if (per_s > 0) {
            heap_remove(&f->world.heap, &crowd.event.node);
        }
        fleet_free(f);
    }
    print_message("             beside %u others a second: %u of %d direct, %u at once, %" PRIu64
                  " packets on average\n",
                  per_s, direct, RUNS, *at_once, sent / RUNS);
    return direct;
}

static void two_that_count_meet(void **state)
{
    (void)state;
    unsigned at_once;
    assert_true(met(&edm_sequential, &edm_sequential, 0, &at_once) >= 99);
    assert_true(at_once >= 95);
    assert_true(met(&edm_sequential, &edm_sequential, 20, &at_once) >= 95);
    assert_true(at_once >= 80);
}

/* Who counts asks, and nobody answers: a few questions to STUN servers, no packet to the peer. */
static void one_that_counts_alone_sends_nothing(void **state)
{
    (void)state;
    struct fleet_config config = nats(&edm_sequential, &edm_random, 46);
    struct fleet *f = fleet_new(&config);
    fleet_start_all(f);
    talk(f, S(120));
    fleet_assert_path(f, 0, 1, ADIT_PATH_RELAY);
    fleet_assert_path(f, 1, 0, ADIT_PATH_RELAY);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(fleet_counters(f, i).sequence_runs, 0);
        assert_int_equal(f->nodes[i].sockets_peak, i == 0 ? SEQUENCE_SOCKETS : 0);
        assert_true(f->nodes[i].second_peak <= RATE_CALM);
    }
    assert_int_equal(f->nodes[0].sockets, 0);
    assert_bounds(f);
    fleet_free(f);
}

/* The path by the fresh socket carries on, and the socket ends with it. */
static void what_met_stays_direct(void **state)
{
    (void)state;
    struct fleet_config config = nats(&edm_sequential, &edm_sequential, 47);
    struct fleet *f = fleet_new(&config);
    fleet_start_all(f);
    (void)open_until_direct(f, S(10));
    talk(f, S(120));
    for (size_t i = 0; i < 2; i++) {
        fleet_assert_path(f, i, 1 - i, ADIT_PATH_DIRECT);
        assert_int_equal(fleet_counters(f, i).sequence_won, 1);
        assert_int_equal(f->nodes[i].sockets, 1);
        assert_no_temporary_candidate(f->nodes[i].node);
    }
    natbox_flush(&f->nodes[0].nat);
    natbox_flush(&f->nodes[1].nat);
    talk(f, S(60));
    fleet_assert_path(f, 0, 1, ADIT_PATH_DIRECT);
    assert_int_equal(fleet_counters(f, 0).sequence_won, 2);
    assert_bounds(f);
    fleet_kill(f, 1);
    fleet_run(f, S(600));
    assert_int_equal(f->nodes[0].sockets, 0);
    fleet_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(easy_and_easy_is_direct_whatever_the_filters),
        cmocka_unit_test(hard_and_easy_is_direct_within_10_s),
        cmocka_unit_test(hard_and_easy_use_the_socket_that_won),
        cmocka_unit_test(sequential_ports_are_found_sooner),
        cmocka_unit_test(what_worked_is_tried_first_the_next_time),
        cmocka_unit_test(what_works_without_is_not_remembered),
        cmocka_unit_test(hard_and_hard_stays_on_the_relay_and_tries_nothing),
        cmocka_unit_test(who_knows_one_stun_server_tries_nothing),
        cmocka_unit_test(switched_off_it_tries_nothing),
        cmocka_unit_test(failing_runs_are_few_and_bounded),
        cmocka_unit_test(a_flushed_nat_is_overcome),
        cmocka_unit_test(a_socket_without_a_living_path_is_closed),
        cmocka_unit_test(two_that_count_meet),
        cmocka_unit_test(one_that_counts_alone_sends_nothing),
        cmocka_unit_test(what_met_stays_direct),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
