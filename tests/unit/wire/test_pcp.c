/* PCP and NAT-PMP against bytes laid out by hand from RFC 6887 and RFC 6886. */
#include "wire/pcp.h"

#include "support/hex.h"

#include <base/err.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void assert_bytes(const uint8_t *data, size_t len, const char *expected)
{
    uint8_t bytes[128];
    assert_int_equal(len, hex_decode(bytes, sizeof(bytes), expected));
    assert_memory_equal(data, bytes, len);
}

static const struct pcp_map sample = {
    .nonce = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12},
    .internal_port = 0x1111,
    .external = {.family = ADDR_IPV4, .port = 0x2222, .ip = {203, 0, 113, 7}},
};

static void writes_requests(void **state)
{
    (void)state;
    uint8_t out[PCP_REQUEST_MAX];
    struct addr v4 = addr_ipv4(192, 168, 1, 2, 9999);
    struct addr v6;
    assert_int_equal(addr_parse_ip(&v6, "2001:db8::5"), 0);
    size_t len = pcp_write_map(out, sizeof(out), &v4, &sample, 7200);
    assert_bytes(out, len,
                 "0201000000001c20 00000000000000000000ffffc0a80102"
                 "0102030405060708090a0b0c 11000000 1111 2222 00000000000000000000ffffcb007107");
    assert_int_equal(pcp_write_map(out, len - 1, &v4, &sample, 7200), 0);

    struct pcp_map nothing = {.internal_port = 0x1111};
    len = pcp_write_map(out, sizeof(out), &v4, &nothing, 0);
    assert_bytes(out, len,
                 "0201000000000000 00000000000000000000ffffc0a80102"
                 "000000000000000000000000 11000000 1111 0000 00000000000000000000ffff00000000");
    len = pcp_write_map(out, sizeof(out), &v6, &nothing, 0);
    assert_bytes(out, len,
                 "0201000000000000 20010db8000000000000000000000005"
                 "000000000000000000000000 11000000 1111 0000 00000000000000000000000000000000");

    len = pcp_write_announce(out, sizeof(out), &v4);
    assert_bytes(out, len, "0200000000000000 00000000000000000000ffffc0a80102");
    len = natpmp_write_address(out, sizeof(out));
    assert_bytes(out, len, "0000");
    len = natpmp_write_map(out, sizeof(out), 0x1111, 0x2222, 7200);
    assert_bytes(out, len, "00010000 1111 2222 00001c20");
    assert_int_equal(natpmp_write_map(out, 11, 1, 2, 3), 0);
}

#define PCP_OK "02810000 00001c20 0000abcd 000000000000000000000000"
#define PCP_BODY "0102030405060708090a0b0c 11000000 1111 2222 00000000000000000000ffffcb007107"

static int read_pcp(struct pcp_answer *a, const char *hex)
{
    uint8_t data[128];
    return pcp_read_answer(a, data, hex_decode(data, sizeof(data), hex));
}

static int read_natpmp(struct natpmp_answer *a, const char *hex)
{
    uint8_t data[128];
    return natpmp_read_answer(a, data, hex_decode(data, sizeof(data), hex));
}

static void reads_pcp_answers(void **state)
{
    (void)state;
    struct pcp_answer a;
    assert_int_equal(read_pcp(&a, PCP_OK PCP_BODY), 0);
    assert_int_equal(a.op, PCP_MAP);
    assert_int_equal(a.result, PCP_SUCCESS);
    assert_int_equal(a.lifetime_s, 7200);
    assert_int_equal(a.epoch_s, 0xabcd);
    assert_true(a.has_map);
    assert_memory_equal(a.map.nonce, sample.nonce, PCP_NONCE_LEN);
    assert_int_equal(a.map.internal_port, 0x1111);
    assert_true(addr_equal(&a.map.external, &sample.external));
    /* An option behind it, padded; an announcement; an error with a bare header. */
    assert_int_equal(read_pcp(&a, PCP_OK PCP_BODY "02000001 ff000000"), 0);
    assert_int_equal(read_pcp(&a, "02800000 00000000 00000007 000000000000000000000000"), 0);
    assert_int_equal(a.op, PCP_ANNOUNCE);
    assert_int_equal(a.epoch_s, 7);
    assert_int_equal(read_pcp(&a, "02810001 00000708 00000007 000000000000000000000000"), 0);
    assert_int_equal(a.result, PCP_UNSUPP_VERSION);
    assert_false(a.has_map);
}

static void refuses_pcp_that_cannot_be(void **state)
{
    (void)state;
    struct pcp_answer a = {.epoch_s = 42};
    uint8_t data[128];
    size_t len = hex_decode(data, sizeof(data), PCP_OK PCP_BODY);
    for (size_t cut = 0; cut < len; cut++) {
        assert_int_equal(pcp_read_answer(&a, data, cut), ERR_MALFORMED);
    }
    assert_int_equal(read_pcp(&a, PCP_OK PCP_BODY "02000005 ff000000"), ERR_MALFORMED);
    data[1] = PCP_MAP; /* a request */
    assert_int_equal(pcp_read_answer(&a, data, len), ERR_MALFORMED);
    data[1] = 0x80 | PCP_MAP;
    data[36] = 6; /* TCP */
    assert_int_equal(pcp_read_answer(&a, data, len), ERR_MALFORMED);
    assert_int_equal(read_pcp(&a, "0081000100000007"), ERR_VERSION);
    assert_int_equal(read_pcp(&a, "02800001 00000000 00000007 000000000000000000000000 00"),
                     ERR_MALFORMED);
    static uint8_t large[PCP_MESSAGE_MAX + 4] = {2, 0x80};
    assert_int_equal(pcp_read_answer(&a, large, PCP_MESSAGE_MAX + 4), ERR_MALFORMED);
    assert_int_equal(a.epoch_s, 42);
    assert_int_equal(pcp_read_answer(&a, large, PCP_MESSAGE_MAX), 0);
}

static void reads_natpmp_answers(void **state)
{
    (void)state;
    struct natpmp_answer a;
    struct addr outside = addr_ipv4(203, 0, 113, 7, 0);
    assert_int_equal(read_natpmp(&a, "0080 0000 00000007 cb007107"), 0);
    assert_int_equal(a.op, NATPMP_ADDRESS);
    assert_true(addr_equal(&a.external, &outside));
    assert_int_equal(a.epoch_s, 7);
    assert_int_equal(read_natpmp(&a, "0081 0000 00000008 1111 2222 00001c20"), 0);
    assert_int_equal(a.op, NATPMP_MAP_UDP);
    assert_int_equal(a.internal_port, 0x1111);
    assert_int_equal(a.external_port, 0x2222);
    assert_int_equal(a.lifetime_s, 7200);
    assert_int_equal(read_natpmp(&a, "0081 0001 00000008"), 0); /* what answers PCP */
    assert_int_equal(a.result, NATPMP_UNSUPP_VERSION);
}

static void refuses_natpmp_that_cannot_be(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "00",
                                      "0081",
                                      "00810000000000",
                                      "0080000000000007cb0071",
                                      "00810000000000081111222200001c",
                                      "00010000111122220000000000000000"};
    struct natpmp_answer a = {.epoch_s = 42};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(read_natpmp(&a, bad[i]), ERR_MALFORMED);
    }
    assert_int_equal(read_natpmp(&a, PCP_OK PCP_BODY), ERR_VERSION);
    assert_int_equal(a.epoch_s, 42);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_requests),
        cmocka_unit_test(reads_pcp_answers),
        cmocka_unit_test(refuses_pcp_that_cannot_be),
        cmocka_unit_test(reads_natpmp_answers),
        cmocka_unit_test(refuses_natpmp_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
