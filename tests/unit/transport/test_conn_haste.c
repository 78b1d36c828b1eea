/* Who talks beside bulk: transport/conn_haste.c, through whole conns. */
#include "support/conn_pair.h"
#include "transport/conn_internal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { BULK = 300000, SAID = 128 };

static struct conn_pair *make(void)
{
    static struct conn_pair p;
    const struct conn_limits limits = conn_limits_default();
    conn_pair_init_with(&p, &limits);
    return &p;
}

static uint64_t open_stream(struct conn_pair *p)
{
    uint64_t id;
    assert_int_equal(conn_stream_open(p->side[0], "t", 1, &id), 0);
    return id;
}

static void say(struct conn_pair *p, int side, uint64_t id, size_t len)
{
    static const uint8_t content[BULK];
    while (len > 0) {
        size_t took = conn_stream_write(p->side[side], id, content, len);
        len -= took;
        if (took == 0) {
            conn_pair_run_reading(p, 10 * NS_PER_MS);
        }
    }
}

static bool is_hasty(const struct conn_pair *p, int side)
{
    return conn_is_hasty(p->side[side], p->now);
}

static void one_stream_alone_makes_no_haste(void **state)
{
    (void)state;
    struct conn_pair *p = make();
    uint64_t id = open_stream(p);
    say(p, 0, id, SAID);
    conn_pair_run_reading(p, NS_PER_MS);
    assert_false(is_hasty(p, 0));
    say(p, 0, id, BULK);
    conn_pair_run_reading(p, NS_PER_S);
    assert_false(is_hasty(p, 0) || is_hasty(p, 1));
    /* Answers on a stream that brings many bytes itself: reports about an upload. */
    say(p, 1, id, SAID);
    conn_pair_run_reading(p, NS_PER_MS);
    assert_false(is_hasty(p, 0) || is_hasty(p, 1));
    assert_false(conn_take_said(p->side[0]) || conn_take_said(p->side[1]));
    conn_pair_free(p);
}

static void a_word_beside_bulk_that_waits_makes_haste_for_a_while(void **state)
{
    (void)state;
    struct conn_pair *p = make();
    uint64_t bulk = open_stream(p);
    uint64_t small = open_stream(p);
    conn_pair_run_reading(p, NS_PER_S);
    say(p, 0, bulk, 200000);
    say(p, 0, small, SAID);
    assert_false(is_hasty(p, 0)); /* nothing has left */
    assert_false(conn_take_said(p->side[0]));
    while (!is_hasty(p, 0)) {
        assert_true(conn_pair_step(p));
    }
    assert_true(conn_take_said(p->side[0]));
    assert_false(conn_take_said(p->side[0])); /* told once */
    conn_pair_run_reading(p, 2 * NS_PER_S);
    assert_false(is_hasty(p, 0));
    conn_pair_free(p);
}

static void so_does_one_beside_bulk_that_comes(void **state)
{
    (void)state;
    struct conn_pair *p = make();
    uint64_t bulk = open_stream(p);
    uint64_t small = open_stream(p);
    conn_pair_run_reading(p, NS_PER_S);
    say(p, 0, bulk, BULK);
    conn_pair_run_reading(p, 2 * NS_PER_S);
    assert_false(is_hasty(p, 1));
    say(p, 1, small, SAID);
    conn_pair_run_reading(p, NS_PER_MS);
    assert_true(is_hasty(p, 1));
    conn_pair_run_reading(p, NS_PER_S);
    say(p, 1, small, SAID); /* nothing has come since */
    conn_pair_run_reading(p, NS_PER_MS);
    assert_false(is_hasty(p, 1));
    conn_pair_free(p);
}

static void two_bulks_make_no_haste(void **state)
{
    (void)state;
    struct conn_pair *p = make();
    uint64_t a = open_stream(p);
    uint64_t b = open_stream(p);
    conn_pair_run_reading(p, NS_PER_S);
    for (int i = 0; i < 4; i++) {
        say(p, 0, a, 100000);
        say(p, 0, b, 100000);
        conn_pair_run_reading(p, NS_PER_MS);
        assert_false(is_hasty(p, 0));
    }
    conn_pair_run_reading(p, NS_PER_S);
    assert_false(is_hasty(p, 0));
    conn_pair_free(p);
}

/* The rest of something long is no word: everything before it has arrived, and it is short. */
static void the_rest_of_bulk_makes_no_haste(void **state)
{
    (void)state;
    struct conn_pair *p = make();
    uint64_t a = open_stream(p);
    uint64_t b = open_stream(p);
    conn_pair_run_reading(p, NS_PER_S);
    say(p, 0, b, 100000);
    const struct stream *s = conn_find(p->side[0], b);
    for (int i = 0; s->burst > 0; i++) {
        assert_true(i < 10000 && conn_pair_step(p));
        conn_pair_read_all(p);
    }
    say(p, 0, a, 150000);
    say(p, 0, b, SAID);
    conn_pair_run_reading(p, NS_PER_MS);
    assert_false(is_hasty(p, 0));
    conn_pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_stream_alone_makes_no_haste),
        cmocka_unit_test(a_word_beside_bulk_that_waits_makes_haste_for_a_while),
        cmocka_unit_test(so_does_one_beside_bulk_that_comes),
        cmocka_unit_test(two_bulks_make_no_haste),
        cmocka_unit_test(the_rest_of_bulk_makes_no_haste),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
