/* Variable-length integers of RFC 9000 section 16: 1, 2, 4 or 8 bytes, 0 .. 2^62-1. */
#ifndef WIRE_VARINT_H
#define WIRE_VARINT_H

#include <base/bytes.h>

#define VARINT_MAX ((UINT64_C(1) << 62) - 1)
#define VARINT_LEN_MAX 8

/* Bytes that `v` takes on the wire. */
size_t varint_len(uint64_t v);
uint64_t varint_read(struct reader *r);
/* Writing a value over VARINT_MAX is our bug (CHECK). */
void varint_write(struct writer *w, uint64_t v);
/* Writes `v` in exactly 2 bytes (v < 16384), for a length that is filled in afterwards. */
void varint_write_2(struct writer *w, uint64_t v);

#endif
