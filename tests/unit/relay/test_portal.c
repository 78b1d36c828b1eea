#include "relay/portal.h"

#include <base/err.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define S(n) ((uint64_t)(n)*NS_PER_S)

static void fill(void *state, void *out, size_t len)
{
    (void)state;
    memset(out, 7, len);
}

static struct portal fresh(void)
{
    struct portal p;
    portal_init(&p, (struct rng){.fill = fill});
    return p;
}

static void expect(struct portal *p, enum portal_event want)
{
    enum portal_event ev;
    assert_true(portal_event(p, &ev));
    assert_int_equal(ev, want);
}

static void expect_nothing(struct portal *p)
{
    enum portal_event ev;
    assert_false(portal_event(p, &ev));
}

/* Asks at `host`, answers with `text` by `piece` bytes. */
static void ask(struct portal *p, const char *host, const char *text, size_t piece, uint64_t now)
{
    char request[PORTAL_REQUEST_MAX];
    expect(p, PORTAL_EV_ASK);
    assert_true(portal_request(p, host, request) > 0);
    size_t len = strlen(text);
    for (size_t at = 0; at < len; at += piece) {
        portal_input(p, text + at, len - at < piece ? len - at : piece, now);
    }
}

#define RIGHT "X-Tailscale-Response: response 777777777777777777777777\r\n"

static void what_an_answer_means(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool portal;
    } answers[] = {
        {"HTTP/1.1 204 No Content\r\n" RIGHT "\r\n", false},
        {"HTTP/1.1 204 No Content\r\n\r\n", true},
        {"HTTP/1.1 204 No Content\r\nX-Tailscale-Response: response 8\r\n\r\n", true},
        {"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>", true},
        {"HTTP/1.1 511 Network Authentication Required\r\n\r\n", true},
        {"HTTP/1.1 302 Found\r\nLocation: http://log.in/\r\n\r\n", true},
        {"HTTP/1.1 302 Found\r\nLocation: //log.in/\r\n\r\n", true},
        {"HTTP/1.1 302 Found\r\nLocation: http://relay.test.log.in/\r\n\r\n", true},
        {"HTTP/1.1 301 Moved\r\nLocation: https://RELAY.test/generate_204\r\n\r\n", false},
        {"HTTP/1.1 301 Moved\r\nLocation: https://relay.test:3443/?a=//log.in\r\n\r\n", false},
        {"HTTP/1.1 302 Found\r\nLocation: /login?to=http://log.in/\r\n\r\n", false},
        {"HTTP/1.1 404 Not Found\r\n\r\n", false},
        {"HTTP/1.1 502 Bad Gateway\r\n\r\n", false},
        {"HTTP/1.1 0 No Status\r\n\r\n", false},
        {"SSH-2.0-OpenSSH\r\n\r\n", false},
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        for (size_t piece = 1; piece < 200; piece += 60) {
            struct portal p = fresh();
            portal_suspect(&p, 0, S(1));
            ask(&p, "relay.test:8080", answers[i].text, piece, S(2));
            expect(&p, PORTAL_EV_CLOSE);
            if (p.stands != answers[i].portal) {
                fail_msg("%s", answers[i].text);
            }
            if (p.stands) {
                expect(&p, PORTAL_EV_FOUND);
            }
            expect_nothing(&p);
        }
    }
}

static void long_headers_end_it(void **state)
{
    (void)state;
    static char text[PORTAL_ANSWER_MAX + 4096];
    int len = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nLocation: ");
    memset(text + len, 'a', sizeof(text) - (size_t)len - 1);
    struct portal p = fresh();
    portal_suspect(&p, 0, S(1));
    ask(&p, "relay.test", text, 1000, S(2));
    expect(&p, PORTAL_EV_CLOSE);
    assert_false(p.stands);
    expect_nothing(&p);
}

static void questions_are_rare_while_no_portal_is_known(void **state)
{
    (void)state;
    struct portal p = fresh();
    for (uint64_t s = 1; s <= 300; s++) {
        enum portal_event ev;
        portal_suspect(&p, s % 3, S(s));
        while (portal_event(&p, &ev)) {
        }
        portal_closed(&p, S(s));
    }
    assert_int_equal(p.questions, 10);
    assert_int_equal(portal_next_ns(&p), TIME_NEVER);
}

static void no_answer_is_waited_for_5_s(void **state)
{
    (void)state;
    struct portal p = fresh();
    portal_suspect(&p, 0, S(1));
    expect(&p, PORTAL_EV_ASK);
    assert_int_equal(portal_next_ns(&p), S(6));
    portal_tick(&p, S(6));
    expect(&p, PORTAL_EV_CLOSE);
    expect_nothing(&p);
    portal_input(&p, "HTTP/1.1 200 OK\r\n\r\n", 19, S(7)); /* too late */
    assert_false(p.stands);
}

static void a_portal_is_asked_less_and_less(void **state)
{
    (void)state;
    struct portal p = fresh();
    portal_suspect(&p, 0, S(1));
    uint64_t now = S(1);
    while (now < S(3600)) {
        enum portal_event ev;
        ask(&p, "r", "HTTP/1.1 200 OK\r\n\r\n", 99, now);
        while (portal_event(&p, &ev)) {
        }
        uint64_t wait = portal_next_ns(&p) - now;
        assert_int_equal(wait, now < S(121) ? S(3) : now < S(601) ? S(15) : S(60));
        now += wait;
        portal_tick(&p, now);
    }
    expect(&p, PORTAL_EV_ASK);
    portal_clear(&p); /* a relay is up */
    expect(&p, PORTAL_EV_CLOSE);
    expect(&p, PORTAL_EV_GONE);
    expect_nothing(&p);
    assert_int_equal(portal_next_ns(&p), TIME_NEVER);
    assert_int_equal(p.found, 1);
}

static void another_network_is_asked_at_once(void **state)
{
    (void)state;
    struct portal p = fresh();
    portal_suspect(&p, 0, S(1));
    expect(&p, PORTAL_EV_ASK);
    portal_closed(&p, S(1));
    expect(&p, PORTAL_EV_CLOSE);
    portal_suspect(&p, 0, S(5));
    expect_nothing(&p);
    portal_moved(&p, S(5));
    portal_suspect(&p, 0, S(5));
    expect(&p, PORTAL_EV_ASK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_an_answer_means),
        cmocka_unit_test(long_headers_end_it),
        cmocka_unit_test(questions_are_rare_while_no_portal_is_known),
        cmocka_unit_test(no_answer_is_waited_for_5_s),
        cmocka_unit_test(a_portal_is_asked_less_and_less),
        cmocka_unit_test(another_network_is_asked_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
