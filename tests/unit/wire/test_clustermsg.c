#include "wire/clustermsg.h"

#include <base/err.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static size_t begin(uint8_t *out, enum clustermsg_type type)
{
    struct writer w = writer_of(out, CLUSTERMSG_HEAD);
    clustermsg_write_head(&w, type, 0x0102030405060708, 0x1112131415161718);
    assert_false(w.failed);
    return writer_len(&w);
}

static void packets_come_back_as_written(void **state)
{
    (void)state;
    uint8_t m[CLUSTERMSG_PACKET_HEAD + 3];
    struct clustermsg got;
    assert_int_equal(begin(m, CLUSTERMSG_ASKED_PACKET), CLUSTERMSG_HEAD);
    memset(m + CLUSTERMSG_HEAD, 't', 32);
    memset(m + CLUSTERMSG_HEAD + 32, 'f', 32);
    memcpy(m + CLUSTERMSG_PACKET_HEAD, "abc", 3);
    assert_int_equal(clustermsg_read(&got, m, sizeof(m)), 0);
    assert_int_equal(got.type, CLUSTERMSG_ASKED_PACKET);
    assert_int_equal(got.stamp, 0x0102030405060708);
    assert_int_equal(got.process, 0x1112131415161718);
    assert_true(got.to == m + CLUSTERMSG_HEAD && got.from == got.to + 32);
    assert_int_equal(got.len, 3);
    assert_memory_equal(got.data, "abc", 3);
    /* An empty payload is one; half a key is none. */
    assert_int_equal(clustermsg_read(&got, m, CLUSTERMSG_PACKET_HEAD), 0);
    assert_int_equal(got.len, 0);
    assert_int_equal(clustermsg_read(&got, m, CLUSTERMSG_PACKET_HEAD - 1), ERR_MALFORMED);
}

static void lists_are_whole_and_not_empty(void **state)
{
    (void)state;
    uint8_t m[CLUSTERMSG_HEAD + 2 * CLUSTERMSG_CLAIM_LEN] = {0};
    struct clustermsg got;
    begin(m, CLUSTERMSG_CLAIM);
    m[CLUSTERMSG_HEAD + CLUSTERMSG_CLAIM_LEN] = 7;
    m[sizeof(m) - 1] = 9;
    assert_int_equal(clustermsg_read(&got, m, sizeof(m)), 0);
    assert_int_equal(got.count, 2);
    struct clustermsg_claim claim = clustermsg_item(&got, 1);
    assert_int_equal(claim.key[0], 7);
    assert_int_equal(claim.stamp, 9);
    assert_int_equal(clustermsg_read(&got, m, sizeof(m) - 1), ERR_MALFORMED);
    assert_int_equal(clustermsg_read(&got, m, CLUSTERMSG_HEAD), ERR_MALFORMED);
    begin(m, CLUSTERMSG_LEFT);
    assert_int_equal(clustermsg_read(&got, m, CLUSTERMSG_HEAD + 64), 0);
    assert_int_equal(got.count, 2);
    begin(m, CLUSTERMSG_HERE);
    assert_int_equal(clustermsg_read(&got, m, CLUSTERMSG_HEAD + 64), ERR_MALFORMED);
    assert_int_equal(clustermsg_read(&got, m, CLUSTERMSG_HEAD + 32), 0);
    assert_int_equal(got.count, 1);
}

static void what_is_unknown_is_told_from_what_is_broken(void **state)
{
    (void)state;
    uint8_t m[CLUSTERMSG_HEAD];
    struct clustermsg got;
    begin(m, CLUSTERMSG_ALIVE);
    assert_int_equal(clustermsg_read(&got, m, sizeof(m)), 0);
    assert_int_equal(got.count, 0);
    assert_int_equal(clustermsg_read(&got, m, sizeof(m) - 1), ERR_MALFORMED);
    m[1] = 99;
    assert_int_equal(clustermsg_read(&got, m, sizeof(m)), ERR_VERSION);
    m[1] = CLUSTERMSG_BYE;
    m[0] = 2;
    assert_int_equal(clustermsg_read(&got, m, sizeof(m)), ERR_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_come_back_as_written),
        cmocka_unit_test(lists_are_whole_and_not_empty),
        cmocka_unit_test(what_is_unknown_is_told_from_what_is_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
