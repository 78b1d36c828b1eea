/* Links that reorder, duplicate or corrupt packets. */
#include "sim/pair.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
enum { BYTES = 5000000, SEEDS = 2 };

static const struct link_config base = {
    .rate_bps = 20000000, .delay_ns = 20 * NS_PER_MS, .queue_bytes = 500000, .mtu = 1472};

static struct pair *transfer(uint64_t seed, const struct link_config *link, uint64_t limit_ns)
{
    struct pair_config config = pair_config_default("sim_spoil", seed);
    pair_config_path(&config, 0, link);
    struct pair *p = pair_new(&config);
    struct app_plan plan = app_transfer(BYTES, BYTES);
    pair_open(p, 0, &plan);
    pair_finish(p, limit_ns);
    return p;
}

static uint64_t ideal(uint64_t rtt_ns)
{
    return pair_ideal_ns(BYTES, base.rate_bps, rtt_ns);
}

/* With 20 ms of jitter nearly every packet overtakes others, by up to 33 at this rate. It costs
 * what looks like loss until the threshold has learned, and an acknowledgement at once for each
 * packet out of order (RFC 9000 13.2.1). */
static void reordering(void **state)
{
    (void)state;
    struct link_config link = base;
    link.jitter_ns = MS(20);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct pair *p = transfer(seed, &link, 2 * ideal(MS(60)));
        for (size_t i = 0; i < 2; i++) {
            assert_true(p->side[i].packets_out <= 5 * pair_ideal_packets(BYTES) / 2);
        }
        pair_settle(p);
        pair_free(p);
    }
}

static void duplication(void **state)
{
    (void)state;
    struct link_config link = base;
    link.duplicate_ppm = 500000;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct pair *p = transfer(seed, &link, ideal(MS(40)) * 3 / 2);
        for (size_t i = 0; i < 2; i++) {
            struct conn_stats stats;
            conn_stats(p->side[i].conn, &stats);
            assert_in_range(stats.packets_duplicate,
                            p->side[1 - i].path[0].out.stats.duplicated * 9 / 10,
                            p->side[1 - i].path[0].out.stats.duplicated);
            assert_int_equal(stats.bytes_in, BYTES);
            assert_int_equal(stats.bytes_out, BYTES);
        }
        pair_settle(p);
        pair_free(p);
    }
}

/* 0.1 % of packets with a flipped bit are 0.1 % lost: none may get through. */
static void corruption(void **state)
{
    (void)state;
    struct link_config link = base;
    link.corrupt_ppm = 1000;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct pair *p = transfer(seed, &link, 3 * ideal(MS(40)));
        pair_settle(p);
        for (size_t i = 0; i < 2; i++) {
            assert_true(p->side[i].packets_forged > 0);
            assert_int_equal(p->side[i].packets_forged, p->side[1 - i].path[0].out.stats.corrupted);
        }
        pair_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reordering),
        cmocka_unit_test(duplication),
        cmocka_unit_test(corruption),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
