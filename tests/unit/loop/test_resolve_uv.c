#include "loop/resolve_uv.h"

#include <base/err.h>
#include <base/mem.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct answer {
    unsigned calls;
    int status;
    size_t count;
    struct addr addrs[RESOLVE_UV_ADDRS_MAX];
};

static uv_loop_t loop;
static struct resolve_uv *request;

static void on_answer(void *user, int status, const struct addr *addrs, size_t count)
{
    struct answer *a = user;
    a->calls++;
    a->status = status;
    a->count = count;
    assert_in_range(count, 0, RESOLVE_UV_ADDRS_MAX);
    memcpy(a->addrs, addrs, count * sizeof(addrs[0]));
}

static int open_loop(void **state)
{
    (void)state;
    return uv_loop_init(&loop);
}

static int close_loop(void **state)
{
    (void)state;
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}

static struct answer resolve(const char *host, uint16_t port)
{
    struct answer a = {0};
    assert_int_equal(resolve_uv_start(&loop, host, port, on_answer, &a, &request), 0);
    assert_int_equal(a.calls, 0); /* never from within start */
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(a.calls, 1);
    return a;
}

static void answers_literals(void **state)
{
    (void)state;
    const struct {
        const char *host;
        const char *expected;
    } cases[] = {
        {"192.0.2.1", "192.0.2.1:443"},
        {"2001:db8::1", "[2001:db8::1]:443"},
        {"[2001:db8::1]", "[2001:db8::1]:443"},
        {"::ffff:192.0.2.1", "192.0.2.1:443"}, /* normalised */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[ADDR_TEXT_MAX];
        struct answer a = resolve(cases[i].host, 443);
        assert_int_equal(a.status, 0);
        assert_int_equal(a.count, 1);
        assert_string_equal(addr_format(&a.addrs[0], text), cases[i].expected);
    }
}

/* The thread pool and the resolver are not asked: the very next round has the answer. */
static void answers_a_literal_in_the_next_round(void **state)
{
    (void)state;
    struct answer a = {0};
    assert_int_equal(resolve_uv_start(&loop, "::1", 1, on_answer, &a, &request), 0);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(a.calls, 1);
}

static void resolves_localhost(void **state)
{
    (void)state;
    struct answer a = resolve("localhost", 8080);
    assert_int_equal(a.status, 0);
    assert_in_range(a.count, 1, RESOLVE_UV_ADDRS_MAX);
    for (size_t i = 0; i < a.count; i++) {
        assert_true(addr_is_loopback(&a.addrs[i]));
        assert_int_equal(a.addrs[i].port, 8080);
        for (size_t j = 0; j < i; j++) { /* not once for each socket type */
            assert_false(addr_equal(&a.addrs[i], &a.addrs[j]));
        }
    }
}

static void reads_a_zone(void **state)
{
    (void)state;
    const char *hosts[] = {"fe80::1%1", "[fe80::1%1]"};
    for (size_t i = 0; i < 2; i++) {
        struct answer a = resolve(hosts[i], 9);
        assert_int_equal(a.status, 0);
        assert_int_equal(a.count, 1);
        assert_int_equal(a.addrs[0].family, ADDR_IPV6);
        assert_int_equal(a.addrs[0].scope, 1);
    }
}

/* A label of 64 bytes is in no query (RFC 1035 2.3.4): no server has to be asked to know. */
static void tells_what_does_not_resolve(void **state)
{
    (void)state;
    char name[64 + sizeof(".invalid")];
    memset(name, 'a', 64);
    memcpy(name + 64, ".invalid", sizeof(".invalid"));
    struct answer a = resolve(name, 80);
    assert_true(a.status < 0);
    assert_int_equal(a.count, 0);
}

static void refuses_a_name_that_cannot_be(void **state)
{
    (void)state;
    struct answer a = {0};
    char name[RESOLVE_UV_HOST_MAX + 2];
    memset(name, 'a', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(resolve_uv_start(&loop, name, 80, on_answer, &a, &request), UV_EINVAL);
    assert_int_equal(resolve_uv_start(&loop, "", 80, on_answer, &a, &request), UV_EINVAL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(a.calls, 0);
}

static void is_silent_once_cancelled(void **state)
{
    (void)state;
    const char *hosts[] = {"192.0.2.1", "localhost"};
    for (size_t i = 0; i < 2; i++) {
        struct answer a = {0};
        assert_int_equal(resolve_uv_start(&loop, hosts[i], 80, on_answer, &a, &request), 0);
        resolve_uv_cancel(request);
        (void)uv_run(&loop, UV_RUN_DEFAULT);
        assert_int_equal(a.calls, 0);
    }
}

/* More look-ups than the thread pool has threads: some are cancelled while they wait. */
static void cancels_many(void **state)
{
    (void)state;
    enum { MANY = 40 };
    struct resolve_uv *requests[MANY];
    struct answer a = {0};
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(resolve_uv_start(&loop, "localhost", 80, on_answer, &a, &requests[i]), 0);
    }
    for (int i = 0; i < MANY; i += 2) {
        resolve_uv_cancel(requests[i]);
    }
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(a.calls, MANY / 2);
    assert_int_equal(a.status, 0);
}

static void survives_want_of_memory(void **state)
{
    (void)state;
    struct answer a = {0};
    mem_fail_after(1);
    int rc = resolve_uv_start(&loop, "localhost", 80, on_answer, &a, &request);
    mem_fail_after(0);
    assert_int_equal(rc, ERR_NO_MEMORY);
}

int main(void)
{
#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, open_loop, close_loop)
    const struct CMUnitTest tests[] = {
        LOOP_TEST(answers_literals),
        LOOP_TEST(answers_a_literal_in_the_next_round),
        LOOP_TEST(resolves_localhost),
        LOOP_TEST(reads_a_zone),
        LOOP_TEST(tells_what_does_not_resolve),
        LOOP_TEST(refuses_a_name_that_cannot_be),
        LOOP_TEST(is_silent_once_cancelled),
        LOOP_TEST(cancels_many),
        LOOP_TEST(survives_want_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
