/* Datagrams at the front: the SOCKS5 UDP head, and the association that looks at it; and parts of
 * datagrams between nodes, put together again. What reads is written the same. */
#include "proto/udphead.h"
#include "session/assoc.h"

#include "transport/dgramq.h"
#include "transport/reassembly.h"

#include <base/check.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at_head(bool socks, const uint8_t *data, size_t size)
{
    struct udphead h, again;
    if (udphead_read(&h, socks, data, size) != 0) {
        return;
    }
    uint8_t buf[UDPHEAD_MAX];
    uint8_t *end = buf + sizeof(buf);
    CHECK(h.len <= size && h.len <= UDPHEAD_MAX);
    uint8_t *at = udphead_put(end, socks, &h.target);
    CHECK(udphead_read(&again, socks, at, (size_t)(end - at)) == 0);
    CHECK(target_equal(&h.target, &again.target) && at + again.len == end);
}

static void look_at_association(const uint8_t *data, size_t size)
{
    struct assoc a;
    struct udphead h;
    struct target said;
    struct addr client = addr_ipv4(127, 0, 0, 1, 9), none = addr_ipv4(0, 0, 0, 0, 0);
    target_set_addr(&said, &none);
    assoc_init(&a, &client, &said);
    if (assoc_input(&a, &client, data, size, &h) == ASSOC_GOOD) {
        CHECK(h.len <= size && h.frag == 0 && h.target.port != 0 && assoc_client(&a, &client));
    }
}

/* Steps of 8 bytes: number, total, offset, length, time. */
static void put_together(const uint8_t *data, size_t size)
{
    static uint8_t bytes[1 << 16];
    struct reassembly r;
    uint64_t now = 0;
    reassembly_init(&r);
    for (; size >= 8; data += 8, size -= 8) {
        size_t total = 1 + (size_t)(data[1] << 8 | data[2]);
        size_t offset = (size_t)(data[3] << 8 | data[4]) % total;
        size_t len = 1 + (size_t)(data[5] << 8 | data[6]) % (total - offset);
        now += (uint64_t)data[7] * NS_PER_MS;
        memset(bytes, data[0], len);
        const struct reassembly_part part = {
            .number = data[0] % 32, .total = total, .offset = offset, .data = bytes, .len = len};
        const uint8_t *whole = reassembly_add(&r, &part, now);
        if (whole) {
            CHECK(memcmp(whole + offset, bytes, len) == 0);
        }
    }
    reassembly_clear(&r);
}

/* Bytes with the top bit push so many, the others pop: what comes out is what went in. */
static void queue(const uint8_t *data, size_t size)
{
    static uint8_t bytes[1 << 16];
    struct dgramq q;
    struct dgram d;
    uint64_t in = 0, out = 0;
    dgramq_init(&q, 1 << 15);
    for (size_t i = 0; i < size; i++) {
        size_t len = (size_t)(data[i] & 0x7f) * 37;
        memset(bytes, (int)(in % 251), len);
        const struct dgram push = {.stream = in, .at_ns = len, .data = bytes, .len = len};
        if (data[i] & 0x80) {
            in += dgramq_push(&q, &push) == 0;
        } else if (dgramq_first(&q, &d)) {
            memset(bytes, (int)(out % 251), d.len);
            CHECK(d.stream == out++ && d.at_ns == d.len && memcmp(d.data, bytes, d.len) == 0);
            dgramq_pop(&q);
        }
        CHECK(q.count == in - out && q.used <= q.size);
    }
    dgramq_clear(&q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    look_at_head(true, data, size);
    look_at_head(false, data, size);
    look_at_association(data, size);
    put_together(data, size);
    queue(data, size);
    return 0;
}
