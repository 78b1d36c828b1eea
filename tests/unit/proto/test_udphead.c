#include "proto/udphead.h"

#include <base/err.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/hex.h"

/* In a block of just its size: a read past the end is a red test. */
static int read_head(struct udphead *h, bool socks, const char *hex, size_t cut)
{
    uint8_t data[600];
    size_t len = hex_decode(data, sizeof(data), hex) - cut;
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, data, len);
    int err = udphead_read(h, socks, copy, len);
    free(copy);
    return err;
}

static const struct {
    const char *hex, *target;
    uint8_t frag;
    size_t len;
} good[] = {
    {"000000017f0000010035", "127.0.0.1:53", 0, 10},
    {"000000017f000001003561626364", "127.0.0.1:53", 0, 10},
    {"000001017f0000010035", "127.0.0.1:53", 1, 10},
    {"ffff00017f0000010035", "127.0.0.1:53", 0, 10},
    {"0000000420010db800000000000000000000000100350a", "[2001:db8::1]:53", 0, 22},
    {"0000000400000000000000000000ffff0a00000100350a", "10.0.0.1:53", 0, 22},
    {"00000003096c6f63616c686f7374003561", "localhost:53", 0, 16},
    {"00000003093132372e302e302e310035", "127.0.0.1:53", 0, 16},
};

static void heads_are_read(void **state)
{
    (void)state;
    char text[TARGET_TEXT_MAX];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct udphead h;
        assert_int_equal(read_head(&h, true, good[i].hex, 0), 0);
        assert_string_equal(target_format(&h.target, text), good[i].target);
        assert_int_equal(h.frag, good[i].frag);
        assert_int_equal(h.len, good[i].len);
        assert_int_equal(read_head(&h, false, good[i].hex + 2 * UDPHEAD_PREFIX, 0), 0);
        assert_string_equal(target_format(&h.target, text), good[i].target);
        assert_int_equal(h.len, good[i].len - UDPHEAD_PREFIX);
    }
}

static void cut_heads_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        size_t len = strlen(good[i].hex) / 2;
        for (size_t cut = len - good[i].len + 1; cut <= len; cut++) {
            struct udphead h;
            assert_int_equal(read_head(&h, true, good[i].hex, cut), ERR_MALFORMED);
        }
    }
}

static void what_names_nothing_is_refused(void **state)
{
    (void)state;
    const char *const bad[] = {
        "000000027f0000010035", "000000007f0000010035", "00000003000035",
        "00000003026100003561", "00000003012e003561",   "00000003030a6162003561",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct udphead h;
        assert_int_equal(read_head(&h, true, bad[i], 0), ERR_MALFORMED);
    }
}

static void what_is_put_reads_the_same(void **state)
{
    (void)state;
    char name[TARGET_NAME_MAX + 1];
    memset(name, 'a', TARGET_NAME_MAX);
    name[TARGET_NAME_MAX] = '\0';
    struct target targets[4];
    struct addr v6;
    struct addr v4 = addr_ipv4(192, 0, 2, 1, 65535);
    assert_int_equal(addr_parse(&v6, "[2001:db8::1]:1"), 0);
    target_set_addr(&targets[0], &v4);
    target_set_addr(&targets[1], &v6);
    assert_int_equal(target_set_name(&targets[2], "a", 1, 7), 0);
    assert_int_equal(target_set_name(&targets[3], name, TARGET_NAME_MAX, 7), 0);
    for (size_t i = 0; i < 8; i++) {
        uint8_t buf[UDPHEAD_MAX + 4];
        uint8_t *data = buf + UDPHEAD_MAX;
        struct udphead h;
        memcpy(data, "data", 4);
        uint8_t *at = udphead_put(data, i % 2, &targets[i / 2]);
        assert_int_equal(udphead_read(&h, i % 2, at, (size_t)(data + 4 - at)), 0);
        assert_true(target_equal(&h.target, &targets[i / 2]));
        assert_ptr_equal(at + h.len, data);
        assert_int_equal(h.frag, 0);
        assert_memory_equal(data, "data", 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_are_read),
        cmocka_unit_test(cut_heads_are_refused),
        cmocka_unit_test(what_names_nothing_is_refused),
        cmocka_unit_test(what_is_put_reads_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
