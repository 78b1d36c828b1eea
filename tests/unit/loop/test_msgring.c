#include "loop/msgring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MESSAGES = 2000, LONGEST = 700 };

static uint8_t byte_of(unsigned n, size_t at)
{
    return (uint8_t)(n * 31 + at * 7);
}

static size_t len_of(unsigned n)
{
    return n * 37 % LONGEST;
}

static enum msgring_result put(struct msgring *r, unsigned n)
{
    uint8_t data[LONGEST];
    size_t len = len_of(n), half = len / 3;
    const struct msgring_note note = {.type = (uint8_t)n, .number = n};
    for (size_t i = 0; i < len; i++) {
        data[i] = byte_of(n, i);
    }
    return msgring_put(r, &note, data, half, data + half, len - half);
}

static bool take(struct msgring *r, unsigned n)
{
    struct msgring_note note;
    const uint8_t *data;
    size_t len;
    if (!msgring_peek(r, &note, &data, &len)) {
        return false;
    }
    assert_int_equal(note.number, n);
    assert_int_equal(len, len_of(n));
    bool same = true;
    for (size_t i = 0; i < len; i++) {
        same = same && data[i] == byte_of(n, i);
    }
    assert_true(same);
    msgring_pop(r);
    return true;
}

static void messages_keep_order_and_bytes(void **state)
{
    (void)state;
    struct msgring r;
    unsigned in = 0, out = 0;
    assert_int_equal(msgring_init(&r, 4001), 0);
    assert_true(msgring_is_empty(&r));
    while (out < 5000) {
        for (unsigned i = 0; i < 1 + in % 5 && put(&r, in) != MSGRING_FULL; i++) {
            in++;
        }
        for (unsigned i = 0; i < 1 + in % 4 && out < in; i++) {
            assert_true(take(&r, out++));
        }
    }
    while (take(&r, out)) {
        out++;
    }
    assert_int_equal(in, out);
    msgring_deinit(&r);
}

static void it_tells_when_it_is_full_and_when_it_was_empty(void **state)
{
    (void)state;
    struct msgring r;
    const struct msgring_note note = {.type = 1};
    const uint8_t bytes[950] = {0};
    assert_int_equal(msgring_init(&r, 1024), 0);
    assert_int_equal(msgring_put(&r, &note, bytes, sizeof(bytes), NULL, 0), MSGRING_FIRST);
    assert_int_equal(msgring_put(&r, &note, NULL, 0, NULL, 0), MSGRING_FULL);
    msgring_pop(&r);
    assert_int_equal(msgring_put(&r, &note, NULL, 0, NULL, 0), MSGRING_FIRST);
    assert_int_equal(msgring_put(&r, &note, NULL, 0, NULL, 0), MSGRING_PUT);
    msgring_pop(&r);
    msgring_pop(&r);
    assert_true(msgring_is_empty(&r));
    assert_int_equal(msgring_put(&r, &note, bytes, 2000, NULL, 0), MSGRING_FULL);
    msgring_deinit(&r);
}

static void put_all(void *ring)
{
    for (unsigned n = 0; n < MESSAGES;) {
        n += put(ring, n) != MSGRING_FULL;
    }
}

static void two_threads_share_it(void **state)
{
    (void)state;
    struct msgring r;
    uv_thread_t thread;
    assert_int_equal(msgring_init(&r, 8192), 0);
    assert_int_equal(uv_thread_create(&thread, put_all, &r), 0);
    for (unsigned n = 0; n < MESSAGES;) {
        n += take(&r, n);
    }
    assert_int_equal(uv_thread_join(&thread), 0);
    assert_true(msgring_is_empty(&r));
    msgring_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_keep_order_and_bytes),
        cmocka_unit_test(it_tells_when_it_is_full_and_when_it_was_empty),
        cmocka_unit_test(two_threads_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
