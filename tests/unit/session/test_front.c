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
    front_init(&f, &front_times_default, NOW);
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
    static const char *const firsts[] = {"\x04\x01", "GET /", "\x16\x03\x01", "\x06", "\xff"};
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
    static const uint8_t bind_request[] = "\x05\x01\x00\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x50";
    size_t len = sizeof(bind_request) - 1;
    assert_int_equal(front_input(&f, bind_request, len, NOW), len);
    assert_int_equal(front_event(&f), FRONT_EVENT_CLOSE);
    assert_int_equal(f.fault, FRONT_FAULT_REQUEST);
    assert_int_equal(front_output(&f, out, sizeof(out)), 12);
    assert_int_equal(out[3], SOCKS5_REP_BAD_COMMAND);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
