/* An HTTP answer reaches who is still talking: real sockets, since it is the kernel that resets. */
#include "unit/loop/relay_fixture.h"

enum { BODY = 1 << 20, ANSWER_MAX = 1024 };

struct asker {
    int fd;
    size_t left; /* of the body */
    char answer[ANSWER_MAX];
    size_t answer_len;
    bool ended; /* by the relay, in good order */
};

static void ask(struct asker *a, const struct addr *where)
{
    static const char request[] =
        "POST /derp HTTP/1.1\r\nHost: r\r\nContent-Length: 1048576\r\n\r\n";
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(where->port)};
    memcpy(&in.sin_addr, where->ip, 4);
    *a = (struct asker){.fd = socket(AF_INET, SOCK_STREAM, 0), .left = BODY};
    assert_true(a->fd >= 0 && connect(a->fd, (const struct sockaddr *)&in, sizeof(in)) == 0);
    assert_int_equal(fcntl(a->fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(send(a->fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
}

static void say_on(struct asker *a)
{
    static const uint8_t body[64 << 10];
    ssize_t n = 1;
    while (a->left > 0 && n > 0) {
        n = send(a->fd, body, a->left < sizeof(body) ? a->left : sizeof(body), MSG_NOSIGNAL);
        assert_true(n > 0 || errno == EAGAIN);
        a->left -= n > 0 ? (size_t)n : 0;
    }
}

static void hear(struct asker *a)
{
    ssize_t n = recv(a->fd, a->answer + a->answer_len, ANSWER_MAX - 1 - a->answer_len, 0);
    assert_true(n >= 0 || errno == EAGAIN);
    a->answer_len += n > 0 ? (size_t)n : 0;
    a->ended = n == 0;
}

/* Says all it has before it listens, as simple clients do. */
static void a_long_body_does_not_cost_the_answer(void **state)
{
    (void)state;
    struct relay_server_config server = {.open = true};
    struct fixture f;
    open_fixture(&f, &server);
    const struct relay_server_stats *stats = relay_uv_stats(f.relay);
    for (unsigned i = 1; i <= 20; i++) {
        struct asker a;
        uint64_t end = derp_peer_now() + DEADLINE_NS;
        ask(&a, &f.where);
        while (a.left > 0 || !a.ended) {
            assert_true(derp_peer_now() < end);
            uv_run(&f.loop, UV_RUN_NOWAIT);
            say_on(&a);
            if (a.left == 0) {
                hear(&a);
            }
        }
        assert_ptr_equal(strstr(a.answer, "HTTP/1.1 405 "), a.answer);
        assert_non_null(strstr(a.answer, "\r\n\r\n405 Method Not Allowed\n"));
        (void)close(a.fd);
        while (stats->closed[RELAY_CLOSE_DONE] < i) {
            assert_true(derp_peer_now() < end);
            uv_run(&f.loop, UV_RUN_NOWAIT);
        }
    }
    assert_int_equal(stats->connections, 0);
    close_fixture(&f);
}

/* The deadline itself is tests/unit/relay/test_relay_server_http.c's. */
static void who_never_ends_is_closed(void **state)
{
    (void)state;
    struct relay_server_config server = {.open = true};
    struct fixture f;
    struct asker a;
    open_fixture(&f, &server);
    const struct relay_server_stats *stats = relay_uv_stats(f.relay);
    ask(&a, &f.where);
    uint64_t end = derp_peer_now() + DEADLINE_NS;
    while (stats->closed[RELAY_CLOSE_DONE] == 0) {
        assert_true(derp_peer_now() < end);
        uv_run(&f.loop, UV_RUN_ONCE);
    }
    (void)close(a.fd);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_body_does_not_cost_the_answer),
        cmocka_unit_test(who_never_ends_is_closed),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
