/* The JSON inside ClientInfo and ServerInfo: one flat object of which we want a few integers.
 * A scanner is enough; it keeps a JSON library and its allocations out of the login. */
#include "wire/derp.h"

#include <base/bytes.h>
#include <base/err.h>

#include <string.h>

enum { DEPTH_MAX = 32 };

/* The next byte that is not white space, not consumed; 0 at the end. */
static uint8_t peek(struct reader *r)
{
    while (r->at < r->end &&
           (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r')) {
        r->at++;
    }
    return r->at < r->end ? *r->at : 0;
}

static void expect(struct reader *r, uint8_t c)
{
    if (peek(r) != c || read_u8(r) != c) {
        r->failed = true;
    }
}

/* A string's bytes between the quotes, escapes left as they are. */
static struct reader read_string(struct reader *r)
{
    expect(r, '"');
    const uint8_t *start = r->at;
    while (!r->failed && r->at < r->end && *r->at != '"') {
        read_bytes(r, *r->at == '\\' ? 2 : 1);
    }
    size_t len = (size_t)(r->at - start);
    expect(r, '"');
    return reader_of(start, r->failed ? 0 : len);
}

/* Digits only; anything else that JSON allows in numbers gives 0. Larger ones stay at the top. */
static uint64_t parse_integer(const uint8_t *at, const uint8_t *end)
{
    uint64_t v = 0;
    for (; at < end; at++) {
        if (*at < '0' || *at > '9') {
            return 0;
        }
        v = v > (UINT64_MAX - 9) / 10 ? UINT64_MAX : v * 10 + (uint64_t)(*at - '0');
    }
    return v;
}

static bool ends_scalar(uint8_t c)
{
    return c == 0 || strchr(",:{}[]\" \t\r\n", c);
}

static uint64_t read_scalar(struct reader *r)
{
    const uint8_t *start = r->at;
    while (r->at < r->end && !ends_scalar(*r->at)) {
        r->at++;
    }
    if (r->at == start) {
        r->failed = true;
    }
    return parse_integer(start, r->at);
}

/* Passes over an object or array, without checking its grammar. */
static void skip_nested(struct reader *r)
{
    unsigned depth = 0;
    do {
        uint8_t c = peek(r);
        if (c == '"') {
            read_string(r);
            continue;
        }
        read_u8(r);
        if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            depth--;
        }
        if (depth > DEPTH_MAX) {
            r->failed = true;
        }
    } while (depth > 0 && !r->failed);
}

static uint64_t read_value(struct reader *r)
{
    switch (peek(r)) {
    case '"':
        read_string(r);
        return 0;
    case '{':
    case '[':
        skip_nested(r);
        return 0;
    default:
        return read_scalar(r);
    }
}

static bool is_named(const struct reader *key, const char *name)
{
    size_t len = strlen(name);
    return reader_left(key) == len && len > 0 && memcmp(key->at, name, len) == 0;
}

static void read_member(struct reader *r, struct derp_info *info)
{
    struct reader key = read_string(r);
    expect(r, ':');
    uint64_t v = read_value(r);
    if (is_named(&key, "version")) {
        info->version = v;
    } else if (is_named(&key, "TokenBucketBytesPerSecond")) {
        info->bytes_per_second = v;
    } else if (is_named(&key, "TokenBucketBytesBurst")) {
        info->bytes_burst = v;
    }
}

int derp_parse_info(struct derp_info *out, const uint8_t *text, size_t len)
{
    struct reader r = reader_of(text, len);
    struct derp_info info = {0};
    expect(&r, '{');
    if (peek(&r) != '}') {
        read_member(&r, &info);
        while (!r.failed && peek(&r) == ',') {
            read_u8(&r);
            read_member(&r, &info);
        }
    }
    expect(&r, '}');
    if (r.failed || peek(&r) != 0 || reader_left(&r) > 0) {
        return ERR_MALFORMED;
    }
    *out = info;
    return 0;
}
