#include <base/bytes.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void integers_are_big_endian(void **state)
{
    (void)state;
    uint8_t out[18];
    struct writer w = writer_of(out, sizeof(out));
    write_u8(&w, 0x01);
    write_u16(&w, 0x0203);
    write_u32(&w, 0x04050607);
    write_u64(&w, UINT64_C(0x08090a0b0c0d0e0f));
    write_be(&w, 0x101112, 3);
    assert_false(w.failed);
    assert_int_equal(writer_len(&w), 18);
    for (uint8_t i = 0; i < 18; i++) {
        assert_int_equal(out[i], i + 1);
    }
    struct reader r = reader_of(out, sizeof(out));
    assert_int_equal(read_u8(&r), 0x01);
    assert_int_equal(read_u16(&r), 0x0203);
    assert_int_equal(read_u32(&r), 0x04050607);
    assert_int_equal(read_u64(&r), UINT64_C(0x08090a0b0c0d0e0f));
    assert_int_equal(read_be(&r, 3), 0x101112);
    assert_int_equal(reader_left(&r), 0);
    assert_false(r.failed);
}

static void a_failed_read_sticks(void **state)
{
    (void)state;
    uint8_t copy[4] = "abc";
    struct reader r = reader_of("\x01\x02\x03", 3);
    assert_int_equal(read_u32(&r), 0);
    assert_true(r.failed);
    assert_int_equal(read_u8(&r), 0); /* though a byte would be there */
    assert_null(read_bytes(&r, 0));
    read_copy(&r, copy, 1);
    assert_string_equal(copy, "abc");
}

static void a_failed_write_sticks(void **state)
{
    (void)state;
    uint8_t out[4] = {9, 9, 9, 9};
    struct writer w = writer_of(out, 3);
    write_u8(&w, 1);
    assert_int_equal(writer_room(&w), 2);
    write_u32(&w, 0);
    assert_true(w.failed);
    assert_int_equal(writer_room(&w), 0);
    write_bytes(&w, "\x07", 1);
    assert_int_equal(writer_len(&w), 1);
    assert_memory_equal(out, "\x01\x09\x09\x09", 4);
}

static void nothing_is_a_valid_input(void **state)
{
    (void)state;
    struct reader r = reader_of(NULL, 0);
    assert_int_equal(reader_left(&r), 0);
    read_copy(&r, NULL, 0);
    assert_int_equal(read_u8(&r), 0);
    assert_true(r.failed);
    struct writer w = writer_of(NULL, 0);
    write_bytes(&w, NULL, 0);
    assert_false(w.failed);
    write_u8(&w, 1);
    assert_true(w.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_big_endian),
        cmocka_unit_test(a_failed_read_sticks),
        cmocka_unit_test(a_failed_write_sticks),
        cmocka_unit_test(nothing_is_a_valid_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
