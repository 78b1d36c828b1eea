#include "wire/packet.h"

#include <base/err.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include <cmocka.h>

static const struct packet_data_header sample = {
    .path = 8,
    .receiver = UINT32_C(0x01020304),
    .number = UINT64_C(0xa1a2a3a4a5a6),
};

static void places_each_field_where_the_header_says(void **state)
{
    (void)state;
    uint8_t out[PACKET_DATA_HEADER_LEN];
    packet_write_data(out, &sample);
    assert_memory_equal(out, "\x84\x08\x01\x02\x03\x04\xa1\xa2\xa3\xa4\xa5\xa6", sizeof(out));
}

static void round_trips(void **state)
{
    (void)state;
    static const uint64_t numbers[] = {0, 1, UINT64_C(1) << 32, PACKET_NUMBER_MAX};
    for (size_t i = 0; i < 4; i++) {
        uint8_t data[PACKET_DATA_OVERHEAD] = {0};
        struct packet_data_header h = {.path = 0, .receiver = UINT32_MAX, .number = numbers[i]};
        struct packet_data_header out;
        packet_write_data(data, &h);
        assert_int_equal(packet_type(data, sizeof(data)), PACKET_DATA);
        assert_int_equal(packet_read_data(&out, data, sizeof(data)), 0);
        assert_int_equal(out.path, h.path);
        assert_int_equal(out.receiver, h.receiver);
        assert_int_equal(out.number, h.number);
    }
}

static void refuses_what_cannot_be(void **state)
{
    (void)state;
    uint8_t data[PACKET_DATA_OVERHEAD] = {0};
    struct packet_data_header out = {.number = 42};
    packet_write_data(data, &sample);
    for (size_t len = 0; len < sizeof(data); len++) {
        assert_int_equal(packet_read_data(&out, data, len), ERR_MALFORMED);
    }
    data[1] = PACKET_PATHS_MAX;
    assert_int_equal(packet_read_data(&out, data, sizeof(data)), ERR_MALFORMED);
    data[1] = 1;
    data[0] = PACKET_COOKIE;
    assert_int_equal(packet_read_data(&out, data, sizeof(data)), ERR_MALFORMED);
    assert_int_equal(out.number, 42); /* untouched */
}

static void knows_its_own_by_the_first_byte(void **state)
{
    (void)state;
    assert_int_equal(packet_type(NULL, 0), 0);
    for (int first = 0; first < 256; first++) {
        uint8_t data[1] = {(uint8_t)first};
        bool ours = first >= PACKET_INITIATION && first <= PACKET_DATA;
        assert_int_equal(packet_type(data, 1), ours ? first : 0);
    }
    assert_int_equal(strlen(PACKET_ENVELOPE), PACKET_ENVELOPE_LEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_each_field_where_the_header_says),
        cmocka_unit_test(round_trips),
        cmocka_unit_test(refuses_what_cannot_be),
        cmocka_unit_test(knows_its_own_by_the_first_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
