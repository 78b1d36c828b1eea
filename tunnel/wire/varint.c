#include "wire/varint.h"

#include <base/check.h>

size_t varint_len(uint64_t v)
{
    if (v < UINT64_C(1) << 6) {
        return 1;
    }
    if (v < UINT64_C(1) << 14) {
        return 2;
    }
    return v < UINT64_C(1) << 30 ? 4 : 8;
}

uint64_t varint_read(struct reader *r)
{
    if (r->failed || r->at == r->end) {
        r->failed = true;
        return 0;
    }
    size_t len = (size_t)1 << (*r->at >> 6);
    return read_be(r, len) & (UINT64_MAX >> (66 - 8 * len));
}

void varint_write(struct writer *w, uint64_t v)
{
    CHECK(v <= VARINT_MAX);
    size_t len = varint_len(v);
    uint64_t prefix = len == 1 ? 0 : len == 2 ? 1 : len == 4 ? 2 : 3;
    write_be(w, v | prefix << (8 * len - 2), len);
}

void varint_write_2(struct writer *w, uint64_t v)
{
    CHECK(v < UINT64_C(1) << 14);
    write_be(w, v | UINT64_C(1) << 14, 2);
}
