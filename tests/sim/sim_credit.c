/* Windows that tune themselves, and readers that stop: with the default limits, no configuration.
 */
#include "sim/pair.h"

#include "transport/conn_internal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
#define MB(n) ((uint64_t)(n)*1000000)
#define MIB(n) ((uint64_t)(n) << 20)

static struct pair *path_of(uint64_t mbit, uint64_t delay_ns)
{
    struct pair_config config = pair_config_default("sim_credit", 1);
    const struct link_config link = {.rate_bps = mbit * 1000000,
                                     .delay_ns = delay_ns,
                                     .queue_bytes = mbit * 125 * delay_ns / MS(1),
                                     .mtu = 1472};
    pair_config_path(&config, 0, &link);
    return pair_new(&config);
}

/* 500 Mbit/s over 200 ms are 12.5 MB on their way. */
static void one_stream_fills_a_long_fast_path(void **state)
{
    (void)state;
    struct pair *p = path_of(500, MS(100));
    struct app_plan bulk = app_transfer(UINT64_C(1) << 40, 0);
    uint64_t id = pair_open(p, 0, &bulk);
    pair_rest(p, 4 * NS_PER_S); /* ten doublings of the window, and what fills and drains */
    uint64_t before = app_stream_read(&p->side[1].app, id);
    pair_rest(p, NS_PER_S);
    uint64_t got = app_stream_read(&p->side[1].app, id) - before;
    print_message("             %u Mbit/s\n", (unsigned)(got * 8 / 1000000));
    assert_in_range(got, MB(62) * 90 / 100, MB(63));
    assert_true(p->side[0].conn->buffered <= MIB(64));
    pair_free(p);
}

/* Opens a stream that runs as fast as it can for a while; then nobody reads it any more. */
static void stop_one(struct pair *p, uint64_t run_ns)
{
    struct app_plan bulk = app_transfer(UINT64_C(1) << 40, 0);
    uint64_t id = pair_open(p, 0, &bulk);
    pair_rest(p, run_ns);
    app_hold(&p->side[1].app, id);
    pair_rest(p, MS(300));
}

static uint64_t unread(const struct pair *p)
{
    const struct flow *f = &p->side[1].conn->credit;
    return f->received - f->consumed;
}

/* The time that a transfer takes now. */
static uint64_t transfer_ns(struct pair *p, size_t from, uint64_t bytes)
{
    uint64_t before = p->world.now;
    struct app_plan plan = app_transfer(from == 0 ? bytes : 0, from == 1 ? bytes : 0);
    uint64_t id = pair_open(p, 0, &plan);
    while (app_stream_read(&p->side[1 - from].app, id) < bytes) {
        assert_true(world_step(&p->world, before + 20 * NS_PER_S));
    }
    return time_since(before, p->world.now);
}

/* Each has had all of a fast path to itself, and a window to match, when its reader stops. The
 * next stream has no less of the path for it. */
static void sixteen_stopped_readers_starve_nobody(void **state)
{
    (void)state;
    struct pair *p = path_of(300, MS(20));
    for (int i = 0; i < 16; i++) {
        stop_one(p, MS(300));
    }
    print_message("             unread %u kB\n", (unsigned)(unread(p) / 1000));
    assert_true(unread(p) <= MIB(64) / 4 * 3);
    uint64_t took = transfer_ns(p, 0, MB(5));
    print_message("             5 MB in %u ms\n", (unsigned)(took / MS(1)));
    assert_true(took <= NS_PER_S);
    pair_free(p);
}

/* A thousand whose readers never read, after the sixteen: a new stream still moves. */
static void a_thousand_stopped_readers_starve_nobody(void **state)
{
    (void)state;
    struct pair *p = path_of(300, MS(20));
    for (int i = 0; i < 16; i++) {
        stop_one(p, MS(100));
    }
    struct app_plan bulk = app_transfer(UINT64_C(1) << 40, 0);
    p->side[1].app.hold = true;
    for (int i = 0; i < 1000; i++) {
        (void)pair_open(p, 0, &bulk);
        if (i % 50 == 0) {
            pair_rest(p, MS(20));
        }
    }
    pair_rest(p, NS_PER_S);
    p->side[1].app.hold = false;
    print_message("             unread %u kB\n", (unsigned)(unread(p) / 1000));
    assert_true(unread(p) <= MIB(64));
    uint64_t took = transfer_ns(p, 0, MB(1));
    print_message("             1 MB in %u ms\n", (unsigned)(took / MS(1)));
    assert_true(took <= 4 * NS_PER_S);
    pair_free(p);
}

/* The answer on a fresh stream need not wait for credit: 200 kB in one flight on a warm path. */
static void a_new_stream_gets_credit_in_advance(void **state)
{
    (void)state;
    struct pair *p = path_of(500, MS(20));
    (void)transfer_ns(p, 1, MB(10));
    uint64_t took = transfer_ns(p, 1, 200000);
    assert_in_range(took, MS(40), MS(60));
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_stream_fills_a_long_fast_path),
        cmocka_unit_test(sixteen_stopped_readers_starve_nobody),
        cmocka_unit_test(a_thousand_stopped_readers_starve_nobody),
        cmocka_unit_test(a_new_stream_gets_credit_in_advance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
