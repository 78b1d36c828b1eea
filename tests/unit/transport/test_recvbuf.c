#include <base/err.h>
#include <base/mem.h>
#include <base/rng.h>

#include "transport/recvbuf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static uint8_t pattern(uint64_t at)
{
    return (uint8_t)(at * 17 + (at >> 8));
}

static int insert(struct recvbuf *b, uint64_t offset, size_t len, bool fin)
{
    uint8_t data[4096];
    assert_true(len <= sizeof(data));
    for (size_t i = 0; i < len; i++) {
        data[i] = pattern(offset + i);
    }
    int err = recvbuf_check(b, offset + len, fin);
    return err < 0 ? err : recvbuf_insert(b, offset, data, len, fin);
}

/* Reads up to `most` bytes; returns how many, and checks them. */
static size_t take(struct recvbuf *b, size_t most, bool *fin)
{
    const uint8_t *at = NULL;
    size_t len = recvbuf_peek(b, &at, fin);
    len = len < most ? len : most;
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(at[i], pattern(b->read + i));
    }
    recvbuf_consume(b, len);
    return len;
}

static void pieces_become_readable_in_order(void **state)
{
    (void)state;
    struct recvbuf b;
    bool fin;
    recvbuf_init(&b);
    assert_int_equal(insert(&b, 1000, 500, false), 0);
    assert_int_equal(insert(&b, 2000, 500, true), 0);
    assert_false(recvbuf_is_readable(&b));
    assert_int_equal(insert(&b, 0, 1000, false), 0);
    assert_int_equal(take(&b, 4000, &fin), 1500);
    assert_false(fin);
    assert_int_equal(insert(&b, 1400, 700, false), 0); /* overlaps both */
    assert_true(recvbuf_is_complete(&b));
    assert_int_equal(take(&b, 4000, &fin), 1000);
    assert_true(fin);
    assert_null(b.ring.data);
    recvbuf_deinit(&b);
}

static void a_wrong_final_size_is_refused(void **state)
{
    (void)state;
    struct recvbuf b;
    recvbuf_init(&b);
    assert_int_equal(insert(&b, 0, 100, false), 0);
    assert_int_equal(insert(&b, 0, 50, true), ERR_PROTOCOL);
    assert_int_equal(insert(&b, 100, 100, true), 0);
    assert_int_equal(insert(&b, 100, 101, false), ERR_PROTOCOL);
    assert_int_equal(insert(&b, 100, 50, true), ERR_PROTOCOL);
    assert_int_equal(insert(&b, 100, 100, true), 0);
    recvbuf_deinit(&b);
}

static void an_end_without_bytes_is_readable(void **state)
{
    (void)state;
    struct recvbuf b;
    bool fin;
    recvbuf_init(&b);
    assert_int_equal(insert(&b, 1000, 0, true), 0); /* the end overtakes all bytes */
    assert_false(recvbuf_is_readable(&b));
    assert_int_equal(insert(&b, 500, 500, false), 0);
    assert_int_equal(insert(&b, 0, 500, false), 0);
    assert_int_equal(take(&b, 1000, &fin), 1000);
    assert_true(fin);
    recvbuf_deinit(&b);

    recvbuf_init(&b);
    assert_int_equal(insert(&b, 0, 0, true), 0);
    assert_true(recvbuf_is_readable(&b));
    assert_int_equal(take(&b, 1, &fin), 0);
    assert_true(fin);
    recvbuf_deinit(&b);
}

static void short_memory_takes_nothing(void **state)
{
    (void)state;
    struct recvbuf b;
    recvbuf_init(&b);
    mem_fail_after(1);
    assert_int_equal(insert(&b, 0, 10, true), ERR_NO_MEMORY);
    assert_int_equal(b.top, 0);
    assert_int_equal(b.final, RECVBUF_FINAL_UNKNOWN);
    mem_fail_after(2); /* the ring, but not the ranges */
    assert_int_equal(insert(&b, 10, 10, true), ERR_NO_MEMORY);
    assert_int_equal(b.top, 0);
    mem_fail_after(0);
    assert_int_equal(insert(&b, 10, 10, true), 0);
    recvbuf_deinit(&b);
}

static void too_many_holes_are_refused(void **state)
{
    (void)state;
    struct recvbuf b;
    recvbuf_init(&b);
    for (uint64_t i = 0; i < RECVBUF_RANGES_MAX; i++) {
        assert_int_equal(insert(&b, 2 * i + 1, 1, false), 0);
    }
    assert_int_equal(insert(&b, 2 * RECVBUF_RANGES_MAX + 1, 1, false), ERR_NO_ROOM);
    assert_int_equal(insert(&b, 0, 3, false), 0); /* filling one always goes */
    assert_int_equal(b.ready, 4);
    recvbuf_deinit(&b);
}

static void skipped_bytes_count(void **state)
{
    (void)state;
    struct recvbuf b;
    recvbuf_init(&b);
    insert(&b, 100, 100, false);
    recvbuf_deinit(&b);
    recvbuf_skip(&b, 500, true);
    assert_int_equal(b.top, 500);
    assert_int_equal(b.read, 500);
    assert_true(recvbuf_is_complete(&b));
}

static void random_pieces(void **state)
{
    (void)state;
    enum { TOTAL = 300000, WINDOW = 30000 };
    struct pcg pcg;
    struct rng rng = pcg_rng(&pcg, 5);
    struct recvbuf b;
    bool fin = false;
    recvbuf_init(&b);
    while (!fin) {
        uint64_t offset = b.read > 500 ? b.read - 500 : 0;
        offset += rng_below(rng, WINDOW);
        uint64_t len = rng_below(rng, 2500);
        offset = offset < TOTAL ? offset : TOTAL;
        len = offset + len < TOTAL ? len : TOTAL - offset;
        assert_int_equal(insert(&b, offset, (size_t)len, offset + len == TOTAL), 0);
        take(&b, (size_t)rng_below(rng, 20000), &fin);
        fin = fin && b.read == TOTAL;
        assert_true(b.ring.size <= 65536);
    }
    assert_int_equal(b.read, TOTAL);
    assert_null(b.ring.data);
    recvbuf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_become_readable_in_order),
        cmocka_unit_test(a_wrong_final_size_is_refused),
        cmocka_unit_test(an_end_without_bytes_is_readable),
        cmocka_unit_test(short_memory_takes_nothing),
        cmocka_unit_test(too_many_holes_are_refused),
        cmocka_unit_test(skipped_bytes_count),
        cmocka_unit_test(random_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
