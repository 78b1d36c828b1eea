/* Paths that carry larger packets than the base, and paths that change their mind. */
#include "sim/pair.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)

enum { BYTES = 20 * 1000 * 1000, BASE = 1232 };

static struct pair *start(size_t mtu, uint64_t bytes)
{
    struct pair_config config = pair_config_default("sim_mtu", 1);
    for (size_t i = 0; i < 2; i++) {
        config.link[0][i].mtu = mtu;
    }
    struct pair *p = pair_new(&config);
    struct app_plan plan = app_transfer(bytes, 0);
    pair_open(p, 0, &plan);
    return p;
}

static size_t mtu_of(const struct pair *p)
{
    struct conn_path_info info;
    assert_true(conn_path_info(p->side[0].conn, p->side[0].path[0].id, &info));
    return info.mtu;
}

static void set_mtu(struct pair *p, size_t mtu)
{
    for (size_t i = 0; i < 2; i++) {
        p->side[i].path[0].out.config.mtu = mtu;
    }
}

/* Found within the first second of a transfer, and not at the cost of the congestion window. */
static void finds_what_the_path_carries(void **state)
{
    (void)state;
    static const struct {
        size_t mtu, found;
    } cases[] = {{1232, 1232}, {1300, 1232}, {1420, 1412},
                 {1472, 1472}, {8972, 8972}, {65507, 16384}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pair *p = start(cases[i].mtu, BYTES);
        pair_rest(p, MS(1000));
        assert_int_equal(mtu_of(p), cases[i].found);
        uint64_t before = p->side[0].path[0].out.stats.too_large;
        pair_finish(p, pair_ideal_ns(BYTES, 100000000, MS(40)) * 11 / 10 + MS(100));
        struct conn_stats stats;
        conn_stats(p->side[0].conn, &stats);
        /* The queue's losses, and not one of a probe. */
        assert_int_equal(stats.packets_lost, p->side[0].path[0].out.stats.overflowed);
        assert_int_equal(p->side[0].path[0].out.stats.too_large, before); /* and it is over */
        pair_settle(p);
        pair_free(p);
    }
}

/* A route changes to one that carries less and says nothing: the transfer is held up for a moment
 * and goes on with smaller packets. */
static void gets_out_of_a_black_hole(void **state)
{
    (void)state;
    for (int small = 0; small < 2; small++) {
        struct pair *p = start(1472, 3 * BYTES);
        pair_rest(p, MS(800));
        assert_int_equal(mtu_of(p), 1472);
        set_mtu(p, small ? 1232 : 1412);
        uint64_t read = p->side[1].app.bytes_read;
        pair_rest(p, MS(1000));
        assert_true(p->side[1].app.bytes_read > read);
        assert_int_equal(mtu_of(p), BASE);
        pair_finish(p, pair_ideal_ns(3 * BYTES, 100000000, MS(40)) * 5 / 4 + MS(1000));
        assert_int_equal(mtu_of(p), small ? 1232 : 1412);
        pair_settle(p);
        pair_free(p);
    }
}

/* Ten minutes later a larger size is tried again. */
static void grows_when_the_path_does(void **state)
{
    (void)state;
    struct pair *p = start(1412, BYTES);
    pair_finish(p, pair_ideal_ns(BYTES, 100000000, MS(40)) * 3 / 2);
    assert_int_equal(mtu_of(p), 1412);
    set_mtu(p, 1472);
    pair_rest(p, 600 * NS_PER_S);
    struct app_plan plan = app_transfer(BYTES, 0);
    pair_open(p, 0, &plan);
    assert_true(pair_run(p, 10 * NS_PER_S));
    assert_int_equal(mtu_of(p), 1472);
    pair_settle(p);
    pair_free(p);
}

/* Nothing is searched where nothing moves. */
static void an_idle_session_is_not_probed(void **state)
{
    (void)state;
    struct pair *p = start(1472, BYTES);
    pair_finish(p, 10 * NS_PER_S);
    uint64_t packets = p->side[0].packets_out;
    pair_rest(p, 3600 * NS_PER_S);
    assert_true(p->side[0].packets_out <= packets + 5);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_the_path_carries),
        cmocka_unit_test(gets_out_of_a_black_hole),
        cmocka_unit_test(grows_when_the_path_does),
        cmocka_unit_test(an_idle_session_is_not_probed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
