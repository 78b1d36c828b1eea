#include "proto/socks4.h"
#include "support/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define REJECTED "005b000000000000"

struct seed {
    const char *input;
    enum socks4_state end;
    const char *target; /* SOCKS4_REQUEST only */
    size_t extra;       /* bytes at the end of input that are not the machine's */
};

static const struct seed seeds[] = {
    {"040100507f00000100", SOCKS4_REQUEST, "127.0.0.1:80", 0},
    {"0401005000000001006c6f63616c686f737400", SOCKS4_REQUEST, "localhost:80", 0},
    /* 0.0.0.0 is no mark of 4a: no name follows. */
    {"040100500000000000", SOCKS4_REQUEST, "0.0.0.0:80", 0},
    {"04010050000000006100", SOCKS4_REQUEST, "0.0.0.0:80", 0},
    {"0401005000000001006c6f63616c686f737400160301", SOCKS4_REQUEST, "localhost:80", 3},
    {"0401005000000001 4d4f5a00 686f6d652e70656572 00", SOCKS4_REQUEST, "home.peer:80", 0},
    {"0401005000000001003132372e302e302e3100", SOCKS4_REQUEST, "127.0.0.1:80", 0},
    {"04011f90c0000207757365720041", SOCKS4_REQUEST, "192.0.2.7:8080", 1},
    {"04010050000000010000", SOCKS4_FAILED, NULL, 0},            /* no name */
    {"0401005000000001006120620000", SOCKS4_FAILED, NULL, 1},    /* "a b" */
    {"040200157f00000100aa", SOCKS4_REQUEST, "127.0.0.1:21", 1}, /* BIND */
    {"040000507f00000100", SOCKS4_FAILED, NULL, 0},
    {"040300507f00000100", SOCKS4_FAILED, NULL, 0},
    {"040900507f00000100aa", SOCKS4_FAILED, NULL, 1},
    {"050100", SOCKS4_FAILED, NULL, 2},
};

struct client {
    struct socks4 s;
    uint8_t out[32];
    size_t out_len;
};

/* The bytes are copied to a block of just their size: a read past the end is a red test. */
static size_t feed(struct client *c, const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, data, len);
    size_t taken = socks4_input(&c->s, copy, len);
    free(copy);
    assert_true(taken <= len);
    while (socks4_output(&c->s, c->out + c->out_len, 1) == 1) {
        c->out_len++;
        assert_true(c->out_len < sizeof(c->out));
    }
    return taken;
}

static size_t decode(uint8_t *out, size_t cap, const char *hex)
{
    char plain[1300];
    size_t n = 0;
    for (; *hex; hex++) {
        if (*hex != ' ') {
            plain[n++] = *hex;
        }
    }
    plain[n] = '\0';
    return hex_decode(out, cap, plain);
}

static void assert_result(const struct client *c, const struct seed *seed, size_t left)
{
    uint8_t rejected[SOCKS4_REPLY_LEN];
    char text[TARGET_TEXT_MAX];
    hex_decode(rejected, sizeof(rejected), REJECTED);
    assert_int_equal(socks4_state(&c->s), seed->end);
    assert_int_equal(left, seed->extra);
    assert_int_equal(c->out_len, seed->end == SOCKS4_FAILED ? SOCKS4_REPLY_LEN : 0);
    assert_memory_equal(c->out, rejected, c->out_len);
    assert_int_equal(socks4_why(&c->s) != NULL, seed->end == SOCKS4_FAILED);
    if (seed->target) {
        assert_string_equal(target_format(socks4_target(&c->s), text), seed->target);
    }
}

static void run_in_steps(const struct seed *seed, const uint8_t *data, size_t len, size_t step)
{
    struct client c = {0};
    size_t done = 0;
    socks4_init(&c.s);
    while (done < len) {
        size_t piece = step < len - done ? step : len - done;
        size_t taken = feed(&c, data + done, piece);
        done += taken;
        if (taken < piece) {
            break;
        }
    }
    assert_result(&c, seed, len - done);
}

static void seeds_give_the_same_in_any_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(seeds); i++) {
        uint8_t data[600];
        size_t len = decode(data, sizeof(data), seeds[i].input);
        for (size_t step = 1; step <= len; step++) {
            run_in_steps(&seeds[i], data, len, step);
        }
        for (size_t split = 0; split <= len; split++) {
            struct client c = {0};
            socks4_init(&c.s);
            size_t taken = feed(&c, data, split);
            taken += taken == split ? feed(&c, data + split, len - split) : 0;
            assert_result(&c, &seeds[i], len - taken);
        }
    }
}

static void truncated_seeds_wait_for_more(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(seeds); i++) {
        uint8_t data[600];
        size_t len = decode(data, sizeof(data), seeds[i].input) - seeds[i].extra;
        for (size_t cut = 0; cut < len; cut++) {
            struct client c = {0};
            socks4_init(&c.s);
            assert_int_equal(feed(&c, data, cut), cut);
            assert_int_equal(socks4_state(&c.s), SOCKS4_READING);
            assert_int_equal(c.out_len, 0);
        }
    }
}

/* `user_len` bytes of user id, then a name of `name_len`. */
static enum socks4_state run_lengths(size_t user_len, size_t name_len, struct client *c)
{
    uint8_t data[8 + 300 + 1 + 300 + 1] = {4, 1, 0, 80, 0, 0, 0, 1};
    memset(data + 8, 'u', user_len);
    data[8 + user_len] = 0;
    memset(data + 9 + user_len, 'n', name_len);
    data[9 + user_len + name_len] = 0;
    *c = (struct client){0};
    socks4_init(&c->s);
    (void)feed(c, data, 10 + user_len + name_len);
    return socks4_state(&c->s);
}

static void lengths_end_at_255(void **state)
{
    (void)state;
    struct client c;
    assert_int_equal(run_lengths(255, 255, &c), SOCKS4_REQUEST);
    assert_int_equal(strlen(socks4_target(&c.s)->name), 255);
    assert_int_equal(run_lengths(256, 1, &c), SOCKS4_FAILED);
    assert_int_equal(run_lengths(0, 256, &c), SOCKS4_FAILED);
    assert_int_equal(run_lengths(0, 1, &c), SOCKS4_REQUEST);
}

static void assert_reply(bool granted, const struct addr *bound, const char *hex)
{
    struct client c = {0};
    uint8_t data[9], expected[SOCKS4_REPLY_LEN];
    hex_decode(data, sizeof(data), "040100507f00000100");
    hex_decode(expected, sizeof(expected), hex);
    socks4_init(&c.s);
    assert_int_equal(feed(&c, data, sizeof(data)), sizeof(data));
    socks4_reply(&c.s, granted, bound);
    assert_int_equal(feed(&c, data, sizeof(data)), 0); /* collects; takes nothing more */
    assert_int_equal(c.out_len, SOCKS4_REPLY_LEN);
    assert_memory_equal(c.out, expected, SOCKS4_REPLY_LEN);
    assert_int_equal(socks4_state(&c.s), granted ? SOCKS4_OPEN : SOCKS4_FAILED);
    assert_null(socks4_why(&c.s));
}

static void replies_are_eight_bytes(void **state)
{
    (void)state;
    struct addr v4 = addr_ipv4(192, 0, 2, 7, 0x1234);
    struct addr v6 = {.family = ADDR_IPV6, .port = 9, .ip = {[15] = 1}};
    assert_reply(true, &v4, "005a1234c0000207");
    assert_reply(true, &v6, "005a000000000000");
    assert_reply(true, NULL, "005a000000000000");
    assert_reply(false, &v4, REJECTED);
}

static void bind_is_answered_twice(void **state)
{
    (void)state;
    static const char *const last[] = {"005b000000000000", "005a0007c0000209"};
    const struct addr v6 = {.family = ADDR_IPV6, .port = 9, .ip = {[15] = 1}};
    const struct addr at = addr_ipv4(192, 0, 2, 7, 0x1234), from = addr_ipv4(192, 0, 2, 9, 7);
    for (int good = 0; good < 2; good++) {
        struct client c = {0};
        uint8_t data[9], expected[2 * SOCKS4_REPLY_LEN];
        hex_decode(data, sizeof(data), "04020015c000020900");
        hex_decode(expected, sizeof(expected), "005a1234c0000207");
        hex_decode(expected + SOCKS4_REPLY_LEN, SOCKS4_REPLY_LEN, last[good]);
        socks4_init(&c.s);
        assert_int_equal(feed(&c, data, sizeof(data)), sizeof(data));
        assert_int_equal(socks4_command(&c.s), SOCKS4_BIND);
        assert_false(socks4_bound(&c.s, &v6)); /* and not a byte of it */
        assert_true(socks4_bound(&c.s, &at));
        assert_int_equal(socks4_state(&c.s), SOCKS4_REQUEST);
        socks4_reply(&c.s, good, &from); /* the first is still there */
        assert_int_equal(feed(&c, data, sizeof(data)), 0);
        assert_int_equal(c.out_len, sizeof(expected));
        assert_memory_equal(c.out, expected, sizeof(expected));
        assert_int_equal(socks4_state(&c.s), good ? SOCKS4_OPEN : SOCKS4_FAILED);
    }
}

static void states_have_names(void **state)
{
    (void)state;
    static const char *const names[] = {"reading", "request", "open", "failed"};
    for (size_t i = 0; i < COUNT(names); i++) {
        assert_string_equal(socks4_state_name((enum socks4_state)i), names[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seeds_give_the_same_in_any_pieces),
        cmocka_unit_test(truncated_seeds_wait_for_more),
        cmocka_unit_test(lengths_end_at_255),
        cmocka_unit_test(replies_are_eight_bytes),
        cmocka_unit_test(bind_is_answered_twice),
        cmocka_unit_test(states_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
