#include "proto/socks5.h"
#include "support/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define OK_REPLY "05000001000000000000"

/* What a client sends and what it must get to see. */
struct seed {
    const char *input;
    const char *output; /* up to the request or the failure */
    enum socks5_state end;
    const char *target; /* SOCKS5_REQUEST only */
    size_t extra;       /* bytes at the end of input that are not the machine's */
};

static const struct seed seeds[] = {
    {"050100", "0500", SOCKS5_READING, NULL, 0},
    {"05020002", "0500", SOCKS5_READING, NULL, 0},
    {"05020200", "0500", SOCKS5_READING, NULL, 0},
    {"050401028000", "0500", SOCKS5_READING, NULL, 0},
    {"0500", "05ff", SOCKS5_FAILED, NULL, 0},
    /* Who offers nothing but a password gets in with any. */
    {"050102", "0502", SOCKS5_PASSWORD, NULL, 0},
    {"0501020101610162", "05020100", SOCKS5_READING, NULL, 0},
    {"05010201000161", "05020100", SOCKS5_READING, NULL, 0},
    {"05010201016100", "05020100", SOCKS5_READING, NULL, 0},
    {"050102010000", "05020100", SOCKS5_READING, NULL, 0},
    {"0501020501610162", "0502", SOCKS5_FAILED, NULL, 4},
    {"0501020101610162050100017f0000010050", "05020100", SOCKS5_REQUEST, "127.0.0.1:80", 0},
    {"0502010a", "05ff", SOCKS5_FAILED, NULL, 0},
    {"050101", "05ff", SOCKS5_FAILED, NULL, 0}, /* GSSAPI only */
    {"050100050100017f0000010050", "0500", SOCKS5_REQUEST, "127.0.0.1:80", 0},
    {"05010005010003096c6f63616c686f73740050", "0500", SOCKS5_REQUEST, "localhost:80", 0},
    {"05010005010003093132372e302e302e310050", "0500", SOCKS5_REQUEST, "127.0.0.1:80", 0},
    {"05010005010003033a3a310050", "0500", SOCKS5_REQUEST, "[::1]:80", 0},
    {"0501000501000420010db800000000000000000000000101bb", "0500", SOCKS5_REQUEST,
     "[2001:db8::1]:443", 0},
    {"0501000501000400000000000000000000ffff0a0000010016", "0500", SOCKS5_REQUEST, "10.0.0.1:22",
     0},
    {"0501000501000309484f4d452e50656572", "0500", SOCKS5_READING, NULL, 0},
    {"0501000501000309484f4d452e506565721f90", "0500", SOCKS5_REQUEST, "home.peer:8080", 0},
    {"050100050100030261000050", "050005010001000000000000", SOCKS5_FAILED, NULL, 0},
    {"0501000501000302610a0050", "050005010001000000000000", SOCKS5_FAILED, NULL, 0},
    {"05010005010003000050", "050005010001000000000000", SOCKS5_FAILED, NULL, 0},
    {"05010005010003012e0050", "050005010001000000000000", SOCKS5_FAILED, NULL, 0},
    {"050100050100020000", "050005080001000000000000", SOCKS5_FAILED, NULL, 2},
    {"050100050900017f0000010050", "050005070001000000000000", SOCKS5_FAILED, NULL, 0},
    {"050100050200017f0000010050", "0500", SOCKS5_REQUEST, "127.0.0.1:80", 0},
    {"05010005030001000000000000", "0500", SOCKS5_REQUEST, "0.0.0.0:0", 0},
    {"050100050000017f0000010050", "050005070001000000000000", SOCKS5_FAILED, NULL, 0},
    {"050100050400017f0000010050", "050005070001000000000000", SOCKS5_FAILED, NULL, 0},
    {"050100050900090000", "050005070001000000000000", SOCKS5_FAILED, NULL, 2},
    {"050100040100017f0000010050", "050005010001000000000000", SOCKS5_FAILED, NULL, 9},
    {"040100507f00000100", "", SOCKS5_FAILED, NULL, 8},
    {"0401005000000001006c6f63616c686f737400", "", SOCKS5_FAILED, NULL, 18},
    {"040100500000000000", "", SOCKS5_FAILED, NULL, 8},
    {"434f4e4e454354205b3a3a315d3a383020485454502f312e310d0a0d0a", "", SOCKS5_FAILED, NULL, 28},
    {"050100050100017f000001005016030105", "0500", SOCKS5_REQUEST, "127.0.0.1:80", 4},
    {"050100050100017f0000010050050100", "0500", SOCKS5_REQUEST, "127.0.0.1:80", 3},
    {"0501030501", "05ff", SOCKS5_FAILED, NULL, 2},
};

struct client {
    struct socks5 s;
    uint8_t out[64];
    size_t out_len;
};

static void collect(struct client *c)
{
    /* One byte at a time, so that a short write by the caller is the rule here. */
    while (socks5_output(&c->s, c->out + c->out_len, 1) == 1) {
        c->out_len++;
        assert_true(c->out_len < sizeof(c->out));
    }
}

/* The bytes are copied to a block of just their size: a read past the end is a red test. */
static size_t feed(struct client *c, const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, data, len);
    size_t taken = socks5_input(&c->s, copy, len);
    if (socks5_state(&c->s) == SOCKS5_LOGIN && !c->s.password_needed) {
        socks5_authorize(&c->s, true);
        taken += socks5_input(&c->s, copy + taken, len - taken);
    }
    free(copy);
    assert_true(taken <= len);
    collect(c);
    return taken;
}

static void assert_result(const struct client *c, const struct seed *seed, size_t left)
{
    uint8_t expected[64];
    char text[TARGET_TEXT_MAX];
    size_t len = hex_decode(expected, sizeof(expected), seed->output);
    assert_int_equal(socks5_state(&c->s), seed->end);
    assert_int_equal(c->out_len, len);
    assert_memory_equal(c->out, expected, len);
    assert_int_equal(left, seed->extra);
    if (seed->target) {
        assert_string_equal(target_format(socks5_target(&c->s), text), seed->target);
    }
    assert_int_equal(socks5_why(&c->s) != NULL, seed->end == SOCKS5_FAILED);
}

/* In pieces of `step` bytes; what is not taken ends it. */
static void run_in_steps(const struct seed *seed, const uint8_t *data, size_t len, size_t step)
{
    struct client c = {0};
    size_t done = 0;
    socks5_init(&c.s, false);
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
        size_t len = hex_decode(data, sizeof(data), seeds[i].input);
        for (size_t step = 1; step <= len; step++) {
            run_in_steps(&seeds[i], data, len, step);
        }
    }
}

static void seeds_give_the_same_split_at_every_position(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(seeds); i++) {
        uint8_t data[600];
        size_t len = hex_decode(data, sizeof(data), seeds[i].input);
        for (size_t split = 0; split <= len; split++) {
            struct client c = {0};
            socks5_init(&c.s, false);
            size_t taken = feed(&c, data, split);
            taken += taken == split ? feed(&c, data + split, len - split) : 0;
            assert_result(&c, &seeds[i], len - taken);
        }
    }
}

static struct client asked(const char *request, enum socks5_command command)
{
    uint8_t data[64];
    struct client c = {0};
    size_t len = hex_decode(data, sizeof(data), request);
    socks5_init(&c.s, false);
    assert_int_equal(feed(&c, data, len), len);
    assert_int_equal(socks5_state(&c.s), SOCKS5_REQUEST);
    assert_int_equal(socks5_command(&c.s), command);
    c.out_len = 0;
    return c;
}

static void assert_out(struct client *c, const char *expected)
{
    uint8_t data[64];
    collect(c);
    assert_int_equal(c->out_len, hex_decode(data, sizeof(data), expected));
    assert_memory_equal(c->out, data, c->out_len);
    c->out_len = 0;
}

/* Where the address is the point, it is told whole; CONNECT's is not looked at by anybody. */
static void replies_tell_the_address_that_matters(void **state)
{
    (void)state;
    struct addr v4 = addr_ipv4(192, 0, 2, 7, 4242), v6;
    assert_int_equal(addr_parse(&v6, "[2001:db8::7]:4242"), 0);
    static const char whole6[] = "0500000420010db80000000000000000000000071092";
    struct client c = asked("050100050300010000000000"
                            "00",
                            SOCKS5_ASSOCIATE);
    socks5_reply(&c.s, SOCKS5_REP_OK, &v6);
    assert_out(&c, whole6);
    assert_int_equal(socks5_state(&c.s), SOCKS5_OPEN);
    c = asked("050100050100017f0000010050", SOCKS5_CONNECT);
    socks5_reply(&c.s, SOCKS5_REP_OK, &v6);
    assert_out(&c, "05000001000000000000");
    c = asked("050100050200017f0000010050", SOCKS5_BIND);
    socks5_bound(&c.s, &v4);
    assert_out(&c, "05000001c00002071092");
    assert_int_equal(socks5_state(&c.s), SOCKS5_REQUEST);
    socks5_reply(&c.s, SOCKS5_REP_OK, &v6);
    assert_out(&c, whole6);
    assert_int_equal(socks5_state(&c.s), SOCKS5_OPEN);
}

/* Both replies wait for a client that does not read yet. */
static void bind_may_fail_after_its_first_reply(void **state)
{
    (void)state;
    struct addr v6;
    assert_int_equal(addr_parse(&v6, "[2001:db8::7]:4242"), 0);
    struct client c = asked("050100050200017f0000010050", SOCKS5_BIND);
    socks5_bound(&c.s, &v6);
    socks5_reply(&c.s, SOCKS5_REP_TTL_EXPIRED, NULL);
    assert_out(&c, "0500000420010db80000000000000000000000071092"
                   "05060001000000000000");
    assert_int_equal(socks5_state(&c.s), SOCKS5_FAILED);
}

static void truncated_seeds_wait_for_more(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(seeds); i++) {
        uint8_t data[600];
        size_t len = hex_decode(data, sizeof(data), seeds[i].input) - seeds[i].extra;
        for (size_t cut = 0; cut < len; cut++) {
            struct client c = {0};
            socks5_init(&c.s, false);
            assert_int_equal(feed(&c, data, cut), cut);
            assert_true(socks5_state(&c.s) < SOCKS5_REQUEST);
            assert_null(socks5_why(&c.s));
        }
    }
}

static void greeting_of_255_methods_is_no_negative_count(void **state)
{
    (void)state;
    for (size_t n = 127; n <= 255; n++) {
        uint8_t data[2 + 255 + 10] = {5, (uint8_t)n};
        memset(data + 2, 0x80, n);
        data[2 + n - 1] = 0; /* the only good one comes last */
        hex_decode(data + 2 + n, 10, "050100017f0000010050");
        struct client c = {0};
        socks5_init(&c.s, false);
        assert_int_equal(feed(&c, data, 2 + n - 1), 2 + n - 1);
        assert_int_equal(c.out_len, 0);
        assert_int_equal(feed(&c, data + 2 + n - 1, 11), 11);
        assert_int_equal(socks5_state(&c.s), SOCKS5_REQUEST);
        assert_memory_equal(c.out, "\x05\x00", 2);
    }
}

static void greeting_of_255_strange_methods_is_refused(void **state)
{
    (void)state;
    uint8_t data[2 + 255] = {5, 255};
    memset(data + 2, 0xff, 255);
    struct client c = {0};
    socks5_init(&c.s, false);
    assert_int_equal(feed(&c, data, sizeof(data)), sizeof(data));
    assert_int_equal(socks5_state(&c.s), SOCKS5_FAILED);
    assert_memory_equal(c.out, "\x05\xff", 2);
}

static void name_of_255_bytes_is_taken_whole(void **state)
{
    (void)state;
    uint8_t data[4 + 1 + 255 + 2 + 1] = {5, 1, 0, 3, 255};
    memset(data + 5, 'a', 255);
    data[4 + 1 + 255 + 1] = 80;
    struct client c = {0};
    socks5_init(&c.s, false);
    feed(&c, (const uint8_t *)"\x05\x01\x00", 3);
    assert_int_equal(feed(&c, data, sizeof(data)), sizeof(data) - 1);
    assert_int_equal(socks5_state(&c.s), SOCKS5_REQUEST);
    assert_int_equal(strlen(socks5_target(&c.s)->name), 255);
    assert_int_equal(socks5_target(&c.s)->port, 80);
}

static void start_request(struct client *c)
{
    static const uint8_t data[] = {5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, 0, 80};
    memset(c, 0, sizeof(*c));
    socks5_init(&c->s, false);
    assert_int_equal(feed(c, data, sizeof(data)), sizeof(data));
    assert_int_equal(socks5_state(&c->s), SOCKS5_REQUEST);
    c->out_len = 0;
}

static void success_tells_the_bound_address_in_ten_bytes(void **state)
{
    (void)state;
    struct client c;
    struct addr v4 = addr_ipv4(192, 0, 2, 7, 0x1234);
    struct addr v6 = {.family = ADDR_IPV6, .port = 9, .ip = {[15] = 1}};
    const struct addr *bound[] = {&v4, &v6, NULL};
    const char *expected[] = {"05000001c00002071234", OK_REPLY, OK_REPLY};
    for (size_t i = 0; i < COUNT(bound); i++) {
        uint8_t bytes[SOCKS5_REPLY_LEN];
        start_request(&c);
        socks5_reply(&c.s, SOCKS5_REP_OK, bound[i]);
        collect(&c);
        assert_int_equal(hex_decode(bytes, sizeof(bytes), expected[i]), SOCKS5_REPLY_LEN);
        assert_int_equal(c.out_len, SOCKS5_REPLY_LEN);
        assert_memory_equal(c.out, bytes, SOCKS5_REPLY_LEN);
        assert_int_equal(socks5_state(&c.s), SOCKS5_OPEN);
    }
}

static void every_refusal_carries_its_code_and_ends(void **state)
{
    (void)state;
    for (int rep = SOCKS5_REP_FAILURE; rep <= SOCKS5_REP_BAD_ADDRESS_TYPE; rep++) {
        struct client c;
        start_request(&c);
        socks5_reply(&c.s, (enum socks5_rep)rep, NULL);
        collect(&c);
        assert_int_equal(c.out_len, SOCKS5_REPLY_LEN);
        assert_int_equal(c.out[1], rep);
        assert_int_equal(socks5_state(&c.s), SOCKS5_FAILED);
        assert_null(socks5_why(&c.s));
    }
}

static void bytes_after_the_request_stay_with_the_caller(void **state)
{
    (void)state;
    struct client c;
    start_request(&c);
    assert_int_equal(feed(&c, (const uint8_t *)"hello", 5), 0);
    socks5_reply(&c.s, SOCKS5_REP_OK, NULL);
    assert_int_equal(feed(&c, (const uint8_t *)"hello", 5), 0);
    start_request(&c);
    socks5_reply(&c.s, SOCKS5_REP_REFUSED, NULL);
    assert_int_equal(feed(&c, (const uint8_t *)"hello", 5), 0);
}

static void reply_follows_an_unsent_choice(void **state)
{
    (void)state;
    static const uint8_t data[] = {5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, 0, 80};
    struct socks5 s;
    uint8_t out[32];
    socks5_init(&s, false);
    assert_int_equal(socks5_input(&s, data, sizeof(data)), sizeof(data));
    socks5_reply(&s, SOCKS5_REP_OK, NULL);
    assert_int_equal(socks5_output(&s, out, sizeof(out)), 2 + SOCKS5_REPLY_LEN);
    assert_memory_equal(out, "\x05\x00\x05\x00\x00\x01", 6);
    assert_int_equal(socks5_output(&s, out, sizeof(out)), 0);
}

/* Greeting, password and request at a front that asks for one; `piece` bytes at a time. */
static void run_login(const char *hex, size_t piece, bool right, const char *output,
                      enum socks5_state end)
{
    uint8_t data[64], expected[64];
    size_t len = hex_decode(data, sizeof(data), hex);
    size_t expected_len = hex_decode(expected, sizeof(expected), output);
    struct client c = {0};
    socks5_init(&c.s, true);
    for (size_t done = 0; done < len && socks5_state(&c.s) != SOCKS5_FAILED;) {
        done += feed(&c, data + done, piece < len - done ? piece : len - done);
        if (socks5_state(&c.s) == SOCKS5_LOGIN) {
            struct socks5_login l = socks5_login(&c.s);
            assert_int_equal(l.user_len, 1);
            assert_int_equal(l.password_len, 2);
            assert_memory_equal(l.user, "a", 1);
            assert_memory_equal(l.password, "bc", 2);
            socks5_authorize(&c.s, right);
            collect(&c);
            assert_false(memchr(c.s.in, 'b', sizeof(c.s.in)));
        }
    }
    assert_int_equal(socks5_state(&c.s), end);
    assert_int_equal(c.out_len, expected_len);
    assert_memory_equal(c.out, expected, expected_len);
}

static void a_password_is_asked_for_and_looked_at(void **state)
{
    (void)state;
    static const char all[] = "05020002"
                              "010161026263"
                              "050100017f0000010050";
    for (size_t piece = 1; piece <= 20; piece++) {
        run_login(all, piece, true, "05020100", SOCKS5_REQUEST);
        run_login(all, piece, false, "05020101", SOCKS5_FAILED);
        run_login("050100", piece, true, "05ff", SOCKS5_FAILED);
        run_login("05020001", piece, true, "05ff", SOCKS5_FAILED);
    }
}

static void a_user_name_is_asked_for_where_it_is_wanted(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"05020002", "0502"}, {"05020200", "0502"}, {"050100", "0500"},
        {"050102", "0502"},   {"050101", "05ff"},   {"0503000102", "0502"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t data[8], expected[2];
        size_t len = hex_decode(data, sizeof(data), cases[i][0]);
        struct client c = {0};
        socks5_init(&c.s, false);
        c.s.name_wanted = true;
        assert_int_equal(feed(&c, data, len), len);
        assert_int_equal(hex_decode(expected, sizeof(expected), cases[i][1]), c.out_len);
        assert_memory_equal(c.out, expected, sizeof(expected));
    }
}

static void names_and_passwords_of_255_bytes_fit(void **state)
{
    (void)state;
    uint8_t data[3 + 2 + 255 + 1 + 255] = {5, 1, 2, 1, 255};
    memset(data + 5, 'u', 255);
    data[5 + 255] = 255;
    memset(data + 6 + 255, 'p', 255);
    struct client c = {0};
    socks5_init(&c.s, true);
    assert_int_equal(feed(&c, data, sizeof(data)), sizeof(data));
    assert_int_equal(socks5_state(&c.s), SOCKS5_LOGIN);
    struct socks5_login l = socks5_login(&c.s);
    assert_int_equal(l.user_len, 255);
    assert_int_equal(l.password_len, 255);
    assert_int_equal(l.password[254], 'p');
    assert_int_equal(feed(&c, data, 5), 0); /* nothing is taken before the answer */
}

static void states_have_names(void **state)
{
    (void)state;
    static const char *const names[] = {"greeting", "password", "login", "reading",
                                        "request",  "open",     "failed"};
    for (size_t i = 0; i < COUNT(names); i++) {
        assert_string_equal(socks5_state_name((enum socks5_state)i), names[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seeds_give_the_same_in_any_pieces),
        cmocka_unit_test(seeds_give_the_same_split_at_every_position),
        cmocka_unit_test(replies_tell_the_address_that_matters),
        cmocka_unit_test(bind_may_fail_after_its_first_reply),
        cmocka_unit_test(truncated_seeds_wait_for_more),
        cmocka_unit_test(greeting_of_255_methods_is_no_negative_count),
        cmocka_unit_test(greeting_of_255_strange_methods_is_refused),
        cmocka_unit_test(name_of_255_bytes_is_taken_whole),
        cmocka_unit_test(success_tells_the_bound_address_in_ten_bytes),
        cmocka_unit_test(every_refusal_carries_its_code_and_ends),
        cmocka_unit_test(bytes_after_the_request_stay_with_the_caller),
        cmocka_unit_test(reply_follows_an_unsent_choice),
        cmocka_unit_test(a_password_is_asked_for_and_looked_at),
        cmocka_unit_test(a_user_name_is_asked_for_where_it_is_wanted),
        cmocka_unit_test(names_and_passwords_of_255_bytes_fit),
        cmocka_unit_test(states_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
