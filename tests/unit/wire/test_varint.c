#include "wire/varint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/hex.h"

static const struct {
    const char *hex;
    uint64_t value;
} samples[] = {
    /* RFC 9000 A.1 */
    {"c2197c5eff14e88c", UINT64_C(151288809941952652)},
    {"9d7f3e7d", 494878333},
    {"7bbd", 15293},
    {"25", 37},
    /* the ends of each length */
    {"00", 0},
    {"3f", 63},
    {"4040", 64},
    {"7fff", 16383},
    {"80004000", 16384},
    {"bfffffff", 1073741823},
    {"c000000040000000", 1073741824},
    {"ffffffffffffffff", VARINT_MAX},
};

static void reads_and_writes_the_samples(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        uint8_t bytes[VARINT_LEN_MAX], out[VARINT_LEN_MAX];
        size_t len = hex_decode(bytes, sizeof(bytes), samples[i].hex);
        struct reader r = reader_of(bytes, len);
        assert_int_equal(varint_read(&r), samples[i].value);
        assert_false(r.failed);
        assert_int_equal(reader_left(&r), 0);
        struct writer w = writer_of(out, sizeof(out));
        varint_write(&w, samples[i].value);
        assert_false(w.failed);
        assert_int_equal(writer_len(&w), len);
        assert_int_equal(varint_len(samples[i].value), len);
        assert_memory_equal(out, bytes, len);
    }
}

static void reads_longer_forms_than_needed(void **state)
{
    (void)state;
    struct reader r = reader_of("\x40\x25\x80\x00\x00\x25", 6); /* A.1: 0x4025 is 37 as well */
    assert_int_equal(varint_read(&r), 37);
    assert_int_equal(varint_read(&r), 37);
    assert_false(r.failed);
}

static void fails_on_every_truncation(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        uint8_t bytes[VARINT_LEN_MAX];
        size_t len = hex_decode(bytes, sizeof(bytes), samples[i].hex);
        for (size_t cut = 0; cut < len; cut++) {
            struct reader r = reader_of(bytes, cut);
            assert_int_equal(varint_read(&r), 0);
            assert_true(r.failed);
            struct writer w = writer_of(bytes, cut);
            varint_write(&w, samples[i].value);
            assert_true(w.failed);
        }
    }
}

static void writes_two_bytes_for_later_filling(void **state)
{
    (void)state;
    static const uint64_t values[] = {0, 63, 64, 16383};
    for (size_t i = 0; i < 4; i++) {
        uint8_t out[2];
        struct writer w = writer_of(out, sizeof(out));
        varint_write_2(&w, values[i]);
        assert_int_equal(writer_len(&w), 2);
        struct reader r = reader_of(out, 2);
        assert_int_equal(varint_read(&r), values[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes_the_samples),
        cmocka_unit_test(reads_longer_forms_than_needed),
        cmocka_unit_test(fails_on_every_truncation),
        cmocka_unit_test(writes_two_bytes_for_later_filling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
