#include "proto/sniff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static enum sniff expected(unsigned byte)
{
    switch (byte) {
    case 4:
        return SNIFF_SOCKS4;
    case 5:
        return SNIFF_SOCKS5;
    case 0x16:
        return SNIFF_TLS;
    default:
        return byte >= 0x41 && byte <= 0x5a ? SNIFF_HTTP : SNIFF_OTHER;
    }
}

static void every_byte_decides_alone(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        assert_int_equal(sniff_byte((uint8_t)byte), expected(byte));
    }
}

static void names_are_told_apart(void **state)
{
    (void)state;
    assert_string_equal(sniff_name(sniff_byte(5)), "SOCKS5");
    assert_string_equal(sniff_name(sniff_byte(4)), "SOCKS4");
    assert_string_equal(sniff_name(sniff_byte('C')), "HTTP");
    assert_string_equal(sniff_name(sniff_byte(0x16)), "TLS");
    assert_string_equal(sniff_name(sniff_byte('c')), "other");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_decides_alone),
        cmocka_unit_test(names_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
