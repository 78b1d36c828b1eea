/* Handshake messages of any content against fixed keys.
 *
 * The first byte of the input says what the rest is for; the rest is a message that may be given
 * right MACs, right index and a right type, so that the parts behind those checks are reached too.
 * Or the rest bends a true handshake: three bytes of input say where and by what. A message may
 * then be accepted only if it is the true one, but for what no key protects: the sender's index. */
#include "crypto/handshake.h"

#include "wire/packet.h"

#include <base/bytes.h>
#include <base/check.h>
#include <base/clock.h>
#include <base/rng.h>

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    DO_INITIATION = 0x00, /* what the message is read as */
    DO_RESPONSE = 0x01,
    DO_COOKIE = 0x02,
    DO_HANDSHAKE = 0x03, /* a true handshake, bent */
    DO_MASK = 0x03,
    FIX_TYPE = 0x04,
    FIX_INDEX = 0x08,
    FIX_MACS = 0x10,
    WITH_COOKIE = 0x20,
};

enum { A_INDEX = 7, B_INDEX = 8, NOW_NS = 1000000000 };

static const uint8_t psk[NOISE_PSK_LEN] = "fuzz";

struct world {
    struct pcg pcg;
    struct rng rng;
    struct key_pair a, b;
    struct cookie_checker a_checker, b_checker;
    struct cookie_jar a_jar, b_jar;
    struct handshake ha, hb;
    struct cookie_source source;
    uint8_t m1[HANDSHAKE_MAX], m2[HANDSHAKE_MAX];
    size_t m1_len, m2_len;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct handshake_mail mail(const struct world *w, const uint8_t *data, size_t len)
{
    return (struct handshake_mail){data, len, w->source, NOW_NS};
}

/* Keys are made once; node a has sent its initiation, and has or has not a cookie. */
static const struct world *start(bool with_cookie)
{
    static struct world worlds[2];
    struct world *w = &worlds[with_cookie];
    if (w->m1_len > 0) {
        return w;
    }
    CHECK(crypto_init() == 0);
    w->rng = pcg_rng(&w->pcg, 1);
    CHECK(key_pair_generate(&w->a, w->rng) == 0 && key_pair_generate(&w->b, w->rng) == 0);
    cookie_checker_init(&w->a_checker, &w->a.public);
    cookie_checker_init(&w->b_checker, &w->b.public);
    cookie_jar_init(&w->a_jar, &w->b.public);
    cookie_jar_init(&w->b_jar, &w->a.public);
    w->source = cookie_source_key(&w->a.public);
    struct handshake_draft draft = {A_INDEX, psk, sizeof(psk), &w->a_jar, w->rng, NOW_NS};
    handshake_start(&w->ha, &w->a, &w->b.public, psk);
    w->m1_len = (size_t)handshake_write_initiation(&w->ha, &draft, w->m1, sizeof(w->m1));
    if (with_cookie) {
        uint8_t reply[HANDSHAKE_COOKIE_LEN];
        struct handshake_mail m = mail(w, w->m1, w->m1_len);
        handshake_write_cookie(&w->b_checker, &m, w->rng, reply);
        CHECK(handshake_read_cookie(&w->a_jar, reply, sizeof(reply), NOW_NS) == 0);
        cookie_jar_stamp(&w->a_jar, w->m1, w->m1_len, NOW_NS);
    }
    return w;
}

static void fix(struct cookie_jar *jar, uint8_t flags, uint8_t *data, size_t len)
{
    static const uint8_t types[] = {PACKET_INITIATION, PACKET_RESPONSE, PACKET_COOKIE};
    uint8_t kind = flags & DO_MASK;
    size_t receiver = kind == DO_COOKIE ? 4 : 8;
    if ((flags & FIX_TYPE) && len >= 4) {
        memset(data, 0, 4);
        data[0] = types[kind];
    }
    if ((flags & FIX_INDEX) && kind != DO_INITIATION && len >= receiver + 4) {
        struct writer w = writer_of(data + receiver, 4);
        write_u32(&w, A_INDEX);
    }
    if ((flags & FIX_MACS) && kind != DO_COOKIE && len >= COOKIE_MACS_LEN) {
        cookie_jar_stamp(jar, data, len, NOW_NS);
    }
}

/* Everything a node does with what comes in, as far as it gets. True = a handshake was completed or
 * a cookie taken. */
static bool receive_initiation(struct world *w, const uint8_t *data, size_t len)
{
    struct handshake_mail m = mail(w, data, len);
    uint8_t payload[HANDSHAKE_PAYLOAD_MAX], cookie[HANDSHAKE_COOKIE_LEN];
    size_t payload_len = 0;
    if (handshake_check_mac(&w->b_checker, &m) == COOKIE_BAD) {
        return false;
    }
    handshake_write_cookie(&w->b_checker, &m, w->rng, cookie);
    if (handshake_read_initiation(&w->hb, &w->b, data, len) != 0 ||
        handshake_accept_initiation(&w->hb, psk, payload, &payload_len) != 0) {
        return false;
    }
    CHECK(payload_len <= HANDSHAKE_PAYLOAD_MAX && public_key_equal(&w->hb.peer, &w->a.public));
    struct handshake_draft draft = {B_INDEX, payload, payload_len, &w->b_jar, w->rng, NOW_NS};
    int written = handshake_write_response(&w->hb, &draft, w->m2, sizeof(w->m2));
    CHECK(written == (int)(HANDSHAKE_RESPONSE_LEN + payload_len));
    w->m2_len = (size_t)written;
    return true;
}

static bool receive_response(struct world *w, const uint8_t *data, size_t len)
{
    struct handshake_mail m = mail(w, data, len);
    struct handshake before = w->ha;
    uint8_t payload[HANDSHAKE_PAYLOAD_MAX];
    size_t payload_len = 0;
    uint32_t index;
    if (handshake_check_mac(&w->a_checker, &m) == COOKIE_BAD ||
        handshake_receiver(&index, data, len) != 0) {
        return false;
    }
    if (handshake_read_response(&w->ha, data, len, payload, &payload_len) != 0) {
        CHECK(memcmp(&before, &w->ha, sizeof(before)) == 0);
        return false;
    }
    CHECK(index == A_INDEX && payload_len <= HANDSHAKE_PAYLOAD_MAX);
    return true;
}

static bool receive_cookie(struct world *w, const uint8_t *data, size_t len)
{
    uint32_t index;
    return handshake_receiver(&index, data, len) == 0 &&
           handshake_read_cookie(&w->a_jar, data, len, NOW_NS) == 0;
}

/* Changes bytes, and forgets a change of the sender's index and of the MACs: those are set anew. */
static bool bend(struct reader *r, struct cookie_jar *jar, uint8_t *data, size_t len)
{
    uint8_t original[HANDSHAKE_MAX];
    memcpy(original, data, len);
    size_t changes = read_u8(r) % 4;
    for (size_t i = 0; i < changes; i++) {
        size_t at = read_u16(r) % len;
        data[at] ^= read_u8(r);
    }
    cookie_jar_stamp(jar, data, len, NOW_NS);
    return memcmp(original, data, 4) != 0 ||
           memcmp(original + 8, data + 8, len - 8 - COOKIE_MACS_LEN) != 0;
}

static void bend_handshake(struct world *w, const uint8_t *data, size_t size)
{
    struct reader r = reader_of(data, size);
    uint8_t send[2][NOISE_KEY_LEN], recv[2][NOISE_KEY_LEN];
    bool bent = bend(&r, &w->a_jar, w->m1, w->m1_len);
    CHECK(receive_initiation(w, w->m1, w->m1_len) == !bent);
    if (bent) {
        return;
    }
    struct writer index = writer_of(w->m2 + 8, 4); /* the initiation's may have been bent */
    write_u32(&index, A_INDEX);
    bent = bend(&r, &w->b_jar, w->m2, w->m2_len);
    CHECK(receive_response(w, w->m2, w->m2_len) == !bent);
    if (bent) {
        return;
    }
    handshake_keys(&w->ha, send[0], recv[0]);
    handshake_keys(&w->hb, send[1], recv[1]);
    CHECK(memcmp(send[0], recv[1], NOISE_KEY_LEN) == 0);
    CHECK(memcmp(send[1], recv[0], NOISE_KEY_LEN) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t message[HANDSHAKE_MAX + 16];
    if (size < 1 || size - 1 > sizeof(message)) {
        return 0;
    }
    uint8_t flags = data[0];
    size_t len = size - 1;
    struct world w = *start((flags & WITH_COOKIE) != 0);
    w.rng = pcg_rng(&w.pcg, 2); /* the copied one points at the original's state */
    memcpy(message, data + 1, len);
    switch (flags & DO_MASK) {
    case DO_INITIATION:
        fix(&w.a_jar, flags, message, len);
        (void)receive_initiation(&w, message, len);
        break;
    case DO_RESPONSE:
        fix(&w.b_jar, flags, message, len);
        CHECK(!receive_response(&w, message, len)); /* nobody else knows the ephemeral keys */
        break;
    case DO_COOKIE:
        fix(&w.a_jar, flags, message, len);
        CHECK(!receive_cookie(&w, message, len));
        break;
    default:
        bend_handshake(&w, message, len);
        break;
    }
    return 0;
}
