/* Bounds-checked cursors over wire bytes. Integers are big-endian.
 *
 * Failure sticks: after the first read or write past the end every further call does nothing
 * (reads give 0), so a parser is a list of reads and one check of `failed` at the end.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

struct writer {
    uint8_t *start;
    uint8_t *at;
    uint8_t *end;
    bool failed;
};

static inline struct reader reader_of(const void *data, size_t len)
{
    const uint8_t *p = data;
    return (struct reader){p, p ? p + len : p, false};
}

static inline size_t reader_left(const struct reader *r)
{
    return (size_t)(r->end - r->at);
}

/* The next `len` bytes in place, or NULL. */
static inline const uint8_t *read_bytes(struct reader *r, size_t len)
{
    if (r->failed || len > reader_left(r)) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *p = r->at;
    r->at += len;
    return p;
}

static inline void read_copy(struct reader *r, void *out, size_t len)
{
    const uint8_t *p = read_bytes(r, len);
    if (p && len > 0) {
        memcpy(out, p, len);
    }
}

static inline uint64_t read_be(struct reader *r, size_t len)
{
    const uint8_t *p = read_bytes(r, len);
    uint64_t v = 0;
    for (size_t i = 0; p && i < len; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

/* The usual sizes are spelled out: compilers make one load of each, and a loop of read_be. */
static inline uint8_t read_u8(struct reader *r)
{
    const uint8_t *p = read_bytes(r, 1);
    return p ? p[0] : 0;
}

static inline uint16_t read_u16(struct reader *r)
{
    const uint8_t *p = read_bytes(r, 2);
    return (uint16_t)(p ? (unsigned)p[0] << 8 | p[1] : 0);
}

static inline uint32_t read_u32(struct reader *r)
{
    const uint8_t *p = read_bytes(r, 4);
    return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

static inline uint64_t read_u64(struct reader *r)
{
    if (reader_left(r) < 8) {
        r->failed = true;
    }
    uint64_t high = read_u32(r);
    return high << 32 | read_u32(r);
}

static inline struct writer writer_of(void *data, size_t cap)
{
    uint8_t *p = data;
    return (struct writer){p, p, p ? p + cap : p, false};
}

static inline size_t writer_len(const struct writer *w)
{
    return (size_t)(w->at - w->start);
}

static inline size_t writer_room(const struct writer *w)
{
    return w->failed ? 0 : (size_t)(w->end - w->at);
}

/* Room for `len` bytes that the caller fills in, or NULL. */
static inline uint8_t *write_space(struct writer *w, size_t len)
{
    if (w->failed || len > (size_t)(w->end - w->at)) {
        w->failed = true;
        return NULL;
    }
    uint8_t *p = w->at;
    w->at += len;
    return p;
}

static inline void write_bytes(struct writer *w, const void *data, size_t len)
{
    uint8_t *p = write_space(w, len);
    if (p && len > 0) {
        memcpy(p, data, len);
    }
}

static inline void write_be(struct writer *w, uint64_t v, size_t len)
{
    uint8_t *p = write_space(w, len);
    for (size_t i = len; p && i > 0; i--) {
        p[i - 1] = (uint8_t)v;
        v >>= 8;
    }
}

static inline void write_u8(struct writer *w, uint8_t v)
{
    uint8_t *p = write_space(w, 1);
    if (p) {
        p[0] = v;
    }
}

static inline void write_u16(struct writer *w, uint16_t v)
{
    uint8_t *p = write_space(w, 2);
    if (p) {
        p[0] = (uint8_t)(v >> 8);
        p[1] = (uint8_t)v;
    }
}

static inline void write_u32(struct writer *w, uint32_t v)
{
    uint8_t *p = write_space(w, 4);
    if (p) {
        p[0] = (uint8_t)(v >> 24);
        p[1] = (uint8_t)(v >> 16);
        p[2] = (uint8_t)(v >> 8);
        p[3] = (uint8_t)v;
    }
}

static inline void write_u64(struct writer *w, uint64_t v)
{
    uint8_t *p = write_space(w, 8);
    if (p) {
        struct writer whole = {p, p, p + 8, false};
        write_u32(&whole, (uint32_t)(v >> 32));
        write_u32(&whole, (uint32_t)v);
    }
}

#endif
