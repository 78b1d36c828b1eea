#include <base/mem.h>
#include <base/rng.h>

#include "transport/sendbuf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static uint8_t pattern(uint64_t at)
{
    return (uint8_t)(at * 31 + (at >> 8));
}

static size_t write_pattern(struct sendbuf *b, size_t len)
{
    uint8_t block[8192];
    assert_true(len <= sizeof(block));
    for (size_t i = 0; i < len; i++) {
        block[i] = pattern(b->end + i);
    }
    return sendbuf_write(b, block, len);
}

/* Sends the next piece, of `most` bytes at most. */
static struct range send_next(struct sendbuf *b, uint64_t limit, size_t most)
{
    struct range r = {0, 0};
    if (!sendbuf_next(b, limit, &r)) {
        return (struct range){0, 0};
    }
    if (r.end - r.start > most) {
        r.end = r.start + most;
    }
    uint8_t out[8192];
    sendbuf_read(b, r.start, out, (size_t)(r.end - r.start));
    for (uint64_t at = r.start; at < r.end; at++) {
        assert_int_equal(out[at - r.start], pattern(at));
    }
    sendbuf_on_sent(b, r.start, r.end);
    return r;
}

static void assert_range(struct range r, uint64_t start, uint64_t end)
{
    assert_int_equal(r.start, start);
    assert_int_equal(r.end, end);
}

static void lost_bytes_go_first_and_credit_does_not_hold_them(void **state)
{
    (void)state;
    struct sendbuf b;
    sendbuf_init(&b, 65536);
    assert_int_equal(write_pattern(&b, 5000), 5000);
    assert_range(send_next(&b, 4000, 1000), 0, 1000);
    assert_range(send_next(&b, 4000, 1000), 1000, 2000);
    assert_range(send_next(&b, 4000, 9000), 2000, 4000);
    assert_range(send_next(&b, 4000, 1000), 0, 0);
    sendbuf_on_lost(&b, 1000, 2000);
    assert_range(send_next(&b, 4000, 600), 1000, 1600);
    assert_range(send_next(&b, 4000, 600), 1600, 2000);
    assert_range(send_next(&b, 4000, 600), 0, 0);
    assert_range(send_next(&b, 9000, 9000), 4000, 5000);
    assert_int_equal(b.high, 5000);
    sendbuf_deinit(&b);
}

static void acknowledged_bytes_are_not_sent_again(void **state)
{
    (void)state;
    struct sendbuf b;
    sendbuf_init(&b, 65536);
    write_pattern(&b, 5000);
    send_next(&b, UINT64_MAX, 5000);
    sendbuf_on_acked(&b, 1000, 2000);
    sendbuf_on_acked(&b, 3000, 4000);
    sendbuf_on_lost(&b, 0, 5000);
    assert_range(send_next(&b, UINT64_MAX, 9000), 0, 1000);
    assert_range(send_next(&b, UINT64_MAX, 9000), 2000, 3000);
    sendbuf_on_acked(&b, 4000, 4500); /* the first copy came late */
    assert_range(send_next(&b, UINT64_MAX, 9000), 4500, 5000);
    sendbuf_on_acked(&b, 0, 1000);
    assert_int_equal(b.base, 2000);
    sendbuf_on_lost(&b, 500, 1500);
    assert_range(send_next(&b, UINT64_MAX, 9000), 0, 0);
    sendbuf_deinit(&b);
}

static void an_acknowledgement_joins_the_next_range(void **state)
{
    (void)state;
    struct sendbuf b;
    sendbuf_init(&b, 65536);
    write_pattern(&b, 3000);
    send_next(&b, UINT64_MAX, 3000);
    sendbuf_on_acked(&b, 1000, 1500);
    sendbuf_on_acked(&b, 2000, 2500);
    sendbuf_on_acked(&b, 0, 2000);
    assert_int_equal(b.base, 2500);
    sendbuf_deinit(&b);
}

static void memory_goes_when_all_is_acknowledged(void **state)
{
    (void)state;
    struct sendbuf b;
    sendbuf_init(&b, 65536);
    assert_null(b.ring.data);
    write_pattern(&b, 5000);
    send_next(&b, UINT64_MAX, 5000);
    sendbuf_on_acked(&b, 2000, 5000);
    assert_non_null(b.ring.data);
    sendbuf_on_acked(&b, 0, 2000);
    assert_null(b.ring.data);
    assert_true(sendbuf_is_empty(&b));
    sendbuf_deinit(&b);
}

static void holds_no_more_than_its_ceiling(void **state)
{
    (void)state;
    struct sendbuf b;
    uint8_t *at;
    sendbuf_init(&b, 10000);
    assert_int_equal(write_pattern(&b, 8000), 8000);
    assert_int_equal(write_pattern(&b, 8000), 2000);
    assert_int_equal(sendbuf_space(&b, 1, &at), 0);
    send_next(&b, UINT64_MAX, 5000);
    sendbuf_on_acked(&b, 0, 5000);
    assert_int_equal(sendbuf_room(&b), 5000);
    assert_true(b.ring.size <= 16384);
    sendbuf_deinit(&b);
}

static void room_in_place_is_one_piece(void **state)
{
    (void)state;
    struct sendbuf b;
    uint8_t *at;
    sendbuf_init(&b, 1 << 20);
    size_t room = sendbuf_space(&b, 5000, &at);
    assert_true(room >= 5000);
    for (size_t i = 0; i < 5000; i++) {
        at[i] = pattern(i);
    }
    sendbuf_wrote(&b, 5000);
    send_next(&b, UINT64_MAX, 5000);
    sendbuf_deinit(&b);
}

static void without_memory_it_sends_again_from_there(void **state)
{
    (void)state;
    struct sendbuf b;
    sendbuf_init(&b, 65536);
    write_pattern(&b, 5000);
    send_next(&b, UINT64_MAX, 5000);
    mem_fail_after(1);
    sendbuf_on_acked(&b, 1000, 2000);
    assert_range(send_next(&b, UINT64_MAX, 9000), 1000, 5000);
    sendbuf_on_lost(&b, 3000, 4000);
    assert_range(send_next(&b, UINT64_MAX, 9000), 3000, 5000);
    mem_fail_after(0);
    assert_int_equal(b.high, 5000);
    sendbuf_on_acked(&b, 0, 5000);
    assert_true(sendbuf_is_empty(&b));
    sendbuf_deinit(&b);
}

enum { PIECES = 400 };

/* Whatever is acknowledged or lost in whatever order, in the end everything is acknowledged, and
 * every byte sent was the right one. */
static void random_fates(void **state)
{
    (void)state;
    struct pcg pcg;
    struct rng rng = pcg_rng(&pcg, 3);
    struct sendbuf b;
    sendbuf_init(&b, 20000);
    struct range flight[PIECES];
    size_t count = 0;
    while (b.base < 1000000) {
        write_pattern(&b, (size_t)rng_below(rng, 3000));
        struct range r = send_next(&b, UINT64_MAX, 1 + (size_t)rng_below(rng, 1200));
        if (r.end > r.start && count < PIECES) {
            flight[count++] = r;
        } else if (r.end > r.start) {
            sendbuf_on_lost(&b, r.start, r.end);
        }
        if (count > 0 && rng_below(rng, 3) > 0) {
            size_t i = (size_t)rng_below(rng, count);
            r = flight[i];
            if (rng_below(rng, 4) == 0) {
                sendbuf_on_lost(&b, r.start, r.end);
            } else {
                sendbuf_on_acked(&b, r.start, r.end);
            }
            if (rng_below(rng, 8) > 0) { /* else its fate is told again later */
                flight[i] = flight[--count];
            }
        }
        assert_true(b.base <= b.sent && b.sent <= b.high && b.high <= b.end);
        assert_true(b.end - b.base <= 20000);
        if (b.lost.count > 0) {
            assert_true(b.lost.list[0].start >= b.base);
            assert_true(b.lost.list[b.lost.count - 1].end <= b.sent);
        }
    }
    sendbuf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lost_bytes_go_first_and_credit_does_not_hold_them),
        cmocka_unit_test(acknowledged_bytes_are_not_sent_again),
        cmocka_unit_test(an_acknowledgement_joins_the_next_range),
        cmocka_unit_test(memory_goes_when_all_is_acknowledged),
        cmocka_unit_test(holds_no_more_than_its_ceiling),
        cmocka_unit_test(room_in_place_is_one_piece),
        cmocka_unit_test(without_memory_it_sends_again_from_there),
        cmocka_unit_test(random_fates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
