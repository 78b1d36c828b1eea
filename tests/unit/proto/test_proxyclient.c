#include "proto/proxyclient.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct target target_of(const char *text)
{
    struct target t;
    assert_int_equal(target_parse(&t, text, strlen(text)), 0);
    return t;
}

static void says(struct proxyclient *c, const void *data, size_t len)
{
    uint8_t out[PROXYCLIENT_OUT_MAX];
    assert_int_equal(proxyclient_output(c, out), len);
    assert_memory_equal(out, data, len);
    assert_int_equal(proxyclient_output(c, out), 0);
}

/* In pieces of at most `step`; what it does not take is left. Returns what it took. */
static size_t hears(struct proxyclient *c, const void *data, size_t len, size_t step)
{
    const uint8_t *at = data;
    size_t done = 0;
    while (done < len && proxyclient_wants(c) > 0) {
        size_t n = proxyclient_wants(c);
        n = n < len - done ? n : len - done;
        n = n < step ? n : step;
        proxyclient_input(c, at + done, n);
        done += n;
    }
    return done;
}

#define SAYS(c, text) says(c, text, sizeof(text) - 1)

static void socks5_without_login(void **state)
{
    (void)state;
    for (size_t step = 1; step <= 10; step += 9) {
        struct proxyclient c;
        struct target t = target_of("web.example:80");
        proxyclient_init(&c, true, "", &t);
        SAYS(&c, "\x05\x01\x00");
        assert_int_equal(hears(&c, "\x05\x00", 2, step), 2);
        SAYS(&c, "\x05\x01\x00\x03\x0bweb.example\x00\x50");
        /* The banner behind the reply is the target's. */
        assert_int_equal(hears(&c, "\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50SSH-2.0", 17, step),
                         10);
        assert_int_equal(c.state, PROXYCLIENT_CONNECTED);
        proxyclient_deinit(&c);
    }
}

static void socks5_with_login_and_addresses(void **state)
{
    (void)state;
    struct proxyclient c;
    struct target t = target_of("[2001:db8::1]:443");
    proxyclient_init(&c, true, "ann:a:b", &t);
    SAYS(&c, "\x05\x02\x00\x02");
    (void)hears(&c, "\x05\x02", 2, 2);
    SAYS(&c, "\x01\x03"
             "ann\x03"
             "a:b");
    (void)hears(&c, "\x01\x00", 2, 2);
    SAYS(&c, "\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x01\xbb");
    /* A reply with a name, and with an IPv6 address. */
    assert_int_equal(hears(&c,
                           "\x05\x00\x00\x03\x03"
                           "abc\x00\x50X",
                           11, 3),
                     10);
    assert_int_equal(c.state, PROXYCLIENT_CONNECTED);
    t = target_of("192.0.2.1:1");
    proxyclient_init(&c, true, "", &t);
    SAYS(&c, "\x05\x01\x00");
    (void)hears(&c, "\x05\x00", 2, 2);
    SAYS(&c, "\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x01");
    uint8_t reply[23] = {5, 0, 0, 4};
    assert_int_equal(hears(&c, reply, sizeof(reply), 23), 22);
    assert_int_equal(c.state, PROXYCLIENT_CONNECTED);
}

static void socks5_carries_datagrams(void **state)
{
    (void)state;
    static const uint8_t v6[] =
        "\x05\x00\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x01\xbb";
    for (size_t step = 1; step <= 22; step++) {
        struct proxyclient c;
        struct addr at = addr_ipv4(192, 0, 2, 7, 0x1234);
        proxyclient_init_associate(&c, "");
        SAYS(&c, "\x05\x01\x00");
        (void)hears(&c, "\x05\x00", 2, 2);
        SAYS(&c, "\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00");
        assert_int_equal(hears(&c, "\x05\x00\x00\x01\xc0\x00\x02\x07\x12\x34X", 11, step), 10);
        assert_int_equal(c.state, PROXYCLIENT_CONNECTED);
        assert_true(addr_equal(&c.bound, &at));
        proxyclient_deinit(&c);
        proxyclient_init_associate(&c, "ann:pw");
        SAYS(&c, "\x05\x02\x00\x02");
        (void)hears(&c, "\x05\x00", 2, 2);
        assert_int_equal(hears(&c, v6, sizeof(v6), step), 22);
        assert_int_equal(c.state, PROXYCLIENT_CONNECTED);
        assert_int_equal(c.bound.family, ADDR_IPV6);
        assert_memory_equal(c.bound.ip, v6 + 4, 16);
        assert_int_equal(c.bound.port, 443);
    }
}

static enum cause reply_cause(uint8_t rep)
{
    struct proxyclient c;
    struct target t = target_of("x:1");
    uint8_t reply[10] = {5, rep, 0, 1};
    uint8_t out[PROXYCLIENT_OUT_MAX];
    proxyclient_init(&c, true, "", &t);
    (void)proxyclient_output(&c, out);
    (void)hears(&c, "\x05\x00", 2, 2);
    (void)hears(&c, reply, 10, 10);
    assert_int_equal(c.state, PROXYCLIENT_FAILED);
    assert_int_equal(proxyclient_wants(&c), 0);
    return c.cause;
}

static void socks5_refusals_keep_their_cause(void **state)
{
    (void)state;
    assert_int_equal(reply_cause(2), CAUSE_NOT_ALLOWED);
    assert_int_equal(reply_cause(3), CAUSE_NET_UNREACHABLE);
    assert_int_equal(reply_cause(4), CAUSE_HOST_UNREACHABLE);
    assert_int_equal(reply_cause(5), CAUSE_REFUSED);
    assert_int_equal(reply_cause(6), CAUSE_TIMED_OUT);
    assert_int_equal(reply_cause(200), CAUSE_FAILED);
    static const char *const wrong[] = {"\x05\xff", "\x04\x00", "\x05\x02", "\x05\x01"};
    for (size_t i = 0; i < 4; i++) { /* 2 is a login that nobody has */
        struct proxyclient c;
        struct target t = target_of("x:1");
        proxyclient_init(&c, true, "", &t);
        (void)hears(&c, wrong[i], 2, 2);
        assert_int_equal(c.state, PROXYCLIENT_FAILED);
    }
    struct proxyclient c;
    struct target t = target_of("x:1");
    uint8_t out[PROXYCLIENT_OUT_MAX];
    proxyclient_init(&c, true, "a:b", &t);
    (void)proxyclient_output(&c, out);
    (void)hears(&c, "\x05\x02\x01\x01", 4, 2);
    assert_int_equal(c.state, PROXYCLIENT_FAILED);
}

static void http_takes_its_head_and_no_more(void **state)
{
    (void)state;
    static const char answer[] = "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nSSH-2.0";
    struct proxyclient c;
    struct target t = target_of("[2001:db8::1]:22");
    proxyclient_init(&c, false, "ann:pw", &t);
    SAYS(&c, "CONNECT [2001:db8::1]:22 HTTP/1.1\r\nHost: [2001:db8::1]:22\r\n"
             "Proxy-Authorization: Basic YW5uOnB3\r\n\r\n");
    assert_int_equal(hears(&c, answer, sizeof(answer) - 1, 100), sizeof(answer) - 1 - 7);
    assert_int_equal(c.state, PROXYCLIENT_CONNECTED);
}

static void http_refusals_keep_their_cause(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        enum cause cause;
    } cases[] = {
        {"HTTP/1.1 403 Forbidden\r\n\r\n", CAUSE_NOT_ALLOWED},
        {"HTTP/1.0 502 Bad\r\n\r\n", CAUSE_HOST_UNREACHABLE},
        {"HTTP/1.1 504 Late\n\n", CAUSE_TIMED_OUT},
        {"HTTP/1.1 407 Who\r\nX: y\r\n\r\n", CAUSE_FAILED},
        {"SSH-2.0-OpenSSH\r\n\r\n", CAUSE_FAILED},
        {"\r\n\r\n", CAUSE_FAILED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct proxyclient c;
        struct target t = target_of("x:1");
        proxyclient_init(&c, false, "", &t);
        (void)hears(&c, cases[i].answer, strlen(cases[i].answer), 1);
        assert_int_equal(c.state, PROXYCLIENT_FAILED);
        assert_int_equal(c.cause, cases[i].cause);
    }
    struct proxyclient c;
    struct target t = target_of("x:1");
    char endless[PROXYCLIENT_HEAD_MAX];
    memset(endless, 'x', sizeof(endless));
    proxyclient_init(&c, false, "", &t);
    assert_int_equal(hears(&c, endless, sizeof(endless), 1), sizeof(endless));
    assert_int_equal(c.state, PROXYCLIENT_FAILED);
}

/* The longest of everything still fits. */
static void long_names_and_logins_fit(void **state)
{
    (void)state;
    char name[TARGET_NAME_MAX + 1], login[PROXYCLIENT_LOGIN_MAX + 1];
    uint8_t out[PROXYCLIENT_OUT_MAX];
    struct proxyclient c;
    struct target t;
    memset(name, 'n', sizeof(name));
    memset(login, 'l', sizeof(login));
    login[100] = ':';
    login[PROXYCLIENT_LOGIN_MAX] = '\0';
    assert_int_equal(target_set_name(&t, name, TARGET_NAME_MAX, 65535), 0);
    proxyclient_init(&c, false, login, &t);
    assert_true(proxyclient_output(&c, out) > 2 * TARGET_NAME_MAX + 340);
    proxyclient_init(&c, true, login, &t);
    (void)proxyclient_output(&c, out);
    (void)hears(&c, "\x05\x02", 2, 2);
    assert_int_equal(proxyclient_output(&c, out), 3 + PROXYCLIENT_LOGIN_MAX - 1);
    (void)hears(&c, "\x01\x00", 2, 2);
    assert_int_equal(proxyclient_output(&c, out), 7 + TARGET_NAME_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(socks5_without_login),
        cmocka_unit_test(socks5_with_login_and_addresses),
        cmocka_unit_test(socks5_carries_datagrams),
        cmocka_unit_test(socks5_refusals_keep_their_cause),
        cmocka_unit_test(http_takes_its_head_and_no_more),
        cmocka_unit_test(http_refusals_keep_their_cause),
        cmocka_unit_test(long_names_and_logins_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
