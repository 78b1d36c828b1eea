#include "support/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

size_t hex_decode(uint8_t *out, size_t cap, const char *hex)
{
    size_t len = 0;
    const char *end = NULL;
    assert_int_equal(sodium_hex2bin(out, cap, hex, strlen(hex), " \n", &len, &end), 0);
    assert_true(*end == '\0');
    return len;
}
