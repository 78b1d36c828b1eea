/* Sessions beside each other on one line, and streams beside each other in one session. */
#include "sim/pair.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
enum { MBIT = 10 };
#define RATE (UINT64_C(1000000) * MBIT / 8)

struct race {
    struct pair *p[2];
    uint64_t id[2];
};

/* Two sessions; the second one comes 3 s later, so that the first has filled the line. */
static struct race race(enum conn_congestion one, enum conn_congestion two, uint64_t queue_ms,
                        uint64_t seed)
{
    struct race r;
    struct pair_config config = pair_config_default("sim_share", seed);
    const struct link_config link = {.rate_bps = RATE * 8,
                                     .delay_ns = MS(20),
                                     .queue_bytes = RATE * queue_ms / 1000,
                                     .mtu = 1472};
    const struct app_plan bulk = app_transfer(0, UINT64_C(1) << 40);
    pair_config_path(&config, 0, &link);
    config.congestion = one;
    r.p[0] = pair_new(&config);
    config.congestion = two;
    config.with = r.p[0];
    r.p[1] = pair_new(&config);
    r.id[0] = pair_open(r.p[0], 0, &bulk);
    pair_rest(r.p[0], 3 * NS_PER_S);
    r.id[1] = pair_open(r.p[1], 0, &bulk);
    return r;
}

static uint64_t read_by(const struct race *r, size_t i)
{
    return app_stream_read(&r->p[i]->side[0].app, r->id[i]);
}

/* Over a minute, each gets at least half of its half, and together they fill the line. */
static void expect_fair(enum conn_congestion one, enum conn_congestion two, uint64_t queue_ms)
{
    struct race r = race(one, two, queue_ms, 1);
    uint64_t before[2] = {read_by(&r, 0), read_by(&r, 1)};
    pair_rest(r.p[0], 60 * NS_PER_S);
    uint64_t got[2], sum = 0;
    for (size_t i = 0; i < 2; i++) {
        got[i] = (read_by(&r, i) - before[i]) / 60;
        sum += got[i];
    }
    print_message("             queue %u ms: %u and %u %%\n", (unsigned)queue_ms,
                  (unsigned)(got[0] * 100 / RATE), (unsigned)(got[1] * 100 / RATE));
    for (size_t i = 0; i < 2; i++) {
        assert_in_range(got[i], RATE / 4, RATE);
    }
    assert_true(sum >= RATE * 88 / 100);
    pair_free(r.p[1]);
    pair_free(r.p[0]);
}

static void bbr_and_cubic_share(void **state)
{
    (void)state;
    static const uint64_t queues[] = {40, 120};
    for (size_t i = 0; i < sizeof(queues) / sizeof(queues[0]); i++) {
        expect_fair(CONN_CONGESTION_BBR, CONN_CONGESTION_CUBIC, queues[i]);
        expect_fair(CONN_CONGESTION_CUBIC, CONN_CONGESTION_BBR, queues[i]);
    }
}

/* Jain's index of two, in permille: 1000 = equal, 500 = one has it all. */
static uint64_t jain(const uint64_t got[2])
{
    double sum = (double)got[0] + (double)got[1];
    double squares = (double)got[0] * (double)got[0] + (double)got[1] * (double)got[1];
    return (uint64_t)(1000 * sum * sum / (2 * squares));
}

/* The late one has found its part of the line ten seconds after it came: from then on the two are
 * fair to each other in each half of a minute, whatever they may lose by chance. */
static void bbr_shares_with_itself(void **state)
{
    (void)state;
    static const uint64_t queues[] = {20, 40, 120};
    for (uint64_t seed = 1; seed <= 6; seed++) {
        uint64_t queue_ms = queues[seed % 3];
        struct race r = race(CONN_CONGESTION_BBR, CONN_CONGESTION_BBR, queue_ms, seed);
        pair_rest(r.p[0], 10 * NS_PER_S + seed * MS(300));
        for (size_t half = 0; half < 2; half++) {
            uint64_t got[2] = {read_by(&r, 0), read_by(&r, 1)};
            pair_rest(r.p[0], 30 * NS_PER_S);
            got[0] = read_by(&r, 0) - got[0];
            got[1] = read_by(&r, 1) - got[1];
            print_message("             queue %u ms: %u permille of %u %%\n", (unsigned)queue_ms,
                          (unsigned)jain(got), (unsigned)((got[0] + got[1]) * 10 / 3 / RATE));
            assert_true(jain(got) >= 900);
            assert_true(got[0] + got[1] >= 30 * RATE * 88 / 100);
        }
        pair_free(r.p[1]);
        pair_free(r.p[0]);
    }
}

/* A hundred transfers at once: none gets less than half of the mean. */
static void a_hundred_streams_share(void **state)
{
    (void)state;
    enum { STREAMS = 100 };
    struct pair_config config = pair_config_default("sim_share", 1);
    struct pair *p = pair_new(&config);
    const struct app_plan bulk = app_transfer(0, UINT64_C(1) << 40);
    uint64_t ids[STREAMS], before[STREAMS], least = UINT64_MAX, sum = 0;
    for (size_t i = 0; i < STREAMS; i++) {
        ids[i] = pair_open(p, 0, &bulk);
    }
    pair_rest(p, NS_PER_S);
    for (size_t i = 0; i < STREAMS; i++) {
        before[i] = app_stream_read(&p->side[0].app, ids[i]);
    }
    pair_rest(p, 2 * NS_PER_S);
    for (size_t i = 0; i < STREAMS; i++) {
        uint64_t got = app_stream_read(&p->side[0].app, ids[i]) - before[i];
        least = got < least ? got : least;
        sum += got;
    }
    print_message("             the least has %u %% of the mean\n",
                  (unsigned)(least * STREAMS * 100 / sum));
    assert_true(2 * least * STREAMS >= sum);
    assert_true(sum / 2 >= UINT64_C(12500000) * 95 / 100);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bbr_and_cubic_share),
        cmocka_unit_test(bbr_shares_with_itself),
        cmocka_unit_test(a_hundred_streams_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
