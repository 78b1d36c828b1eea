/* NATs that forget: after a while without packets, or after a while whatever is sent. */
#include "node/node_internal.h"
#include "sim/fleet.h"

#include <adit/why.h>

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
#define S(n) ((uint64_t)(n)*NS_PER_S)
#define RTT MS(40)
#define MB UINT64_C(1000000)

static struct fleet *pair_behind(const struct natbox_config *a, const struct natbox_config *b,
                                 uint64_t seed)
{
    struct fleet_config config = fleet_config_default("sim_node_lifetime", seed);
    config.blind = true;
    config.nats = true;
    config.nat[0] = *a;
    config.nat[1] = *b;
    config.stun_servers = 2;
    config.birthday_sockets = 256;
    config.relay_delay_ns = RTT / 4;
    struct fleet *f = fleet_new(&config);
    fleet_start_all(f);
    return f;
}

/* 100 MB in 200 s, while the mappings of one side, or both, end every minute. */
static void transfer(uint64_t life_a, uint64_t life_b, uint64_t seed)
{
    struct natbox_config nat[2] = {
        {.mapping = NATBOX_EIM, .filtering = NATBOX_APDF, .life_ns = life_a},
        {.mapping = NATBOX_EIM, .filtering = NATBOX_APDF, .life_ns = life_b}};
    struct fleet *f = pair_behind(&nat[0], &nat[1], seed);
    fleet_open(f, 0, 1,
               (struct fleet_plan){
                   .up = 100 * MB, .down = 5 * MB, .pace_bytes = 10000, .pace_ns = MS(20)});
    fleet_until_path(f, 0, 1, ADIT_PATH_DIRECT, S(2));
    uint64_t gaps[2][4] = {{0}};
    for (size_t i = 0; i < 4; i++) {
        f->nodes[0].app.max_gap_ns = f->nodes[1].app.max_gap_ns = 0;
        fleet_run(f, S(50));
        gaps[1][i] = f->nodes[1].app.max_gap_ns;
    }
    fleet_finish(f, S(60));
    print_message("             gaps in four times 50 s: %.0f %.0f %.0f %.0f ms, %" PRIu64
                  " + %" PRIu64 " changes of path\n",
                  (double)gaps[1][0] / 1e6, (double)gaps[1][1] / 1e6, (double)gaps[1][2] / 1e6,
                  (double)gaps[1][3] / 1e6, fleet_stats(f, 0, 1).path_changes,
                  fleet_stats(f, 1, 0).path_changes);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(f->nodes[i].app.completed, 1);
        assert_int_equal(f->nodes[i].app.resets, 0);
        assert_int_equal(f->nodes[i].strays, 0);
        fleet_assert_path(f, i, 1 - i, ADIT_PATH_DIRECT);
    }
    fleet_free(f);
}

static void mappings_that_end_after_60_s_cost_no_byte(void **state)
{
    (void)state;
    transfer(S(60), 0, 1);
    transfer(0, S(60), 2);
    transfer(S(60), S(60), 3);
}

/* --- after two ends of the kind it is known when the next one comes --- */

/* What has gone to the relay as data; challenges are not counted. */
static uint64_t relayed(const struct fleet *f, size_t node)
{
    struct adit_why w;
    uint64_t packets = 0;
    node_why(f->nodes[node].node, fleet_peer(node, 1 - node), &w, f->world.now);
    for (size_t i = 0; i < w.path_count; i++) {
        packets += w.paths[i].kind == ADIT_PATH_RELAY ? w.paths[i].packets_sent : 0;
    }
    return packets;
}

/* No moment of doubt at either end, all that time. */
static void run_without_doubt(struct fleet *f, uint64_t ns)
{
    uint64_t until = f->world.now + ns;
    while (world_step(&f->world, until)) {
        for (size_t i = 0; i < 2; i++) {
            const struct peer *p = &f->nodes[i].node->peers[0];
            if (p->ways.all || !peer_is_direct(p, f->world.now)) {
                fail_msg("node %zu doubts its path at %.3f s", i, (double)f->world.now / 1e9);
            }
        }
    }
}

struct renewed {
    uint64_t datagrams; /* of both */
    uint64_t done[2];
};

/* 100 kB/s; looked at for 300 s: five ends. A NAT that lets everybody in breaks no path of ours
 * when it moves us: there it is the peer that notices. */
static struct renewed steady(uint64_t life_a, uint64_t life_b, enum natbox_filtering filtering,
                             uint64_t seed)
{
    struct natbox_config nat[2] = {
        {.mapping = NATBOX_EIM, .filtering = filtering, .life_ns = life_a},
        {.mapping = NATBOX_EIM, .filtering = filtering, .life_ns = life_b}};
    struct fleet *f = pair_behind(&nat[0], &nat[1], seed);
    struct renewed r = {0};
    fleet_open(
        f, 0, 1,
        (struct fleet_plan){.up = 50 * MB, .down = MB, .pace_bytes = 2000, .pace_ns = MS(20)});
    fleet_run(f, S(130));
    assert_true(life_a == 0 || f->nodes[0].node->renewal.life_ns != 0); /* learned */
    assert_true(life_b == 0 || f->nodes[1].node->renewal.life_ns != 0);
    if (life_a != 0 && life_b != 0) { /* the hardest: both ends renew at the same moment */
        f->nodes[1].node->renewal.due_ns = f->nodes[0].node->renewal.due_ns;
    }
    uint64_t before[2] = {relayed(f, 0), relayed(f, 1)};
    uint64_t datagrams = f->nodes[0].datagrams_out + f->nodes[1].datagrams_out;
    f->nodes[0].app.max_gap_ns = f->nodes[1].app.max_gap_ns = 0;
    run_without_doubt(f, S(300));
    r.datagrams = f->nodes[0].datagrams_out + f->nodes[1].datagrams_out - datagrams;
    uint64_t gap = f->nodes[1].app.max_gap_ns;
    for (size_t i = 0; i < 2; i++) {
        struct fleet_node *n = &f->nodes[i];
        r.done[i] = n->node->renewal.done;
        assert_int_equal(relayed(f, i), before[i]);
        assert_true(n->sockets <= 2); /* the one that serves, and the former one */
        assert_int_equal(n->node->renewal.failed, 0);
    }
    fleet_finish(f, S(120));
    print_message("             %" PRIu64 " + %" PRIu64 " renewals, gap %.0f ms, %" PRIu64
                  " datagrams in 300 s\n",
                  r.done[0], r.done[1], (double)gap / 1e6, r.datagrams);
    assert_true(gap <= MS(60));
    fleet_run(f, S(200)); /* nothing is open: what served is closed */
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(f->nodes[i].app.completed, 1);
        assert_int_equal(f->nodes[i].app.resets, 0);
        assert_int_equal(f->nodes[i].strays, 0);
        assert_int_equal(f->nodes[i].sockets, 0);
    }
    fleet_free(f);
    return r;
}

static void renew_all_kinds(uint64_t seed)
{
    static const struct {
        bool a, b;
        enum natbox_filtering filtering;
    } cases[] = {{true, false, NATBOX_APDF}, {false, true, NATBOX_APDF}, {true, true, NATBOX_APDF},
                 {true, true, NATBOX_ADF},   {true, false, NATBOX_EIF},  {true, true, NATBOX_EIF}};
    uint64_t plain = steady(0, 0, NATBOX_APDF, seed).datagrams;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct renewed r = steady(cases[i].a ? S(60) : 0, cases[i].b ? S(60) : 0,
                                  cases[i].filtering, seed + 1 + i);
        assert_in_range(r.done[0], cases[i].a ? 5 : 0, cases[i].a ? 8 : 0);
        assert_in_range(r.done[1], cases[i].b ? 5 : 0, cases[i].b ? 8 : 0);
        /* For each of them: STUN, two lists, challenges of new paths and of old ones until they are
         * forgotten, the search for the MTU. Where everybody is let in the shared socket's ways
         * stay alive beside. */
        unsigned each = cases[i].filtering == NATBOX_EIF ? 160 : 90;
        assert_true(r.datagrams <= plain + (r.done[0] + r.done[1]) * each);
    }
}

static void mappings_are_renewed_before_they_end(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 2; i++) {
        renew_all_kinds(100 + 10 * i);
    }
}

static bool both_are_direct(const struct fleet *f)
{
    return peer_is_direct(&f->nodes[0].node->peers[0], f->world.now) &&
           peer_is_direct(&f->nodes[1].node->peers[0], f->world.now);
}

/* Both NATs move their nodes, one of them while the other node's servers answer already that
 * nothing has changed: direct again before anything is refreshed. */
static void mappings_that_end_one_after_the_other_are_both_noticed(void **state)
{
    (void)state;
    struct natbox_config nat = {.mapping = NATBOX_EIM, .filtering = NATBOX_APDF};
    uint64_t longest = 0;
    for (uint64_t later = 0; later < MS(800); later += MS(20)) {
        struct fleet *f = pair_behind(&nat, &nat, 30 + later / MS(20));
        fleet_open(
            f, 0, 1,
            (struct fleet_plan){.up = 5 * MB, .down = MB, .pace_bytes = 2000, .pace_ns = MS(20)});
        fleet_until_path(f, 0, 1, ADIT_PATH_DIRECT, S(2));
        fleet_run(f, S(5));
        natbox_flush(&f->nodes[0].nat);
        fleet_run(f, later);
        natbox_flush(&f->nodes[1].nat);
        uint64_t flushed = f->world.now;
        fleet_run(f, MS(400)); /* until both doubt the path, if they do */
        while (!both_are_direct(f) && world_step(&f->world, flushed + S(60))) {
        }
        uint64_t took = f->world.now - flushed;
        longest = took > longest ? took : longest;
        fleet_free(f);
    }
    print_message("             direct after %.1f s at most\n", (double)longest / 1e9);
    assert_true(longest <= S(4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mappings_that_end_after_60_s_cost_no_byte),
        cmocka_unit_test(mappings_are_renewed_before_they_end),
        cmocka_unit_test(mappings_that_end_one_after_the_other_are_both_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
