/* Packets that others overtake: they are late, not lost. What was taken for a loss is taken back
 * when the packet comes after all, and how far packets may be late is learned.
 */
#include "sim/pair.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
enum { MBIT = 20, RTT_MS = 40, EXTRA = 66 };

/* Bytes of streams that fit into a packet of 1472, which takes 1538 of the line. */
#define GOODPUT 1434 / 1538

struct trip {
    struct pair *p;
    uint64_t id;
};

static struct trip begin(uint64_t seed, enum conn_congestion congestion, struct link_config link)
{
    struct pair_config config = pair_config_default("sim_reorder", seed);
    link.rate_bps = UINT64_C(1000000) * MBIT;
    link.delay_ns = MS(RTT_MS) / 2;
    link.queue_bytes = MBIT * 125 * RTT_MS;
    link.mtu = 1472;
    link.extra = EXTRA;
    config.congestion = congestion;
    pair_config_path(&config, 0, &link);
    struct trip t = {.p = pair_new(&config)};
    struct app_plan bulk = app_transfer(0, UINT64_C(1) << 40);
    t.id = pair_open(t.p, 0, &bulk);
    return t;
}

/* What was called lost beyond what the queue had no room for, which is a little later. */
static int called_lost(const struct trip *t)
{
    struct conn_stats stats;
    conn_stats(t->p->side[1].conn, &stats);
    return (int)stats.packets_lost - (int)t->p->side[1].path[0].out.stats.overflowed;
}

/* Permille of what the line carries, in the next `ns`. */
static uint64_t filled(struct trip *t, uint64_t ns)
{
    uint64_t before = app_stream_read(&t->p->side[0].app, t->id);
    pair_rest(t->p, ns);
    uint64_t got = app_stream_read(&t->p->side[0].app, t->id) - before;
    return got * 1000 / (UINT64_C(125000) * MBIT * GOODPUT * (ns / NS_PER_MS) / 1000);
}

static void end(struct trip *t)
{
    app_abort(&t->p->side[0].app, t->id);
    pair_drive(t->p, 0);
    pair_rest(t->p, NS_PER_S);
    pair_free(t->p);
}

/* One packet in a hundred is overtaken by up to so many. Whoever holds each of them for lost halves
 * CUBIC's window again and again (a third of the line is left), and finds 30 in three seconds. */
static void late_packets_cost_little(void **state)
{
    (void)state;
    static const uint64_t packets[] = {3, 10, 25, 50};
    static const enum conn_congestion kinds[] = {CONN_CONGESTION_BBR, CONN_CONGESTION_CUBIC};
    for (size_t i = 0; i < 24; i++) {
        uint64_t by = packets[i % 4];
        struct link_config link = {.reorder_ppm = 10000, .reorder_packets = by};
        struct trip t = begin(i + 1, kinds[i / 4 % 2], link);
        pair_rest(t.p, 2 * NS_PER_S);
        int learned = called_lost(&t);
        uint64_t got = filled(&t, 3 * NS_PER_S);
        uint64_t late = t.p->side[1].path[0].out.stats.reordered;
        int more = called_lost(&t) - learned;
        print_message("             %s by %u: %u permille, %u late, %d called lost, then %d\n",
                      i / 4 % 2 ? "cubic" : "bbr", (unsigned)by, (unsigned)got, (unsigned)late,
                      learned, more);
        assert_true(late > 30);
        assert_true(got >= 950);
        assert_true(more <= 8);
        end(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(late_packets_cost_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
