/* Random worlds: whatever the network does, everything arrives, or is reset, in time.
 *
 * ADIT_STORM=n plays n worlds, ADIT_SEED=s begins with that one. */
#include "sim/pair.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <math.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
enum { WORLDS = 300, STREAMS_MAX = 20 };

static uint64_t any(struct rng rng, uint64_t from, uint64_t to)
{
    return from + rng_below(rng, to - from + 1);
}

/* Most links do one or two bad things, few do all. */
static struct link_config random_link(struct rng rng)
{
    struct link_config link = {
        .rate_bps = UINT64_C(500000) << any(rng, 0, 8),
        .delay_ns = MS(1) << any(rng, 0, 8),
        .mtu = any(rng, PACKET_MTU_BASE, 1500),
    };
    uint64_t path = link.rate_bps / 8 * (2 * link.delay_ns / NS_PER_US) / 1000000;
    link.queue_bytes = any(rng, 15000, 30000 + path * 2);
    link.loss_ppm = rng_below(rng, 2) ? (uint32_t)any(rng, 0, 100000) : 0;
    link.jitter_ns = rng_below(rng, 3) ? 0 : any(rng, 0, link.delay_ns);
    link.duplicate_ppm = rng_below(rng, 3) ? 0 : (uint32_t)any(rng, 0, 300000);
    link.corrupt_ppm = rng_below(rng, 3) ? 0 : (uint32_t)any(rng, 0, 30000);
    link.burst_ppm = rng_below(rng, 3) ? 0 : (uint32_t)any(rng, 0, 5000);
    link.burst_ns = any(rng, 1, 50) * NS_PER_MS;
    return link;
}

static struct app_plan random_plan(struct rng rng)
{
    uint64_t most = UINT64_C(1) << any(rng, 0, 20);
    struct app_plan plan = app_transfer(rng_below(rng, most), rng_below(rng, most));
    plan.down_after_up = rng_below(rng, 2);
    if (rng_below(rng, 8) == 0) {
        plan.opener_aborts = rng_below(rng, plan.up + 1);
    }
    if (rng_below(rng, 8) == 0) {
        plan.acceptor_aborts = rng_below(rng, plan.up + 1);
    }
    return plan;
}

static struct pair *random_pair(uint64_t seed)
{
    struct pcg pcg;
    struct rng rng = pcg_rng(&pcg, seed ^ 0x5eed);
    struct pair_config config = pair_config_default("sim_storm", seed);
    config.seed = seed;
    config.paths = any(rng, 1, 3);
    config.switch_when_suspect = rng_below(rng, 2);
    for (size_t i = 0; i < config.paths; i++) {
        config.link[i][0] = random_link(rng);
        config.link[i][1] = rng_below(rng, 2) ? config.link[i][0] : random_link(rng);
    }
    for (size_t i = 0; i < 2; i++) {
        config.limits[i].stream_window = any(rng, 4000, 200000);
        config.limits[i].session_window = any(rng, 8000, 400000);
        config.limits[i].send_buffer_max = any(rng, 4000, 200000);
    }
    return pair_new(&config);
}

/* Something happens to the paths: an outage begins or ends, a side changes its path, one is
 * closed and opened again, a socket is full for a while. */
static void disturb(struct pair *p)
{
    struct rng rng = p->world.rng;
    size_t paths = p->config.paths;
    size_t path = rng_below(rng, paths);
    struct side *s = &p->side[rng_below(rng, 2)];
    switch (rng_below(rng, 5)) {
    case 0:
        pair_set_up(p, path, false);
        break;
    case 1:
        pair_set_up(p, path, true);
        break;
    case 2:
        pair_use(p, s->index, path, rng_below(rng, 2));
        break;
    case 3:
        pair_close_path(p, path);
        pair_open_path(p, path);
        pair_use(p, 0, rng_below(rng, paths), true);
        pair_use(p, 1, rng_below(rng, paths), true);
        break;
    default:
        conn_path_block(s->conn, s->path[path].id, true);
        pair_rest(p, any(rng, 0, MS(200)));
        conn_path_block(s->conn, s->path[path].id, false);
        pair_drive(p, s->index);
        break;
    }
}

/* The network is itself again; both sides use the first path. */
static void calm(struct pair *p)
{
    for (size_t i = 0; i < p->config.paths; i++) {
        pair_set_up(p, i, true);
    }
    pair_use(p, 0, 0, true);
    pair_use(p, 1, 0, true);
}

/* --- how long it may take --- */

/* Bytes per second over one link: its rate, what the congestion window of this loss lets through
 * (Reno's law; jitter is taken for loss at first), half a flow-control window in a round trip. */
static double link_rate(const struct pair_config *config, const struct link_config *link,
                        double rtt)
{
    double queue = (double)link->queue_bytes * 8 / (double)link->rate_bps;
    double burst = 1 + (double)link->burst_ns / 1e9 * (double)link->rate_bps / 8 / 1232;
    double loss = (link->loss_ppm + link->corrupt_ppm + link->burst_ppm * burst) / 1e6;
    loss += link->jitter_ns > 0 ? 0.02 : 0.0001;
    double rate = (double)link->rate_bps / 8;
    double slow_rtt = rtt + queue;
    for (size_t i = 0; i < 2; i++) {
        const struct conn_limits *l = &config->limits[i];
        rate = fmin(rate, (double)l->stream_window / 2 / rtt);
        rate = fmin(rate, (double)l->session_window / 2 / rtt);
        rate = fmin(rate, (double)l->send_buffer_max / 2 / rtt);
    }
    return fmin(rate, fmax(sqrt(1.5 / loss), 2) * 1192 / slow_rtt);
}

static double path_rtt(const struct pair_config *config, size_t path)
{
    double sum = 0;
    for (size_t i = 0; i < 2; i++) {
        sum += (double)(config->link[path][i].delay_ns + config->link[path][i].jitter_ns) / 1e9;
    }
    return sum + 0.025;
}

/* The worst path's law for all bytes. Where loss decides, probe timeouts take their share, which
 * the law leaves out: a factor and some round trips. */
static double expected_s(const struct pair_config *config, uint64_t bytes)
{
    double rate = 1e12, rtt = 0;
    for (size_t i = 0; i < config->paths; i++) {
        double path = path_rtt(config, i);
        rtt = fmax(rtt, path);
        rate = fmin(rate, link_rate(config, &config->link[i][0], path));
        rate = fmin(rate, link_rate(config, &config->link[i][1], path));
    }
    return (double)bytes * 1.1 / rate + 20 * rtt;
}

/* No livelock: each data packet, its acknowledgement and, where loss and path switches cost most,
 * its second life; some more for each stream, whose frames are small and whose peers may abort. */
static void expect_few_packets(const struct pair *p, uint64_t bytes)
{
    uint64_t streams = p->side[0].app.opened + p->side[1].app.opened;
    assert_true(p->side[0].packets_out + p->side[1].packets_out <=
                3 * (pair_ideal_packets(bytes) + 60 * streams));
}

static uint64_t open_streams(struct pair *p)
{
    struct rng rng = p->world.rng;
    uint64_t bytes = 0;
    for (uint64_t i = any(rng, 1, STREAMS_MAX); i > 0; i--) {
        struct app_plan plan = random_plan(rng);
        bytes += plan.up + plan.down;
        pair_open(p, rng_below(rng, 2), &plan);
        pair_rest(p, rng_below(rng, 2) ? 0 : any(rng, 0, MS(500)));
    }
    return bytes;
}

static void play(uint64_t seed)
{
    struct pair *p = random_pair(seed);
    struct rng rng = p->world.rng;
    uint64_t bytes = open_streams(p);
    for (uint64_t i = rng_below(rng, 2) ? any(rng, 1, 10) : 0; i > 0; i--) {
        pair_rest(p, any(rng, 0, NS_PER_S));
        disturb(p);
    }
    calm(p);
    /* Ten seconds more for a probe that waits as long as probes may, since the disturbances. */
    pair_finish(p, (uint64_t)(1e9 * expected_s(&p->config, bytes)) + 12 * NS_PER_S);
    pair_rest(p, 60 * NS_PER_S);
    pair_settle(p);
    expect_few_packets(p, bytes);
    pair_free(p);
}

static void storm(void **state)
{
    (void)state;
    uint64_t first = world_setting("ADIT_SEED", 1);
    uint64_t worlds = world_setting("ADIT_STORM", world_setting("ADIT_SEED", 0) ? 1 : WORLDS);
    for (uint64_t i = 0; i < worlds; i++) {
        play(first + i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(storm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
