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
    switch (*r->at >> 6) {
    case 0:
        return read_u8(r);
    case 1:
        return read_u16(r) & UINT16_MAX >> 2;
    case 2:
        return read_u32(r) & UINT32_MAX >> 2;
    default:
        return read_u64(r) & UINT64_MAX >> 2;
    }
}

void varint_write(struct writer *w, uint64_t v)
{
    CHECK(v <= VARINT_MAX);
    switch (varint_len(v)) {
    case 1:
        write_u8(w, (uint8_t)v);
        return;
    case 2:
        varint_write_2(w, v);
        return;
    case 4:
        write_u32(w, (uint32_t)v | UINT32_C(2) << 30);
        return;
    default:
        write_u64(w, v | UINT64_C(3) << 62);
    }
}

void varint_write_2(struct writer *w, uint64_t v)
{
    CHECK(v < UINT64_C(1) << 14);
    write_u16(w, (uint16_t)(v | UINT16_C(1) << 14));
}
