/* The published messages of RFC 5769, a derper's form, RFC 5780's attributes, and what a stranger
 * may send instead. */
#include "wire/stun.h"

#include "support/hex.h"

#include <base/err.h>
#include <base/rng.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

struct vectors {
    cJSON *root;
    uint8_t data[STUN_MESSAGE_MAX]; /* of the last one asked for */
    size_t len;
};

static int load(void **state)
{
    static struct vectors v;
    FILE *file = fopen(TEST_VECTORS "/stun.json", "rb");
    assert_non_null(file);
    static char text[16384];
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    assert_int_equal(fclose(file), 0);
    assert_in_range(len, 1, sizeof(text) - 2);
    v.root = cJSON_Parse(text);
    assert_non_null(v.root);
    *state = &v;
    return 0;
}

static int unload(void **state)
{
    struct vectors *v = *state;
    cJSON_Delete(v->root);
    return 0;
}

static const cJSON *take(struct vectors *v, const char *list, int i)
{
    const cJSON *entry = cJSON_GetArrayItem(cJSON_GetObjectItem(v->root, list), i);
    assert_non_null(entry);
    v->len = hex_decode(v->data, sizeof(v->data),
                        cJSON_GetStringValue(cJSON_GetObjectItem(entry, "hex")));
    return entry;
}

static void assert_addr(const struct addr *a, const char *expected)
{
    char text[ADDR_TEXT_MAX];
    assert_string_equal(addr_format(a, text), expected);
}

static void assert_text(const uint8_t *text, size_t len, const char *expected)
{
    assert_int_equal(len, strlen(expected));
    assert_memory_equal(text, expected, len);
}

static void reads_the_published_request(void **state)
{
    struct vectors *v = *state;
    struct stun_message m;
    (void)take(v, "rfc5769", 0);
    assert_true(stun_is_message(v->data, v->len));
    assert_int_equal(stun_read(&m, v->data, v->len), 0);
    assert_int_equal(m.type, STUN_REQUEST);
    assert_text(m.software, m.software_len, "STUN test client");
    assert_true(m.has_fingerprint && m.has_integrity);
    assert_false(m.is_tailnode);
    assert_int_equal(m.unknown_count, 1); /* PRIORITY: we are no ICE agent */
    assert_int_equal(m.unknown[0], 0x0024);
}

static void reads_the_published_answers(void **state)
{
    struct vectors *v = *state;
    static const char *const expected[] = {"192.0.2.1:32853",
                                           "[2001:db8:1234:5678:11:2233:4455:6677]:32853"};
    for (int i = 0; i < 2; i++) {
        struct stun_message m;
        struct addr mapped;
        const cJSON *entry = take(v, "rfc5769", 1 + i);
        uint8_t txid[STUN_TXID_LEN];
        (void)hex_decode(txid, sizeof(txid),
                         cJSON_GetStringValue(cJSON_GetObjectItem(entry, "txid")));
        assert_int_equal(stun_read(&m, v->data, v->len), 0);
        assert_int_equal(m.type, STUN_SUCCESS);
        assert_memory_equal(m.txid, txid, sizeof(txid));
        assert_text(m.software, m.software_len, "test vector");
        assert_true(stun_mapped(&m, &mapped));
        assert_addr(&mapped, expected[i]);
        assert_true(m.has_fingerprint && m.has_integrity);
    }
}

static void reads_the_published_request_with_credentials(void **state)
{
    struct vectors *v = *state;
    struct stun_message m;
    (void)take(v, "rfc5769", 3);
    assert_int_equal(stun_read(&m, v->data, v->len), 0);
    assert_true(m.has_integrity);
    assert_false(m.has_fingerprint);
    assert_int_equal(m.unknown_count, 0);
}

/* --- what we write --- */

static const uint8_t counting[STUN_TXID_LEN] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};

static void writes_each_form_of_request_as_it_is_expected(void **state)
{
    struct vectors *v = *state;
    static const struct {
        enum stun_form form;
        uint8_t change;
        int vector;
    } rows[] = {
        {STUN_FORM_PLAIN, 0, 0},
        {STUN_FORM_FINGERPRINT, 0, 1},
        {STUN_FORM_TAILNODE, 0, 2},
        {STUN_FORM_PLAIN, STUN_CHANGE_IP | STUN_CHANGE_PORT, 5},
        {STUN_FORM_PLAIN, STUN_CHANGE_PORT, 6},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t out[STUN_MESSAGE_MAX];
        struct stun_message m;
        (void)take(v, "derived", rows[i].vector);
        size_t len = stun_write_request(out, sizeof(out), counting, rows[i].form, rows[i].change);
        assert_int_equal(len, v->len);
        assert_memory_equal(out, v->data, len);
        assert_int_equal(stun_write_request(out, len - 1, counting, rows[i].form, rows[i].change),
                         0);
        assert_int_equal(stun_read(&m, v->data, v->len), 0);
        assert_int_equal(m.is_tailnode, rows[i].form == STUN_FORM_TAILNODE);
        assert_int_equal(m.has_change, rows[i].change != 0);
        assert_int_equal(m.change, rows[i].change);
    }
}

static void writes_a_derpers_answers(void **state)
{
    struct vectors *v = *state;
    /* A dual-stack socket shows IPv4 clients as v4-mapped; they are told IPv4. */
    static const char *const sources[] = {"[::ffff:203.0.113.7]:54321", "[2001:db8::7]:54321"};
    static const char *const told[] = {"203.0.113.7:54321", "[2001:db8::7]:54321"};
    for (int i = 0; i < 2; i++) {
        uint8_t out[STUN_MESSAGE_MAX];
        struct stun_message m = {.type = STUN_SUCCESS}, again;
        memcpy(m.txid, counting, sizeof(counting));
        assert_int_equal(addr_parse(&m.xor_mapped, sources[i]), 0);
        size_t len = stun_write(out, sizeof(out), &m);
        (void)take(v, "derived", 3 + i);
        assert_int_equal(len, v->len);
        assert_memory_equal(out, v->data, len);
        assert_int_equal(stun_read(&again, out, len), 0);
        assert_addr(&again.xor_mapped, told[i]);
    }
}

static void carries_every_attribute_there_and_back(void **state)
{
    (void)state;
    uint8_t out[STUN_MESSAGE_MAX];
    struct stun_message m = {
        .type = STUN_SUCCESS,
        .xor_mapped = addr_ipv4(1, 2, 3, 4, 5),
        .mapped = addr_ipv4(6, 7, 8, 9, 10),
        .response_origin = addr_ipv4(11, 12, 13, 14, 15),
        .has_change = true,
        .change = STUN_CHANGE_IP,
        .response_port = 4711,
        .has_padding = true,
        .padding_len = 33,
        .error = STUN_UNKNOWN_ATTRIBUTE,
        .reason = (const uint8_t *)"what?",
        .reason_len = 5,
        .software = (const uint8_t *)"adit",
        .software_len = 4,
        .has_fingerprint = true,
    };
    struct stun_message n;
    assert_int_equal(addr_parse(&m.other_address, "[2001:db8::1]:3479"), 0);
    size_t len = stun_write(out, sizeof(out), &m);
    assert_int_equal(stun_read(&n, out, len), 0);
    assert_addr(&n.xor_mapped, "1.2.3.4:5");
    assert_addr(&n.mapped, "6.7.8.9:10");
    assert_addr(&n.response_origin, "11.12.13.14:15");
    assert_addr(&n.other_address, "[2001:db8::1]:3479");
    assert_int_equal(n.change, STUN_CHANGE_IP);
    assert_int_equal(n.response_port, 4711);
    assert_int_equal(n.padding_len, 33);
    assert_int_equal(n.error, 420);
    assert_text(n.reason, n.reason_len, "what?");
    assert_text(n.software, n.software_len, "adit");
    for (size_t cap = 0; cap < len; cap++) {
        assert_int_equal(stun_write(out, cap, &m), 0);
    }
}

/* An error that lists what was not understood: checked by its bytes, for clients ignore the list.
 */
static void writes_the_list_of_unknown_attributes(void **state)
{
    (void)state;
    uint8_t out[STUN_MESSAGE_MAX];
    struct stun_message m = {
        .type = STUN_ERROR, .error = 420, .unknown = {0x0024, 0x0025, 0x7fff}, .unknown_count = 3};
    size_t len = stun_write(out, sizeof(out), &m);
    assert_int_equal(len, 20 + 8 + 12);
    assert_memory_equal(out + 20, "\x00\x09\x00\x04\x00\x00\x04\x14", 8);
    assert_memory_equal(out + 28, "\x00\x0a\x00\x06\x00\x24\x00\x25\x7f\xff\x00\x00", 12);
}

/* --- what strangers write --- */

static int read_hex(struct stun_message *m, const char *attributes)
{
    static uint8_t data[STUN_MESSAGE_MAX];
    size_t len = hex_decode(data + 20, sizeof(data) - 20, attributes);
    (void)stun_write_request(data, 20, counting, STUN_FORM_PLAIN, 0);
    data[0] = 1;
    data[1] = 1;
    data[3] = (uint8_t)len;
    return stun_read(m, data, 20 + len);
}

static void refuses_what_cannot_be(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "0001",                             /* half a header */
        "00010008",                         /* no value */
        "000100080001000a01020304ff",       /* not a multiple of 4 */
        "000100040001000a",                 /* an address cut short */
        "0001000c0001000a0102030400000000", /* one with more behind it */
        "000100080003000a01020304",         /* a third family */
        "000100080002000a01020304",         /* IPv6 of 4 bytes */
        "00030000",                         /* flags without flags */
        "0009000400000214",                 /* error 220 */
        "0009000400000464",                 /* error 4100 */
        "8028000400000000",                 /* a wrong fingerprint */
        "8028000300000000",                 /* a short one */
    };
    struct stun_message m = {.type = 42};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(read_hex(&m, bad[i]), ERR_MALFORMED);
    }
    assert_int_equal(m.type, 42);
}

static void refuses_a_message_that_is_not_whole(void **state)
{
    struct vectors *v = *state;
    struct stun_message m;
    (void)take(v, "rfc5769", 1);
    for (size_t len = 0; len < v->len; len++) {
        assert_int_equal(stun_read(&m, v->data, len), ERR_MALFORMED);
    }
    for (size_t i = 0; i < v->len; i++) { /* every byte is under the fingerprint */
        v->data[i] ^= 0x10;
        int err = stun_read(&m, v->data, v->len);
        bool other_type = i == v->len - 8 || i == v->len - 7; /* then it is no fingerprint */
        assert_true(other_type ? err == 0 && !m.has_fingerprint : err == ERR_MALFORMED);
        v->data[i] ^= 0x10;
    }
    assert_int_equal(stun_read(&m, v->data, v->len), 0);
}

static void refuses_anything_behind_the_fingerprint(void **state)
{
    (void)state;
    uint8_t data[64];
    struct stun_message m;
    size_t len = stun_write_request(data, sizeof(data), counting, STUN_FORM_FINGERPRINT, 0);
    memset(data + len, 0x80, 4);
    memset(data + len + 2, 0, 2);
    data[3] = (uint8_t)(len - 20 + 4);
    assert_int_equal(stun_read(&m, data, len + 4), ERR_MALFORMED);
}

static void takes_what_old_servers_say(void **state)
{
    (void)state;
    struct stun_message m;
    struct addr a;
    assert_int_equal(read_hex(&m, "000100080001000a01020304"), 0);
    assert_true(stun_mapped(&m, &a));
    assert_addr(&a, "1.2.3.4:10");
    assert_int_equal(read_hex(&m, "802000080001a147e112a643"), 0);
    assert_true(stun_mapped(&m, &a));
    assert_addr(&a, "192.0.2.1:32853");
    /* The XORed one counts, whatever the order. */
    assert_int_equal(read_hex(&m, "000100080001000a01020304"
                                  "002000080001a147e112a643"),
                     0);
    assert_true(stun_mapped(&m, &a));
    assert_addr(&a, "192.0.2.1:32853");
}

static void takes_the_first_of_two_and_none_behind_the_integrity(void **state)
{
    (void)state;
    struct stun_message m;
    assert_int_equal(read_hex(&m, "000100080001000a01020304"
                                  "000100080001000b05060708"),
                     0);
    assert_addr(&m.mapped, "1.2.3.4:10");
    assert_int_equal(read_hex(&m, "00080014"
                                  "0000000000000000000000000000000000000000"
                                  "000100080001000a01020304"),
                     0);
    assert_true(m.has_integrity);
    assert_int_equal(m.mapped.family, ADDR_NONE);
}

static void names_no_address_that_nobody_can_use(void **state)
{
    (void)state;
    struct stun_message m;
    struct addr a;
    assert_int_equal(read_hex(&m, ""), 0);
    assert_false(stun_mapped(&m, &a));
    assert_int_equal(read_hex(&m, "000100080001000001020304"), 0); /* port 0 */
    assert_false(stun_mapped(&m, &a));
    assert_int_equal(read_hex(&m, "000100080001000a00000000"), 0);
    assert_false(stun_mapped(&m, &a));
}

static void skips_optional_attributes_and_names_the_others(void **state)
{
    (void)state;
    struct stun_message m;
    assert_int_equal(read_hex(&m, "c0570004000000ff"
                                  "7ffe0000"
                                  "0024000100ffffff"),
                     0);
    assert_int_equal(m.unknown_count, 2);
    assert_int_equal(m.unknown[0], 0x7ffe);
    assert_int_equal(m.unknown[1], 0x0024);
    char many[8 * (STUN_UNKNOWN_MAX + 3) + 1] = "";
    for (int i = 0; i < STUN_UNKNOWN_MAX + 3; i++) {
        memcpy(many + 8 * i, "7ffe0000", 9);
    }
    assert_int_equal(read_hex(&m, many), 0);
    assert_int_equal(m.unknown_count, STUN_UNKNOWN_MAX);
}

static void is_known_by_cookie_and_top_bits(void **state)
{
    (void)state;
    uint8_t data[20];
    assert_int_equal(stun_write_request(data, sizeof(data), counting, STUN_FORM_PLAIN, 0), 20);
    assert_true(stun_is_message(data, 20));
    assert_false(stun_is_message(data, 19));
    for (int first = 0; first < 256; first++) {
        data[0] = (uint8_t)first;
        assert_int_equal(stun_is_message(data, 20), first < 0x40);
    }
    data[0] = 0;
    data[7] ^= 1;
    assert_false(stun_is_message(data, 20));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_published_request),
        cmocka_unit_test(reads_the_published_answers),
        cmocka_unit_test(reads_the_published_request_with_credentials),
        cmocka_unit_test(writes_each_form_of_request_as_it_is_expected),
        cmocka_unit_test(writes_a_derpers_answers),
        cmocka_unit_test(carries_every_attribute_there_and_back),
        cmocka_unit_test(writes_the_list_of_unknown_attributes),
        cmocka_unit_test(refuses_what_cannot_be),
        cmocka_unit_test(refuses_a_message_that_is_not_whole),
        cmocka_unit_test(refuses_anything_behind_the_fingerprint),
        cmocka_unit_test(takes_what_old_servers_say),
        cmocka_unit_test(takes_the_first_of_two_and_none_behind_the_integrity),
        cmocka_unit_test(names_no_address_that_nobody_can_use),
        cmocka_unit_test(skips_optional_attributes_and_names_the_others),
        cmocka_unit_test(is_known_by_cookie_and_top_bits),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
