#include "relay/relay_pool.h"

#include "wire/derp.h"

#include <base/mem.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void gives_room_for_every_legal_frame(void **state)
{
    (void)state;
    static const size_t lens[] = {0, 1, 256, 257, 2048, 2049, 16384, 16385, 65573};
    struct relay_pool p;
    relay_pool_init(&p, 1 << 20);
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        struct relay_packet *packet = relay_pool_take(&p, lens[i]);
        assert_non_null(packet);
        assert_int_equal(packet->len, lens[i]);
        assert_int_equal(packet->done, 0);
        memset(packet->data, 0xff, lens[i]); /* the sanitizer looks */
        relay_pool_give(&p, packet);
    }
    assert_null(relay_pool_take(&p, DERP_PACKET_OVERHEAD + DERP_PACKET_MAX + 1));
    relay_pool_deinit(&p);
}

static void a_warm_pool_needs_no_memory(void **state)
{
    (void)state;
    struct relay_pool p;
    relay_pool_init(&p, 1 << 20);
    struct relay_packet *a = relay_pool_take(&p, 1400);
    relay_pool_give(&p, a);
    mem_fail_after(1);
    for (int i = 0; i < 100; i++) {
        struct relay_packet *b = relay_pool_take(&p, (size_t)1300 + (size_t)i);
        assert_ptr_equal(a, b);
        relay_pool_give(&p, b);
    }
    assert_null(relay_pool_take(&p, 100)); /* another size */
    mem_fail_after(0);
    relay_pool_deinit(&p);
}

static void stays_under_its_ceiling(void **state)
{
    (void)state;
    struct relay_packet *large[8];
    struct relay_packet *medium[16];
    struct relay_pool p;
    size_t n = 0;
    relay_pool_init(&p, 200000);
    while ((large[n] = relay_pool_take(&p, 60000))) {
        n++;
    }
    assert_int_equal(n, 3);
    relay_pool_give(&p, large[0]);
    /* Spare ones of one size make way for another size. */
    for (n = 0; (medium[n] = relay_pool_take(&p, 16384)); n++) {
        assert_true(p.bytes <= p.bytes_max && n < 15);
    }
    assert_int_equal(n, 4);
    relay_pool_give(&p, large[1]);
    relay_pool_give(&p, large[2]);
    while (n > 0) {
        relay_pool_give(&p, medium[--n]);
    }
    assert_int_equal(p.used, 0);
    relay_pool_deinit(&p);
    assert_int_equal(p.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_room_for_every_legal_frame),
        cmocka_unit_test(a_warm_pool_needs_no_memory),
        cmocka_unit_test(stays_under_its_ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
