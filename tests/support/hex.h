/* Hex text to bytes and back, for vectors. */
#ifndef TESTS_SUPPORT_HEX_H
#define TESTS_SUPPORT_HEX_H

#include <stddef.h>
#include <stdint.h>

/* Decodes into out; returns the number of bytes. Fails the test on bad hex or no room. */
size_t hex_decode(uint8_t *out, size_t cap, const char *hex);

#endif
