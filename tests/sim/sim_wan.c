/* A long path as in tests/bench: 40 ms, a queue of 40 ms, some loss in both directions. */
#include "sim/pair.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
#define MBIT(n) ((uint64_t)(n)*1000000)

struct result {
    double share;
    double p50, p99, max; /* of requests beside the transfer, in round trips */
    uint64_t lost, sent;
    double queue;
};

static int by_size(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static struct result run(enum conn_congestion congestion, uint64_t mbit, uint32_t loss_ppm,
                         uint64_t seed, uint64_t seconds)
{
    struct pair_config config = pair_config_default("sim_wan", seed);
    struct link_config link = {.rate_bps = MBIT(mbit),
                               .delay_ns = MS(20),
                               .queue_bytes = mbit * 125000 * 40 / 1000,
                               .mtu = 1472,
                               .loss_ppm = loss_ppm};
    pair_config_path(&config, 0, &link);
    config.congestion = congestion;
    struct pair *p = pair_new(&config);
    struct app_plan bulk = app_transfer(0, UINT64_C(1) << 40);
    uint64_t id = pair_open(p, 0, &bulk);
    pair_rest(p, MS(1000));
    uint64_t before = app_stream_read(&p->side[0].app, id);
    uint64_t from = p->world.now;
    static uint64_t took[100000];
    size_t n = 0;
    while (time_since(from, p->world.now) < seconds * NS_PER_S) {
        uint64_t t0 = p->world.now;
        struct app_plan rr = app_transfer(128, 128);
        rr.down_after_up = true;
        uint64_t r = pair_open(p, 0, &rr);
        while (app_stream_read(&p->side[0].app, r) < 128 && time_since(t0, p->world.now) < 5 * NS_PER_S) {
            world_step(&p->world, t0 + 5 * NS_PER_S);
        }
        took[n++] = time_since(t0, p->world.now);
        pair_rest(p, MS(3));
        if (getenv("ADIT_TRACE")) {
            struct conn_path_info info;
            (void)conn_path_info(p->side[1].conn, p->side[1].path[0].id, &info);
            printf("%.3f cwnd %llu flight %llu read %llu srtt %.1f queue %zu\n",
                   (double)time_since(from, p->world.now) / 1e9, (unsigned long long)info.cwnd,
                   (unsigned long long)info.in_flight,
                   (unsigned long long)app_stream_read(&p->side[0].app, id), (double)info.srtt_ns / 1e6,
                   link_queued(&p->side[1].path[0].out));
        }
    }
    uint64_t bytes = app_stream_read(&p->side[0].app, id) - before;
    qsort(took, n, sizeof(took[0]), by_size);
    const struct link_stats *stats = &p->side[1].path[0].out.stats;
    struct result r = {
        .share = (double)bytes * 8e9 / (double)time_since(from, p->world.now) / (double)MBIT(mbit),
        .p50 = (double)took[n / 2] / (double)MS(40),
        .p99 = (double)took[n * 99 / 100] / (double)MS(40),
        .max = (double)took[n - 1] / (double)MS(40),
        .lost = stats->overflowed,
        .sent = stats->sent,
    };
    app_abort(&p->side[0].app, id);
    pair_drive(p, 0);
    pair_rest(p, NS_PER_S);
    pair_free(p);
    return r;
}

static void fair(enum conn_congestion one, enum conn_congestion two, uint64_t mbit, uint64_t queue_ms,
                 uint64_t seed)
{
    struct pair_config config = pair_config_default("sim_wan", seed);
    struct link_config link = {.rate_bps = MBIT(mbit),
                               .delay_ns = MS(20),
                               .queue_bytes = mbit * 125 * queue_ms,
                               .mtu = 1472};
    pair_config_path(&config, 0, &link);
    config.congestion = one;
    struct pair *p = pair_new(&config);
    config.congestion = two;
    config.with = p;
    struct pair *q = pair_new(&config);
    struct app_plan bulk = app_transfer(0, UINT64_C(1) << 40);
    uint64_t a = pair_open(p, 0, &bulk);
    pair_rest(p, MS(3000));
    uint64_t b = pair_open(q, 0, &bulk);
    uint64_t last[2] = {0, 0};
    for (int i = 0; i < 6; i++) {
        pair_rest(p, 10 * NS_PER_S);
        uint64_t x = app_stream_read(&p->side[0].app, a), y = app_stream_read(&q->side[0].app, b);
        printf("  %.2f/%.2f", (double)(x - last[0]) / 1.25e6 / (double)mbit, (double)(y - last[1]) / 1.25e6/ (double)mbit);
        last[0] = x;
        last[1] = y;
    }
    printf("   cc %d %d %d Mbit queue %d ms: %.3f %.3f\n", one, two, (int)mbit, (int)queue_ms, (double)last[0] / 7.875e6 / (double)mbit,
           (double)last[1] / 7.5e6 / (double)mbit);
    pair_free(q);
    pair_free(p);
}

int main(int argc, char **argv)
{
    
    (void)argv;
    if (argc > 1) {
        for (uint64_t q = 10; q <= 160; q *= 2) {
            fair(CONN_CONGESTION_BBR, CONN_CONGESTION_CUBIC, 100, q, 1);
            fair(CONN_CONGESTION_CUBIC, CONN_CONGESTION_BBR, 100, q, 1);
            fair(CONN_CONGESTION_BBR, CONN_CONGESTION_BBR, 100, q, 1);
        }
        return 0;
    }
    static const uint64_t rates[] = {20, 100, 500};
    static const uint32_t losses[] = {0, 1000, 10000, 50000};
    const char *one = getenv("ADIT_CELL");
    for (size_t c = 0; c < 2; c++) {
        for (size_t i = 0; i < 3; i++) {
            for (size_t k = 0; k < 4; k++) {
                char cell[32];
                (void)snprintf(cell, sizeof(cell), "%zu_%d_%d", c, (int)rates[i], (int)losses[k]);
                if (one && strcmp(one, cell) != 0) {
                    continue;
                }
                struct result r = run((enum conn_congestion)c, rates[i], losses[k], 1, 4);
                printf("%s %llu Mbit %.1f %%: share %.3f p50 %.2f p99 %.2f max %.2f overflowed %llu of %llu\n",
                       c == 1 ? "cubic" : "bbr", (unsigned long long)rates[i], losses[k] / 1e4, r.share, r.p50,
                       r.p99, r.max, (unsigned long long)r.lost, (unsigned long long)r.sent);
            }
        }
    }
    return 0;
}
