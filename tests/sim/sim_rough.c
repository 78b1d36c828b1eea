/* Long paths that change or misbehave under one bulk transfer, over several seeds: how much of what
 * can arrive does arrive. Packets take 66 bytes more of the wire than they carry, as on Ethernet.
 */
#include "sim/pair.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
enum { EXTRA = 66 };

/* Bytes of streams that fit into a packet of 1472, which takes 1538 of the line. */
#define GOODPUT 1434 / 1538

struct trip {
    struct pair *p;
    uint64_t mbit, id;
};

static struct trip begin(uint64_t seed, uint64_t mbit, uint64_t rtt_ms, struct link_config link)
{
    struct pair_config config = pair_config_default("sim_rough", seed);
    link.rate_bps = mbit * 1000000;
    link.delay_ns = MS(rtt_ms) / 2;
    link.queue_bytes = mbit * 125 * rtt_ms;
    link.mtu = 1472;
    link.extra = EXTRA;
    pair_config_path(&config, 0, &link);
    struct trip t = {.p = pair_new(&config), .mbit = mbit};
    struct app_plan bulk = app_transfer(0, UINT64_C(1) << 40);
    t.id = pair_open(t.p, 0, &bulk);
    return t;
}

/* Permille of what the line carries at `mbit`, in the next `ns`. */
static uint64_t filled(struct trip *t, uint64_t ns)
{
    uint64_t before = app_stream_read(&t->p->side[0].app, t->id);
    pair_rest(t->p, ns);
    uint64_t got = app_stream_read(&t->p->side[0].app, t->id) - before;
    return got * 1000 / (t->mbit * 125000 * GOODPUT * (ns / NS_PER_MS) / 1000);
}

static void end(struct trip *t)
{
    app_abort(&t->p->side[0].app, t->id);
    pair_drive(t->p, 0);
    pair_rest(t->p, NS_PER_S);
    pair_free(t->p);
}

/* Five per cent are lost, so 950 can arrive. Loss while startup makes its first queue does not
 * leave the line half empty until the next probe: the first four seeds are of that kind. */
static void every_seed_fills_a_lossy_line(void **state)
{
    (void)state;
    static const uint64_t seeds[] = {69, 12, 36, 79, 1, 2};
    for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
        struct trip t = begin(seeds[i], 100, 40, (struct link_config){.loss_ppm = 50000});
        pair_rest(t.p, NS_PER_S);
        uint64_t got = filled(&t, 3 * NS_PER_S);
        print_message("             %u permille\n", (unsigned)got);
        assert_in_range(got, 855, 1000);
        end(&t);
    }
}

/* The peer's credit holds no more than twice what the path does: startup ends all the same, and the
 * queue that it made goes away. */
static void a_long_fat_path_fills_without_a_queue(void **state)
{
    (void)state;
    struct trip t = begin(1, 500, 200, (struct link_config){0});
    pair_rest(t.p, 5 * NS_PER_S);
    size_t queued = link_queued(&t.p->side[1].path[0].out);
    uint64_t got = filled(&t, NS_PER_S);
    print_message("             %u permille, %zu bytes wait\n", (unsigned)got, queued);
    assert_true(got >= 960);
    assert_true(queued < 500 * 125 * 20);
    end(&t);
}

/* One packet in a hundred is overtaken by up to so many: that is no loss. */
static void reordering_costs_little(void **state)
{
    (void)state;
    static const uint64_t packets[] = {3, 10, 50};
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct link_config link = {.reorder_ppm = 10000, .reorder_packets = packets[i]};
        struct trip t = begin(i + 1, 20, 40, link);
        pair_rest(t.p, NS_PER_S);
        uint64_t got = filled(&t, 3 * NS_PER_S);
        print_message("             by %u: %u permille\n", (unsigned)packets[i], (unsigned)got);
        assert_true(got >= 975);
        assert_true(t.p->side[1].path[0].out.stats.reordered > 10);
        end(&t);
    }
}

/* A tenth of what goes the other way is lost, acknowledgements all of it. */
static void lost_acknowledgements_cost_little(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct trip t = begin(seed, 20, 40, (struct link_config){0});
        t.p->side[0].path[0].out.config.loss_ppm = 100000;
        pair_rest(t.p, 2 * NS_PER_S);
        uint64_t got = filled(&t, 3 * NS_PER_S);
        print_message("             %u permille\n", (unsigned)got);
        assert_true(got >= 960);
        end(&t);
    }
}

static void be_cut(struct trip *t, uint64_t ns)
{
    pair_set_up(t->p, 0, false);
    pair_rest(t->p, ns);
    pair_set_up(t->p, 0, true);
}

/* Nothing gets through for 600 ms, or for longer than a cruise lasts; two seconds later the line
 * is full again. */
static void an_outage_is_made_good(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct trip t =
            begin(seed, seed < 5 ? 20 : 100, 40, (struct link_config){.loss_ppm = 1000});
        pair_rest(t.p, 2 * NS_PER_S + seed * MS(170));
        be_cut(&t, seed < 5 ? MS(600) : 4 * NS_PER_S);
        pair_rest(t.p, 2 * NS_PER_S);
        uint64_t got = filled(&t, 2 * NS_PER_S);
        print_message("             %u permille\n", (unsigned)got);
        assert_true(got >= 930);
        end(&t);
    }
}

/* An outage of 30 ms while startup doubles, or of 60 in the first cruise, is not what the path can
 * do: a second later the line is as good as full. Most of these once stayed below the half for
 * seconds. */
static void a_short_outage_does_not_last(void **state)
{
    (void)state;
    static const struct {
        uint64_t seed, mbit, at_ms, ms;
        uint32_t loss_ppm;
    } trips[] = {
        {8, 500, 396, 30, 50000},  {10, 500, 470, 30, 50000}, {3, 100, 211, 30, 10000},
        {37, 100, 669, 60, 10000}, {36, 100, 632, 60, 0},
    };
    for (size_t i = 0; i < sizeof(trips) / sizeof(trips[0]); i++) {
        const struct link_config link = {.loss_ppm = trips[i].loss_ppm};
        struct trip t = begin(trips[i].seed, trips[i].mbit, 40, link);
        pair_rest(t.p, MS(trips[i].at_ms));
        be_cut(&t, MS(trips[i].ms));
        pair_rest(t.p, NS_PER_S);
        uint64_t got = filled(&t, NS_PER_S);
        print_message("             %u Mbit/s: %u permille\n", (unsigned)t.mbit, (unsigned)got);
        assert_true(got >= 650);
        end(&t);
    }
}

/* Half the rate from one moment to the next, and back to all of it: full again within 4 s. */
static void a_rate_that_changes_is_followed(void **state)
{
    (void)state;
    static const uint64_t rates[] = {10, 20};
    struct trip t = begin(1, 20, 40, (struct link_config){0});
    pair_rest(t.p, 2 * NS_PER_S);
    for (size_t i = 0; i < 2; i++) {
        t.p->side[1].path[0].out.config.rate_bps = rates[i] * 1000000;
        t.mbit = rates[i];
        pair_rest(t.p, 4 * NS_PER_S);
        uint64_t got = filled(&t, 3 * NS_PER_S);
        print_message("             %u Mbit/s: %u permille\n", (unsigned)rates[i], (unsigned)got);
        assert_true(got >= 850);
    }
    end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_seed_fills_a_lossy_line),
        cmocka_unit_test(a_long_fat_path_fills_without_a_queue),
        cmocka_unit_test(reordering_costs_little),
        cmocka_unit_test(lost_acknowledgements_cost_little),
        cmocka_unit_test(an_outage_is_made_good),
        cmocka_unit_test(a_short_outage_does_not_last),
        cmocka_unit_test(a_rate_that_changes_is_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
