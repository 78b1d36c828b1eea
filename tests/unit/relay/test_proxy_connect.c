#include "relay/proxy_connect.h"

#include <base/err.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

static void requests_name_the_target_and_the_login(void **state)
{
    (void)state;
    static const struct {
        const char *host, *login, *request;
    } cases[] = {
        {"relay.example", NULL,
         "CONNECT relay.example:443 HTTP/1.1\r\nHost: relay.example:443\r\nUser-Agent: "
         "adit\r\n\r\n"},
        {"2001:db8::1", NULL,
         "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\nUser-Agent: "
         "adit\r\n\r\n"},
        /* RFC 7617 section 2 */
        {"a", "Aladdin:open sesame",
         "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nUser-Agent: adit\r\n"
         "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct proxy_connect p;
        char out[PROXY_CONNECT_REQUEST_MAX];
        int len = proxy_connect_start(&p, cases[i].host, 443, cases[i].login, out);
        assert_int_equal(len, strlen(cases[i].request));
        assert_memory_equal(out, cases[i].request, (size_t)len);
    }
}

static void what_is_too_long_is_no_request(void **state)
{
    (void)state;
    struct proxy_connect p;
    char out[PROXY_CONNECT_REQUEST_MAX];
    char host[300];
    char login[PROXY_CONNECT_LOGIN_MAX + 2];
    memset(host, 'a', sizeof(host));
    memset(login, 'b', sizeof(login));
    host[299] = login[PROXY_CONNECT_LOGIN_MAX + 1] = '\0';
    assert_int_equal(proxy_connect_start(&p, host, 1, NULL, out), ERR_TOO_LARGE);
    assert_int_equal(proxy_connect_start(&p, "a", 1, login, out), ERR_TOO_LARGE);
    host[255] = login[PROXY_CONNECT_LOGIN_MAX] = '\0';
    assert_true(proxy_connect_start(&p, host, 65535, login, out) > 0);
}

/* The answer in pieces of `step`; what was left over of it. */
static int answer(struct proxy_connect *p, const char *login, const char *text, size_t step,
                  size_t *rest)
{
    char out[PROXY_CONNECT_REQUEST_MAX];
    size_t len = strlen(text);
    assert_true(proxy_connect_start(p, "r", 443, login, out) > 0);
    for (size_t i = 0; i < len; i += step) {
        size_t used;
        int got = proxy_connect_input(p, text + i, len - i < step ? len - i : step, &used);
        if (got != 0) {
            *rest = len - i - used;
            return got;
        }
    }
    return 0;
}

static void what_follows_the_answer_is_the_targets(void **state)
{
    (void)state;
    for (size_t step = 1; step < 100; step = step * 3 + 1) {
        struct proxy_connect p;
        size_t rest = 99;
        assert_int_equal(
            answer(&p, NULL, "HTTP/1.1 200 Connection established\r\n\r\n", step, &rest), 1);
        assert_int_equal(rest, 0);
        assert_int_equal(answer(&p, NULL,
                                "HTTP/1.0 200 OK\r\nContent-Length: 50\r\nVia: x\r\n\r\nabc", step,
                                &rest),
                         1);
        assert_int_equal(rest, 3);
        assert_int_equal(answer(&p, NULL, "HTTP/1.1 200 OK\r\nVia:", step, &rest), 0);
    }
}

static void refusals_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *login, *text, *why;
        int err;
    } cases[] = {
        {NULL, "HTTP/1.1 407 x\r\n\r\n", "the proxy wants a name and a password (407)",
         ERR_REFUSED},
        {"a:b", "HTTP/1.1 407 x\r\n\r\n", "the proxy does not accept the name and password (407)",
         ERR_REFUSED},
        {NULL, "HTTP/1.1 403 x\r\n\r\n", "the proxy does not let us there (403)", ERR_REFUSED},
        {NULL, "HTTP/1.1 502 x\r\n\r\n", "the proxy does not get there (502)", ERR_REFUSED},
        {NULL, "HTTP/1.1 302 x\r\n\r\n", "the proxy answers with status 302", ERR_REFUSED},
        {NULL, "HTTP/1.1 100 x\r\n\r\n", "the proxy answers with status 100", ERR_REFUSED},
        {NULL, "SSH-2.0-OpenSSH\r\n", "the proxy's answer is not HTTP", ERR_MALFORMED},
        {NULL, "\x05\x00", "the proxy's answer is not HTTP", ERR_MALFORMED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct proxy_connect p;
        size_t rest;
        assert_int_equal(answer(&p, cases[i].login, cases[i].text, 100, &rest), cases[i].err);
        assert_ptr_equal(strstr(p.why, cases[i].why), p.why);
    }
}

static void an_answer_has_its_limit(void **state)
{
    (void)state;
    struct proxy_connect p;
    size_t rest;
    char *text = calloc(1, 2 * PROXY_CONNECT_ANSWER_MAX);
    assert_non_null(text);
    memset(text, 'x', 2 * PROXY_CONNECT_ANSWER_MAX - 1);
    memcpy(text, "HTTP/1.1 200 OK\r\nX: ", 20);
    assert_int_equal(answer(&p, NULL, text, 1000, &rest), ERR_MALFORMED);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_name_the_target_and_the_login),
        cmocka_unit_test(what_is_too_long_is_no_request),
        cmocka_unit_test(what_follows_the_answer_is_the_targets),
        cmocka_unit_test(refusals_are_told_apart),
        cmocka_unit_test(an_answer_has_its_limit),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
