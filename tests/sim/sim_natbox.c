/* The simulator's NAT is what it is said to be. */
#include "sim/natbox.h"
#include "sim/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define S(n) ((uint64_t)(n)*NS_PER_S)

struct bench {
    struct pcg pcg;
    struct natbox nat;
    struct addr inside, a1, a2, b1; /* two ports of one host, and another host */
};

static void bench_init(struct bench *b, enum natbox_mapping mapping,
                       enum natbox_filtering filtering, enum natbox_ports ports)
{
    struct natbox_config config = {.mapping = mapping, .filtering = filtering, .ports = ports};
    struct addr outside = addr_ipv4(203, 0, 113, 1, 0);
    *b = (struct bench){.inside = addr_ipv4(10, 0, 0, 2, 4000),
                        .a1 = addr_ipv4(192, 0, 2, 1, 1),
                        .a2 = addr_ipv4(192, 0, 2, 1, 2),
                        .b1 = addr_ipv4(192, 0, 2, 2, 1)};
    natbox_init(&b->nat, &config, &outside, pcg_rng(&b->pcg, 1));
}

static uint16_t out(struct bench *b, const struct addr *to, uint64_t now)
{
    struct addr from;
    assert_true(natbox_out(&b->nat, &b->inside, to, &from, now));
    assert_true(addr_equal_ip(&from, &b->nat.outside));
    return from.port;
}

static bool in(struct bench *b, uint16_t port, const struct addr *from, uint64_t now)
{
    struct addr inside;
    bool passed = natbox_in(&b->nat, port, from, &inside, now);
    assert_true(!passed || addr_equal(&inside, &b->inside));
    return passed;
}

static void mappings_depend_on_what_they_should(void **state)
{
    (void)state;
    for (enum natbox_mapping m = NATBOX_EIM; m <= NATBOX_APDM; m++) {
        struct bench b;
        bench_init(&b, m, NATBOX_EIF, NATBOX_RANDOM);
        uint16_t port = out(&b, &b.a1, S(1));
        assert_int_equal(out(&b, &b.a1, S(2)), port);
        assert_int_equal(out(&b, &b.a2, S(2)) == port, m != NATBOX_APDM);
        assert_int_equal(out(&b, &b.b1, S(2)) == port, m == NATBOX_EIM);
        natbox_deinit(&b.nat);
    }
}

static void filters_let_in_whom_they_should(void **state)
{
    (void)state;
    for (enum natbox_filtering f = NATBOX_EIF; f <= NATBOX_APDF; f++) {
        struct bench b;
        bench_init(&b, NATBOX_EIM, f, NATBOX_RANDOM);
        assert_false(in(&b, 5000, &b.a1, S(1)));
        uint16_t port = out(&b, &b.a1, S(1));
        assert_true(in(&b, port, &b.a1, S(2)));
        assert_int_equal(in(&b, port, &b.a2, S(2)), f != NATBOX_APDF);
        assert_int_equal(in(&b, port, &b.b1, S(2)), f == NATBOX_EIF);
        natbox_deinit(&b.nat);
    }
}

static void ports_are_given_out_as_said(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, NATBOX_APDM, NATBOX_EIF, NATBOX_SEQUENTIAL);
    uint16_t port = out(&b, &b.a1, S(1));
    assert_int_equal(out(&b, &b.a2, S(1)), port + 1);
    natbox_deinit(&b.nat);
    bench_init(&b, NATBOX_APDM, NATBOX_EIF, NATBOX_PRESERVING);
    assert_int_equal(out(&b, &b.a1, S(1)), 4000);
    assert_int_equal(out(&b, &b.a2, S(1)), 4001);
    natbox_deinit(&b.nat);
    bench_init(&b, NATBOX_APDM, NATBOX_EIF, NATBOX_RANDOM);
    port = out(&b, &b.a1, S(1));
    assert_true(abs(out(&b, &b.a2, S(1)) - port) > 1);
    natbox_deinit(&b.nat);
}

static void a_mapping_ends_when_nothing_leaves_by_it(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, NATBOX_EIM, NATBOX_EIF, NATBOX_RANDOM);
    uint16_t port = out(&b, &b.a1, S(1));
    assert_true(in(&b, port, &b.a1, S(120)));
    assert_int_equal(out(&b, &b.a1, S(120)), port);
    assert_true(in(&b, port, &b.a1, S(239)));
    assert_false(in(&b, port, &b.a1, S(240)));
    assert_int_not_equal(out(&b, &b.a1, S(240)), port);
    natbox_flush(&b.nat);
    assert_int_equal(b.nat.count, 0);
    natbox_deinit(&b.nat);
}

static void there_is_a_limit_to_mappings(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, NATBOX_APDM, NATBOX_EIF, NATBOX_RANDOM);
    b.nat.config.mappings_max = 2;
    (void)out(&b, &b.a1, S(1));
    (void)out(&b, &b.a2, S(1));
    struct addr from;
    assert_false(natbox_out(&b.nat, &b.inside, &b.b1, &from, S(1)));
    assert_int_equal(b.nat.no_room, 1);
    natbox_deinit(&b.nat);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mappings_depend_on_what_they_should),
        cmocka_unit_test(filters_let_in_whom_they_should),
        cmocka_unit_test(ports_are_given_out_as_said),
        cmocka_unit_test(a_mapping_ends_when_nothing_leaves_by_it),
        cmocka_unit_test(there_is_a_limit_to_mappings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
