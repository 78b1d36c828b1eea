#include <base/mem.h>

#include "transport/sched.h"
#include "transport/stream.h"
#include "transport/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct stream_config config = {
    .send_buffer_max = 1 << 20, .send_limit = 1 << 20, .window = 10000, .window_max = 10000};

static struct stream *make(uint64_t id)
{
    struct stream *s = stream_new(id, true, &config);
    assert_non_null(s);
    s->hello_made = s->hello_sent = true;
    return s;
}

static void put(struct stream *s, size_t len)
{
    uint8_t block[1000] = {0};
    while (len > 0) {
        size_t n = sendbuf_write(&s->out, block, len < sizeof(block) ? len : sizeof(block));
        assert_true(n > 0);
        len -= n;
    }
}

/* Sends as the conn does: one packet of at most `most` bytes. */
static size_t send_some(struct sched *q, struct stream *s, size_t most, bool *fin)
{
    struct range r;
    assert_true(stream_next(s, UINT64_MAX / 2, &r, fin));
    if (r.end - r.start > most) {
        r.end = r.start + most;
        *fin = false;
    }
    stream_on_sent(s, &r, *fin);
    if (q) {
        sched_on_sent(q, s, (size_t)(r.end - r.start));
    }
    return (size_t)(r.end - r.start);
}

static void the_end_goes_with_the_last_bytes_or_alone(void **state)
{
    (void)state;
    struct stream *s = make(0);
    bool fin;
    put(s, 1500);
    assert_int_equal(send_some(NULL, s, 1000, &fin), 1000);
    stream_set_send(s, STREAM_SEND_FINISHED);
    assert_int_equal(send_some(NULL, s, 1000, &fin), 500);
    assert_true(fin);
    assert_false(stream_has_data(s));
    stream_on_data_lost(s, 1000, 500, true);
    assert_true(stream_has_data(s));
    stream_on_data_acked(s, 1000, 500, false); /* another copy of the bytes, without the end */
    assert_int_equal(send_some(NULL, s, 1000, &fin), 0);
    assert_true(fin);
    stream_on_data_acked(s, 1500, 0, true);
    assert_int_equal(s->send, STREAM_SEND_FINISHED);
    stream_on_data_acked(s, 0, 1000, false);
    assert_int_equal(s->send, STREAM_SEND_DONE);
    stream_on_data_lost(s, 0, 1500, true);
    assert_false(stream_has_data(s));
    stream_free(s);
}

static void credit_holds_new_bytes_only(void **state)
{
    (void)state;
    struct stream *s = make(0);
    struct range r;
    bool fin;
    put(s, 3000);
    s->send_limit = 2000;
    assert_true(stream_next(s, 500, &r, &fin));
    assert_int_equal(r.end, 500);
    assert_int_equal(stream_on_sent(s, &r, false), 500);
    assert_false(stream_next(s, 0, &r, &fin));
    stream_on_data_lost(s, 0, 500, false);
    assert_true(stream_next(s, 0, &r, &fin));
    assert_int_equal(stream_on_sent(s, &r, false), 0);
    assert_true(stream_next(s, 5000, &r, &fin));
    assert_int_equal(r.end, 2000);
    stream_free(s);
}

static void is_over_when_all_of_it_is(void **state)
{
    (void)state;
    struct stream *s = make(0);
    bool fin;
    stream_set_send(s, STREAM_SEND_FINISHED);
    send_some(NULL, s, 1, &fin);
    stream_on_data_acked(s, 0, 0, true);
    assert_false(stream_is_over(s));
    s->hello_seen = true;
    assert_int_equal(recvbuf_insert(&s->in, 0, (const uint8_t *)"abc", 3, true), 0);
    stream_update_recv(s);
    assert_int_equal(s->recv, STREAM_RECV_COMPLETE);
    recvbuf_consume(&s->in, 3);
    stream_update_recv(s);
    assert_int_equal(s->recv, STREAM_RECV_COMPLETE); /* nobody saw the end yet */
    s->fin_seen = true;
    stream_update_recv(s);
    assert_int_equal(s->recv, STREAM_RECV_DONE);
    assert_false(stream_is_over(s)); /* our open may still be lost */
    s->hello_acked = true;
    assert_true(stream_is_over(s));
    stream_free(s);
}

static void discarding_waits_for_the_final_size(void **state)
{
    (void)state;
    struct stream *s = make(0);
    recvbuf_insert(&s->in, 0, (const uint8_t *)"abc", 3, false);
    assert_int_equal(stream_discard(s), 3);
    assert_int_equal(stream_discard(s), 0);
    assert_int_equal(s->recv, STREAM_RECV_DISCARD);
    recvbuf_skip(&s->in, 10, true);
    stream_update_recv(s);
    assert_int_equal(s->recv, STREAM_RECV_RESET);
    assert_true(stream_reset(s, 9));
    assert_false(stream_reset(s, 8));
    assert_int_equal(s->cause, 9);
    stream_free(s);
}

static void small_streams_go_before_bulk_and_bulk_takes_turns(void **state)
{
    (void)state;
    struct sched q;
    struct stream *bulk[2] = {make(0), make(2)};
    struct stream *small = make(4);
    bool fin;
    sched_init(&q);
    for (int i = 0; i < 2; i++) {
        put(bulk[i], 1000000);
        sched_add(&q, bulk[i]);
        while (bulk[i]->queue == STREAM_QUEUE_FRESH) {
            send_some(&q, sched_next(&q, UINT64_MAX / 2), 1000, &fin);
        }
    }
    put(small, 2000);
    sched_add(&q, small);
    sched_add(&q, small);
    assert_ptr_equal(sched_next(&q, UINT64_MAX / 2), small);
    send_some(&q, small, 1000, &fin);
    assert_ptr_equal(sched_next(&q, UINT64_MAX / 2), small);
    send_some(&q, small, 1000, &fin);
    size_t sent[2] = {0};
    for (int i = 0; i < 400; i++) {
        struct stream *s = sched_next(&q, UINT64_MAX / 2);
        sent[s == bulk[1]] += send_some(&q, s, 1000, &fin);
    }
    assert_in_range(sent[0], 200000 - SCHED_QUANTUM_BYTES, 200000 + SCHED_QUANTUM_BYTES);
    /* All acknowledged: what it sends next is small again. */
    stream_on_data_acked(small, 0, 2000, false);
    assert_int_equal(small->burst, 0);
    for (int i = 0; i < 2; i++) {
        sched_remove(&q, bulk[i]);
        stream_free(bulk[i]);
    }
    stream_free(small);
}

static void streams_without_session_credit_are_set_aside(void **state)
{
    (void)state;
    struct sched q;
    struct stream *a = make(0);
    struct stream *b = make(2);
    bool fin;
    sched_init(&q);
    put(a, 1000);
    put(b, 1000);
    sched_add(&q, a);
    sched_add(&q, b);
    send_some(&q, sched_next(&q, 500), 500, &fin);
    assert_null(sched_next(&q, 0));
    assert_false(sched_is_waiting(&q));
    stream_on_data_lost(a, 0, 100, false);
    sched_add(&q, a);
    assert_ptr_equal(sched_next(&q, 0), a);
    send_some(&q, a, 100, &fin);
    assert_null(sched_next(&q, 0));
    sched_unblock(&q);
    assert_true(sched_is_waiting(&q));
    assert_non_null(sched_next(&q, 10));
    sched_remove(&q, a);
    sched_remove(&q, b);
    stream_free(a);
    stream_free(b);
}

static void table_finds_what_is_in_it(void **state)
{
    (void)state;
    enum { COUNT = 500 };
    struct table t = {0};
    struct stream *s[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        s[i] = make(i * i);
        assert_int_equal(table_add(&t, s[i]), 0);
    }
    for (size_t i = 0; i < COUNT; i += 3) {
        table_remove(&t, s[i]->id);
        table_remove(&t, s[i]->id);
    }
    size_t at = 0;
    size_t count = 0;
    while (table_next(&t, &at)) {
        count++;
    }
    assert_int_equal(count, t.count);
    for (size_t i = 0; i < COUNT; i++) {
        assert_ptr_equal(table_find(&t, s[i]->id), i % 3 == 0 ? NULL : s[i]);
    }
    for (size_t i = 0; i < COUNT; i++) {
        stream_free(s[i]);
    }
    table_deinit(&t);
    mem_fail_after(2);
    struct stream *one = make(1);
    assert_true(table_add(&t, one) < 0);
    mem_fail_after(0);
    assert_null(table_find(&t, 1));
    stream_free(one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_goes_with_the_last_bytes_or_alone),
        cmocka_unit_test(credit_holds_new_bytes_only),
        cmocka_unit_test(is_over_when_all_of_it_is),
        cmocka_unit_test(discarding_waits_for_the_final_size),
        cmocka_unit_test(small_streams_go_before_bulk_and_bulk_takes_turns),
        cmocka_unit_test(streams_without_session_credit_are_set_aside),
        cmocka_unit_test(table_finds_what_is_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
