/* What anybody may send to a relay's STUN port: it is answered to nobody else, never by much more
 * than was sent, at most so often, and with what a client understands. Steps: a byte with where it
 * comes from and how much time has gone by, one with its length, the datagram; a byte 0xff in front
 * of it puts a right head there. */
#include <base/bytes.h>
#include <base/check.h>
#include <base/err.h>

#include "relay/stun_server.h"
#include "wire/stun.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { HEAD = 20, ADDRESSES = 8, TYPE_ANSWER = 0x0101, TYPE_ERROR = 0x0111 };

/* The most that an answer has besides what the request had: four addresses of IPv6, or an error
 * with the list of what was not understood. */
enum { MORE_MAX = STUN_SERVER_REPLY_MAX };

static struct addr address_of(uint8_t where)
{
    return where & 1 ? (struct addr){.family = ADDR_IPV6,
                                     .port = (uint16_t)(1000 + where % ADDRESSES),
                                     .ip = {0x20, 1, 0x0d, 0xb8, [7] = where % ADDRESSES}}
                     : addr_ipv4(192, 0, 2, where % ADDRESSES, 1000);
}

static void check_reply(const struct stun_reply *reply, const uint8_t *request, size_t len,
                        const struct addr *from, bool whole)
{
    struct stun_message m;
    struct addr seen;
    CHECK(reply->len <= len + MORE_MAX && reply->len <= sizeof(reply->data));
    CHECK(reply->via < STUN_SITE_SOCKETS && (whole || reply->via == 0));
    CHECK(stun_read(&m, reply->data, reply->len) == 0);
    CHECK(memcmp(m.txid, request + 8, STUN_TXID_LEN) == 0);
    CHECK(m.type == TYPE_ANSWER || (m.type == TYPE_ERROR && m.error != 0));
    if (m.type == TYPE_ANSWER) {
        CHECK(stun_mapped(&m, &seen) && addr_equal(&seen, from));
    }
}

/* Returns how long the datagram is. */
static size_t make(uint8_t out[HEAD + 255], struct reader *script)
{
    uint8_t amount = read_u8(script);
    size_t len = amount < reader_left(script) ? amount : reader_left(script);
    const uint8_t *data = read_bytes(script, len);
    bool head = len > 0 && data[0] == 0xff;
    struct writer w = writer_of(out, HEAD + 255);
    if (head) {
        write_u16(&w, 1);
        write_u16(&w, (uint16_t)(len - 1));
        write_u32(&w, 0x2112a442);
        write_bytes(&w, "transaction.", STUN_TXID_LEN);
    }
    write_bytes(&w, data + head, len - head);
    return writer_len(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct stun_server s;
    struct pcg pcg;
    struct stun_site site = {.whole = len % 2};
    struct reader script = reader_of(data, len);
    uint64_t now = NS_PER_S;
    unsigned given[ADDRESSES] = {0}; /* in this second */
    for (uint8_t i = 0; i < STUN_SITE_SOCKETS; i++) {
        site.at[i] = addr_ipv4(198, 51, 100, i / 2, (uint16_t)(3478 + i % 2));
    }
    memset(&s, 0, sizeof(s));
    stun_server_init(&s, pcg_rng(&pcg, 1));
    while (reader_left(&script) >= 2) {
        uint8_t datagram[HEAD + 255];
        struct stun_reply reply = {0};
        uint8_t where = read_u8(&script);
        struct addr from = address_of(where);
        if (where & 64) {
            now += NS_PER_S;
            memset(given, 0, sizeof(given));
        }
        size_t size = make(datagram, &script);
        stun_server_input(&s, &site, site.whole ? where >> 3 & 3 : 0, &from, datagram, size, now,
                          &reply);
        if (reply.len > 0) {
            check_reply(&reply, datagram, size, &from, site.whole);
            CHECK(++given[where % ADDRESSES] <= STUN_SERVER_PER_S);
        }
    }
    return 0;
}
