/* The bytes are those of a worked login with fixed keys and nonces, computed with another program.
 */
#include "support/hex.h"
#include "wire/derp.h"

#include <base/err.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#define SERVER_SECRET "404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f"
#define SERVER_PUBLIC "79a631eede1bf9c98f12032cdeadd0e7a079398fc786b88cc846ec89af85a51a"
#define CLIENT_SECRET "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e5f"
#define CLIENT_PUBLIC "493e82fc74464a59268817623d2053c5eb8e2cc4a988b4fee179ec6b010d531d"
#define CLIENT_NONCE "000102030405060708090a0b0c0d0e0f1011121314151617"
#define SERVER_NONCE "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7"
#define SERVER_KEY_FRAME "010000002844455250f09f9491" SERVER_PUBLIC
#define CLIENT_INFO_FRAME                                                                          \
    "0200000068" CLIENT_PUBLIC CLIENT_NONCE "d33fa6bb32218df218839be0c29e5bb2"                     \
    "07628131f9486d42566ee7e8c3820eebf26ae85d25e42ed6637e171a9c7786ee"
#define SERVER_INFO_FRAME                                                                          \
    "0300000035" SERVER_NONCE "19bbf9a8da7fdf17a4277c6946badd349663050bbf1380f3b6c77c9a23"

struct keys {
    uint8_t server_secret[32], server[32], client_secret[32], client[32];
    uint8_t client_nonce[24], server_nonce[24];
};

static struct keys keys_load(void)
{
    struct keys k;
    hex_decode(k.server_secret, 32, SERVER_SECRET);
    hex_decode(k.server, 32, SERVER_PUBLIC);
    hex_decode(k.client_secret, 32, CLIENT_SECRET);
    hex_decode(k.client, 32, CLIENT_PUBLIC);
    hex_decode(k.client_nonce, 24, CLIENT_NONCE);
    hex_decode(k.server_nonce, 24, SERVER_NONCE);
    return k;
}

static void assert_hex(const uint8_t *data, size_t len, const char *hex)
{
    uint8_t expected[512];
    assert_int_equal(len, hex_decode(expected, sizeof(expected), hex));
    assert_memory_equal(data, expected, len);
}

static int next_of(const void *data, size_t len, struct derp_frame *f)
{
    struct derp_reader r = {.at = data, .end = (const uint8_t *)data + len, .frame_max = 4096};
    return derp_next(&r, f);
}

static void writes_the_worked_login(void **state)
{
    (void)state;
    struct keys k = keys_load();
    uint8_t out[DERP_INFO_MAX];
    assert_hex(out, derp_write_server_key(out, k.server), SERVER_KEY_FRAME);
    int len = derp_seal_client_info(out, k.client_nonce, k.client, k.client_secret, k.server);
    assert_int_equal(len, 109);
    assert_hex(out, (size_t)len, CLIENT_INFO_FRAME);
    struct derp_info info = {.version = 2};
    len = derp_seal_server_info(out, k.server_nonce, k.server_secret, k.client, &info);
    assert_int_equal(len, 58);
    assert_hex(out, (size_t)len, SERVER_INFO_FRAME);
}

static void reads_the_worked_login(void **state)
{
    (void)state;
    struct keys k = keys_load();
    struct derp_frame f;
    struct derp_info info = {0};
    uint8_t frame[256];
    uint8_t scratch[256];
    uint8_t who[32] = {0};
    size_t len = hex_decode(frame, sizeof(frame), SERVER_KEY_FRAME);
    assert_int_equal(next_of(frame, len, &f), 1);
    assert_memory_equal(derp_parse_server_key(&f), k.server, 32);
    frame[6] ^= 1;
    assert_null(derp_parse_server_key(&f));

    len = hex_decode(frame, sizeof(frame), CLIENT_INFO_FRAME);
    assert_int_equal(next_of(frame, len, &f), 1);
    assert_int_equal(derp_open_client_info(&f, k.server_secret, who, scratch, &info), 0);
    assert_memory_equal(who, k.client, 32);
    assert_int_equal(info.version, 2);

    len = hex_decode(frame, sizeof(frame), SERVER_INFO_FRAME);
    assert_int_equal(next_of(frame, len, &f), 1);
    assert_int_equal(derp_open_server_info(&f, k.client_secret, k.server, scratch, &info), 0);
    assert_int_equal(info.bytes_per_second, 0);
}

static void refuses_every_changed_byte_of_a_login(void **state)
{
    (void)state;
    struct keys k = keys_load();
    uint8_t frame[256];
    size_t len = hex_decode(frame, sizeof(frame), CLIENT_INFO_FRAME);
    for (size_t i = DERP_HEADER; i < len; i++) {
        struct derp_frame f;
        struct derp_info info;
        uint8_t scratch[256];
        uint8_t who[32] = {0};
        frame[i] ^= 4;
        assert_int_equal(next_of(frame, len, &f), 1);
        assert_int_equal(derp_open_client_info(&f, k.server_secret, who, scratch, &info),
                         ERR_CRYPTO);
        assert_true(sodium_is_zero(who, sizeof(who)));
        frame[i] ^= 4;
    }
}

static void refuses_the_zero_key(void **state)
{
    (void)state;
    struct keys k = keys_load();
    uint8_t zero[32] = {0};
    uint8_t out[DERP_INFO_MAX];
    assert_int_equal(derp_seal_client_info(out, k.client_nonce, k.client, k.client_secret, zero),
                     ERR_CRYPTO);

    /* A box that would open, if the shared secret of a key of small order were taken: it is zero.
     */
    static const char text[] = "{\"version\":2}";
    uint8_t shared[crypto_box_BEFORENMBYTES];
    uint8_t scratch[64];
    uint8_t who[32];
    struct derp_info info;
    crypto_core_hsalsa20(shared, zero, zero, NULL);
    memset(out, 0, sizeof(out));
    crypto_box_easy_afternm(out + 56, (const uint8_t *)text, sizeof(text) - 1, out + 32, shared);
    struct derp_frame f = {DERP_CLIENT_INFO, 56 + 16 + sizeof(text) - 1, out};
    assert_int_equal(derp_open_client_info(&f, k.server_secret, who, scratch, &info), ERR_CRYPTO);
}

static void announces_a_token_bucket(void **state)
{
    (void)state;
    struct keys k = keys_load();
    struct derp_info info = {2, 125000, 70000};
    struct derp_info got;
    struct derp_frame f;
    uint8_t out[DERP_INFO_MAX];
    uint8_t scratch[DERP_INFO_MAX];
    int len = derp_seal_server_info(out, k.server_nonce, k.server_secret, k.client, &info);
    assert_int_equal(next_of(out, (size_t)len, &f), 1);
    assert_int_equal(derp_open_server_info(&f, k.client_secret, k.server, scratch, &got), 0);
    assert_int_equal(got.version, 2);
    assert_int_equal(got.bytes_per_second, 125000);
    assert_int_equal(got.bytes_burst, 70000);
}

static void writes_small_frames(void **state)
{
    (void)state;
    struct keys k = keys_load();
    uint8_t out[64];
    assert_hex(out, derp_write_keep_alive(out), "0600000000");
    assert_hex(out, derp_write_note_preferred(out, true), "070000000101");
    assert_hex(out, derp_write_note_preferred(out, false), "070000000100");
    assert_hex(out, derp_write_ping(out, DERP_PING, (const uint8_t *)"abcdefgh"),
               "12000000086162636465666768");
    assert_hex(out, derp_write_ping(out, DERP_PONG, (const uint8_t *)"abcdefgh"),
               "13000000086162636465666768");
    assert_hex(out, derp_write_peer_gone(out, k.client, DERP_GONE_NOT_HERE),
               "0800000021" CLIENT_PUBLIC "01");
    size_t len = derp_write_packet(out, DERP_SEND_PACKET, k.client, 2);
    memcpy(out + len, "hi", 2);
    assert_hex(out, len + 2, "0400000022" CLIENT_PUBLIC "6869");
    len = derp_write_packet(out, DERP_RECV_PACKET, k.client, 2);
    assert_hex(out, len, "0500000022" CLIENT_PUBLIC);
}

static void reads_frames_as_bytes_arrive(void **state)
{
    (void)state;
    uint8_t data[256];
    size_t len = hex_decode(data, sizeof(data),
                            "0600000000"             /* keep-alive */
                            "7f00000006010203040506" /* unknown, passed over */
                            "12000000086162636465666768"
                            "0500000022" CLIENT_PUBLIC "6869");
    static const uint8_t types[] = {DERP_KEEP_ALIVE, 0x7f, DERP_PING, DERP_RECV_PACKET};
    struct derp_reader r = {.at = data, .end = data, .frame_max = 64};
    size_t seen = 0;
    for (size_t i = 0; i < len; i++) {
        struct derp_frame f;
        r.end++;
        while (derp_next(&r, &f) == 1) {
            assert_true(seen < sizeof(types));
            assert_int_equal(f.type, types[seen++]);
            assert_true(f.type == 0x7f ? f.data == NULL && f.len == 6 : f.data >= data);
        }
    }
    assert_int_equal(seen, sizeof(types));
    assert_ptr_equal(r.at, r.end);
}

static void refuses_lengths_that_a_type_cannot_have(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        int expected;
    } cases[] = {
        {"7f00100000", 1},
        {"7f00100001", ERR_TOO_LARGE},
        {"7fffffffff", ERR_TOO_LARGE},
        {"0400010020", ERR_TOO_LARGE}, /* legal, but the owner has less room */
        {"0400010021", ERR_TOO_LARGE},
        {"040000001f", ERR_MALFORMED},
        {"0500010021", ERR_TOO_LARGE},
        {"0700000000", ERR_MALFORMED},
        {"0700000002", ERR_TOO_LARGE},
        {"1200000007", ERR_MALFORMED},
        {"12000003e9", ERR_TOO_LARGE},
        {"0100000027", ERR_MALFORMED},
        {"0100000401", ERR_TOO_LARGE},
        {"0200000047", ERR_MALFORMED},
        {"0200040001", ERR_TOO_LARGE},
        {"0800000020", 0},
        {"080000001f", ERR_MALFORMED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t header[DERP_HEADER];
        struct derp_frame f;
        hex_decode(header, sizeof(header), cases[i].header);
        assert_int_equal(next_of(header, sizeof(header), &f), cases[i].expected);
    }
}

static int parse(const char *text, struct derp_info *out)
{
    return derp_parse_info(out, (const uint8_t *)text, strlen(text));
}

static void reads_info_among_other_members(void **state)
{
    (void)state;
    struct derp_info info;
    assert_int_equal(parse("{}", &info), 0);
    assert_int_equal(info.version, 0);
    assert_int_equal(parse(" { \"version\" : 3 } \n", &info), 0);
    assert_int_equal(info.version, 3);
    assert_int_equal(parse("{\"a\":{\"version\":9,\"b\":[\"}\",{}]},\"c\":\"\\\"version\\\":7\","
                           "\"version\":2,\"d\":null,\"TokenBucketBytesBurst\":5}",
                           &info),
                     0);
    assert_int_equal(info.version, 2);
    assert_int_equal(info.bytes_burst, 5);
    assert_int_equal(parse("{\"version\":99999999999999999999999}", &info), 0);
    assert_int_equal(info.version, UINT64_MAX);
    assert_int_equal(parse("{\"version\":-1}", &info), 0);
    assert_int_equal(info.version, 0);
}

static void refuses_text_that_is_no_object(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "{",
        "{\"version\":2",
        "{\"version\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":1}x",
        "{\"a",
        "{\"a\\",
        "{\"a\":[}",
        "{\"a\":[1,2]",
        "{\"a\":1 2}",
        "{,}",
        "{\"a\":\"b}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct derp_info info = {.version = 77};
        assert_int_equal(parse(bad[i], &info), ERR_MALFORMED);
        assert_int_equal(info.version, 77);
    }
    char deep[100];
    memset(deep, '[', sizeof(deep));
    memcpy(deep, "{\"a\":", 5);
    struct derp_info info;
    assert_int_equal(derp_parse_info(&info, (uint8_t *)deep, sizeof(deep)), ERR_MALFORMED);
}

static void knows_signalling_by_its_first_bytes(void **state)
{
    (void)state;
    uint8_t payload[62] = {0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac};
    assert_true(derp_is_signalling(payload, 62));
    assert_false(derp_is_signalling(payload, 61));
    payload[5]++;
    assert_false(derp_is_signalling(payload, 62));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_worked_login),
        cmocka_unit_test(reads_the_worked_login),
        cmocka_unit_test(refuses_every_changed_byte_of_a_login),
        cmocka_unit_test(refuses_the_zero_key),
        cmocka_unit_test(announces_a_token_bucket),
        cmocka_unit_test(writes_small_frames),
        cmocka_unit_test(reads_frames_as_bytes_arrive),
        cmocka_unit_test(refuses_lengths_that_a_type_cannot_have),
        cmocka_unit_test(reads_info_among_other_members),
        cmocka_unit_test(refuses_text_that_is_no_object),
        cmocka_unit_test(knows_signalling_by_its_first_bytes),
    };
    if (sodium_init() < 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
