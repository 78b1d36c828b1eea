#include "session/front.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { NOW = 1000 };

static const uint8_t greeting_and_request[] = "\x05\x01\x00"
                                              "\x05\x01\x00\x03\x09localhost\x00\x50"
                                              "early";
enum { REQUEST_END = sizeof(greeting_and_request) - 1 - 5 };

static struct front started(void)
{
    struct front f;
    front_init(&f, &front_times_default, NULL, NOW);
    return f;
}

static struct front connecting(void)
{
    uint8_t out[16];
    struct front f = started();
    assert_int_equal(front_input(&f, greeting_and_request, REQUEST_END, NOW), REQUEST_END);
    assert_int_equal(front_event(&f), FRONT_EVENT_CONNECT);
    assert_int_equal(front_output(&f, out, sizeof(out)), 2);
    return f;
}

static void any_split_gives_the_same_request_and_leaves_early_data(void **state)
{
    (void)state;
    size_t all = sizeof(greeting_and_request) - 1;
    for (size_t split = 0; split <= all; split++) {
        struct front f = started();
        size_t taken = front_input(&f, greeting_and_request, split, NOW);
        taken += front_input(&f, greeting_and_request + taken, all - taken, NOW);
        assert_int_equal(taken, REQUEST_END);
        assert_int_equal(front_event(&f), FRONT_EVENT_CONNECT);
        assert_int_equal(front_event(&f), FRONT_EVENT_NONE);
        assert_string_equal(front_target(&f)->name, "localhost");
        assert_int_equal(front_target(&f)->port, 80);
    }
}

static void success_is_ten_bytes_and_ends_the_deadline(void **state)
{
    (void)state;
    uint8_t out[32];
    struct front f = connecting();
    struct addr bound = addr_ipv4(192, 0, 2, 7, 4242);
    front_connected(&f, &bound);
    assert_int_equal(front_output(&f, out, sizeof(out)), 10);
    assert_memory_equal(out, "\x05\x00\x00\x01\xc0\x00\x02\x07\x10\x92", 10);
    assert_int_equal(front_state(&f), FRONT_OPEN);
    assert_int_equal(front_next_ns(&f), TIME_NEVER);
    assert_int_equal(front_event(&f), FRONT_EVENT_NONE);
    assert_int_equal(front_input(&f, "x", 1, NOW), 0);
}

static void every_cause_has_its_reply(void **state)
{
    (void)state;
    static const struct {
        enum cause cause;
        uint8_t rep;
    } expected[] = {
        {CAUSE_NONE, 1},
        {CAUSE_FAILED, 1},
        {CAUSE_NOT_ALLOWED, 2},
        {CAUSE_NET_UNREACHABLE, 3},
        {CAUSE_HOST_UNREACHABLE, 4},
        {CAUSE_REFUSED, 5},
        {CAUSE_TIMED_OUT, 6},
        {CAUSE_NAME_NOT_FOUND, 4},
        {CAUSE_BAD_TARGET, 1},
        {CAUSE_TARGET_RESET, 1},
        {CAUSE_CANCELLED, 1},
        {CAUSE_LIMIT, 1},
        {CAUSE_PEER_UNREACHABLE, 1},
        {CAUSE_PEER_RESTARTED, 1},
        {CAUSE_PEER_CLOSED, 1},
        {CAUSE_PEER_LOST, 1},
        {CAUSE_PROTOCOL, 1},
        {CAUSE_REFUSED_BY_ROUTE, 2},
        {CAUSE_UNKNOWN_PEER, 4},
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        uint8_t out[32];
        struct front f = connecting();
        front_failed(&f, expected[i].cause, NOW);
        assert_int_equal(front_output(&f, out, sizeof(out)), 10);
        assert_int_equal(out[1], expected[i].rep);
        assert_int_equal(front_event(&f), FRONT_EVENT_CLOSE);
        assert_int_equal(front_state(&f), FRONT_CLOSING);
    }
}

static void late_client_is_closed(void **state)
{
    (void)state;
    struct front f = started();
    uint64_t deadline = NOW + 15 * NS_PER_S;
    assert_int_equal(front_next_ns(&f), deadline);
    assert_int_equal(front_input(&f, greeting_and_request, 4, deadline - 1), 4);
    assert_int_equal(front_next_ns(&f), deadline); /* a byte now and then buys no time */
    front_tick(&f, deadline - 1);
    assert_int_equal(front_event(&f), FRONT_EVENT_NONE);
    front_tick(&f, deadline);
    assert_int_equal(front_event(&f), FRONT_EVENT_CLOSE);
    assert_int_equal(f.fault, FRONT_FAULT_SLOW);
    /* What it still sends is thrown away, for a while. */
    assert_int_equal(front_input(&f, "more", 4, deadline), 4);
    front_tick(&f, deadline + 5 * NS_PER_S);
    assert_int_equal(front_event(&f), FRONT_EVENT_DROP);
    assert_int_equal(front_next_ns(&f), TIME_NEVER);
}

static void target_without_answer_expires_once(void **state)
{
    (void)state;
    uint8_t out[16];
    struct front f = connecting();
    assert_int_equal(front_next_ns(&f), NOW + 30 * NS_PER_S);
    front_tick(&f, NOW + 30 * NS_PER_S);
    front_tick(&f, NOW + 31 * NS_PER_S);
    assert_int_equal(front_event(&f), FRONT_EVENT_EXPIRED);
    assert_int_equal(front_event(&f), FRONT_EVENT_NONE);
    front_failed(&f, CAUSE_TIMED_OUT, NOW + 31 * NS_PER_S);
    assert_int_equal(front_output(&f, out, sizeof(out)), 10);
    assert_int_equal(out[1], SOCKS5_REP_TTL_EXPIRED);
    assert_int_equal(front_event(&f), FRONT_EVENT_CLOSE);
}

static void late_answers_change_nothing(void **state)
{
    (void)state;
    uint8_t out[16];
    struct front f = connecting();
    front_failed(&f, CAUSE_REFUSED, NOW);
    front_connected(&f, NULL);
    front_failed(&f, CAUSE_TIMED_OUT, NOW);
    assert_int_equal(front_output(&f, out, sizeof(out)), 10);
    assert_int_equal(out[1], SOCKS5_REP_REFUSED);
    assert_int_equal(front_output(&f, out, sizeof(out)), 0);
}

static void other_protocols_are_closed_without_a_word(void **state)
{
    (void)state;
    static const char *const firsts[] = {"\x16\x03\x01", "\x06", "\xff", "get /"};
    for (size_t i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++) {
        uint8_t out[16];
        struct front f = started();
        size_t len = strlen(firsts[i]);
        assert_int_equal(front_input(&f, firsts[i], len, NOW), len);
        assert_int_equal(front_event(&f), FRONT_EVENT_CLOSE);
        assert_int_equal(f.fault, FRONT_FAULT_PROTOCOL);
        assert_int_equal(front_output(&f, out, sizeof(out)), 0);
    }
}

static void unsupported_command_is_answered(void **state)
{
    (void)state;
    uint8_t out[16];
    struct front f = started();
    static const uint8_t bad_request[] = "\x05\x01\x00\x05\x09\x00\x01\x7f\x00\x00\x01\x00\x50";
    size_t len = sizeof(bad_request) - 1;
    assert_int_equal(front_input(&f, bad_request, len, NOW), len);
    assert_int_equal(front_event(&f), FRONT_EVENT_CLOSE);
    assert_int_equal(f.fault, FRONT_FAULT_REQUEST);
    assert_int_equal(front_output(&f, out, sizeof(out)), 12);
    assert_int_equal(out[3], SOCKS5_REP_BAD_COMMAND);
}

/* The first reply gives the time until the second. */
static void bind_is_answered_twice(void **state)
{
    (void)state;
    uint8_t out[32];
    const struct addr at = addr_ipv4(192, 0, 2, 7, 4242);
    static const uint8_t bind_request[] = "\x05\x01\x00\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x50";
    for (int good = 0; good < 2; good++) {
        struct front f = started();
        (void)front_input(&f, bind_request, sizeof(bind_request) - 1, NOW);
        assert_int_equal(front_event(&f), FRONT_EVENT_CONNECT);
        assert_int_equal(front_command(&f), SOCKS5_BIND);
        assert_int_equal(front_output(&f, out, sizeof(out)), 2);
        uint64_t later = NOW + 20 * NS_PER_S;
        assert_true(front_bound(&f, &at, later));
        assert_int_equal(front_output(&f, out, sizeof(out)), 10);
        assert_memory_equal(out, "\x05\x00\x00\x01\xc0\x00\x02\x07\x10\x92", 10);
        assert_int_equal(front_state(&f), FRONT_CONNECTING);
        assert_int_equal(front_next_ns(&f), later + front_times_default.bind);
        if (good) {
            front_connected(&f, &at);
            assert_int_equal(front_state(&f), FRONT_OPEN);
        } else {
            front_failed(&f, CAUSE_TIMED_OUT, later);
        }
        assert_int_equal(front_output(&f, out, sizeof(out)), 10);
        assert_int_equal(out[1], good ? 0 : SOCKS5_REP_TTL_EXPIRED);
    }
}

/* SOCKS4's reply has no room for an address of IPv6. */
static void socks4_binds_too(void **state)
{
    (void)state;
    uint8_t out[32];
    const struct addr at = addr_ipv4(192, 0, 2, 7, 4242);
    const struct addr v6 = {.family = ADDR_IPV6, .port = 9, .ip = {[15] = 1}};
    static const uint8_t request[] = "\x04\x02\x00\x15\x7f\x00\x00\x01";
    for (int good = 0; good < 2; good++) {
        struct front f = started();
        (void)front_input(&f, request, sizeof(request), NOW);
        assert_int_equal(front_event(&f), FRONT_EVENT_CONNECT);
        assert_int_equal(front_command(&f), SOCKS5_BIND);
        uint64_t later = NOW + 20 * NS_PER_S;
        assert_int_equal(front_bound(&f, good ? &at : &v6, later), good);
        if (good) {
            assert_int_equal(front_output(&f, out, sizeof(out)), 8);
            assert_memory_equal(out, "\x00\x5a\x10\x92\xc0\x00\x02\x07", 8);
            assert_int_equal(front_next_ns(&f), later + front_times_default.bind);
            front_connected(&f, &at);
        } else {
            front_failed(&f, CAUSE_FAILED, later);
        }
        assert_int_equal(front_output(&f, out, sizeof(out)), 8);
        assert_int_equal(out[1], good ? 0x5a : 0x5b);
        assert_int_equal(front_state(&f), good ? FRONT_OPEN : FRONT_CLOSING);
    }
}

/* --- SOCKS4, HTTP, passwords ----------------------------------------------------------------- */

struct talk {
    struct front f;
    char out[2048];
};

static void say(struct talk *t, const char *text, size_t len)
{
    size_t have = strlen(t->out);
    (void)front_input(&t->f, text, len, NOW);
    have += front_output(&t->f, t->out + have, sizeof(t->out) - have - 1);
    t->out[have] = '\0';
}

static void begin(struct talk *t, bool password, const char *text, size_t len)
{
    const struct front_options options = {.password_needed = password};
    memset(t, 0, sizeof(*t));
    front_init(&t->f, &front_times_default, &options, NOW);
    say(t, text, len);
}

static void collect(struct talk *t)
{
    size_t have = strlen(t->out);
    have += front_output(&t->f, t->out + have, sizeof(t->out) - have - 1);
    t->out[have] = '\0';
}

static void assert_starts(const struct talk *t, const char *start)
{
    if (strncmp(t->out, start, strlen(start)) != 0) {
        fail_msg("not \"%s\" but: %s", start, t->out);
    }
}

static void socks4_is_spoken(void **state)
{
    (void)state;
    static const char request[] = "\x04\x01\x1f\x90\0\0\0\x01me\0home.peer";
    uint8_t out[16];
    struct talk t;
    begin(&t, false, request, sizeof(request));
    assert_int_equal(front_event(&t.f), FRONT_EVENT_CONNECT);
    assert_string_equal(front_target(&t.f)->name, "home.peer");
    front_connected(&t.f, NULL);
    assert_int_equal(front_state(&t.f), FRONT_OPEN);
    assert_int_equal(front_output(&t.f, out, sizeof(out)), 8);
    assert_memory_equal(out, "\0\x5a\0\0\0\0\0\0", 8);
    begin(&t, false, request, sizeof(request));
    front_failed(&t.f, CAUSE_REFUSED, NOW);
    assert_int_equal(front_output(&t.f, out, sizeof(out)), 8);
    assert_int_equal(out[1], 0x5b);
    begin(&t, true, request, sizeof(request)); /* it cannot give a password */
    assert_int_equal(t.f.fault, FRONT_FAULT_LOGIN);
    assert_int_equal(front_event(&t.f), FRONT_EVENT_CLOSE);
}

static void http_connect_is_answered_and_the_rest_is_the_tunnels(void **state)
{
    (void)state;
    static const char request[] = "CONNECT home.peer:22 HTTP/1.1\r\nHost: x\r\n\r\nSSH-2.0";
    size_t len = sizeof(request) - 1;
    for (size_t split = 0; split <= len; split++) {
        struct talk t;
        begin(&t, false, "", 0);
        size_t taken = front_input(&t.f, request, split, NOW);
        taken += front_input(&t.f, request + taken, len - taken, NOW);
        assert_int_equal(taken, len - 7);
        assert_int_equal(front_event(&t.f), FRONT_EVENT_CONNECT);
        front_connected(&t.f, NULL);
        collect(&t);
        assert_string_equal(t.out, "HTTP/1.1 200 Connection established\r\n\r\n");
        assert_int_equal(front_state(&t.f), FRONT_OPEN);
        front_deinit(&t.f);
    }
}

static void http_failures_have_their_status_and_a_page(void **state)
{
    (void)state;
    static const struct {
        enum cause cause;
        const char *start, *sentence;
    } expected[] = {
        {CAUSE_NOT_ALLOWED, "HTTP/1.1 403 Forbidden\r\n",
         "not allowed by the node that would dial"},
        {CAUSE_REFUSED_BY_ROUTE, "HTTP/1.1 403 ", "refused by a route"},
        {CAUSE_REFUSED, "HTTP/1.1 502 Bad Gateway\r\n", "connection refused"},
        {CAUSE_UNKNOWN_PEER, "HTTP/1.1 502 ", "no such peer"},
        {CAUSE_NAME_NOT_FOUND, "HTTP/1.1 502 ", "could not resolve"},
        {CAUSE_TIMED_OUT, "HTTP/1.1 504 Gateway Timeout\r\n", "timed out"},
        {CAUSE_PEER_UNREACHABLE, "HTTP/1.1 504 ", "no path to the peer"},
        {CAUSE_LIMIT, "HTTP/1.1 503 ", "limit"},
    };
    for (size_t i = 0; i < 2 * sizeof(expected) / sizeof(expected[0]); i++) {
        static const char *const requests[] = {"CONNECT h.peer:80 HTTP/1.1\r\n\r\n",
                                               "GET http://h.peer/ HTTP/1.1\r\n\r\n"};
        const char *request = requests[i % 2];
        struct talk t;
        begin(&t, false, request, strlen(request));
        front_failed(&t.f, expected[i / 2].cause, NOW);
        collect(&t);
        assert_starts(&t, expected[i / 2].start);
        assert_non_null(strstr(t.out, "\n\nh.peer:80: "));
        assert_non_null(strstr(t.out, expected[i / 2].sentence));
        assert_int_equal(front_event(&t.f), FRONT_EVENT_CLOSE);
        front_deinit(&t.f);
    }
}

static void bad_http_is_told_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *request, *start;
    } expected[] = {
        {"FETCH http://h/ HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
        {"GET https://h/ HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
        {"CONNECT h HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found\r\n"},
        {"POST /proxy.pac HTTP/1.1\r\n\r\n", "HTTP/1.1 405 Method Not Allowed\r\n"},
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        struct talk t;
        begin(&t, false, expected[i].request, strlen(expected[i].request));
        assert_starts(&t, expected[i].start);
        assert_int_equal(front_event(&t.f), FRONT_EVENT_CLOSE);
        assert_int_equal(t.f.fault, FRONT_FAULT_REQUEST);
        front_deinit(&t.f);
    }
    char head[HTTPMSG_REQUEST_HEAD_MAX];
    struct talk t;
    memset(head, 'a', sizeof(head));
    memcpy(head, "GET http://h/", 13);
    begin(&t, false, head, sizeof(head));
    assert_starts(&t, "HTTP/1.1 431 ");
    front_deinit(&t.f);
}

static void http_passwords_are_looked_at(void **state)
{
    (void)state;
    static const char none[] = "GET http://h/ HTTP/1.1\r\n\r\n";
    static const char some[] =
        "GET http://h/ HTTP/1.1\r\nProxy-Authorization: Basic YW5uOm9uZQ==\r\n\r\n";
    struct talk t;
    struct httpreq_login l;
    begin(&t, true, none, sizeof(none) - 1);
    assert_starts(&t, "HTTP/1.1 407 Proxy Authentication Required\r\n");
    assert_non_null(strstr(t.out, "\r\nProxy-Authenticate: Basic realm="));
    assert_int_equal(t.f.fault, FRONT_FAULT_LOGIN);
    front_deinit(&t.f);
    for (int right = 0; right < 2; right++) {
        begin(&t, true, some, sizeof(some) - 1);
        assert_int_equal(front_event(&t.f), FRONT_EVENT_LOGIN);
        assert_int_equal(front_input(&t.f, "more", 4, NOW), 0);
        front_login(&t.f, &l);
        assert_int_equal(l.user_len, 3);
        assert_memory_equal(l.user, "ann", 3);
        assert_memory_equal(l.password, "one", 3);
        front_authorize(&t.f, right, NOW);
        collect(&t);
        assert_int_equal(front_event(&t.f), right ? FRONT_EVENT_CONNECT : FRONT_EVENT_CLOSE);
        assert_starts(&t, right ? "" : "HTTP/1.1 407 ");
        front_deinit(&t.f);
    }
}

static void socks5_passwords_are_looked_at(void **state)
{
    (void)state;
    static const char all[] = "\x05\x01\x02\x01\x03"
                              "ann\x03one\x05\x01\0\x01\x7f\0\0\x01\0\x50";
    size_t len = sizeof(all) - 1;
    for (int right = 0; right < 2; right++) {
        const struct front_options options = {.password_needed = true};
        struct httpreq_login l;
        uint8_t out[32];
        struct front f;
        front_init(&f, &front_times_default, &options, NOW);
        size_t taken = front_input(&f, all, len, NOW);
        assert_int_equal(taken, 3 + 9);
        assert_int_equal(front_event(&f), FRONT_EVENT_LOGIN);
        front_login(&f, &l);
        assert_int_equal(l.password_len, 3);
        assert_memory_equal(l.password, "one", 3);
        front_authorize(&f, right, NOW);
        taken += front_input(&f, all + taken, len - taken, NOW);
        assert_int_equal(taken, len);
        assert_int_equal(front_event(&f), right ? FRONT_EVENT_CONNECT : FRONT_EVENT_CLOSE);
        assert_int_equal(front_output(&f, out, sizeof(out)), 4);
        assert_memory_equal(out, right ? "\x05\x02\x01\0" : "\x05\x02\x01\x01", 4);
        assert_int_equal(f.fault, right ? FRONT_FAULT_NONE : FRONT_FAULT_LOGIN);
    }
}

static void one_connection_brings_many_requests(void **state)
{
    (void)state;
    static const char request[] = "GET http://h/ HTTP/1.1\r\n\r\n";
    struct talk t;
    begin(&t, false, request, sizeof(request) - 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(front_event(&t.f), FRONT_EVENT_CONNECT);
        front_connected(&t.f, NULL);
        assert_int_equal(front_state(&t.f), FRONT_RELAYING);
        assert_int_equal(front_next_ns(&t.f), TIME_NEVER);
        front_answered(&t.f, true, NOW);
        assert_int_equal(front_next_ns(&t.f), NOW + 60 * NS_PER_S);
        say(&t, request, sizeof(request) - 1);
    }
    front_connected(&t.f, NULL);
    front_again(&t.f, NOW); /* the kept connection was no good */
    assert_int_equal(front_event(&t.f), FRONT_EVENT_CONNECT);
    front_connected(&t.f, NULL);
    front_failed(&t.f, CAUSE_TARGET_RESET, NOW);
    collect(&t);
    assert_starts(&t, "HTTP/1.1 502 ");
    front_deinit(&t.f);
    begin(&t, false, request, sizeof(request) - 1);
    (void)front_event(&t.f);
    front_connected(&t.f, NULL);
    front_answered(&t.f, true, NOW);
    front_tick(&t.f, NOW + 60 * NS_PER_S); /* nothing more came: nobody's fault */
    assert_int_equal(front_event(&t.f), FRONT_EVENT_DROP);
    assert_int_equal(t.f.fault, FRONT_FAULT_NONE);
    front_deinit(&t.f);
}

static void the_pac_file_is_shown(void **state)
{
    (void)state;
    static const char request[] = "GET /proxy.pac HTTP/1.1\r\n\r\n";
    struct talk t;
    begin(&t, false, request, sizeof(request) - 1);
    assert_int_equal(front_event(&t.f), FRONT_EVENT_PAC);
    front_show(&t.f, 200, "application/x-ns-proxy-autoconfig", "text", NOW);
    collect(&t);
    assert_starts(&t, "HTTP/1.1 200 OK\r\nContent-Type: application/x-ns-proxy-autoconfig\r\n"
                      "Content-Length: 4\r\n");
    assert_string_equal(t.out + strlen(t.out) - 8, "\r\n\r\ntext");
    assert_non_null(strstr(t.out, "Cross-Origin-Resource-Policy: same-origin\r\n"));
    assert_int_equal(front_event(&t.f), FRONT_EVENT_CLOSE);
    front_deinit(&t.f);
}

static void a_forwarded_port_needs_no_words(void **state)
{
    (void)state;
    struct target to;
    struct front f;
    uint8_t out[8];
    assert_int_equal(target_parse(&to, "home.peer:22", 12), 0);
    const struct front_options options = {.fixed = &to};
    for (int works = 0; works < 2; works++) {
        front_init(&f, &front_times_default, &options, NOW);
        assert_int_equal(front_event(&f), FRONT_EVENT_CONNECT);
        assert_true(target_equal(front_target(&f), &to));
        assert_int_equal(front_input(&f, "SSH", 3, NOW), 0);
        if (works) {
            front_connected(&f, NULL);
            assert_int_equal(front_state(&f), FRONT_OPEN);
        } else {
            front_failed(&f, CAUSE_REFUSED, NOW);
            assert_int_equal(front_event(&f), FRONT_EVENT_DROP);
        }
        assert_int_equal(front_output(&f, out, sizeof(out)), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_split_gives_the_same_request_and_leaves_early_data),
        cmocka_unit_test(success_is_ten_bytes_and_ends_the_deadline),
        cmocka_unit_test(every_cause_has_its_reply),
        cmocka_unit_test(late_client_is_closed),
        cmocka_unit_test(target_without_answer_expires_once),
        cmocka_unit_test(late_answers_change_nothing),
        cmocka_unit_test(other_protocols_are_closed_without_a_word),
        cmocka_unit_test(unsupported_command_is_answered),
        cmocka_unit_test(bind_is_answered_twice),
        cmocka_unit_test(socks4_binds_too),
        cmocka_unit_test(socks4_is_spoken),
        cmocka_unit_test(http_connect_is_answered_and_the_rest_is_the_tunnels),
        cmocka_unit_test(http_failures_have_their_status_and_a_page),
        cmocka_unit_test(bad_http_is_told_what_is_wrong),
        cmocka_unit_test(http_passwords_are_looked_at),
        cmocka_unit_test(socks5_passwords_are_looked_at),
        cmocka_unit_test(one_connection_brings_many_requests),
        cmocka_unit_test(the_pac_file_is_shown),
        cmocka_unit_test(a_forwarded_port_needs_no_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
